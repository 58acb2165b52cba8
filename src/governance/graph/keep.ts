import type { BulkSession } from '../../kernel/bulk.ts'
import { EDGE_KINDS } from './edge-kinds.ts'
import { FAR, NO_EDGE, type Distances, type PrivilegeGraph } from './privilege-graph.ts'

const CHUNK_BYTES = 1 << 16
/** A row at most: six fields, four of them ids, and the name of a kind. */
const ROW_MAX = 2 + 6 * 4 + 4 * 16 + 2 + 32
/** Ways of more steps are kept as long ones; nobody walks so many by chance. */
const HOPS_MAX = 32_000

/** Everything that reaches a goal, as rows of `escalation_stage`. */
function* rowsOf(graph: PrivilegeGraph, { hops, via, goal }: Distances): Generator<Buffer> {
  const kinds = EDGE_KINDS.map((kind) => Buffer.from(kind))
  let chunk = Buffer.allocUnsafe(CHUNK_BYTES)
  let at = 0
  const putId = (write: (target: Buffer, place: number) => void) => {
    at = chunk.writeInt32BE(16, at)
    write(chunk, at)
    at += 16
  }
  for (let node = 0; node < hops.length; node += 1) {
    const far = hops[node] ?? FAR
    if (far === FAR) continue
    if (at + ROW_MAX > CHUNK_BYTES) {
      yield chunk.subarray(0, at)
      // The one that was given may still be on its way.
      chunk = Buffer.allocUnsafe(CHUNK_BYTES)
      at = 0
    }
    const edge = via[node] ?? NO_EDGE
    at = chunk.writeInt16BE(6, at)
    putId((target, place) => graph.nodes.writeTo(target, place, node))
    at = chunk.writeInt32BE(2, at)
    at = chunk.writeInt16BE(Math.min(far, HOPS_MAX), at)
    if (edge === NO_EDGE) for (let nulls = 0; nulls < 3; nulls += 1) at = chunk.writeInt32BE(-1, at)
    else {
      const { to, kind } = graph.edge(edge)
      const name = kinds[kind] ?? Buffer.alloc(0)
      at = chunk.writeInt32BE(name.length, at)
      at += name.copy(chunk, at)
      putId((target, place) => graph.nodes.writeTo(target, place, to))
      putId((target, place) => graph.writeEvidenceTo(target, place, edge))
    }
    putId((target, place) => graph.nodes.writeTo(target, place, goal[node] ?? 0))
  }
  yield chunk.subarray(0, at)
}

const COLUMNS = 'id, hops, edge, next_id, evidence_id, goal_id'

/** Keeps what the graph came to, in one transaction; what is as before is not touched. */
export async function keepDistances(bulk: BulkSession, graph: PrivilegeGraph, distances: Distances): Promise<number> {
  await bulk.run('begin')
  try {
    // What was staged just now has no statistics: taken for a handful of rows, each one kept would be looked for in all of them.
    await bulk.run(`set local enable_nestloop = off; delete from escalation_stage`)
    await bulk.copyIn(`escalation_stage (${COLUMNS})`, rowsOf(graph, distances))
    const gone = await bulk.run(`
      delete from escalation e where not exists (select from escalation_stage s where s.id = e.id)`)
    const moved = await bulk.run(`
      insert into escalation as e (id, node, source_id, hops, edge, next_id, evidence_id, goal_id)
      select s.id, case when p.id is not null then 'principal' when k.id is not null then 'credential' when i.id is not null then 'identity'
                        when r.id is not null then 'resource' else 'other' end,
             c.source_id, s.hops, s.edge, s.next_id, s.evidence_id, s.goal_id
        from escalation_stage s
        left join observed_principal p on p.id = s.id
        left join observed_credential k on k.id = s.id
        left join observed_resource r on r.id = s.id
        left join identity i on i.id = s.id
        left join source_scope c on c.id = coalesce(p.scope_id, k.scope_id, r.scope_id)
      on conflict (id) do update
         set node = excluded.node, source_id = excluded.source_id, hops = excluded.hops, edge = excluded.edge, next_id = excluded.next_id,
             evidence_id = excluded.evidence_id, goal_id = excluded.goal_id
       where (e.node, e.source_id, e.hops, e.edge, e.next_id, e.evidence_id, e.goal_id)
             is distinct from (excluded.node, excluded.source_id, excluded.hops, excluded.edge, excluded.next_id, excluded.evidence_id, excluded.goal_id)`)
    await bulk.run('delete from escalation_stage')
    await bulk.run('commit')
    return gone + moved
  } catch (error) {
    await bulk.run('rollback').catch(() => undefined)
    throw error
  }
}
