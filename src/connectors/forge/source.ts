import {
  Denied,
  sourceOfParts,
  Unreadable,
  type Missing,
  type OpenSource,
  type Page,
  type Probe,
  type ProbedScope,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { Absent, listPage, type Asked, type Forge } from './api.ts'

/** A part of a forge that is reported on by itself. `Open` is the forge with what was found when it was opened. */
export type Part<Open> = {
  readonly gives: string
  readonly read: (open: Open, since: Since, signal: AbortSignal) => AsyncGenerator<Page, ScopeReport>
}
type Parts<Open> = Readonly<Record<string, Part<Open>>>

/** A source whose scopes are its parts. */
export function sourceOf<Open>(
  parts: Parts<Open>,
  open: Open,
  probe: (open: Open, signal: AbortSignal) => Promise<Probe>,
): OpenSource {
  return sourceOfParts(parts, {
    probe: (signal) => probe(open, signal),
    read: (part, since, signal) => listed(part.read(open, since, signal)),
  })
}

/** A list that the forge does not have is no empty one. */
async function* listed(pages: AsyncGenerator<Page, ScopeReport>): AsyncGenerator<Page, ScopeReport> {
  try {
    return yield* pages
  } catch (error) {
    if (error instanceof Absent) throw new Unreadable('the forge does not have this list', { cause: error })
    throw error
  }
}

/** What of each part the login may see, by one item of its list; a list that several parts stand on is asked for once. */
export async function probedBy(
  forge: Forge,
  lists: Readonly<Record<string, Asked | undefined>>,
  signal: AbortSignal,
): Promise<ProbedScope[]> {
  const known = new Map<string, Missing | undefined>()
  const found: ProbedScope[] = []
  for (const [scope, list] of Object.entries(lists)) {
    if (list && !known.has(list.path)) known.set(list.path, await missingOf(forge, list, signal))
    const without = list && known.get(list.path)
    found.push({ scope, isVisible: without === undefined, missing: without ? [without] : [] })
  }
  return found
}

/** Every forge has one of two words for how many are in a page. */
const PAGE_SIZE = /\b(per_page|limit)=\d+/

async function missingOf(forge: Forge, list: Asked, signal: AbortSignal): Promise<Missing | undefined> {
  try {
    await listPage(forge, { ...list, path: list.path.replace(PAGE_SIZE, '$1=1') }, undefined, signal)
    return undefined
  } catch (error) {
    if (error instanceof Denied) return error.missing
    if (error instanceof Absent) return { what: list.what, why: 'the forge does not have this list' }
    throw error
  }
}

/** Without what a forge is opened by nothing of it can be read. */
export async function opening<T>(ask: Promise<T>): Promise<T> {
  try {
    return await ask
  } catch (error) {
    if (error instanceof Denied)
      throw new Unreadable(`${error.missing.why} (${error.missing.permission ?? ''})`, { cause: error })
    throw error
  }
}
