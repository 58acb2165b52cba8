/**
 * What BloodHound takes, in our own words after its documentation of OpenGraph for developers (pages "Schema", "Nodes" and "Edges", read in November
 * 2026). It says of each clause what an upload is refused for; BloodHound itself was not run.
 */
import assert from 'node:assert/strict'
import { z } from 'zod'

const Plain = z.union([z.string(), z.number(), z.boolean()])
/** "Nodes", properties: plain values, or lists of one kind of them; nothing inside of another. */
const Value = z.union([Plain, z.array(z.string()), z.array(z.number()), z.array(z.boolean())])
/** "Schema", property rules: names in small letters, and `objectid` is BloodHound's own. */
const Properties = z.record(z.string().regex(/^(?!objectid$)[^A-Z]+$/), Value)
/** "Edges", kind. "Nodes" has no clause of its own; a kind of a node is a label of the same language. */
const Kind = z.string().regex(/^[A-Za-z0-9_]+$/)
/** "Edges", endpoint matching: one of three ways, of which ours is the id. */
const End = z.strictObject({ value: z.string().min(1), match_by: z.literal('id') })

/** "Schema", minimal: a graph of nodes and edges, and what the source of all is. */
const OpenGraph = z.strictObject({
  metadata: z.strictObject({ source_kind: Kind }),
  graph: z.strictObject({
    // "Nodes", kinds: one to three, the one of the source with them.
    nodes: z.array(
      z.strictObject({ id: z.string().min(1), kinds: z.array(Kind).min(1).max(3), properties: Properties }),
    ),
    edges: z.array(z.strictObject({ kind: Kind, start: End, end: End, properties: Properties })),
  }),
})
type OpenGraph = z.output<typeof OpenGraph>

/** The graph in an export, if BloodHound would take it. */
export function takenByBloodHound(text: string): OpenGraph['graph'] {
  const { metadata, graph } = OpenGraph.parse(JSON.parse(text))
  const ids = new Set(graph.nodes.map(({ id }) => id))
  // "Nodes", id: each once, and nobody else's; a name that every installation gives would be one node for all of them.
  assert.equal(ids.size, graph.nodes.length, 'an id is of one node')
  for (const { id } of graph.nodes) assert.match(id, /[0-9a-f]{8}-[0-9a-f-]{27}/, 'an id is of one node everywhere')
  for (const { kinds } of graph.nodes)
    assert.ok(new Set([...kinds, metadata.source_kind]).size <= 3, 'three kinds with that of the source')
  for (const { start, end } of graph.edges) assert.ok(ids.has(start.value) && ids.has(end.value), 'no end is loose')
  return graph
}
