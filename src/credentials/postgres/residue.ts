import { LeaseFailure, type Residue, type ResidueItem, type Site, type WrittenLease } from '../writer.ts'
import { oidOf } from './end.ts'
import { IS_MAKER } from './makers.ts'
import { standingOf } from './role.ts'
import type { PostgresSettings } from './settings.ts'
import { enter, type Upstream } from './upstream.ts'

type Row = { readonly kind: string; readonly name: string; readonly principal: string | null }

/** Databases beyond this many are named as unread. */
const DATABASES = 32
/** Rows per query: what a finding lists is cut anyway, and a cut is said. */
const ROWS = 200

/**
 * `$1` is the transaction that made the lease: a catalog row is younger when its own transaction is (the difference of two snapshots without
 * keeping one, and altered rows show as well). A row frozen a whole turn of the counter ago has a negative age and is left out.
 */
const YOUNGER = (alias: string) =>
  `age(${alias}.xmin) >= 0 and age(${alias}.xmin) < age($1::text::xid8::xid) and $2::oid is not null`

const SHARED = [
  `select 'membership' as kind, g.rolname || ' to ' || u.rolname as name, u.rolname as principal
     from pg_auth_members m join pg_roles g on g.oid = m.roleid join pg_roles u on u.oid = m.member
    where ${YOUNGER('m')} and u.oid <> $2::oid and g.oid <> $2::oid and u.rolname <> current_user
      and not ${IS_MAKER('u')} limit ${ROWS}`,
  `select 'setting' as kind, coalesce(r.rolname, 'all roles') || ' in ' || coalesce(d.datname, 'all databases') as name,
          r.rolname as principal
     from pg_db_role_setting s left join pg_roles r on r.oid = s.setrole left join pg_database d on d.oid = s.setdatabase
    where ${YOUNGER('s')} and s.setrole <> $2::oid limit ${ROWS}`,
  `select 'prepared transaction' as kind, gid || ' in ' || database as name, null as principal
     from pg_prepared_xacts p
    where age(p.transaction) >= 0 and age(p.transaction) < age($1::text::xid8::xid) and $2::oid is not null limit ${ROWS}`,
]

/** Passwords and attributes of roles are in `pg_authid`, which only a superuser reads. */
const ROLES_SEEN_WHOLE = `select 'role' as kind, a.rolname as name, a.rolname as principal
     from pg_authid a where ${YOUNGER('a')} and a.oid <> $2::oid limit ${ROWS}`
/** Others see new roles by their oid, which the server counts upwards. */
const ROLES_SEEN_BY_OID = `select 'role' as kind, r.rolname as name, r.rolname as principal
     from pg_roles r where r.oid > $2::oid and $1::text is not null and not ${IS_MAKER('r')} limit ${ROWS}`

const LOCAL = [
  `select 'security-definer function' as kind, n.nspname || '.' || p.proname as name, null as principal
     from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where p.prosecdef and ${YOUNGER('p')} limit ${ROWS}`,
  `select 'trigger' as kind, t.tgname || ' on ' || n.nspname || '.' || c.relname as name, null as principal
     from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
    where not t.tgisinternal and ${YOUNGER('t')} limit ${ROWS}`,
  `select 'event trigger' as kind, e.evtname as name, null as principal from pg_event_trigger e where ${YOUNGER('e')} limit ${ROWS}`,
  `select 'rule' as kind, r.rulename || ' on ' || n.nspname || '.' || c.relname as name, null as principal
     from pg_rewrite r join pg_class c on c.oid = r.ev_class join pg_namespace n on n.oid = c.relnamespace
    where r.rulename <> '_RETURN' and ${YOUNGER('r')} limit ${ROWS}`,
]
const CRON = `select 'scheduled job' as kind, j.jobid || ' as ' || j.username as name, null as principal
     from cron.job j where ${YOUNGER('j')} limit ${ROWS}`

/** What appeared or changed at the target while the lease lived and outlives it (core 20). Others may have done it: a finding, not a verdict. */
export async function residueOf(
  site: Site,
  settings: PostgresSettings,
  lease: WrittenLease,
  signal: AbortSignal,
): Promise<Residue> {
  const since = lease.details?.since
  // Without the note nobody ever had the secret.
  if (typeof since !== 'string' || !/^\d{1,20}$/.test(since)) return { appeared: [], unread: [] }
  const values = [since, oidOf(lease)]
  await using upstream = await enter(site, settings, settings.database, signal)
  const { isSuperuser } = await standingOf(upstream)
  const appeared: ResidueItem[] = []
  const unread: string[] = isSuperuser ? [] : ['changes to roles that already stood (pg_authid)']
  for (const text of [...SHARED, isSuperuser ? ROLES_SEEN_WHOLE : ROLES_SEEN_BY_OID]) {
    appeared.push(...(await upstream.query<Row>('comparing roles', text, values)).map((row) => itemOf('cluster', row)))
  }
  const databases = await readableDatabases(upstream, lease)
  for (const database of databases.slice(0, DATABASES)) {
    try {
      await using there = await enter(site, settings, database, signal)
      appeared.push(...(await localResidue(there, values)).map((row) => itemOf(database, row)))
    } catch (error) {
      if (!(error instanceof LeaseFailure)) throw error
      unread.push(`database ${database}`)
    }
  }
  if (databases.length > DATABASES) unread.push(`${databases.length - DATABASES} more databases`)
  return { appeared, unread }
}

async function localResidue(there: Upstream, values: readonly unknown[]): Promise<Row[]> {
  const rows: Row[] = []
  for (const text of LOCAL) rows.push(...(await there.query<Row>('comparing objects', text, values)))
  const [cron] = await there.query<{ found: boolean }>(
    'looking for scheduled jobs',
    `select to_regclass('cron.job') is not null as found`,
  )
  if (cron?.found) rows.push(...(await there.query<Row>('comparing scheduled jobs', CRON, values)))
  return rows
}

/** The lease's own databases first; then every other, since it may have entered any that lets PUBLIC in. */
async function readableDatabases(upstream: Upstream, lease: WrittenLease): Promise<string[]> {
  const rows = await upstream.query<{ datname: string }>(
    'listing databases',
    'select datname from pg_database where datallowconn order by datname = any($1) desc, datname',
    [lease.terms.databases],
  )
  return rows.map((row) => row.datname)
}

function itemOf(where: string, { kind, name, principal }: Row): ResidueItem {
  return { kind, where, name, ...(principal === null ? {} : { principal }) }
}
