import pg from 'pg'
import { clientConfig, type Connection } from './db.ts'
import type { Clock } from './clock.ts'
import type { Log } from './log.ts'
import { every, sleep } from './timer.ts'

/** A notification is a hint to look at the row, never the news itself (core 15). */
type Hint = { readonly channel: string; readonly payload: string }

export type Listener = AsyncDisposable & {
  /** Whether what the database says arrives: false from the first missed heartbeat on, true after the next full look. */
  isHealthy(): boolean
  /** Milliseconds since the stream last proved that it works. */
  silenceMs(): number
  /** Everything that was committed longer ago than this was heard: how long ago the last heartbeat that came back was sent. */
  behindMs(): number
  /** Resolves when everything that was committed before the call was heard. Rejects while the stream is broken. */
  caughtUp(): Promise<void>
}

type Options = {
  readonly connection: Connection
  readonly channels: readonly string[]
  readonly clock: Clock
  readonly log: Log
  readonly onHint: (hint: Hint) => void
  /** Called after every (re)connection, since hints in between are gone: look at everything again. */
  readonly onResync: () => Promise<void>
  /** Called while the stream is broken, every second, with how long it has been silent. */
  readonly onSilence: (silenceMs: number) => void
  readonly signal: AbortSignal
}

/** How often the stream sends itself a heartbeat, and how long one may take before the connection counts as dead. */
const BEAT_MS = 1_000
const BEAT_LATE_MS = 4_000
const RECONNECT_MS = 250

/**
 * One direct connection that listens, proves every second that it still hears, and reconnects for ever.
 * It resolves once the first connection listens and `onResync` has run: subscribe, then check (rule 2).
 */
export async function listen(options: Options): Promise<Listener> {
  const stream = new Stream(options)
  await stream.connect()
  return stream
}

/** Two streams of one process do not take each other's heartbeats for their own. */
let streams = 0

class Stream implements Listener {
  readonly #options: Options
  readonly #beatChannel: string
  readonly #stop = new AbortController()
  readonly #beat: Disposable
  #client: pg.Client | undefined
  #heardAtMs: number
  /** As of when everything that was committed has been heard. */
  #completeAtMs = Number.NEGATIVE_INFINITY
  #beats = 0
  /** Heartbeats under way, with when they were sent. */
  readonly #sentAtMs = new Map<string, number>()
  #isHealthy = false
  #isReconnecting = false

  constructor(options: Options) {
    this.#options = options
    this.#heardAtMs = options.clock.monotonicMs()
    this.#beatChannel = `reeve_beat_${process.pid}_${Math.round(performance.timeOrigin)}_${(streams += 1)}`
    this.#beat = every(BEAT_MS, () => this.#check())
    options.signal.addEventListener('abort', () => this.#stop.abort(), { once: true })
  }

  isHealthy(): boolean {
    return this.#isHealthy
  }

  silenceMs(): number {
    return this.#options.clock.monotonicMs() - this.#heardAtMs
  }

  behindMs(): number {
    return this.#options.clock.monotonicMs() - this.#completeAtMs
  }

  // A committer signals who listens before it hears of its commit, and what was signalled is sent ahead of the next answer.
  async caughtUp(): Promise<void> {
    const client = this.#client
    if (!client) throw new Error('the listening connection is broken')
    await client.query('select 1')
  }

  async connect(): Promise<void> {
    const client = new pg.Client(clientConfig(this.#options.connection))
    client.on('error', (error) => this.#broken(client, error))
    client.on('end', () => this.#broken(client, new Error('the listening connection ended')))
    client.on('notification', (message) => this.#heard(message))
    await client.connect()
    for (const channel of [...this.#options.channels, this.#beatChannel]) {
      await client.query(`listen ${pg.escapeIdentifier(channel)}`)
    }
    this.#client = client
    // Hints from here on arrive; what came before is looked at now.
    this.#sentAtMs.clear()
    const listensSinceMs = this.#options.clock.monotonicMs()
    await this.#options.onResync()
    this.#completeAtMs = listensSinceMs
    this.#heardAtMs = this.#options.clock.monotonicMs()
    this.#isHealthy = true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    this.#beat[Symbol.dispose]()
    const client = this.#client
    this.#client = undefined
    await client
      ?.end()
      .catch((error: unknown) => this.#options.log.debug({ err: error }, 'the listening connection was gone'))
  }

  #heard(message: pg.Notification): void {
    this.#heardAtMs = this.#options.clock.monotonicMs()
    if (message.channel !== this.#beatChannel) {
      this.#options.onHint({ channel: message.channel, payload: message.payload ?? '' })
      return
    }
    const sentAtMs = this.#sentAtMs.get(message.payload ?? '')
    if (sentAtMs === undefined) return
    this.#sentAtMs.delete(message.payload ?? '')
    this.#completeAtMs = Math.max(this.#completeAtMs, sentAtMs)
  }

  #check(): void {
    if (this.#stop.signal.aborted) return
    const silenceMs = this.silenceMs()
    if (silenceMs > BEAT_LATE_MS && this.#client) this.#broken(this.#client, new Error('a heartbeat did not come back'))
    if (!this.#isHealthy) this.#options.onSilence(silenceMs)
    if (!this.#client) return
    const beat = String((this.#beats += 1))
    this.#sentAtMs.set(beat, this.#options.clock.monotonicMs())
    this.#client.query(`notify ${pg.escapeIdentifier(this.#beatChannel)}, '${beat}'`).catch((error: unknown) => {
      this.#options.log.debug({ err: error }, 'a heartbeat could not be sent')
    })
  }

  #broken(client: pg.Client, error: Error): void {
    if (client !== this.#client || this.#stop.signal.aborted) return
    this.#client = undefined
    this.#isHealthy = false
    this.#options.log.warn({ err: error }, 'a stream of hints broke; connecting again')
    client.end().catch((late: unknown) => this.#options.log.debug({ err: late }, 'the broken connection was gone'))
    if (!this.#isReconnecting) void this.#reconnect()
  }

  async #reconnect(): Promise<void> {
    this.#isReconnecting = true
    while (!this.#stop.signal.aborted) {
      try {
        await this.connect()
        break
      } catch (error) {
        this.#options.log.warn({ err: error }, 'a stream of hints is still broken')
        await sleep(RECONNECT_MS, this.#stop.signal).catch(() => undefined)
      }
    }
    this.#isReconnecting = false
  }
}
