/** Things that are listed by name and read one by one: what one of them does not show is missing of that one. */
import type { Page, ScopeReport, Since } from './scope.ts'
import { Denied } from './denied.ts'
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
  for (const [at, { key, tell }] of rest.entries()) {
    signal.throwIfAborted()
    told.push(...(await guard(tell, holes)))
    if ((at + 1) % CHUNK !== 0) continue
    yield { observations: told, cursor: key }
    told = []
  }
  yield { observations: told }
  const missing = holes.all()
  const [first] = missing
  if (first && holes.denied > 0 && holes.denied >= items.length && cursor === undefined) throw new Denied(first)
  return { status: missing.length > 0 ? 'partial' : 'complete', missing }
}
