/** How scopes of a forge are read: a list page by page, or repository by repository, with what was not seen in some of them. */
import {
  Denied,
  inPages,
  type Missing,
  type Observation,
  type Page,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { Absent, listPage, parsed, type Asked, type Forge } from './api.ts'
import type { z } from 'zod'

/** Things that were not seen and are named one by one. */
const NAMED = 20

/** Each item of one list. */
export async function* tellList<T>(
  forge: Forge,
  {
    asked,
    shape,
    tell,
  }: {
    readonly asked: Asked
    readonly shape: z.ZodType<T>
    readonly tell: (item: T) => Promise<readonly Observation[]> | readonly Observation[]
  },
  since: Since,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  let at = since.cursor
  do {
    const { items, next } = await listPage(forge, asked, at, signal)
    const told: Observation[] = []
    for (const item of items) told.push(...(await tell(parsed(shape, item))))
    yield* inPages(told, next)
    at = next
  } while (at !== undefined)
  return { status: 'complete', missing: [] }
}

/** Items of a list each of which is read further: what one of them does not show is missing of that one. */
export async function* tellEach<T>(
  forge: Forge,
  {
    asked,
    shape,
    tell,
    nameOf,
  }: {
    readonly asked: Asked
    readonly shape: z.ZodType<T>
    readonly tell: (item: T, signal: AbortSignal) => Promise<readonly Observation[]>
    readonly nameOf: (item: T) => string
  },
  since: Since,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  const missing = new MissingSum()
  let at = since.cursor
  let seen = 0
  do {
    const { items, next } = await listPage(forge, asked, at, signal)
    const told: Observation[] = []
    for (const item of items) {
      const it = parsed(shape, item)
      seen += 1
      told.push(...(await orMissing(() => tell(it, signal), nameOf(it), missing)))
    }
    // A reading that goes on behind a hole would forget it.
    yield* inPages(told, missing.isNone ? next : undefined)
    at = next
  } while (at !== undefined)
  // A right that is missing everywhere denies the scope; one that is missing somewhere leaves holes.
  if (missing.first && missing.denied === seen && since.cursor === undefined) throw new Denied(missing.first)
  const all = missing.all()
  return { status: all.length > 0 ? 'partial' : 'complete', missing: all }
}

/** Thrown by who tells one item: it was seen, but not wholly. */
export class NotWhole extends Error {
  override readonly name = 'NotWhole'
  readonly told: readonly Observation[]
  readonly missing: readonly Missing[]

  constructor(told: readonly Observation[], ...missing: readonly Missing[]) {
    super(missing.map(({ why }) => why).join('; '))
    this.told = told
    this.missing = missing
  }
}

async function orMissing(
  tell: () => Promise<readonly Observation[]>,
  name: string,
  missing: MissingSum,
): Promise<readonly Observation[]> {
  try {
    return await tell()
  } catch (error) {
    if (error instanceof Absent) return []
    if (error instanceof NotWhole) {
      for (const each of error.missing) missing.add({ ...each, what: `${each.what} of ${name}` })
      return error.told
    }
    if (!(error instanceof Denied) || error.missing.permission === 'a login that has not expired') throw error
    missing.deny({ ...error.missing, what: `${error.missing.what} of ${name}` }, error.missing)
    return []
  }
}

class MissingSum {
  denied = 0
  first: Missing | undefined
  #named: Missing[] = []
  #more = 0

  get isNone(): boolean {
    return this.#named.length === 0
  }

  deny(named: Missing, plain: Missing): void {
    this.denied += 1
    this.first ??= plain
    this.add(named)
  }

  add(missing: Missing): void {
    if (this.#named.length < NAMED) this.#named.push(missing)
    else this.#more += 1
  }

  all(): Missing[] {
    if (this.#more === 0) return this.#named
    return [
      ...this.#named,
      {
        what: `the same of ${this.#more} more`,
        why: 'as of those that are named',
        permission: this.#named[0]?.permission,
      },
    ]
  }
}
