import { sql } from 'kysely'
import { z } from 'zod'
import type { Clock } from '../kernel/clock.ts'
import { secondsAfter } from '../kernel/clock.ts'
import type { Db } from '../kernel/db.ts'
import { coverageOf } from './coverage.ts'
import type { InventoryCoverage } from './schemas.ts'

/** "Unused" is said of this time, and only where every use in all of it would have been seen. */
const UNUSED_DAYS = 90
/** How far back the compared measure lies, about. */
const MOVED_SECONDS = 7 * 86_400
const MEASURED_SECONDS = 86_400

const Percentages = z.record(z.string(), z.number())

const QUESTIONS = [
  'temporary',
  'justified',
  'observable',
  'fullyVisible',
  'unusedRights',
  'owner',
  'purpose',
  'service',
  'expiry',
  'revocationPath',
  'vaulted',
  'brokeredPrivilege',
] as const
type Question = (typeof QUESTIONS)[number]
type Kind = InventoryCoverage['identities'][number]['kind']
const KINDS: readonly Kind[] = ['human', 'machine', 'workload', 'agent']

type Share = InventoryCoverage['identities'][number]['owner']
type Counted = { kind: Kind; total: number } & Record<`${Question}Yes` | `${Question}No`, number>

/**
 * What is said of each identity, true, false or null for not known. An account is what stands at a target and somebody claimed; what nobody reads is
 * not known to be anything. A privileged account is one of tier 0 or 1. What was last issued for an account and nobody can end is no path of
 * revocation, whatever else is known; one secret that is in no store is enough to say so.
 */
const FACTS = (unusedSince: Date, now: Date) => sql`
  select i.kind,
         i.owner_state = 'attested' as owner,
         i.purpose is not null as purpose,
         exists (select from attested_service v where v.identity_id = i.id) as service,
         i.expires_at is not null as expiry,
         i.expires_at is not null or (t.tokens and not a.standing) as temporary,
         i.purpose is not null and i.owner_state = 'attested' as justified,
         case when a.accounts = 0 then null when a.linked < a.accounts then null else a.watched end as observable,
         case when a.accounts = 0 or a.linked < a.accounts or not a.watched_long then null else a.unused end as unused_rights,
         case when a.endless then false when a.accounts = 0 then true when a.linked < a.accounts or not a.known then null else true end as revocation_path,
         case when a.outside then false when a.accounts = 0 or a.linked < a.accounts or not a.inside then null else true end as vaulted,
         case when a.privileged = 0 then null else a.brokered = a.privileged end as brokered_privilege
    from identity i
    cross join lateral (
      select not exists (select from api_token k where k.identity_id = i.id and k.revoked_at is null
                          and k.expires_at > ${now}::timestamptz + interval '90 days') as tokens
    ) t
    cross join lateral (
      select count(*)::int as accounts, count(p.id)::int as linked, coalesce(bool_or(c.mode <> 'lease'), false) as standing,
             coalesce(bool_and(w.watched), false) as watched, coalesce(bool_and(w.watched_long), false) as watched_long,
             coalesce(bool_or(w.has_rights and not w.used), false) as unused, coalesce(bool_and(w.known), false) as known,
             coalesce(bool_or(not w.vaulted), false) as outside, coalesce(bool_and(w.vaulted is true), false) as inside,
             coalesce(bool_or((select l.revocability in ('expires-only', 'none') from lease l where l.account_id = c.id order by l.announced_at desc limit 1)),
               false) as endless,
             count(*) filter (where c.tier <= 1)::int as privileged, count(*) filter (where c.tier <= 1 and c.mode = 'lease')::int as brokered
        from account c
        -- What only a retired source told is known no more.
        left join observed_principal p on p.account_id = c.id and p.missed_at is null
              and exists (select from source_scope x where x.id = p.scope_id and x.state = 'active')
        left join lateral (
          select exists (select from usage_window u where u.sees = 'every-use' and (u.subject_id = p.id or u.subject_id is null and u.scope_id in (
                   select x.id from source_scope x join source_scope y on y.source_id = x.source_id where y.id = p.scope_id))
                   and upper(u.seen) > ${now}::timestamptz - interval '2 days') as watched,
                 exists (select from usage_window u where u.sees = 'every-use' and (u.subject_id = p.id or u.subject_id is null and u.scope_id in (
                   select x.id from source_scope x join source_scope y on y.source_id = x.source_id where y.id = p.scope_id))
                   and u.seen @> tstzrange(${unusedSince}, ${now}::timestamptz - interval '2 days')) as watched_long,
                 exists (select from observed_grant g where g.principal_id = p.id and g.missed_at is null) as has_rights,
                 exists (select from observed_usage u where u.subject_id = p.id and u.last_at >= ${unusedSince}) as used,
                 exists (select from observed_credential k where k.principal_id = p.id and k.missed_at is null) as known,
                 (select case when bool_or(not v.kept) then false when bool_and(v.kept is true) then true end
                    from (select case when k.held_by = 'vault' then true
                                      when exists (select from observed_credential x where x.fingerprints && k.fingerprints and x.held_by = 'vault' and x.missed_at is null)
                                      then true when k.held_by is not null then false end as kept
                            from observed_credential k
                           where k.principal_id = p.id and k.missed_at is null and k.type not in ('none', 'certificate', 'federated-trust')) v) as vaulted
        ) w on p.id is not null
       where c.identity_id = i.id and c.state = 'active'
    ) a
   where i.state <> 'retired'`

