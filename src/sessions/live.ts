/**
 * The sessions of this process, and those that a dead process left behind. A session's row is opened in the transaction that starts its use
 * and closed in one that carries the recording's digest; a close that fails is tried until it succeeds, by this node or, after its death, by another.
 */
import { sha256 } from '../kernel/crypto.ts'
import { transact, type Db } from '../kernel/db.ts'
import { Lanes } from '../kernel/lanes.ts'
import type { Log } from '../kernel/log.ts'
import { NODE_DEAD_AFTER_SECONDS } from '../kernel/nodes.ts'
import { secondsAfter } from '../kernel/clock.ts'
import { every, nextTurn } from '../kernel/timer.ts'
import { SYSTEM, type Fact } from '../ledger/ledger.ts'
import { sessionSealed } from './contract.ts'
import { reachSession } from './fault-points.ts'
import { orphanDigest } from './orphan.ts'
import { FLUSH_EVERY_MS, PendingWork } from './recording/recorder.ts'
import type { RecordingStore } from './recording/store.ts'
import { closeSession, type Closing, type OpenedSession, type RowNeeds } from './row.ts'
import { RunningSession, type AlsoInClose } from './running.ts'
import { stopsAsked } from './stop.ts'

export type LiveNeeds = RowNeeds & { readonly db: Db; readonly log: Log; readonly store: RecordingStore }

export type LiveSessions = AsyncDisposable & {
  /** Starts the recording of a session whose row is committed. */
  run(opened: OpenedSession): Promise<RunningSession>
  /** Seals the recording and closes the row; `also` joins that transaction. Resolves when committed, or when it will be tried again. */
  close(session: RunningSession, reason: string, also?: AlsoInClose): Promise<void>
  /** Looks which sessions of this node somebody asked to end: after a hint, after every reconnection, and every second. Never rejects. */
  recheck(): Promise<void>
  /** Enters a seal of every recording that went on. */
  sealAll(): Promise<void>
  /** Closes sessions of nodes that are dead; returns how many. */
  sweep(): Promise<number>
  counts(): { readonly live: number; readonly pendingBytes: number; readonly unclosed: number }
}

const SEAL_EVERY_MS = 60_000
/** Stops arrive by push; this is for the push that did not arrive. Closings that failed are tried at the same pace. */
const RECHECK_EVERY_MS = 1_000
/** One sweep closes at most so many, so that a big node's death does not hold one transaction after another for minutes. */
const SWEEP_LIMIT = 500

/**
 * When a grant with a hundred connections ends, or a thousand grants at once, cutting them comes first: the bookkeeping of an ended session
 * waits its turn, so that it holds up neither sockets that still have to close nor the connections of the pool.
 */
const CLOSINGS_AT_ONCE = 6

type Unclosed = { readonly closing: Closing; readonly also: AlsoInClose | undefined }

export function openLiveSessions(needs: LiveNeeds): LiveSessions {
  return new Live(needs)
}

class Live implements LiveSessions {
  readonly #needs: LiveNeeds
  readonly #work = new PendingWork()
  readonly #running = new Map<string, RunningSession>()
  readonly #unclosed = new Map<string, Unclosed>()
  readonly #closings = new Lanes(CLOSINGS_AT_ONCE)
  readonly #timers: Disposable[]

