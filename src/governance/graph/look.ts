import { openBulk } from '../../kernel/bulk.ts'
import { secondsAfter, type Clock } from '../../kernel/clock.ts'
import type { Connection, Db } from '../../kernel/db.ts'
import { buildGraph } from './build.ts'
import { keepDistances } from './keep.ts'

const EVERY_SECONDS = 900
/** A look of so long ago that did not end was lost with its node. */
const LOST_SECONDS = 600
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

/** Looks at the whole graph when the last look is older than a quarter of an hour, behind what it is read from. One node at a time. */
export async function lookWhenDue(
  db: Db,
  needs: GraphNeeds & { readonly before: () => Promise<void> },
  signal: AbortSignal,
): Promise<void> {
  const now = needs.clock.now()
  const lost = secondsAfter(now, -LOST_SECONDS)
  const due = secondsAfter(now, -EVERY_SECONDS)
  const { numInsertedOrUpdatedRows } = await db
    .insertInto('graphPass')
    .values({ beganAt: now, endedAt: null })
    .onConflict((conflicting) =>
      conflicting
        .column('isOnly')
        .doUpdateSet({ beganAt: now, endedAt: null })
        .where((is) =>
          is.or([
            is('graphPass.endedAt', '<=', due),
            is.and([is('graphPass.endedAt', 'is', null), is('graphPass.beganAt', '<=', lost)]),
          ]),
        ),
    )
    .executeTakeFirst()
  if (numInsertedOrUpdatedRows !== 1n) return
  await needs.before()
  const { nodes, edges, reaching } = await lookAtGraph(needs, signal)
  await db
    .updateTable('graphPass')
    .set({ endedAt: needs.clock.now(), nodes, edges, reaching })
    .where('beganAt', '=', now)
    .execute()
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
