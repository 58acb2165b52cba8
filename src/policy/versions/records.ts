import { sql } from 'kysely'
import { z } from 'zod'
import type { Db } from '../../kernel/db.ts'
import { beyond, decodeCursor, page } from '../../kernel/http/cursor.ts'
import { notFound } from '../../kernel/problem.ts'
import type { PolicyFiles, PolicyVersion } from './contract.ts'

const StoredFiles = z.array(z.object({ name: z.string(), text: z.string() }))

/** The activation that holds, with the version it names. */
export type Active = {
  readonly seq: number
  readonly backTo: number | null
  readonly versionId: string
  readonly sha256: string
  readonly origin: 'shipped' | 'proposed'
  readonly files: PolicyFiles
}

function activations(db: Db) {
  return db
    .selectFrom('policyActivation as a')
    .innerJoin('policyVersion as v', 'v.id', 'a.versionId')
    .select(['a.seq', 'a.backTo', 'a.versionId', 'v.sha256', 'v.origin', 'v.files'])
}

type ActiveRow = NonNullable<Awaited<ReturnType<ReturnType<typeof activations>['executeTakeFirst']>>>

function activeFrom(row: ActiveRow): Active {
  return { ...row, sha256: row.sha256.toString('hex'), files: StoredFiles.parse(row.files) }
}

/** What decides now; undefined before the first start. */
export async function loadActive(db: Db): Promise<Active | undefined> {
  const row = await activations(db).orderBy('a.seq', 'desc').limit(1).executeTakeFirst()
  return row && activeFrom(row)
}

/** What an activation named, whether it still holds or not. */
export async function loadActivation(db: Db, seq: number): Promise<Active | undefined> {
  const row = await activations(db).where('a.seq', '=', seq).executeTakeFirst()
  return row && activeFrom(row)
}

/** The number of the activation that holds; 0 before the first. */
export async function activeSeq(db: Db): Promise<number> {
  const { seq } = await db
    .selectFrom('policyActivation')
    .select((row) => row.fn.max('seq').as('seq'))
    .executeTakeFirstOrThrow()
  return seq ?? 0
}

function versions(db: Db) {
  return db
    .selectFrom('policyVersion as v')
    .leftJoin('identity as proposer', 'proposer.id', 'v.proposedBy')
    .select([
      'v.id',
      'v.sha256',
      'v.origin',
      'v.note',
      'v.proposedBy as proposedById',
      'proposer.name as proposedBy',
      'v.createdAt',
      sql<Date | null>`(select max(a.activated_at) from policy_activation a where a.version_id = v.id)`.as(
        'activatedAt',
      ),
      sql<boolean>`v.id is not distinct from (select a.version_id from policy_activation a order by a.seq desc limit 1)`.as(
        'isActive',
      ),
    ])
}

/** The row of a version without its files. */
async function loadVersion(db: Db, id: string): Promise<PolicyVersion | undefined> {
  const row = await versions(db).where('v.id', '=', id).executeTakeFirst()
  return row && versionFrom(row)
}

export async function findVersion(db: Db, id: string): Promise<PolicyVersion> {
  const version = await loadVersion(db, id)
  if (!version) throw unknownVersion(id)
  return version
}

type VersionRow = Awaited<ReturnType<ReturnType<typeof versions>['execute']>>[number]

function versionFrom(row: VersionRow): PolicyVersion {
  return { ...row, sha256: row.sha256.toString('hex'), isActive: row.isActive }
}

export async function loadFiles(db: Db, id: string): Promise<PolicyFiles> {
  const row = await db.selectFrom('policyVersion').select('files').where('id', '=', id).executeTakeFirst()
  if (!row) throw unknownVersion(id)
  return StoredFiles.parse(row.files)
}

function unknownVersion(id: string) {
  return notFound('There is no such version of the policies.', { type: 'PolicySet', id })
}

/** Newest first. */
export async function listVersions(
  db: Db,
  query: { readonly cursor?: string | undefined; readonly limit: number },
): Promise<{ items: PolicyVersion[]; nextCursor: string | null }> {
  let rows = versions(db)
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
