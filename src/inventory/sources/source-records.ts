import type { Clock } from '../../kernel/clock.ts'
import type { Db } from '../../kernel/db.ts'
import { keyAfter, pageAfter } from '../../kernel/page.ts'
import { notFound } from '../../kernel/problem.ts'
import { Id } from '../../kernel/ids.ts'
import { coverageOf } from '../coverage.ts'
import { Source, SourceScope, type SourceDetail, type SourcePage, type SourceQuery } from '../schemas.ts'

export const SOURCE_COLUMNS = [
  'id',
  'name',
  'connector',
  'settings',
  'targetId',
  'ownerTeam',
  'environment',
  'authority',
  'system',
  'schedule',
  'nextReadAt',
  'readAt',
  'problem',
  'state',
  'createdAt',
  'version',
] as const

/** A source as commands need it; throws `notFound`. */
export async function loadSource(db: Db, nameOrId: string) {
  const row = await db
    .selectFrom('source')
    .select(SOURCE_COLUMNS)
    .where(Id.safeParse(nameOrId).success ? 'id' : 'name', '=', nameOrId)
    .executeTakeFirst()
  if (!row) throw notFound('There is no such source.', { type: 'Source', id: nameOrId })
  return row
}
export type SourceRecord = Awaited<ReturnType<typeof loadSource>>

type Row = Omit<Source, 'settings'> & { readonly settings: unknown }

/** `jsonb` comes back unknown; this gives it its type. */
export function sourceFrom(row: Row): Source {
  return { ...row, settings: Source.shape.settings.parse(row.settings) }
}

/** By name or id; throws `notFound`. */
export async function findSource(db: Db, nameOrId: string): Promise<Source> {
  return sourceFrom(await loadSource(db, nameOrId))
}

/** Sources by name, with what of all of them is not seen. */
export async function listSources(db: Db, clock: Clock, query: SourceQuery): Promise<SourcePage> {
  let rows = db.selectFrom('source').select(SOURCE_COLUMNS).where('name', '>', keyAfter(query.cursor))
  if (query.connector) rows = rows.where('connector', '=', query.connector)
  if (query.state) rows = rows.where('state', '=', query.state)
  const found = await rows
    .orderBy('name')
    .limit(query.limit + 1)
    .execute()
  const page = pageAfter(found.map(sourceFrom), query.limit, (source) => source.name)
  return { ...page, coverage: await coverageOf(db, clock) }
}

const SCOPES_SHOWN = 1_000
const READINGS_SHOWN = 10

/** A source with the state of each of its scopes and its last readings. */
export async function sourceDetail(db: Db, id: string): Promise<SourceDetail> {
  const source = await findSource(db, id)
  const scopes = await db
    .selectFrom('sourceScope')
    .select(['scope', 'title', 'status', 'missing', 'items', 'readAt', 'seenAt'])
    .where('sourceId', '=', source.id)
    .where('state', '<>', 'gone')
    .orderBy('scope')
    .limit(SCOPES_SHOWN)
    .execute()
  const readings = await db
    .selectFrom('sourceReading')
    .select(['id', 'beganAt', 'endedAt', 'outcome', 'problem'])
    .where('sourceId', '=', source.id)
    .orderBy('beganAt', 'desc')
    .limit(READINGS_SHOWN)
    .execute()
  return {
    ...source,
    scopes: scopes.map((scope) => ({ ...scope, missing: SourceScope.shape.missing.parse(scope.missing) })),
    readings,
  }
}