const COLUMN: Readonly<Record<Question, string>> = {
  temporary: 'temporary',
  justified: 'justified',
  observable: 'observable',
  fullyVisible: 'fully_visible',
  unusedRights: 'unused_rights',
  owner: 'owner',
  purpose: 'purpose',
  service: 'service',
  expiry: 'expiry',
  revocationPath: 'revocation_path',
  vaulted: 'vaulted',
  brokeredPrivilege: 'brokered_privilege',
}

/** The matrix over the four kinds, with what it is drawn from. What cannot be computed is counted as not known. */
export async function measureInventory(db: Db, clock: Clock): Promise<InventoryCoverage> {
  const now = clock.now()
  const since = secondsAfter(now, -UNUSED_DAYS * 86_400)
  const counts = sql.join(
    QUESTIONS.flatMap((question) => {
      const column = sql.ref(COLUMN[question])
      return [
        sql`(count(*) filter (where ${column}))::int as ${sql.ref(`${question}Yes`)}`,
        sql`(count(*) filter (where not ${column}))::int as ${sql.ref(`${question}No`)}`,
      ]
    }),
  )
  const { rows } = await sql<Counted>`
    select f.kind, count(*)::int as total, ${counts}
      from (select b.*, b.temporary and b.justified and b.observable as fully_visible from (${FACTS(since, now)}) b) f
     group by f.kind`.execute(db)
  const identities = KINDS.map((kind) =>
    rowOf(
      kind,
      rows.find((row) => row.kind === kind),
    ),
  )
  const measured = {
    identities,
    all: sumOf(identities),
    accounts: await accounts(db),
    credentials: await credentials(db),
  }
  const before = await measureBefore(db, secondsAfter(now, -MOVED_SECONDS))
  const moved = before && movedSince(before, percentagesOf(measured))
  return { at: now, ...measured, moved: moved ?? null, coverage: await coverageOf(db, clock) }
}

type Row = InventoryCoverage['all']

function rowOf(kind: Kind, counted: Counted | undefined): InventoryCoverage['identities'][number] {
  const total = counted?.total ?? 0
  return {
    kind,
    ...matrixOf(total, (question) => shareOf(total, counted?.[`${question}Yes`] ?? 0, counted?.[`${question}No`] ?? 0)),
  }
}

/** Over the four kinds: counts are added, percentages drawn from the sums. */
function sumOf(rows: readonly Row[]): Row {
  const sum = (of: (row: Row) => number) => rows.reduce((all, row) => all + of(row), 0)
  const total = sum((row) => row.total)
  return matrixOf(total, (question) =>
    shareOf(
      total,
      sum((row) => row[question].yes),
      sum((row) => row[question].no),
    ),
  )
}

