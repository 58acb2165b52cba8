import { every } from '../kernel/timer.ts'
import { transact, type Db, type Tx } from '../kernel/db.ts'
import { SYSTEM } from '../ledger/ledger.ts'
import { claimDue, dueTargets, recordFailure, recordOutlasting, recordTargetDown, type Claimed } from './claim.ts'
import { sweepLeases } from './end-leases.ts'
import type { Evidence } from './contract.ts'
import { leaseDead, leaseResidue } from './events.ts'
import { reachLease } from './fault-points.ts'
import type { CredentialNeeds } from './needs.ts'
import { siteFor } from './site.ts'
import { STATIC, staticWriter } from './static-writer.ts'
import { LeaseBusy, LeaseFailure, TargetDown, type LeaseWriter, type Residue } from './writer.ts'

/** The look for due leases is one probe of a small index. Whoever ended a grant on this node wakes the loop at once. */
const LOOK_MS = 500
const SWEEP_MS = 5_000
/** Targets worked on at once, and leases of one target: what a database of a company should bear from us. */
const TARGETS_AT_ONCE = 8
const LEASES_AT_ONCE = 4
const CLAIM_ROWS = 16
/** A worker never hangs on one lease behind a dead network; moving many objects to their group may take minutes. */
const END_MS = 15 * 60_000
const LISTED = 100
const NAME_MAX = 120

export type Obligations = {
  /** Looks now: after a grant ended, or because somebody asked for a retry. */
  wake(): void
  /** Resolves when the signal fired and what was in hand is put down; the rest is retried by whoever runs next. */
  readonly done: Promise<void>
}

/** Ends leases until the signal fires. Any number of nodes may run it. */
export function runObligations(db: Db, needs: CredentialNeeds, signal: AbortSignal): Obligations {
  const bell = openBell()
  return { wake: () => bell.ring(), done: loop(db, needs, bell, signal) }
}

async function loop(db: Db, needs: CredentialNeeds, bell: Bell, signal: AbortSignal): Promise<void> {
  using _ticking = every(LOOK_MS, () => bell.ring())
  signal.addEventListener('abort', () => bell.ring(), { once: true })
  let sweptAtMs = Number.NEGATIVE_INFINITY
  const working = new Map<string, Promise<void>>()
  while (!signal.aborted) {
    try {
      if (needs.clock.monotonicMs() - sweptAtMs >= SWEEP_MS) {
        await sweepLeases(db, needs)
        sweptAtMs = needs.clock.monotonicMs()
      }
      for (const targetId of await dueTargets(db, needs.clock.now())) {
        if (working.has(targetId) || working.size >= TARGETS_AT_ONCE) continue
        working.set(
          targetId,
          workOnTarget(db, needs, targetId, signal)
            .catch((error: unknown) =>
              needs.log.error({ err: error, targetId }, 'leases of a target could not be worked on'),
            )
            .finally(() => working.delete(targetId)),
        )
      }
    } catch (error) {
      needs.log.error({ err: error }, 'open leases could not be looked up')
    }
    await bell.rung()
  }
  await Promise.all(working.values())
}

/** One look at everything that is due now, for tools and tests: resolves when all of it was tried once. */
export async function settleObligations(db: Db, needs: CredentialNeeds, signal: AbortSignal): Promise<void> {
  await sweepLeases(db, needs)
  for (const targetId of await dueTargets(db, needs.clock.now())) await workOnTarget(db, needs, targetId, signal)
}

async function workOnTarget(db: Db, needs: CredentialNeeds, targetId: string, signal: AbortSignal): Promise<void> {
  // One first: a target that is down costs one connection.
  for (let rows = 1; !signal.aborted; rows = CLAIM_ROWS) {
    const claimed = await claimDue(db, needs, targetId, rows)
    if (claimed.length === 0) return
    await reachLease('lease.end-claimed')
    const down = await workOnEach(db, needs, claimed, signal)
    if (down) {
      needs.log.warn({ err: down, targetId }, 'a target is down; its leases stay open obligations')
      return recordTargetDown(db, needs, claimed, down.message)
    }
  }
}

/** Works on claimed leases, a few at once. Returns why the target is down, if it is. */
async function workOnEach(
  db: Db,
  needs: CredentialNeeds,
  claimed: readonly Claimed[],
  signal: AbortSignal,
): Promise<TargetDown | undefined> {
  const queue = [...claimed]
  let down: TargetDown | undefined
  const worker = async () => {
    for (let next = queue.shift(); next && !down && !signal.aborted; next = queue.shift()) {
      const failure = await workOn(db, needs, next, signal)
      if (failure instanceof TargetDown) down = failure
      else if (failure && !signal.aborted) await noteFailure(db, needs, next, failure)
    }
  }
  await Promise.all(Array.from({ length: LEASES_AT_ONCE }, worker))
  return down
}

