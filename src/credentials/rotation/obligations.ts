import type { Db } from '../../kernel/db.ts'
import type { Clock } from '../../kernel/clock.ts'
import { idAfter, pageAfter, type Page } from '../../kernel/page.ts'
import type { Obligation } from './contract.ts'

/** Older ones are counted as older than the last. */
const AGES_SECONDS = [900, 14_400, 86_400] as const
const AGE_NAMES = ['young', 'quarter-hour', 'hours', 'days'] as const

/** Everything that is not yet proven dead: rotations that are not over, and leases that are ending. The oldest first. */
export async function listObligations(
  db: Db,
  { clock }: { readonly clock: Clock },
  query: { readonly cursor?: string | undefined; readonly limit: number },
): Promise<Page<Obligation>> {
  const now = clock.now()
  const after = idAfter(query.cursor)
  let rows = openOnes(db).orderBy('id')
  if (after !== undefined) rows = rows.where('id', '>', after)
  const found = await rows.limit(query.limit + 1).execute()
  const obligations = found.map((row) => ({
    ...row,
    ageSeconds: Math.max(0, Math.floor((now.getTime() - row.openSince.getTime()) / 1000)),
  }))
  return pageAfter(obligations, query.limit, ({ id }) => id)
}

/** For `/metrics`: how many are open, by how long. */
export async function countObligations(
  db: Db,
  { clock }: { readonly clock: Clock },
): Promise<Readonly<Record<(typeof AGE_NAMES)[number], number>>> {
  const now = clock.now().getTime()
  const rows = await openOnes(db).execute()
  const counts = { young: 0, 'quarter-hour': 0, hours: 0, days: 0 }
  for (const { openSince } of rows) {
    const ageSeconds = (now - openSince.getTime()) / 1000
    const at = AGES_SECONDS.filter((bound) => ageSeconds >= bound).length
    const name = AGE_NAMES[at]
    if (name !== undefined) counts[name] += 1
  }
  return counts
}

function openOnes(db: Db) {
  const rotations = db
    .selectFrom('rotation')
    .innerJoin('target', 'target.id', 'rotation.targetId')
    .select((row) => [
      row.val<'rotation' | 'lease'>('rotation').as('kind'),
      'rotation.id',
      'target.name as targetName',
      'target.ownerTeam',
      'rotation.principal',
      row.cast<string>('rotation.state', 'text').as('state'),
      'rotation.plannedAt as openSince',
      'rotation.nextTryAt',
      'rotation.attempts',
      'rotation.waitsFor',
      'rotation.lastError',
      'rotation.escalation',
    ])
    .where('rotation.overAt', 'is', null)
  const leases = db
    .selectFrom('lease')
    .innerJoin('target', 'target.id', 'lease.targetId')
    .select((row) => [
      row.val<'rotation' | 'lease'>('lease').as('kind'),
      'lease.id',
      'target.name as targetName',
      'target.ownerTeam',
      'lease.principal',
      row.cast<string>('lease.state', 'text').as('state'),
      row.fn.coalesce('lease.endingAt', 'lease.announcedAt').as('openSince'),
      'lease.nextTryAt',
      'lease.attempts',
      row.cast<string | null>(row.lit(null), 'text').as('waitsFor'),
      'lease.lastError',
      'lease.escalation',
    ])
    .where('lease.state', '=', 'ending')
  return db.selectFrom(rotations.unionAll(leases).as('open')).selectAll()
}
