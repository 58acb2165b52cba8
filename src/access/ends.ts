import type { Clock } from '../kernel/clock.ts'
import type { Connection, Db } from '../kernel/db.ts'
import { listen, type Listener } from '../kernel/listen.ts'
import type { Log } from '../kernel/log.ts'
import { after, nextTurn } from '../kernel/timer.ts'
import type { EndReason } from './contract.ts'
import { END_CHANNEL, type EndedGrant } from './end.ts'

/** Why a subscription is over: the grant ended, ran out by this process's own clock, or nothing can be heard of it any more. */
export type Ending = {
  readonly grantId: string
  readonly reason: EndReason | 'control-lost'
  readonly endedAt: Date
  /** What who ended it said about it, fit for a message to its client: one line, cut, without control characters. */
  readonly comment: string | null
}

/** Rule 2: a stream that was silent for this long counts as an end. */
export const CONTROL_LOST_MS = 15_000

/** Rows that one look takes, so that a node with many sessions asks in a few queries. */
const LOOK_BATCH = 1_000
const LOOK_AGAIN_MS = 100

type Watching = {
  readonly expiresAt: Date
  /** The target's. `continue` is a declared exception (rule 2). */
  readonly onControlLoss: 'end' | 'continue'
}

/** Fires once, at most; `ending()` says why from then on. Disposing it only stops listening. */
export type Subscription = Disposable & { readonly ended: AbortSignal; ending(): Ending | undefined }

/**
 * Ends as a node hears them: one listening connection, one look at the rows for all hints that came together, and a push for
 * what this very node committed. Subscribe before the check (rule 2).
 */
export type Ends = AsyncDisposable & {
  subscribe(grantId: string, watching: Watching): Subscription
  /** Call it right after the commit that ended a grant, so that cutting here does not wait for the database's word. */
  announceEnd(ended: EndedGrant): void
  isHealthy(): boolean
  /** How many subscriptions are open, for metrics. */
  size(): number
}

type Needs = {
  readonly connection: Connection
  /** For looking at rows. A small pool of its own keeps ends quick while the others are busy. */
  readonly db: Db
  readonly clock: Clock
  readonly log: Log
  /** A hint that is no grant's, such as `session:<id>`; called without one after each reconnection. */
  readonly onOtherHint?: (payload?: string) => void
}

/** Resolves once the node listens. The signal, or disposing it, stops it; open subscriptions then end as `control-lost`. */
export async function openEnds(needs: Needs, signal: AbortSignal): Promise<Ends> {
  const ends = new EndStream(needs)
  await ends.open(signal)
  return ends
}

/** As much as a terminal shows of a sentence. */
const COMMENT_MAX = 200

/** What a person wrote goes to somebody else's terminal: nothing in it may end the line, hide, or turn the text around. */
function lineOf(text: string): string {
  const line = text.replaceAll(/[\p{C}\p{Z}]+/gu, ' ').trim()
  const points = Array.from(line)
  return points.length <= COMMENT_MAX ? line : `${points.slice(0, COMMENT_MAX - 1).join('')}…`
}

class Watch implements Subscription {
  readonly grantId: string
  readonly watching: Watching
  readonly #controller = new AbortController()
  readonly #clock: Clock
  #ending: Ending | undefined
  #deadline: Disposable | undefined

  constructor(grantId: string, watching: Watching, clock: Clock) {
    this.grantId = grantId
    this.watching = watching
    this.#clock = clock
  }

  get ended(): AbortSignal {
    return this.#controller.signal
  }

  ending(): Ending | undefined {
    return this.#ending
  }

  /**
   * Measures the time that is left once: from here on a monotonic timer runs, which no jump of the clock moves. A wait too long for
   * a timer is cut, and goes on from the monotonic deadline.
   */
  arm(): void {
    const leftMs = this.watching.expiresAt.getTime() - this.#clock.now().getTime()
    const dueMs = this.#clock.monotonicMs() + leftMs
    if (leftMs <= 0) this.fire('expired', this.watching.expiresAt)
    else this.#wait(dueMs)
  }

  fire(reason: Ending['reason'], endedAt: Date, comment: string | null = null): void {
    if (this.#ending) return
    const line = comment === null ? null : lineOf(comment)
    this.#ending = Object.freeze({ grantId: this.grantId, reason, endedAt, comment: line })
    this[Symbol.dispose]()
    this.#controller.abort(this.#ending)
  }

  /** Replaced by the stream, which forgets the watch. */
  onDispose: () => void = () => undefined;

  [Symbol.dispose](): void {
    this.#deadline?.[Symbol.dispose]()
    this.#deadline = undefined
    this.onDispose()
  }

  #wait(dueMs: number): void {
    this.#deadline = after(dueMs - this.#clock.monotonicMs(), () => {
      if (this.#clock.monotonicMs() < dueMs) this.#wait(dueMs)
      else this.fire('expired', this.watching.expiresAt)
    })
  }
}

class EndStream implements Ends {
  readonly #needs: Needs
  readonly #watches = new Map<string, Set<Watch>>()
  /** Grants to look at, with the monotonic time since when. */
  readonly #hinted = new Map<string, number>()
  #listener: Listener | undefined
  #size = 0
  #isLooking = false
  #isClosed = false
  #again: Disposable | undefined

