import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FAR, NO_EDGE, PrivilegeGraph } from './privilege-graph.ts'

const id = (n: number) => Buffer.from(n.toString(16).padStart(32, '0'), 'hex')
type Edge = readonly [number, number]

function graphOf(edges: readonly Edge[], goals: readonly number[]) {
  const graph = new PrivilegeGraph()
  const goal = goals.map((n) => graph.nodes.numberOf(id(n), 0))
  edges.forEach(([from, to], at) => {
    graph.add(graph.nodes.numberOf(id(from), 0), graph.nodes.numberOf(id(to), 0), at % 7, id(at), 0)
  })
  return { graph, distances: graph.distancesTo(goal) }
}

/** The same from each node by itself, with sets. */
function naive(edges: readonly Edge[], goals: readonly number[], start: number): number | undefined {
  let front = new Set([start])
  const seen = new Set(front)
  for (let hops = 0; front.size > 0; hops += 1) {
    if (goals.some((goal) => front.has(goal))) return hops
    front = new Set(edges.filter(([from, to]) => front.has(from) && !seen.has(to)).map(([, to]) => to))
    for (const node of front) seen.add(node)
  }
  return undefined
}

const node = fc.integer({ min: 0, max: 24 })
const edges = fc.array(fc.tuple(node, node), { maxLength: 90 })
const goals = fc.array(node, { maxLength: 4 })

test('distances are those of a search from each node by itself, cycles and all', () => {
  fc.assert(
    fc.property(edges, goals, (all, ends) => {
      const { graph, distances } = graphOf(all, ends)
      for (const n of new Set([...all.flat(), ...ends])) {
        const at = graph.nodes.find(id(n)) ?? -1
        assert.equal(distances.hops[at] === FAR ? undefined : distances.hops[at], naive(all, ends, n))
      }
    }),
    { numRuns: 400 },
  )
})

test('each step is an edge that is there and comes one nearer to the goal that is named', () => {
  fc.assert(
    fc.property(edges, goals, (all, ends) => {
      const { graph, distances } = graphOf(all, ends)
      for (let at = 0; at < graph.nodes.size; at += 1) {
        if (distances.hops[at] === FAR) continue
        let here = at
        while (distances.via[here] !== NO_EDGE) {
          const edge = distances.via[here] ?? 0
          const { from, to } = graph.edge(edge)
          assert.equal(from, here)
          assert.equal(distances.hops[to], (distances.hops[here] ?? 0) - 1)
          const evidence = Buffer.alloc(16)
          graph.writeEvidenceTo(evidence, 0, edge)
          const [a, b] = all[Number.parseInt(evidence.toString('hex').slice(-8), 16)] ?? []
          assert.deepEqual([graph.nodes.find(id(a ?? -1)), graph.nodes.find(id(b ?? -1))], [from, to])
          here = to
        }
        assert.equal(distances.goal[at], here)
        assert.equal(distances.hops[here], 0)
      }
    }),
    { numRuns: 200 },
  )
})

test('a hundred thousand nodes keep their ids, whatever the ids have in common', () => {
  const graph = new PrivilegeGraph()
  const many = 100_000
  for (let n = 0; n < many; n += 1) assert.equal(graph.nodes.numberOf(id(n * 65_536), 0), n)
  const back = Buffer.alloc(16)
  for (let n = 0; n < many; n += 1) {
    graph.nodes.writeTo(back, 0, n)
    assert.ok(back.equals(id(n * 65_536)))
    assert.equal(graph.nodes.numberOf(id(n * 65_536), 0), n)
  }
  assert.equal(graph.nodes.size, many)
  assert.equal(graph.nodes.find(id(1)), undefined)
})
