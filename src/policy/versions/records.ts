import { sql } from 'kysely'
import { z } from 'zod'
import type { Db } from '../../kernel/db.ts'
import { beyond, decodeCursor, page } from '../../kernel/http/cursor.ts'
import { notFound } from '../../kernel/problem.ts'
import type { RuleFiles, RuleVersion } from './contract.ts'
import type { KindNamed, RuleName } from './kind.ts'

const StoredFiles = z.array(z.object({ name: z.string(), text: z.string() }))

/** The activation that holds, with the version it names. */
export type Active = {
  readonly seq: number
  readonly backTo: number | null
  readonly versionId: string
  readonly sha256: string
  readonly origin: 'shipped' | 'proposed'
  readonly files: RuleFiles
}

function activations(db: Db, kind: RuleName) {
  return db
    .selectFrom('ruleActivation as a')
    .innerJoin('ruleVersion as v', 'v.id', 'a.versionId')
    .select(['a.seq', 'a.backTo', 'a.versionId', 'v.sha256', 'v.origin', 'v.files'])
    .where('a.kind', '=', kind)
}

type ActiveRow = NonNullable<Awaited<ReturnType<ReturnType<typeof activations>['executeTakeFirst']>>>

function activeFrom(row: ActiveRow): Active {
  return { ...row, sha256: row.sha256.toString('hex'), files: StoredFiles.parse(row.files) }
}

/** What of a kind decides now; undefined before the first start. */
export async function loadActive(db: Db, kind: RuleName): Promise<Active | undefined> {
  const row = await activations(db, kind).orderBy('a.seq', 'desc').limit(1).executeTakeFirst()
  return row && activeFrom(row)
}

/** What an activation named, whether it still holds or not. */
export async function loadActivation(db: Db, kind: RuleName, seq: number): Promise<Active | undefined> {
  const row = await activations(db, kind).where('a.seq', '=', seq).executeTakeFirst()
  return row && activeFrom(row)
}

/** The number of the activation of a kind that holds; 0 before the first. */
export async function activeSeq(db: Db, kind: RuleName): Promise<number> {
  const { seq } = await db
    .selectFrom('ruleActivation')
    .select((row) => row.fn.max('seq').as('seq'))
    .where('kind', '=', kind)
    .executeTakeFirstOrThrow()
  return seq ?? 0
}

/** Which activation of each kind holds, in one line: what a difference and a simulation were made over. */
export async function basisOf(db: Db): Promise<string> {
  const rows = await db
    .selectFrom('ruleActivation')
    .select((row) => ['kind', row.fn.max('seq').as('seq')] as const)
    .groupBy('kind')
    .orderBy('kind')
    .execute()
  return rows.map(({ kind, seq }) => `${kind} ${seq}`).join(', ')
}

function versions(db: Db, kind: RuleName) {
  return db
    .selectFrom('ruleVersion as v')
    .leftJoin('identity as proposer', 'proposer.id', 'v.proposedBy')
    .select([
      'v.id',
      'v.sha256',
      'v.origin',
      'v.note',
      'v.proposedBy as proposedById',
      'proposer.name as proposedBy',
      'v.createdAt',
      sql<Date | null>`(select max(a.activated_at) from rule_activation a where a.kind = v.kind and a.version_id = v.id)`.as(
        'activatedAt',
      ),
      sql<boolean>`v.id is not distinct from (select a.version_id from rule_activation a where a.kind = v.kind order by a.seq desc limit 1)`.as(
        'isActive',
      ),
    ])
    .where('v.kind', '=', kind)
}

type VersionRow = Awaited<ReturnType<ReturnType<typeof versions>['execute']>>[number]

function versionFrom(row: VersionRow): RuleVersion {
  return { ...row, sha256: row.sha256.toString('hex'), isActive: row.isActive }
}

/** The row of a version without its files. */
export async function findVersion(db: Db, kind: KindNamed, id: string): Promise<RuleVersion> {
  const row = await versions(db, kind.name).where('v.id', '=', id).executeTakeFirst()
  if (!row) throw unknownVersion(kind, id)
  return versionFrom(row)
}

export async function loadFiles(db: Db, kind: KindNamed, id: string): Promise<RuleFiles> {
  const row = await db
    .selectFrom('ruleVersion')
    .select('files')
    .where('kind', '=', kind.name)
    .where('id', '=', id)
    .executeTakeFirst()
  if (!row) throw unknownVersion(kind, id)
  return StoredFiles.parse(row.files)
}

function unknownVersion({ called, type }: KindNamed, id: string) {
  return notFound(`There is no such version of ${called}.`, { type, id })
}

/** Newest first. */
export async function listVersions(
  db: Db,
  kind: RuleName,
  query: { readonly cursor?: string | undefined; readonly limit: number },
): Promise<{ items: RuleVersion[]; nextCursor: string | null }> {
  let rows = versions(db, kind)
  if (query.cursor !== undefined) {
    rows = rows.where(beyond(['v.created_at', 'v.id'], decodeCursor(query.cursor, ['instant', 'id']), '<'))
  }
  const found = await rows
    .orderBy('v.createdAt', 'desc')
    .orderBy('v.id', 'desc')
    .limit(query.limit + 1)
    .execute()
  return page(found.map(versionFrom), query.limit, (row) => [row.createdAt, row.id])
}
