import type { Clock } from './clock.ts'
import type { Connection, Db } from './db.ts'
import { listen } from './listen.ts'
import type { Log } from './log.ts'
import type { Soon } from './soon.ts'
import { after } from './timer.ts'

/** One sort of what is read again and again: how a key is looked up, and which hints make an answer old. */
export type Kind<T extends object> = {
  readonly load: (db: Db, key: string) => Promise<T | undefined>
  /** As migrations send them: `identity:<id>`. Any of them, and what was read is forgotten. */
  readonly hintsOf: (value: T) => readonly string[]
}

/** What is remembered of one kind. */
export type Shelf<T extends object> = {
  /** As it stands now, or stood at most `STALE_MS` ago: at once where it is remembered. What is not there is looked for each time. */
  read(key: string): Soon<T | undefined>
}

/**
 * The shared record in memory, for decisions at the door. It listens before it reads, forgets what a hint names, and discards what was being
 * read meanwhile. While it cannot tell whether it has heard everything, it remembers nothing and each reader goes to the database.
 */
export type View = {
  shelf<T extends object>(kind: Kind<T>): Shelf<T>
  /** Forgets what the hint is about, or everything. For whoever knows of a change that the database does not tell. */
  invalidate(hint?: string): void
  /** Resolves when what was committed before the call has been heard here, or all was forgotten. Never rejects. */
  caughtUp(): Promise<void>
  /** Whether it answers from memory now. */
  isCurrent(): boolean
  /** Counts what was heard of changes: while it stands still and the view is current, what was decided stands. */
  heard(): number
  /** How much is remembered, for metrics. */
  size(): number
}

/** No answer is older than this. Heartbeats come every second; a stream that brought none for this long is not believed. */
export const STALE_MS = 5_000

/** The channel of hints of what policies or authentication see. */
const RECORD_CHANNEL = 'reeve_record'

/** So many of each kind are remembered; those that nobody asked for lately go first. */
const MOST_KEPT = 10_000

/** A call waits no longer than this for its own change to be heard; then everything is forgotten, which is as good. */
const CATCH_UP_MS = 1_000

type Needs = {
  readonly connection: Connection
  readonly db: Db
  readonly clock: Clock
  readonly log: Log
}

/** Resolves once the node listens. */
export async function openView(
  { connection, db, clock, log }: Needs,
  signal: AbortSignal,
): Promise<View & AsyncDisposable> {
  const opening: { view?: MemoryView; isClosed?: boolean } = {}
  const listener = await listen({
    connection,
    channels: [RECORD_CHANNEL],
    clock,
    log,
    onHint: ({ payload }) => opening.view?.invalidate(payload),
    onResync: async () => opening.view?.invalidate(),
    onSilence: () => undefined,
    signal,
  })
  const view = new MemoryView(db, {
    isCurrent: () => !opening.isClosed && listener.isHealthy() && listener.behindMs() < STALE_MS,
    caughtUp: () => listener.caughtUp(),
  })
  opening.view = view
  signal.addEventListener('abort', () => (opening.isClosed = true), { once: true })
  const close = () => {
    opening.isClosed = true
    return listener[Symbol.asyncDispose]()
  }
  return Object.assign(view, { [Symbol.asyncDispose]: close })
}

/** What tells of changes. */
export type Hearing = { isCurrent(): boolean; caughtUp(): Promise<void> }

/** The view without its connection: whoever makes it calls `invalidate` for each hint, and without one when some may have been lost. */
export class MemoryView implements View {
  readonly #db: Db
  readonly #hearing: Hearing
  readonly #shelves: Forgetful[] = []
  #heard = 0

  constructor(db: Db, hearing: Hearing) {
    this.#db = db
    this.#hearing = hearing
  }

  shelf<T extends object>(kind: Kind<T>): Shelf<T> {
    const shelf = new MemoryShelf(this.#db, kind, this.#hearing)
    this.#shelves.push(shelf)
    return shelf
  }

  invalidate(hint?: string): void {
    this.#heard += 1
    for (const shelf of this.#shelves) {
      if (hint === undefined) shelf.forgetAll()
      else shelf.forget(hint)
    }
  }

  async caughtUp(): Promise<void> {
    const late = Promise.withResolvers<boolean>()
    using timer = after(CATCH_UP_MS, () => late.resolve(false))
    void timer
    const heard = this.#hearing.caughtUp().then(
      () => true,
      () => false,
    )
    if (!(await Promise.race([heard, late.promise]))) this.invalidate()
  }