  constructor(needs: Needs) {
    this.#needs = needs
  }

  async open(signal: AbortSignal): Promise<void> {
    const { connection, clock, log } = this.#needs
    this.#listener = await listen({
      connection,
      channels: [END_CHANNEL],
      clock,
      log,
      onHint: ({ payload }) => this.#hint(payload),
      onResync: () => {
        this.#needs.onOtherHint?.()
        return this.#lookAt([...this.#watches.keys()])
      },
      onSilence: (silenceMs) => {
        if (silenceMs >= CONTROL_LOST_MS) this.#loseControl([...this.#watches.keys()])
      },
      signal,
    })
  }

  subscribe(grantId: string, watching: Watching): Subscription {
    const watch = new Watch(grantId, watching, this.#needs.clock)
    const silenceMs = this.#listener?.silenceMs() ?? CONTROL_LOST_MS
    const isLost = this.#isClosed || (!this.isHealthy() && silenceMs >= CONTROL_LOST_MS)
    if (isLost && (this.#isClosed || watching.onControlLoss === 'end')) {
      watch.fire('control-lost', this.#needs.clock.now())
      return watch
    }
    const watches = this.#watches.get(grantId) ?? new Set()
    this.#watches.set(grantId, watches.add(watch))
    this.#size += 1
    watch.onDispose = () => this.#forget(watch)
    watch.arm()
    return watch
  }

  announceEnd({ id, reason, endedAt, comment }: EndedGrant): void {
    this.#fire(id, reason, endedAt, comment)
  }

  isHealthy(): boolean {
    return this.#listener?.isHealthy() ?? false
  }

  size(): number {
    return this.#size
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    this.#again?.[Symbol.dispose]()
    await this.#listener?.[Symbol.asyncDispose]()
    for (const grantId of this.#watches.keys()) this.#fire(grantId, 'control-lost', this.#needs.clock.now())
  }

  #forget(watch: Watch): void {
    const watches = this.#watches.get(watch.grantId)
    if (!watches?.delete(watch)) return
    this.#size -= 1
    if (watches.size === 0) this.#watches.delete(watch.grantId)
  }

  #fire(grantId: string, reason: Ending['reason'], endedAt: Date, comment?: string | null): void {
    for (const watch of this.#watches.get(grantId) ?? []) watch.fire(reason, endedAt, comment)
  }

  /** Only what somebody here watches is worth a look. All hints of one read of the socket share it. */
  #hint(grantId: string): void {
    if (grantId.includes(':')) this.#needs.onOtherHint?.(grantId)
    if (!this.#watches.has(grantId)) return
    if (!this.#hinted.has(grantId)) this.#hinted.set(grantId, this.#needs.clock.monotonicMs())
    if (this.#isLooking) return
    this.#isLooking = true
    void this.#look()
  }

  async #look(): Promise<void> {
    // Hints of one packet arrive in one turn of the loop: a hundred ends are one query.
    await nextTurn()
    while (this.#hinted.size > 0 && !this.#isClosed) {
      const hinted = new Map(this.#hinted)
      this.#hinted.clear()
      try {
        await this.#lookAt([...hinted.keys()])
      } catch (error) {
        this.#needs.log.warn({ err: error }, 'grants that may have ended could not be read; looking again')
        this.#lookLater(hinted)
        break
      }
    }
    this.#isLooking = false
  }

  /** Something happened to these grants and we cannot see what: after the bound that counts as an end. */
  #lookLater(hinted: ReadonlyMap<string, number>): void {
    const now = this.#needs.clock.monotonicMs()
    for (const [grantId, sinceMs] of hinted) {
      if (now - sinceMs >= CONTROL_LOST_MS) this.#loseControl([grantId])
      if (this.#watches.has(grantId)) this.#hinted.set(grantId, sinceMs)
    }
    this.#again = after(LOOK_AGAIN_MS, () => {
      if (this.#isLooking || this.#hinted.size === 0) return
      this.#isLooking = true
      void this.#look()
    })
  }

  async #lookAt(grantIds: readonly string[]): Promise<void> {
    for (let at = 0; at < grantIds.length; at += LOOK_BATCH) {
      const batch = grantIds.slice(at, at + LOOK_BATCH)
      const rows = await this.#needs.db
        .selectFrom('accessGrant')
        .select(['id', 'endedAt', 'endReason', 'endComment'])
        .where('id', 'in', batch)
        .execute()
      const found = new Set(rows.map((row) => row.id))
      for (const { id, endReason, endedAt, endComment } of rows)
        if (endedAt && endReason) this.#fire(id, endReason, endedAt, endComment)
      // Rows of grants are never removed: one that is not there is not a grant to go on under.
      for (const id of batch) if (!found.has(id)) this.#fire(id, 'control-lost', this.#needs.clock.now())
    }
  }

  #loseControl(grantIds: readonly string[]): void {
    const now = this.#needs.clock.now()
    for (const grantId of grantIds) {
      for (const watch of this.#watches.get(grantId) ?? []) {
        if (watch.watching.onControlLoss === 'end') watch.fire('control-lost', now)
      }
    }
  }
}
