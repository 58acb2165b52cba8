/** Things that are listed by name and read one by one: what one of them does not show is missing of that one. */
import type { Page, ScopeReport, Since } from './scope.ts'
import { Holes } from './holes.ts'
import type { Observation } from './observation.ts'

/** Things that are read before a page is kept. */
const CHUNK = 200

export type Item = { readonly key: string; readonly tell: () => Promise<readonly Observation[]> }
/** What `look` finds; nothing, and a hole, where it may not look. Throws what ends the reading. */
export type Guard = <T>(look: () => Promise<readonly T[]>, holes: Holes) => Promise<readonly T[]>

/** Each thing, in the order of its key, which is also the cursor. */
export async function* tellEach(
  guard: Guard,
  { items, holes = new Holes() }: { readonly items: readonly Item[]; readonly holes?: Holes },
  { cursor }: Since,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  const sorted = [...items].sort((a, b) => (a.key < b.key ? -1 : 1))
  const rest = cursor === undefined ? sorted : sorted.filter(({ key }) => key > cursor)
  let told: Observation[] = []
  let seen = 0
  for (const [at, { key, tell }] of rest.entries()) {
    signal.throwIfAborted()
    const before = holes.denied
    told.push(...(await guard(tell, holes)))
    if (holes.denied === before) seen += 1
    if ((at + 1) % CHUNK !== 0) continue
    // A reading that goes on behind a hole would forget it.
    yield holes.missing.length === 0 ? { observations: told, cursor: key } : { observations: told }
    told = []
  }
  yield { observations: told }
  const missing = holes.all()
  // Denied is where nothing at all was shown; each right that lacks is named.
  if (holes.denied > 0 && seen === 0 && cursor === undefined) return { status: 'denied', missing }
  return { status: missing.length > 0 ? 'partial' : 'complete', missing }
}
