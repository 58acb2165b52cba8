/**
 * Makes observations durable, many in one commit. A batch in flight collects the next: as soon as one of two connections is free it
 * takes everything that waits, writes it as one row and answers all its callers after the commit. A batch whose fate is unknown (the
 * connection broke at its commit) is sent again on behalf of the same writer, and the database knows it by its number.
 */
import pg from 'pg'
import type { Clock } from '../kernel/clock.ts'
import { clientConfig, type Connection } from '../kernel/db.ts'
import type { Log } from '../kernel/log.ts'
import { unavailable } from '../kernel/problem.ts'
import { newId, type Random } from '../kernel/random.ts'
import { after, afterThisTurn, sleep } from '../kernel/timer.ts'
import { reachLedger } from './fault-points.ts'
import { Batch, BatchMemory } from './batch.ts'

export type Appender = AsyncDisposable & {
  /**
   * Resolves when the leaf is durable. Rejects with `unavailable` when too much waits already, or after ten seconds without an
   * answer of the database; the leaf may nevertheless be durable then. Must not be called after disposal.
   */
  append(leaf: string, at: Date): Promise<void>
  /** Leaves that wait for their commit. */
  waiting(): number
}

export type AppenderOptions = {
  /** Direct: each of its two connections keeps a prepared statement. */
  readonly connection: Connection
  readonly nodeId: string
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Called after each commit: there is something to place. */
  readonly onDurable?: () => void
}

/** One writes while the other one's answers are handled; more would only cut the same work into smaller commits. */
const WRITERS = 2
/** What may wait: over a second's worth at the rate this is made for, and memory that any node has. */
export const WAITING_MAX_ENTRIES = 65_536
const WAITING_MAX_BYTES = 64 * 1024 * 1024
/** A caller holds a connection of its own meanwhile; beyond this it had better be told. */
const DEADLINE_MS = 10_000
const FIRST_PAUSE_MS = 20
const LONGEST_PAUSE_MS = 1_000

// The conditional update is the decision: a batch of this writer that is already there inserts nothing.
const APPEND = `
with writer as (
  update ledger_writer set batch = $1 where id = $2 and batch < $1 returning id
)
insert into ledger_segment (at, node_id, size, bodies)
select $3::timestamptz, $4::uuid, $5::integer, $6::bytea
  from writer`

/** Connects once, so that a wrong address is told at start; later breaks are repaired while callers wait. */
export async function openAppender(options: AppenderOptions): Promise<Appender> {
  const queue = new Queue(options)
  await queue.open()
  return queue
}

class Queue implements Appender {
  readonly #options: AppenderOptions
  readonly #writers: Writer[]
  readonly #idle: Writer[]
  readonly #batches: Batch[] = []
  readonly #memory = new BatchMemory()
  readonly #inFlight = new Set<Promise<void>>()
  #waitingEntries = 0
  #waitingBytes = 0
  #isScheduled = false
  #isClosed = false

  constructor(options: AppenderOptions) {
    this.#options = options
    this.#writers = Array.from({ length: WRITERS }, () => new Writer(options))
    this.#idle = [...this.#writers]
  }

