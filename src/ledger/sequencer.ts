/**
 * The one writer of the tree. Whichever node holds the advisory lock gives committed entries their positions, signs the tree and keeps the
 * checkpoint outside the database as well. The lock belongs to a connection: with it goes the right to sign, and each transaction looks
 * again that it is still held.
 */
import { sql } from 'kysely'
import { openSession, transact, type Connection, type Db } from '../kernel/db.ts'
import type { Log } from '../kernel/log.ts'
import { after, sleep } from '../kernel/timer.ts'
import { reachLedger } from './fault-points.ts'
import type { Needs } from './fact.ts'
import type { SigningLog } from './logs.ts'
import { readOutside, writeOutside } from './outside.ts'
import { place, readWaiting, type Head, type Placed } from './placing.ts'
import { resume } from './resume.ts'

export type Sequencer = AsyncDisposable & {
  /** Something was committed here: look soon. Costs nothing when called often. */
  wake(): void
  /** Whether this node is the one that signs at present. */
  isSigning(): boolean
}

export type Signed = { readonly log: SigningLog; readonly size: number; readonly note: string }

export type SequencerOptions = Needs & {
  /** Direct to the primary: the lock belongs to the session. */
  readonly connection: Connection
  readonly log: Log
  /** Name of the first log in its checkpoints; random when left out. */
  readonly origin?: string | undefined
  readonly checkpointFile: string
  /** Called after each checkpoint was kept; must not throw. */
  readonly onSigned?: (signed: Signed) => void
}

const LOCK_EVERY_MS = 1_000
const POLL_MS = 250
/** From a wake to the look: long enough for the transaction that woke us to commit, and for others to join it. */
const WAKE_MS = 50
/** Checkpoints are kept for ever; under load each covers this much time. */
const ROUND_EVERY_MS = 100
const DRAIN_MS = 5_000
const EXTEND_EVERY_MS = 3_600_000
/** A partition holds ten million; the next one is made long before. */
const EXTEND_EVERY_ENTRIES = 1_000_000

/** "reeve", "ledger": advisory locks have one name space per database. */
const LOCK = { high: 0x72656576, low: 0x6c656467 } as const

/** Starts trying for the lock at once; never throws for a database that is away. */
export function openSequencer(options: SequencerOptions): Sequencer {
  return new Loop(options)
}

class Loop implements Sequencer {
  readonly #options: SequencerOptions
  readonly #stop = new AbortController()
  /** Names this process among those that share a folder; process numbers repeat where each node has a container of its own. */
  readonly #writer: string
  readonly #done: Promise<void>
  #isSigning = false
  #isWoken = false
  #wakeUp: (() => void) | undefined

  constructor(options: SequencerOptions) {
    this.#options = options
    this.#writer = options.random.bytes(8).toString('hex')
    this.#done = this.#run()
  }

  wake(): void {
    if (this.#isWoken) return
    this.#isWoken = true
    this.#wakeUp?.()
  }

  isSigning(): boolean {
    return this.#isSigning
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('the sequencer stops'))
    await this.#done
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        await this.#hold()
      } catch (error) {
        if (!this.#stop.signal.aborted) this.#options.log.warn({ err: error }, 'the ledger could not be sequenced')
      }
      this.#isSigning = false
      await sleep(LOCK_EVERY_MS, this.#stop.signal).catch(() => undefined)
    }
  }

