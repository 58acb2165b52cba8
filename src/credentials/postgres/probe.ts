import { sqlState } from '../../kernel/db.ts'
import { LeaseFailure, type Probe, type Site, type WrittenLease } from '../writer.ts'
import { oidOf, rolesOfLease } from './end.ts'
import { standingOf } from './role.ts'
import type { PostgresSettings } from './settings.ts'
import { codeOf, enter, login } from './upstream.ts'

/** SQLSTATEs that say the login itself is refused (core 21): invalid password, invalid authorization. */
const REFUSED = new Set(['28P01', '28000'])

/** Dead means: in no catalog, in no session, and its own secret opens nothing (core 21). Anything unclear throws and is looked at again. */
export async function probeRole(
  site: Site,
  settings: PostgresSettings,
  lease: WrittenLease,
  signal: AbortSignal,
): Promise<Probe> {
  await using upstream = await enter(site, settings, settings.database, signal)
  const standing = await standingOf(upstream)
  const roles = await rolesOfLease(upstream, lease)
  if (roles.length > 0) return { kind: 'alive', why: 'the role is still in the catalog' }
  // By oid: a session outlives its role, and the view then has no name for it.
  const sessions = await upstream.query(
    'looking for its sessions',
    'select pid from pg_stat_activity where usesysid = $1::oid or usename = $2',
    [oidOf(lease), lease.principal],
  )
  if (sessions.length > 0) return { kind: 'alive', why: 'a session of it is still there' }
  const database = lease.terms.databases[0] ?? settings.database
  const code = await refusalOf(settings, lease, database, signal)
  if (code === undefined) return { kind: 'alive', why: 'its login is still accepted' }
  return {
    kind: 'dead',
    evidence: {
      role: lease.principal,
      oid: oidOf(lease),
      serverVersion: standing.version,
      absentFrom: [standing.isSuperuser ? 'pg_authid' : 'pg_roles', 'pg_stat_activity'],
      login: { database, sqlState: code },
    },
  }
}

/** Logs in with the real secret; the SQLSTATE of the refusal, or undefined when the door opened. */
export async function refusalOf(
  settings: PostgresSettings,
  lease: WrittenLease,
  database: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    const client = await login(settings, { user: lease.principal, secret: lease.secret }, database, signal)
    await client.end()
    return undefined
  } catch (error) {
    signal.throwIfAborted()
    const code = sqlState(error)
    if (code !== undefined && REFUSED.has(code)) return code
    throw new LeaseFailure(`trying its login gave no clear answer (${codeOf(error)})`, { cause: error })
  }
}