  async open(): Promise<void> {
    await Promise.all(this.#writers.map((writer) => writer.connect()))
  }

  waiting(): number {
    return this.#waitingEntries
  }

  append(leaf: string, at: Date): Promise<void> {
    if (this.#isClosed) return Promise.reject(unavailable('This node is stopping.', { retryAfterSeconds: 1 }))
    if (this.#waitingEntries >= WAITING_MAX_ENTRIES || this.#waitingBytes >= WAITING_MAX_BYTES) {
      const detail = 'More observations wait for the ledger than this node may hold; try again in a moment.'
      return Promise.reject(unavailable(detail, { retryAfterSeconds: 1 }))
    }
    const batch = this.#batchFor(leaf, at)
    if (this.#idle.length > 0 && !this.#isScheduled) {
      this.#isScheduled = true
      afterThisTurn(() => {
        this.#isScheduled = false
        this.#flush()
      })
    }
    return batch.durable
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    this.#flush()
    while (this.#inFlight.size > 0) await Promise.all(this.#inFlight)
    await Promise.all(this.#writers.map((writer) => writer.close()))
  }

  #batchFor(leaf: string, at: Date): Batch {
    const last = this.#batches.at(-1)
    const before = last?.sizeBytes ?? 0
    if (last?.add(leaf) === true) {
      this.#count(1, last.sizeBytes - before)
      return last
    }
    const fresh = new Batch(at, this.#memory)
    fresh.add(leaf)
    this.#batches.push(fresh)
    this.#count(1, fresh.sizeBytes)
    this.#limit(fresh)
    return fresh
  }

  #limit(batch: Batch): void {
    const timer = after(DEADLINE_MS, () => {
      const detail = 'The ledger did not become durable in time. What was observed may be in it nevertheless.'
      batch.reject(unavailable(detail, { retryAfterSeconds: 5 }))
    })
    const stop = () => timer[Symbol.dispose]()
    batch.durable.then(stop, stop)
  }

  #count(entries: number, bytes: number): void {
    this.#waitingEntries += entries
    this.#waitingBytes += bytes
  }

  #flush(): void {
    while (this.#batches.length > 0) {
      const writer = this.#idle.pop()
      const batch = writer && this.#batches.shift()
      if (!batch) return
      const written = this.#write(writer, batch)
      this.#inFlight.add(written)
      void written.finally(() => this.#inFlight.delete(written))
    }
  }

  async #write(writer: Writer, batch: Batch): Promise<void> {
    const { size, sizeBytes } = batch
    const isDurable = await writer.write(batch)
    batch.release()
    this.#count(-size, -sizeBytes)
    this.#idle.push(writer)
    if (isDurable) this.#options.onDurable?.()
    if (this.#isClosed) this.#flush()
    else if (this.#batches.length > 0 && !this.#isScheduled) {
      this.#isScheduled = true
      afterThisTurn(() => {
        this.#isScheduled = false
        this.#flush()
      })
    }
  }
}

class Writer {
  readonly #options: AppenderOptions
  readonly #id: string
  #batch = 0
  #client: pg.Client | undefined

  constructor(options: AppenderOptions) {
    this.#options = options
    this.#id = newId(options.clock, options.random)
  }

  async connect(): Promise<pg.Client> {
    const client = new pg.Client({ ...clientConfig(this.#options.connection), query_timeout: DEADLINE_MS })
    client.on('error', (error) => this.#broken(client, error))
    client.on('end', () => this.#forget(client))
    await client.connect()
    // By this writer, before its first batch; a row that is there stays.
    await client.query('insert into ledger_writer (id) values ($1) on conflict do nothing', [this.#id])
    this.#client = client
    return client
  }

  /** Writes the batch whole, again and again until it is durable or its callers were told that it is late. */
  async write(batch: Batch): Promise<boolean> {
    this.#batch += 1
    for (let pauseMs = FIRST_PAUSE_MS; !batch.isOver; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
      try {
        const client = this.#client ?? (await this.connect())
        const values = [this.#batch, this.#id, batch.at, this.#options.nodeId, batch.size, batch.bodies]
        await reachLedger('appender.before-write')
        await client.query({ name: 'append', text: APPEND, values })
        await reachLedger('appender.written')
        batch.resolve()
        return true
      } catch (error) {
        this.#broken(this.#client, error)
        await sleep(pauseMs)
      }
    }
    return false
  }

  async close(): Promise<void> {
    const client = this.#client
    this.#client = undefined
    await client?.end()
  }

  // Whatever went wrong, a new connection knows nothing of it.
  #broken(client: pg.Client | undefined, error: unknown): void {
    this.#options.log.warn({ err: error }, 'observations could not be written; trying again')
    this.#forget(client)
    client?.end().catch((late: unknown) => this.#options.log.debug({ err: late }, 'the broken connection was gone'))
  }

  #forget(client: pg.Client | undefined): void {
    if (this.#client === client) this.#client = undefined
  }
}