  constructor(needs: LiveNeeds) {
    this.#needs = needs
    this.#timers = [
      every(FLUSH_EVERY_MS, () => {
        for (const recorder of this.#work.dirty) void recorder.flush()
      }),
      every(SEAL_EVERY_MS, () => this.#inBackground(this.sealAll(), 'recordings could not be sealed')),
      every(RECHECK_EVERY_MS, () => this.#inBackground(this.#catchUp(), 'sessions could not be looked after')),
    ]
  }

  async run(opened: OpenedSession): Promise<RunningSession> {
    const session = new RunningSession({ ...this.#needs, work: this.#work }, opened)
    this.#running.set(opened.id, session)
    await session.start()
    return session
  }

  async close(session: RunningSession, reason: string, also?: AlsoInClose): Promise<void> {
    if (!this.#running.delete(session.id)) return
    const endedAt = this.#needs.clock.now()
    await nextTurn()
    await this.#closings.run(() => this.#closeBooks(session, { reason, endedAt, also }))
  }

  async #closeBooks(
    session: RunningSession,
    { reason, endedAt, also }: { reason: string; endedAt: Date; also: AlsoInClose | undefined },
  ): Promise<void> {
    const { db, clock } = this.#needs
    const grantEndedAt = await endOfGrant(db, session.grantId, clock.now()).catch((error: unknown) => {
      this.#needs.log.warn({ err: error, session: session.id }, 'late operations could not be looked for')
      return undefined
    })
    const closing = await session.finish(reason, endedAt, grantEndedAt)
    await reachSession('session.finished')
    await this.#tryClose({ closing, also }).catch((error: unknown) => {
      this.#needs.log.warn({ err: error, session: session.id }, 'a session could not be closed yet')
      this.#unclosed.set(session.id, { closing, also })
    })
  }

  async recheck(): Promise<void> {
    if (this.#running.size === 0) return
    try {
      for (const id of await stopsAsked(this.#needs.db, this.#needs.nodeId)) this.#running.get(id)?.stop()
    } catch (error) {
      // Called on hints, where nobody waits for it; the next look is a second away.
      this.#needs.log.warn({ err: error }, 'it could not be read which sessions are asked to end')
    }
  }

  async sealAll(): Promise<void> {
    const results = await Promise.allSettled([...this.#running.values()].map((session) => session.seal()))
    for (const result of results) {
      // The next minute's seal covers this one's bytes too.
      if (result.status === 'rejected') this.#needs.log.warn({ err: result.reason }, 'a seal was not entered')
    }
  }

  async sweep(): Promise<number> {
    const { db, clock, store } = this.#needs
    const deadSince = secondsAfter(clock.now(), -NODE_DEAD_AFTER_SECONDS)
    const orphans = await db
      .selectFrom('session')
      .innerJoin('node', 'node.id', 'session.nodeId')
      .select(['session.id', 'session.grantId', 'session.recording'])
      .where('session.endedAt', 'is', null)
      .where('session.nodeId', '!=', this.#needs.nodeId)
      .where((where) => where.or([where('node.heartbeatAt', '<', deadSince), where('node.stoppedAt', 'is not', null)]))
      .orderBy('session.id')
      .limit(SWEEP_LIMIT)
      .execute()
    let closed = 0
    for (const { id, grantId, recording } of orphans) {
      const left = await orphanDigest(store, recording)
      const closing = { id, grantId, reason: 'node-lost', refused: 0, late: 0, ...left }
      if ((await transact(db, (tx) => closeSession(tx, this.#needs, closing))) !== undefined) closed += 1
    }
    return closed
  }

  counts() {
    return { live: this.#running.size, pendingBytes: this.#work.bytes, unclosed: this.#unclosed.size }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const timer of this.#timers) timer[Symbol.dispose]()
    await Promise.all([...this.#running.values()].map((session) => this.close(session, 'node-stopped')))
    await this.#retryClosings().catch((error: unknown) => {
      this.#needs.log.warn({ err: error, unclosed: this.#unclosed.size }, 'sessions are left for another node to close')
    })
  }

  async #catchUp(): Promise<void> {
    await this.#retryClosings()
    await this.recheck()
  }

  async #retryClosings(): Promise<void> {
    for (const [id, unclosed] of this.#unclosed) {
      await this.#tryClose(unclosed)
      this.#unclosed.delete(id)
    }
  }

  async #tryClose({ closing, also }: Unclosed): Promise<void> {
    const cause = await transact(this.#needs.db, async (tx) => {
      const entry = await closeSession(tx, this.#needs, closing)
      await also?.(tx, entry)
      return entry
    })
    // Another node took this one for dead and closed the session: what was recorded since is sealed too.
    if (cause === undefined) await this.#needs.ledger.observe(sealOf(closing))
  }

  #inBackground(work: Promise<unknown>, sentence: string): void {
    work.catch((error: unknown) => this.#needs.log.warn({ err: error }, sentence))
  }
}

function sealOf({
  id,
  grantId,
  recordingBytes,
  recordingSha256,
  operations,
}: Closing): Fact<typeof sessionSealed.facts.shape> {
  return {
    event: sessionSealed,
    actor: SYSTEM,
    resource: { type: 'Session', id },
    grantId,
    outcome: 'done',
    facts: {
      recordingBytes,
      recordingSha256: recordingSha256?.toString('hex') ?? sha256('').toString('hex'),
      operations,
    },
  }
}

/** When the grant ended, or would have: operations that began later are late. Undefined while it lives. */
async function endOfGrant(db: Db, grantId: string, now: Date): Promise<Date | undefined> {
  const grant = await db
    .selectFrom('accessGrant')
    .select(['endedAt', 'expiresAt'])
    .where('id', '=', grantId)
    .executeTakeFirstOrThrow()
  const expiredAt = grant.expiresAt <= now ? grant.expiresAt : undefined
  if (!grant.endedAt) return expiredAt
  return expiredAt && expiredAt < grant.endedAt ? expiredAt : grant.endedAt
}
