import { z } from 'zod'
import { secondsAfter } from '../kernel/clock.ts'
import type { Db } from '../kernel/db.ts'
import { sessionEnded, sessionSealed } from './contract.ts'
import type { LedgerSeal } from './recording/verify.ts'

const Leaf = z.object({
  kind: z.string(),
  resource: z.object({ id: z.string() }),
  facts: z.object({ recordingBytes: z.int(), recordingSha256: z.string().nullable() }),
})

/** Seals of a session lie within its time; the clocks of two nodes may differ by their worst offset, and a batch waits. */
const SLACK_SECONDS = 60
const SEGMENTS_AT_ONCE = 50

/** What the ledger holds of a session's recording: the entry of its end, and the seals of every minute before. */
export async function sealsOf(
  db: Db,
  session: { readonly id: string; readonly nodeId: string; readonly startedAt: Date; readonly endedAt: Date | null },
): Promise<LedgerSeal[]> {
  const found: LedgerSeal[] = []
  const entries = await db
    .selectFrom('ledgerEntry')
    .select('leaf')
    .where('resourceId', '=', session.id)
    .where('kind', '=', sessionEnded.kind)
    .execute()
  for (const { leaf } of entries) found.push(...sealIn(leaf, session.id, sessionEnded.kind))
  const from = secondsAfter(session.startedAt, -SLACK_SECONDS)
  let after = 0
  for (;;) {
    let segments = db
      .selectFrom('ledgerSegment')
      .select(['id', 'bodies'])
      .where('nodeId', '=', session.nodeId)
      .where('at', '>=', from)
      .where('id', '>', after)
      .orderBy('id')
      .limit(SEGMENTS_AT_ONCE)
    if (session.endedAt) segments = segments.where('at', '<=', secondsAfter(session.endedAt, SLACK_SECONDS))
    const rows = await segments.execute()
    for (const { bodies } of rows) {
      for (const leaf of leavesOf(bodies)) found.push(...sealIn(leaf, session.id, sessionSealed.kind))
    }
    const last = rows.at(-1)
    if (!last || rows.length < SEGMENTS_AT_ONCE) return found
    after = last.id
  }
}

/** C2SP tlog-tiles: each leaf behind its length as a big-endian uint16. */
function* leavesOf(bodies: Buffer): Generator<Buffer> {
  for (let at = 0; at + 2 <= bodies.length;) {
    const end = at + 2 + bodies.readUInt16BE(at)
    yield bodies.subarray(at + 2, end)
    at = end
  }
}

function sealIn(leaf: Buffer, sessionId: string, kind: string): LedgerSeal[] {
  if (!leaf.includes(sessionId) || !leaf.includes(kind)) return []
  const { data } = Leaf.safeParse(JSON.parse(leaf.toString('utf8')))
  if (!data || data.kind !== kind || data.resource.id !== sessionId || data.facts.recordingSha256 === null) return []
  const { recordingBytes: bytes, recordingSha256: sha256 } = data.facts
  return [{ bytes, sha256, isFinal: kind === sessionEnded.kind }]
}
