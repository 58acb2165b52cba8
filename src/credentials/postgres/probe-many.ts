import type { Evidence } from '../contract.ts'
import type { Site, WrittenLease } from '../writer.ts'
import { oidOf } from './end.ts'
import { refusalOf } from './probe.ts'
import { standingOf } from './role.ts'
import type { PostgresSettings } from './settings.ts'
import { enter } from './upstream.ts'

/** Logins tried at once: what a server should bear from us beside its work. */
const TRIED_AT_ONCE = 16
/** For the logins of one batch; a server that is near refuses 256 in about that time. */
const TRYING_MS = 1_000
/** Of so many one is tried however long that takes, and never fewer than two. */
const ONE_IN = 32
const TRIED_AT_LEAST = 2
/** Of those that stand for the others, so many are named. */
const NAMED = 8

/**
 * The negative probe of many (core 21): a connection of its own sees none of them in the catalog and no session of any, and each login is tried by the
 * way that sessions take and refused. Where that takes longer than storms allow, the rest is inferred: PostgreSQL lets nobody in, by whichever method,
 * for whom the catalog has no row, and those that were tried show that the door leads to the server whose catalog was read. Nothing is proven when
 * any of it does not hold.
 */
export async function provenDead(
  site: Site,
  settings: PostgresSettings,
  leases: readonly WrittenLease[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Evidence>> {
  await using upstream = await enter(site, settings, settings.database, signal)
  const standing = await standingOf(upstream)
  const [left] = await upstream.query(
    'looking for them',
    `select from pg_roles where rolname = any($1) or oid = any($2::oid[])
      union all
     select from pg_stat_activity where usesysid = any($2::oid[]) or usename = any($1)`,
    [leases.map(({ principal }) => principal), leases.map(oidOf).filter((oid) => oid !== '0')],
  )
  if (left) return new Map()
  const codes = await refusalsOf(settings, leases, signal)
  if (codes === undefined) return new Map()
  const tried = leases.filter(({ id }) => codes.has(id))
  const others = {
    tried: tried.length,
    named: tried.slice(0, NAMED).map(({ principal }) => principal),
    sqlStates: [...new Set(codes.values())],
  }
  return new Map(
    leases.map((lease) => {
      const code = codes.get(lease.id)
      const own =
        code === undefined ? { logins: others } : { login: { database: doorOf(settings, lease), sqlState: code } }
      const evidence = {
        role: lease.principal,
        oid: oidOf(lease),
        serverVersion: standing.version,
        absentFrom: [standing.isSuperuser ? 'pg_authid' : 'pg_roles', 'pg_stat_activity'],
        together: leases.length,
        ...own,
      }
      return [lease.id, evidence]
    }),
  )
}

/** The SQLSTATE with which each was refused that was tried; undefined when one was let in. */
async function refusalsOf(
  settings: PostgresSettings,
  leases: readonly WrittenLease[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string> | undefined> {
  const least = Math.max(TRIED_AT_LEAST, Math.ceil(leases.length / ONE_IN))
  const step = Math.max(1, Math.floor(leases.length / least))
  const isFirst = (at: number) => at % step === 0
  const first = leases.filter((_, at) => isFirst(at))
  const queue = [...first, ...leases.filter((_, at) => !isFirst(at))]
  const timely = AbortSignal.timeout(TRYING_MS)
  const codes = new Map<string, string>()
  let isLetIn = false
  const worker = async () => {
    while (!isLetIn && (codes.size < first.length || !timely.aborted)) {
      const lease = queue.shift()
      if (!lease) return
      const code = await refusalOf(settings, lease, doorOf(settings, lease), signal)
      if (code === undefined) isLetIn = true
      else codes.set(lease.id, code)
    }
  }
  await Promise.all(Array.from({ length: TRIED_AT_ONCE }, worker))
  return isLetIn ? undefined : codes
}

function doorOf(settings: PostgresSettings, lease: WrittenLease): string {
  return lease.terms.databases[0] ?? settings.database
}
