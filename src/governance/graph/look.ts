import { openBulk } from '../../kernel/bulk.ts'
import type { Clock } from '../../kernel/clock.ts'
import type { Connection, Db } from '../../kernel/db.ts'
import { claimDuePass, within, type Passing } from '../pass.ts'
import { buildGraph } from './build.ts'
import { keepDistances } from './keep.ts'

const LOOK: Passing = { pass: 'graph_pass', follows: ['readings', 'adoptions'], lostSeconds: 600 }

/**
 * Nothing of it may hold the database for longer than that. The one query has dozens of branches, which are not worth compiling, and its joins are
 * over whole tables, so they may have memory for once.
 */
export const GRAPH_SETTINGS = `set statement_timeout = '180s'; set jit = off; set work_mem = '64MB'`

type GraphNeeds = { readonly clock: Clock; readonly connection: Connection }
export type Looked = {
  readonly nodes: number
  readonly edges: number
  readonly reaching: number
  readonly moved: number
}

/** Looks at the whole graph when that is due, behind what it is read from. One node at a time. */
export async function lookWhenDue(
  db: Db,
  needs: GraphNeeds & { readonly before: () => Promise<void> },
  signal: AbortSignal,
): Promise<void> {
  const claim = await claimDuePass(db, needs.clock, LOOK)
  if (!claim) return
  await within(claim, async (beganAt) => {
    await needs.before()
    const { nodes, edges, reaching } = await lookAtGraph(needs, signal)
    await db
      .updateTable('graphPass')
      .set({ endedAt: needs.clock.now(), nodes, edges, reaching })
      .where('beganAt', '=', beganAt)
      .execute()
  })
}

/** Reads the graph, measures every way to tier 0 and keeps the first step of each. A second look at the same changes no row. */
export async function lookAtGraph({ clock, connection }: GraphNeeds, signal: AbortSignal): Promise<Looked> {
  await using bulk = await openBulk(connection)
  await bulk.run(GRAPH_SETTINGS)
  const { graph, goals } = await buildGraph(bulk, clock.now(), signal)
  const distances = graph.distancesTo(goals)
  signal.throwIfAborted()
  const moved = await keepDistances(bulk, graph, distances)
  return { nodes: graph.nodes.size, edges: graph.edges, reaching: distances.reached, moved }
}
