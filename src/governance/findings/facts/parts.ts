import { sql } from 'kysely'
import type { Db } from '../../../kernel/db.ts'
import { EDGE_KINDS, EDGES } from '../../graph/edge-kinds.ts'
import type { SubjectKind } from '../rule.ts'

/** What a finding stands on is looked at again, however rare its kind is. */
export function hasOpen(kind: SubjectKind) {
  return sql`select f.subject_id from finding f where f.subject_kind = ${sql.lit(kind)} and f.state <> 'fixed'`
}

/** When the graph was last looked at as a whole; null before that, and while it is looked at again: those who follow it come once more behind it. */
export async function graphLookedAt(db: Db): Promise<Date | null> {
  const pass = await db.selectFrom('graphPass').select('endedAt').executeTakeFirst()
  return pass?.endedAt ?? null
}

/** The step of a way, in words. */
export function firstStepOf(edge: string | null): string | null {
  const kind = EDGE_KINDS.find((each) => each === edge)
  return kind === undefined ? null : EDGES[kind].words
}
