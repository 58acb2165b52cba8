import { z } from 'zod'
import type { Random } from '../kernel/random.ts'
import type { Secret } from '../kernel/secret.ts'
import type { Evidence, Lease } from './contract.ts'

/** Plain JSON that a writer keeps on the lease's row between its steps. No secret is in it. */
export const Details = z.record(z.string(), z.json())
export type Details = z.output<typeof Details>

/** What a grant needs at the target, read from the catalog when the lease is announced. */
export type LeaseTerms = {
  /** The catalog's account, by name. */
  readonly account: string
  /** Group roles that bound the granted actions, the one of the strongest class first (core 19). */
  readonly roles: readonly string[]
  /** Empty: every database that the group may enter. */
  readonly databases: readonly string[]
  readonly validUntil: Date
  readonly connections: number
  /** What the grant covers. */
  readonly actions?: readonly string[]
}

/** Where the target is and the login by which leases are made and ended there. */
export type Site = {
  readonly target: string
  readonly settings: unknown
  readonly provisioner: {
    readonly user: string
    readonly secret: Secret
    /** What else the secret may be by now: it may be rotated at this very moment. */
    readonly others?: () => Promise<readonly Secret[]>
  }
  /** The standing login of the account, for writers that lend it. */
  readonly account?: { readonly user: string; readonly secret: Secret }
}

/** A lease as its writer sees it. */
export type WrittenLease = {
  readonly id: string
  readonly principal: string
  readonly secret: Secret
  readonly terms: LeaseTerms
  /** What `issue` returned; undefined when it never finished. */
  readonly details: Details | undefined
  readonly issuedAt: Date | null
}

/** What appeared at the target during a lease and outlives it, and what could not be looked at. */
export type Residue = { readonly appeared: readonly ResidueItem[]; readonly unread: readonly string[] }
export type ResidueItem = {
  readonly kind: string
  readonly where: string
  readonly name: string
  /** A principal at the target, when it is one: those of other leases are no residue. */
  readonly principal?: string
}

export type Probe =
  | { readonly kind: 'dead'; readonly evidence: Evidence }
  /** `until`: nobody can end it sooner, and that was said when it was made. It is looked at again then, and alarms nobody before. */
  | { readonly kind: 'alive'; readonly why: string; readonly until?: Date }

/** What credentials of one kind are like, before any is made. */
type Capability = {
  /** The best it can be; `plan` says what it is at one target. */
  readonly revocability: Lease['revocability']
  /** How many of one account live beside each other; null: any number. */
  readonly coexisting: number | null
  /** Whether ending one can be taken back. */
  readonly isReversible: boolean
  /** What the login at the target has to be allowed, in the target's own words. */
  readonly permissions: readonly string[]
}

/** What is asked for, as far as it is known before the target is. */
type Planning = {
  readonly leaseId: string
  readonly grantId: string
  readonly terms: LeaseTerms
  /** Of the target. */
  readonly settings: unknown
}

/** What will be made. It is announced in these words. */
export type Planned = {
  /** Its name at the target. */
  readonly principal: string
  /** Where it is chosen here; otherwise `apply` brings it. */
  readonly secret?: Secret
  readonly revocability: Lease['revocability']
}

/** How `apply` holds on to the lease while it works. Both answer no when it was ended meanwhile: then nothing more may be made. */
export type Making = {
  /** Asked once nobody else can be ending it any more, as far as the target can hold somebody off. */
  readonly isWanted: () => Promise<boolean>
  /** Notes what is needed to end what is about to be made, before it is made: whoever ends it has these details. */
  readonly keep: (details: Details) => Promise<boolean>
}

/** What was made. */
export type Applied = {
  readonly details: Details
  /** Where the target chose it. */
  readonly secret?: Secret
  /** When it stops by itself; the end of the grant when left out. */
  readonly validBefore?: Date
}

/**
 * How one protocol makes and ends a credential: planned, applied, ended, verified. The lease's id is the key by which each step may run again
 * after a crash at any point, also beside a run of another node, and "already gone" is success. What throws is retried; `TargetDown` says that no
 * lease of this target can be worked on now.
 */
export type LeaseWriter = {
  /** Stored as `lease.kind`: a lease is ended by the writer that made it. */
  readonly kind: string
  readonly protocol: string
  readonly capability: Capability
  /** Whether it works at the target and so needs to know where that is. */
  readonly needsSite: boolean
  /** Whether it can work there without a login of ours. */
  readonly worksWithoutLogin?: boolean
  /** Asks nobody. Throws `LeaseFailure` for what cannot be made. */
  plan(random: Random, planning: Planning): Planned
  /**
   * Makes the credential. Makes nothing when `making` answers no: a lease that was ended meanwhile must not be born after its death was
   * proven.
   */
  apply(site: Site, lease: WrittenLease, making: Making, signal: AbortSignal): Promise<Applied>
  /** Ends it and what it left open. */
  end(site: Site, lease: WrittenLease, signal: AbortSignal): Promise<Residue>
  /** The negative probe: tries to use it, and says by what evidence it is dead. */
  verify(site: Site, lease: WrittenLease, signal: AbortSignal): Promise<Probe>
  /**
   * Ends and verifies many of one site at once. Who is missing in the answer was not proven dead, and goes by `end` and `verify`; so do all of
   * them when it throws anything but `TargetDown`.
   */
  endMany?(site: Site, leases: readonly WrittenLease[], signal: AbortSignal): Promise<ReadonlyMap<string, Ended>>
}

/** A lease that was ended and proven dead together with others. */
export type Ended = { readonly residue: Residue; readonly evidence: Evidence }

/** Work on a lease failed: a sentence of ours (with a code of the target's), safe to show. The cause is for the log. */
export class LeaseFailure extends Error {
  override readonly name: string = 'LeaseFailure'
}

/** The target cannot be reached or entered at all. */
export class TargetDown extends LeaseFailure {
  override readonly name = 'TargetDown'
}

/** The lease was ended while it was being made; nothing was made. */
export class NotWanted extends LeaseFailure {
  override readonly name = 'NotWanted'
}

/** Another attempt works on this very lease: not a failure of it. */
export class LeaseBusy extends LeaseFailure {
  override readonly name = 'LeaseBusy'
}