  isCurrent(): boolean {
    return this.#hearing.isCurrent()
  }

  heard(): number {
    return this.#heard
  }

  size(): number {
    return this.#shelves.reduce((sum, shelf) => sum + shelf.size, 0)
  }
}

type Kept<T> = { readonly value: T; readonly hints: readonly string[]; wasUsed: boolean }

/** A look-up under way: what was heard meanwhile may be about what it finds. */
type Load<T> = { readonly heard: Set<string>; isOvertaken: boolean; found: Promise<T | undefined> }

type Forgetful = { readonly size: number; forget(hint: string): void; forgetAll(): void }

class MemoryShelf<T extends object> implements Shelf<T>, Forgetful {
  readonly #db: Db
  readonly #kind: Kind<T>
  readonly #hearing: Hearing
  readonly #kept = new Map<string, Kept<T>>()
  readonly #keysOf = new Map<string, Set<string>>()
  readonly #loads = new Map<string, Load<T>>()

  constructor(db: Db, kind: Kind<T>, hearing: Hearing) {
    this.#db = db
    this.#kind = kind
    this.#hearing = hearing
  }

  get size(): number {
    return this.#kept.size
  }

  read(key: string): Soon<T | undefined> {
    if (!this.#hearing.isCurrent()) return this.#fromRows(key)
    const kept = this.#kept.get(key)
    if (kept) {
      kept.wasUsed = true
      return kept.value
    }
    const load = this.#loads.get(key)
    return load ? this.#join(key, load) : this.#begin(key)
  }

  /** Drops what the hint names, and tells those who are reading. */
  forget(hint: string): void {
    for (const load of this.#loads.values()) load.heard.add(hint)
    for (const key of this.#keysOf.get(hint) ?? []) this.#drop(key)
  }

  forgetAll(): void {
    for (const load of this.#loads.values()) load.isOvertaken = true
    this.#loads.clear()
    this.#kept.clear()
    this.#keysOf.clear()
  }

  #fromRows(key: string): Promise<T | undefined> {
    return this.#kind.load(this.#db, key)
  }

  /** No hint tells of what is new, so nothing found by another's look is not an answer for one who asked later. */
  async #join(key: string, load: Load<T>): Promise<T | undefined> {
    return (await load.found) ?? this.#fromRows(key)
  }

  #begin(key: string): Promise<T | undefined> {
    const load: Load<T> = { heard: new Set(), isOvertaken: false, found: NOTHING }
    this.#loads.set(key, load)
    load.found = this.#find(key, load)
    return load.found
  }

  async #find(key: string, load: Load<T>): Promise<T | undefined> {
    try {
      const value = await this.#fromRows(key)
      if (value === undefined) return undefined
      const hints = this.#kind.hintsOf(value)
      const isOld = load.isOvertaken || !this.#hearing.isCurrent() || hints.some((hint) => load.heard.has(hint))
      // Everybody who waits asked before it is read now; nobody who asks later joins them.
      if (isOld) {
        this.#settled(key, load)
        return await this.#fromRows(key)
      }
      this.#keep(key, value, hints)
      return value
    } finally {
      this.#settled(key, load)
    }
  }

  #settled(key: string, load: Load<T>): void {
    if (this.#loads.get(key) === load) this.#loads.delete(key)
  }

  #keep(key: string, value: T, hints: readonly string[]): void {
    this.#makeRoom()
    this.#kept.set(key, { value, hints, wasUsed: false })
    for (const hint of hints) this.#keysOf.set(hint, (this.#keysOf.get(hint) ?? new Set()).add(key))
  }

  /** The oldest goes, unless it was asked for since it was last looked at: that one gets another round. */
  #makeRoom(): void {
    while (this.#kept.size >= MOST_KEPT) {
      const [oldest] = this.#kept
      if (!oldest) return
      const [key, kept] = oldest
      if (kept.wasUsed) {
        this.#kept.delete(key)
        this.#kept.set(key, { ...kept, wasUsed: false })
      } else this.#drop(key)
    }
  }

  #drop(key: string): void {
    const kept = this.#kept.get(key)
    this.#kept.delete(key)
    for (const hint of kept?.hints ?? []) {
      const keys = this.#keysOf.get(hint)
      keys?.delete(key)
      if (keys?.size === 0) this.#keysOf.delete(hint)
    }
  }
}

const NOTHING = Promise.resolve(undefined)
