import type { BulkSession } from '../../kernel/bulk.ts'
import { LIVE } from './edge-sql.ts'
import { edgeRules, GOALS, SHARED } from './edges.ts'
import { PrivilegeGraph } from './privilege-graph.ts'

/** Of a binary row of two ids, a number of two bytes and an id, each behind its length. */
const FROM_AT = 4
const TO_AT = 24
const KIND_AT = 44
const EVIDENCE_AT = 50
const ROW_BYTES = 66

export type Built = { readonly graph: PrivilegeGraph; readonly goals: readonly number[] }

/** Reads every edge in one pass, out of one snapshot, and where tier 0 stands. */
export async function buildGraph(bulk: BulkSession, now: Date, signal: AbortSignal): Promise<Built> {
  const graph = new PrivilegeGraph()
  const { nodes } = graph
  const edges = edgeRules(now)
    .map(({ whole }) => whole)
    .filter((text) => text !== '')
  await bulk.copyOut(
    `with ${LIVE}, ${SHARED} select e.src, e.dst, e.kind, e.evidence from (${edges.join('\nunion all\n')}) e where e.src <> e.dst`,
    (row) => {
      if (row.length !== ROW_BYTES) throw new Error('an edge has another shape than it is read by')
      graph.add(nodes.numberOf(row, FROM_AT), nodes.numberOf(row, TO_AT), row.readUInt16BE(KIND_AT), row, EVIDENCE_AT)
    },
    signal,
  )
  const goals: number[] = []
  await bulk.copyOut(`with ${LIVE} ${GOALS}`, (row) => void goals.push(nodes.numberOf(row, 4)), signal)
  return { graph, goals }
}
