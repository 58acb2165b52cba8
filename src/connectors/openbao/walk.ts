/** Things that are listed by name and read one by one: what one of them does not show is missing of that one. */
import { z } from 'zod'
import { Denied, Holes, type Observation, type Page, type ScopeReport, type Since } from '../connector.ts'
import { NoPath, read, type Bao } from './api.ts'

/** Things that are read before a page is kept. */
const CHUNK = 200

export type Item = { readonly key: string; readonly tell: () => Promise<readonly Observation[]> }

/** Each thing, in the order of its key, which is also the cursor. */
export async function* tellEach(
  bao: Bao,
  { items, holes = new Holes() }: { readonly items: readonly Item[]; readonly holes?: Holes },
  since: Since,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  const { cursor } = since
  const sorted = [...items].sort((a, b) => (a.key < b.key ? -1 : 1))
  const rest = cursor === undefined ? sorted : sorted.filter(({ key }) => key > cursor)
  let told: Observation[] = []
  for (const [at, { key, tell }] of rest.entries()) {
    signal.throwIfAborted()
    told.push(...(await orMissing(bao, tell, holes, signal)))
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

/** What `look` finds; nothing, and a hole, where the token may not look. A token that ended denies everything from there on. */
export async function orMissing<T>(
  bao: Bao,
  look: () => Promise<readonly T[]>,
  holes: Holes,
  signal: AbortSignal,
): Promise<readonly T[]> {
  try {
    return await look()
  } catch (error) {
    if (error instanceof NoPath) holes.add({ what: 'a name', why: 'no path can hold it' })
    else if (error instanceof Denied) {
      if (holes.denied === 0) await stillAlive(bao, signal)
      holes.denied += 1
      holes.add(error.missing)
    } else throw error
    return []
  }
}

/** The policy `default` lets a token look itself up; one that may not is asked for nothing else. */
async function stillAlive(bao: Bao, signal: AbortSignal): Promise<void> {
  try {
    await read(bao, 'auth/token/lookup-self', z.unknown(), signal)
  } catch (error) {
    if (!(error instanceof Denied)) throw error
    const permission = 'a token that lives, with the policy default'
    throw new Denied({ what: 'the rest', why: 'the server does not accept the token', permission }, { cause: error })
  }
}
