import { unknown, type Observation, type Page, type ScopeReport } from '../connector.ts'
import { database, role, type Session } from './session.ts'

type Live = {
  role: number
  database: number | null
  at: Date
  address: string | null
  agent: string | null
  hidden: boolean
}

/** Of a session that it may not look into, a login sees neither the kind nor the statement; processes of the server itself are in no database. */
const ACTIVITY = `
  select s.usesysid as role, s.datid as database, now() as at, s.client_addr::text as address, nullif(s.application_name, '') as agent,
         bool_or(s.query = '<insufficient privilege>') over () as hidden
    from pg_stat_activity s
   where s.usesysid is not null and s.pid <> pg_backend_pid() 
     and (s.backend_type = 'client backend' or s.query = '<insufficient privilege>' and s.datid is not null) limit 50000`

/** Who is connected now. PostgreSQL keeps no last login, so this is a sample: it proves use and never the want of it. */
export async function* readActivity(session: Session): AsyncGenerator<Page, ScopeReport> {
  const isOurs = await session.given.ours()
  const ours =
    isOurs.size === 0
      ? []
      : await session.query<{ oid: number }>('select oid as oid from pg_roles where rolname = any ($1)', [[...isOurs]])
  const leased = new Set(ours.map(({ oid }) => oid))
  const rows = await session.query<Live>(ACTIVITY)
  const now = session.given.clock.now()
  const uses = rows.filter((row) => !leased.has(row.role)).map(useOf)
  yield { observations: [...uses, { kind: 'usage-window', semantics: 'session', sees: 'samples', from: now, to: now }] }
  const isHidden = rows.some(({ hidden }) => hidden)
  return { status: isHidden ? 'partial' : 'complete', missing: isHidden ? [ACTIVITY_MISSING] : [] }
}

export const ACTIVITY_MISSING = {
  what: 'from where and with which program sessions of others come',
  why: 'the login sees of other roles’ sessions only that they are there',
  permission: 'pg_read_all_stats',
}

function useOf(row: Live): Observation {
  return {
    kind: 'usage',
    subject: role(row.role),
    semantics: 'session',
    at: row.at,
    ...(row.database !== null && { on: database(row.database) }),
    from: { ...(row.address !== null && { address: row.address }), ...(row.agent !== null && { agent: row.agent }) },
    actor: unknown('unsupported'),
  }
}