  // One session: waits for the lock, then signs for as long as the connection lives.
  async #hold(): Promise<void> {
    const { connection } = this.#options
    await using session = await openSession(connection)
    const over = AbortSignal.any([this.#stop.signal, session.broken])
    while (!(await takeLock(session.db))) await sleep(LOCK_EVERY_MS, over)
    const { checkpointFile, origin, random } = this.#options
    const name = origin ?? `reeve.invalid/${random.bytes(8).toString('hex')}`
    const resumed = await resume(session.db, this.#options, name, await readOutside(checkpointFile))
    const { log } = resumed
    if (resumed.note !== undefined) await this.#keep(log, { ...resumed.head, note: resumed.note })
    this.#isSigning = true
    this.#options.log.info({ origin: log.origin, size: resumed.head.size }, 'this node sequences the ledger')
    await this.#sign(session.db, log, resumed.head, over)
  }

  async #sign(db: Db, log: SigningLog, head: Head, over: AbortSignal): Promise<void> {
    const { clock } = this.#options
    let extendAtMs = 0
    let sinceExtended = 0
    let drainUntilMs = Number.POSITIVE_INFINITY
    for (;;) {
      if (clock.monotonicMs() >= extendAtMs || sinceExtended >= EXTEND_EVERY_ENTRIES) {
        await this.#extend(db)
        extendAtMs = clock.monotonicMs() + EXTEND_EVERY_MS
        sinceExtended = 0
      }
      this.#isWoken = false
      const round = await this.#round(db, log, head)
      if (round) {
        head = { size: round.size, root: round.root }
        sinceExtended += round.entries
        await this.#keep(log, round)
      }
      if (this.#stop.signal.aborted) {
        // What was acknowledged before the stop is signed by whoever was there, if that is quick.
        drainUntilMs = Math.min(drainUntilMs, clock.monotonicMs() + DRAIN_MS)
        if (!round || clock.monotonicMs() > drainUntilMs) return
      } else await this.#rest(over, round !== undefined)
    }
  }

  async #round(db: Db, log: SigningLog, head: Head): Promise<Placed | undefined> {
    return transact(db, async (tx) => {
      if (!(await holdsLock(tx))) throw new Error('another session may hold the lock of the ledger now')
      const waiting = await readWaiting(tx)
      return waiting.length === 0 ? undefined : place(tx, this.#options.clock, log, head, waiting)
    })
  }

  async #keep(log: SigningLog, signed: { size: number; note: string }): Promise<void> {
    await reachLedger('sequencer.committed')
    await writeOutside(this.#options.checkpointFile, signed.note, this.#writer)
    await reachLedger('sequencer.kept')
    this.#options.onSigned?.({ log, size: signed.size, note: signed.note })
  }

  // A partition that could not be made now (somebody holds a lock for long) is made next time: there is room for millions.
  async #extend(db: Db): Promise<void> {
    try {
      await sql`select ledger_extend()`.execute(db)
    } catch (error) {
      this.#options.log.warn({ err: error }, 'the next partition of the ledger could not be made yet')
    }
  }

  async #rest(over: AbortSignal, wasBusy: boolean): Promise<void> {
    if (wasBusy) return sleep(ROUND_EVERY_MS, over).catch(() => undefined)
    if (over.aborted) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const stop = () => resolve()
    using _poll = after(POLL_MS, resolve)
    using soon = new DisposableStack()
    this.#wakeUp = () => void soon.use(after(WAKE_MS, resolve))
    if (this.#isWoken) this.#wakeUp()
    over.addEventListener('abort', stop, { once: true })
    await promise
    over.removeEventListener('abort', stop)
    this.#wakeUp = undefined
  }
}

async function takeLock(db: Db): Promise<boolean> {
  const { rows } = await sql<{ taken: boolean }>`
    select pg_try_advisory_lock(${LOCK.high}, ${LOCK.low}) as taken`.execute(db)
  return rows[0]?.taken === true
}

// Of this very backend: the driver may have reconnected, and a pooler in between may have switched the session.
async function holdsLock(db: Db): Promise<boolean> {
  const { rows } = await sql<{ held: boolean }>`
    select exists (select from pg_locks
                    where locktype = 'advisory' and pid = pg_backend_pid() and granted
                      and classid::bigint = ${LOCK.high} and objid::bigint = ${LOCK.low} and objsubid = 2
                      and database = (select oid from pg_database where datname = current_database())) as held`.execute(
    db,
  )
  return rows[0]?.held === true
}
