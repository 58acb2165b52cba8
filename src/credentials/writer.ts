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
  | { readonly kind: 'alive'; readonly why: string }

/**
 * How one protocol makes and ends a credential. Each method may run again after a crash at any point, also beside a run of another
 * node, and "already gone" is success. What throws is retried; `TargetDown` says that no lease of this target can be worked on now.
 */
export type LeaseWriter = {
  /** Stored as `lease.kind`: a lease is ended by the writer that made it. */
  readonly kind: string
  readonly protocol: string
  readonly revocability: Lease['revocability']
  /** Whether it works at the target and so needs a login there. */
  readonly needsSite: boolean
  /** Pure: the name and secret that `issue` will make. */
  announce(random: Random, terms: LeaseTerms): { readonly principal: string; readonly secret: Secret }
  /**
   * Makes the credential. Calls `isWanted` once nobody else can be ending it any more and makes nothing when it answers no: a lease that
   * was ended meanwhile must not be born after its death was proven.
   */
  issue(site: Site, lease: WrittenLease, isWanted: () => Promise<boolean>, signal: AbortSignal): Promise<Details>
  /** Ends it and what it left open. */
  end(site: Site, lease: WrittenLease, signal: AbortSignal): Promise<Residue>
  /** Tries to use it, and says by what evidence it is dead. */
  probe(site: Site, lease: WrittenLease, signal: AbortSignal): Promise<Probe>
}

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