async function noteFailure(db: Db, needs: CredentialNeeds, claimed: Claimed, failure: unknown): Promise<void> {
  if (failure instanceof LeaseBusy) return
  const facts = { err: failure, leaseId: claimed.id, attempts: claimed.attempts }
  if (claimed.escalation === 'none') needs.log.warn(facts, 'a lease could not be ended; it stays an open obligation')
  else needs.log.error(facts, 'a lease has not been ended for a long time')
  const sentence = failure instanceof LeaseFailure ? failure.message : 'something unexpected happened, see the log'
  await recordFailure(db, needs, claimed, sentence)
}

/** Ends, probes, records. Returns what went wrong. */
async function workOn(db: Db, needs: CredentialNeeds, claimed: Claimed, signal: AbortSignal): Promise<unknown> {
  try {
    const writer = writerOf(needs, claimed.kind)
    const site = await siteFor(db, needs.seal, writer, claimed)
    const within = AbortSignal.any([signal, AbortSignal.timeout(END_MS)])
    const residue = await writer.end(site, claimed.lease, within)
    const probe = await writer.verify(site, claimed.lease, within)
    if (probe.kind === 'alive' && probe.until) {
      await recordOutlasting(db, needs, claimed, { ...probe, until: probe.until })
      return undefined
    }
    if (probe.kind === 'alive') return new LeaseFailure(`it was ended and still lives: ${probe.why}`)
    await reachLease('lease.proven')
    await transact(db, (tx) => recordDead(tx, needs, claimed, residue, probe.evidence))
    await reachLease('lease.dead')
    return undefined
  } catch (error) {
    return error
  }
}

function writerOf(needs: CredentialNeeds, kind: string): LeaseWriter {
  const writer = [staticWriter, ...needs.writers].find((each) => each.kind === kind)
  if (!writer) throw new LeaseFailure(`this release has nothing that ends a ${kind}`)
  return writer
}

/** The obligation is met: evidence kept, secret gone, and what the lease left behind is a finding. */
async function recordDead(
  tx: Tx,
  needs: CredentialNeeds,
  claimed: Claimed,
  residue: Residue,
  evidence: Evidence,
): Promise<void> {
  const now = needs.clock.now()
  const about = { actor: SYSTEM, resource: { type: 'Lease', id: claimed.id }, grantId: claimed.grantId } as const
  const { principal } = claimed.lease
  const open = await tx
    .selectFrom('lease')
    .select('id')
    .where('id', '=', claimed.id)
    .where('state', '=', 'ending')
    .forUpdate()
    .executeTakeFirst()
  if (!open) return
  const appeared = await foreign(tx, claimed.targetId, residue)
  if (appeared.length > 0) {
    await needs.ledger.record(tx, {
      ...about,
      event: leaseResidue,
      outcome: 'done',
      facts: {
        targetId: claimed.targetId,
        principal,
        appeared: appeared.slice(0, LISTED),
        unread: residue.unread.slice(0, LISTED),
        isCut: appeared.length > LISTED,
      },
    })
    needs.log.warn({ leaseId: claimed.id, appeared: appeared.length }, 'a lease left something behind at its target')
  }
  const told: Evidence = {
    ...evidence,
    provenAt: now.toISOString(),
    attempts: claimed.attempts,
    residue: appeared.length,
    unread: residue.unread.slice(0, LISTED),
  }
  const cause = await needs.ledger.record(tx, {
    ...about,
    event: leaseDead,
    outcome: 'done',
    facts: { principal, evidence: told },
  })
  await tx
    .updateTable('lease')
    .set({
      state: 'dead',
      deadAt: now,
      evidence: JSON.stringify(told),
      sealedSecret: null,
      nextTryAt: null,
      lastError: null,
      escalation: 'none',
      cause,
    })
    .where('id', '=', claimed.id)
    .execute()
}

/** Other leases of the target come and go meanwhile; only what is in our own record counts as such. */
async function foreign(tx: Tx, targetId: string, residue: Residue): Promise<string[]> {
  const principals = [...new Set(residue.appeared.flatMap((item) => item.principal ?? []))]
  const ours = new Set<string>()
  if (principals.length > 0) {
    const rows = await tx
      .selectFrom('lease')
      .select('principal')
      .where('targetId', '=', targetId)
      .where('kind', '<>', STATIC)
      .where('principal', 'in', principals)
      .execute()
    for (const row of rows) ours.add(row.principal)
  }
  return residue.appeared
    .filter((item) => item.principal === undefined || !ours.has(item.principal))
    .map((item) => `${item.kind} in ${item.where}: ${item.name}`.slice(0, NAME_MAX))
}

type Bell = { ring(): void; rung(): Promise<void> }

/** A ring before somebody waits is not lost. */
function openBell(): Bell {
  let isRung = false
  let hear: (() => void) | undefined
  return {
    ring() {
      isRung = true
      hear?.()
    },
    async rung() {
      if (!isRung) await new Promise<void>((resolve) => (hear = resolve))
      isRung = false
      hear = undefined
    },
  }
}