function matrixOf(total: number, share: (question: Question) => Share): Row {
  return {
    total,
    temporary: share('temporary'),
    justified: share('justified'),
    observable: share('observable'),
    fullyVisible: share('fullyVisible'),
    unusedRights: share('unusedRights'),
    owner: share('owner'),
    purpose: share('purpose'),
    service: share('service'),
    expiry: share('expiry'),
    revocationPath: share('revocationPath'),
    vaulted: share('vaulted'),
    brokeredPrivilege: share('brokeredPrivilege'),
  }
}

function shareOf(total: number, yes: number, no: number): Share {
  return { yes, no, unknown: total - yes - no, percent: total === 0 ? null : Math.round((yes / total) * 1000) / 10 }
}

async function accounts(db: Db): Promise<InventoryCoverage['accounts']> {
  const { rows } = await sql<InventoryCoverage['accounts']>`
    select count(*)::int as total, (count(*) filter (where identity_id is not null))::int as claimed,
           (count(*) filter (where identity_id is null))::int as unclaimed, (count(*) filter (where tier <= 1))::int as privileged
      from account where state = 'active'`.execute(db)
  return rows[0] ?? { total: 0, claimed: 0, unclaimed: 0, privileged: 0 }
}

async function credentials(db: Db): Promise<InventoryCoverage['credentials']> {
  const { rows } = await sql<{ total: number; vaulted: number; elsewhere: number; expiring: number; lasting: number }>`
    select count(*)::int as total, (count(*) filter (where k.held_by = 'vault'))::int as vaulted,
           (count(*) filter (where k.held_by <> 'vault'))::int as elsewhere, (count(*) filter (where k.expires_at is not null))::int as expiring,
           (count(*) filter (where k.never_expires))::int as lasting
      from observed_credential k join source_scope c on c.id = k.scope_id
     where k.missed_at is null and k.type <> 'none' and c.state = 'active'`.execute(db)
  const [row] = rows
  const total = row?.total ?? 0
  return {
    total,
    vaulted: shareOf(total, row?.vaulted ?? 0, row?.elsewhere ?? 0),
    expiring: shareOf(total, row?.expiring ?? 0, row?.lasting ?? 0),
  }
}

type Measured = Pick<InventoryCoverage, 'identities' | 'all' | 'credentials'>

/** `<kind>.<question>` → percent, as it is kept to be compared with; `all.…` over the kinds, `credential.…` of credentials. */
function percentagesOf({ identities, all, credentials: { vaulted, expiring } }: Measured): Record<string, number> {
  const rows = [...identities, { kind: 'all', ...all }]
  const shares: (readonly [string, Share])[] = [
    ...rows.flatMap((row) => QUESTIONS.map((question) => [`${row.kind}.${question}`, row[question]] as const)),
    ['credential.vaulted', vaulted],
    ['credential.expiring', expiring],
  ]
  return Object.fromEntries(
    shares.flatMap(([name, { percent }]) => (percent === null ? [] : [[name, percent] as const])),
  )
}

/** What is kept to be compared with, once a day whatever is read: it looks at every identity. */
export async function measureWhenDue(db: Db, clock: Clock): Promise<Record<string, number> | undefined> {
  const recent = await db
    .selectFrom('inventoryMeasure')
    .select('at')
    .where('at', '>', secondsAfter(clock.now(), -MEASURED_SECONDS))
    .limit(1)
    .executeTakeFirst()
  return recent ? undefined : percentagesOf(await measureInventory(db, clock))
}

async function measureBefore(db: Db, at: Date): Promise<Record<string, number> | undefined> {
  const row = await db
    .selectFrom('inventoryMeasure')
    .select('percent')
    .where('at', '<=', at)
    .orderBy('at', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row && Percentages.parse(row.percent)
}

function movedSince(before: Record<string, number>, now: Record<string, number>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(now).flatMap(([name, percent]) => {
      const then = before[name]
      return then === undefined ? [] : [[name, Math.round((percent - then) * 10) / 10] as const]
    }),
  )
}
