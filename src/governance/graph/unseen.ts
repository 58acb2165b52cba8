import { sql } from 'kysely'
import type { Coverage } from '../../inventory/contract.ts'
import { coverageOf } from '../../inventory/inventory.ts'
import type { Clock } from '../../kernel/clock.ts'
import type { Db } from '../../kernel/db.ts'
import { LIVE } from './edge-sql.ts'
import { DISPUTED } from './edges-federation.ts'

/** What a coverage names one by one. */
const SHOWN = 100
/** Sources of one issuer that are named. */
const NAMED = 5

type Disputed = {
  readonly issuer: string
  readonly sourceIds: readonly string[]
  readonly believedBy: readonly string[]
}

/** What ways do not see: what sources did not show, and tokens of issuers that several sources say to be, so that none of them is believed. */
export async function waysCoverage(db: Db, clock: Clock, sourceId?: string): Promise<Coverage> {
  const seen = await coverageOf(db, clock, sourceId)
  const { rows } = await sql<Disputed>`with ${sql.raw(LIVE)} ${sql.raw(DISPUTED)}`.execute(db)
  const disputed = rows.filter(
    ({ sourceIds, believedBy }) => sourceId === undefined || [...sourceIds, ...believedBy].includes(sourceId),
  )
  if (disputed.length === 0) return seen
  const names = await namesOf(
    db,
    disputed.flatMap(({ sourceIds }) => sourceIds),
  )
  const all = [...disputed.map((each) => unseenBy(each, names)), ...seen.unseen]
  const unseen = all.slice(0, SHOWN)
  return { ...seen, isWhole: false, unseen, more: seen.more + all.length - unseen.length }
}

function unseenBy({ issuer, sourceIds }: Disputed, names: ReadonlyMap<string, string>): Coverage['unseen'][number] {
  const claimants = sourceIds.map((id) => names.get(id) ?? id).toSorted()
  const more = claimants.length > NAMED ? ` and ${claimants.length - NAMED} more` : ''
  return {
    source: claimants[0] ?? '',
    scope: null,
    status: 'disputed',
    seenAt: null,
    what: `ways by tokens of ${issuer}`,
    why: `${claimants.slice(0, NAMED).join(', ')}${more} say to be this issuer, and none is read at its address, so none is believed`,
    permission: 'a source that reads it at that address over TLS, or that all but one are retired',
  }
}

async function namesOf(db: Db, ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const rows = await db
    .selectFrom('source')
    .select(['id', 'name'])
    .where('id', 'in', [...new Set(ids)])
    .execute()
  return new Map(rows.map(({ id, name }) => [id, name]))
}
