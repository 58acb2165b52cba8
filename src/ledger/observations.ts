import { sql } from 'kysely'
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
/** Decoded in well under a millisecond. */
const PIECE_BYTES = 128 * 1024
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
    const { rows: segments } = await sql<Listed>`
      select id, at, size, octet_length(bodies) as bytes, position(${marker} in bodies) > 0 as "isOfKind"
        from ledger_segment where id < ${before} order by id desc limit ${SEGMENTS_AT_ONCE}`.execute(db)
    for (const { id, at, size, bytes, isOfKind } of segments) {
      if (at < oldest) return
      before = id
      if (!isOfKind) continue
      const bodies = await bodiesOf(db, id, bytes)
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

type Listed = {
  readonly id: number
  readonly at: Date
  readonly size: number
  readonly bytes: number
  readonly isOfKind: boolean
}

/** A segment in pieces: a large one that came at once would hold everybody else up for tens of milliseconds while it is decoded. */
async function bodiesOf(db: Db, id: number, sizeBytes: number): Promise<Buffer> {
  const pieces: Buffer[] = []
  for (let from = 1; from <= sizeBytes; from += PIECE_BYTES) {
    const { rows } = await sql<{ piece: Buffer }>`
      select substring(bodies from ${from}::integer for ${PIECE_BYTES}::integer) as piece from ledger_segment where id = ${id}`.execute(
      db,
    )
    for (const { piece } of rows) pieces.push(piece)
  }
  return Buffer.concat(pieces)
}
