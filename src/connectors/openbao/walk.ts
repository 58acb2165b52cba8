/** What a token may not read, of many things: each is a hole, unless the token itself has ended. */
import { z } from 'zod'
import {
  Denied,
  tellEach as tellEachOf,
  type Holes,
  type Item,
  type Page,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { NoPath, read, type Bao } from './api.ts'

/** Each thing, in the order of its key, which is also the cursor. */
export function tellEach(
  bao: Bao,
  things: { readonly items: readonly Item[]; readonly holes?: Holes },
  since: Since,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  return tellEachOf((look, holes) => orMissing(bao, look, holes, signal), things, since, signal)
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
