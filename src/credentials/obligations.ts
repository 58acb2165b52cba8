import { every } from '../kernel/timer.ts'
import { transact, type Db } from '../kernel/db.ts'
import { claimDue, dueTargets, recordFailure, recordOutlasting, recordTargetDown, type Claimed } from './claim.ts'
import { sweepLeases } from './end-leases.ts'
import { recordDead } from './record-dead.ts'
import { reachLease } from './fault-points.ts'
import type { CredentialNeeds } from './needs.ts'
import { siteFor } from './site.ts'
import { staticWriter } from './static-writer.ts'
import { LeaseBusy, LeaseFailure, TargetDown, type LeaseWriter } from './writer.ts'

/** The look for due leases is one probe of a small index. Whoever ended a grant on this node wakes the loop at once. */
const LOOK_MS = 500
const SWEEP_MS = 5_000
/** Targets worked on at once, and leases of one target: what a database of a company should bear from us. */
const TARGETS_AT_ONCE = 8
const LEASES_AT_ONCE = 4
const CLAIM_ROWS = 16
/** Where a writer ends many together: one transaction there, and one entry each here. */
const CLAIM_MANY = 256
/** One waits for backends and logins while the other changes roles. */
const BATCHES_AT_ONCE = 2
/** Fewer are ended one by one. */
const MANY = 4
/** A worker never hangs on one lease behind a dead network; moving many objects to their group may take minutes. */
const END_MS = 15 * 60_000

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
  const first = await workOnDue(db, needs, { targetId, rows: 1 }, signal)
  if (first === undefined) return
  const ways = endsMany(needs, first) ? { rows: CLAIM_MANY, chains: BATCHES_AT_ONCE } : { rows: CLAIM_ROWS, chains: 1 }
  const chain = async () => {
    while (!signal.aborted && (await workOnDue(db, needs, { targetId, rows: ways.rows }, signal)) !== undefined);
  }
  await Promise.all(Array.from({ length: ways.chains }, chain))
}

type Due = { readonly targetId: string; readonly rows: number }

/** Works on what is due, so many at most. What kind it was; undefined when nothing is left to do now. */
async function workOnDue(
  db: Db,
  needs: CredentialNeeds,
  { targetId, rows }: Due,
  signal: AbortSignal,
): Promise<string | undefined> {
  const claimed = await claimDue(db, needs, targetId, rows)
  const [first] = claimed
  if (!first) return undefined
  await reachLease('lease.end-claimed')
  const left = await workTogether(db, needs, claimed, signal)
  const down = left instanceof TargetDown ? left : await workOnEach(db, needs, left, signal)
  if (!down) return signal.aborted ? undefined : first.kind
  needs.log.warn({ err: down, targetId }, 'a target is down; its leases stay open obligations')
  await recordTargetDown(db, needs, claimed, down.message)
  return undefined
}

function endsMany(needs: CredentialNeeds, kind: string): boolean {
  return needs.writers.some((writer) => writer.kind === kind && writer.endMany !== undefined)
}

/** Ends what can be ended together, and returns what is left to be ended one by one; or why the target is down. */
async function workTogether(
  db: Db,
  needs: CredentialNeeds,
  claimed: readonly Claimed[],
  signal: AbortSignal,
): Promise<readonly Claimed[] | TargetDown> {
  const dead = new Set<string>()
  for (const [kind, all] of Map.groupBy(claimed, (each) => each.kind)) {
    const [first] = all
    const writer = needs.writers.find((each) => each.kind === kind)
    if (!first || !writer?.endMany || all.length < MANY) continue
    try {
      const site = await siteFor(db, needs.seal, writer, first)
      const within = AbortSignal.any([signal, AbortSignal.timeout(END_MS)])
      const leases = all.map(({ lease }) => lease)
      const ended = await writer.endMany(site, leases, within)
      const proven = all.flatMap((each) => {
        const how = ended.get(each.id)
        return how ? [{ claimed: each, ...how }] : []
      })
      await reachLease('lease.proven')
      await transact(db, (tx) => recordDead(tx, needs, proven))
      await reachLease('lease.dead')
      for (const { claimed: each } of proven) dead.add(each.id)
    } catch (error) {
      if (error instanceof TargetDown) return error
      if (!signal.aborted) needs.log.warn({ err: error, kind, leases: all.length }, 'leases are ended one by one')
    }
  }
  return claimed.filter(({ id }) => !dead.has(id))
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
    await transact(db, (tx) => recordDead(tx, needs, [{ claimed, residue, evidence: probe.evidence }]))
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
