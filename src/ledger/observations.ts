import { z } from 'zod'
import type { Db } from '../kernel/db.ts'
import { secondsAfter } from '../kernel/clock.ts'
import { nextTurn } from '../kernel/timer.ts'
import { splitBodies } from './placing.ts'

/** An observation as it stands in the log. */
export type Observation = z.output<typeof Leaf>

const Leaf = z.object({
  at: z.iso.datetime(),
  actor: z.object({ id: z.string().nullable(), kind: z.string() }),
  decision: z.object({ id: z.string(), policyVersion: z.string() }).nullable(),
  facts: z.record(z.string(), z.json()),
})

const SEGMENTS_AT_ONCE = 64
/** A segment is written a moment after its oldest leaf was made; nodes differ by seconds (core 14). */
const SLACK_SECONDS = 60

/**
 * The observations of a kind since an instant, newest first. Reads segments from the end of the log and stops behind the first that is
 * older, so it costs what was observed since, whatever its kind.
 */
export async function* observationsOf(db: Db, kind: string, since: Date): AsyncGenerator<Observation> {
  const marker = Buffer.from(`"kind":${JSON.stringify(kind)},`)
  const oldest = secondsAfter(since, -SLACK_SECONDS)
  for (let before = Number.MAX_SAFE_INTEGER; ;) {
    const segments = await db
      .selectFrom('ledgerSegment')
      .select(['id', 'at', 'size', 'bodies'])
      .where('id', '<', before)
      .orderBy('id', 'desc')
      .limit(SEGMENTS_AT_ONCE)
      .execute()
    for (const { id, at, size, bodies } of segments) {
      if (at < oldest) return
      before = id
      if (!bodies.includes(marker)) continue
      for (const leaf of splitBodies(bodies, size).toReversed()) {
        if (!leaf.includes(marker)) continue
        const observation = Leaf.parse(JSON.parse(leaf.toString('utf8')))
        if (observation.at >= since.toISOString()) yield observation
      }
      await nextTurn()
    }
    if (segments.length < SEGMENTS_AT_ONCE) return
  }
}
