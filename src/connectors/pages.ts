import type { Page } from './scope.ts'
import type { Observation } from './observation.ts'

const PAGE = 2_000

/** What one step of a reading told, in pages that can be kept; the cursor is of the last, for before it the step is not done. */
export function* inPages(told: readonly Observation[], cursor?: string): Generator<Page, void> {
  for (let at = 0; at === 0 || at < told.length; at += PAGE) {
    const isLast = at + PAGE >= told.length
    yield { observations: told.slice(at, at + PAGE), ...(isLast && cursor !== undefined && { cursor }) }
  }
}

/** Many small steps of a reading as few pages; a page that would be empty is left out. */
export async function* inBatches(told: AsyncIterable<readonly Observation[]>): AsyncGenerator<Page, void> {
  let kept: Observation[] = []
  for await (const some of told) {
    for (const each of some) kept.push(each)
    if (kept.length < PAGE) continue
    yield* inPages(kept)
    kept = []
  }
  if (kept.length > 0) yield* inPages(kept)
}
