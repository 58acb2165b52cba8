import pg from 'pg'
import { sleep } from '../../kernel/timer.ts'
import { reachLease } from '../fault-points.ts'
import { LeaseFailure, type Ended, type Residue, type Site, type WrittenLease } from '../writer.ts'
import { membership, oidOf, SHUT } from './end.ts'
import { asMaker, BY_INDEX, dropIdleMakers, MAKER_OF } from './makers.ts'
import { provenDead } from './probe-many.ts'
import { residueOf } from './residue.ts'
import { EMPTYING, fenceOf, standingOf, type Standing } from './role.ts'
import type { PostgresSettings } from './settings.ts'
import { enter, type Upstream } from './upstream.ts'

const name = pg.escapeIdentifier

const LOOK_MS = 20
/** About ten seconds for backends to go; what lives longer is for the single way, which says so. */
const LOOKS = 500
/** As in the single way: a backend between its login check and its first sight is invisible for a moment. */
const ABSENT_LOOKS = 2
/** As roles of leases are called; whether it is one of ours is looked up by whoever records it. */
const OURS = /^reeve_[0-9a-f]{16}$/

/** A lease with the one role that it is; null when the role is gone already. */
type Held = { readonly lease: WrittenLease; readonly oid: string | null; readonly maker: string | null }

/**
 * Ends many roles by a few statements, in the steps of the single way and with its fences, and proves them dead. Whatever is not plain is left
 * out and goes the single way: a lease somebody else works on, a role that was renamed or whose name was taken, a prepared transaction, objects
 * in another database. A statement that fails throws, and all of them go the single way.
 */
export async function endMany(
  site: Site,
  settings: PostgresSettings,
  leases: readonly WrittenLease[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Ended>> {
  await using upstream = await enter(site, settings, settings.database, signal)
  await upstream.query('preparing the connection', `set ${BY_INDEX}`)
  const standing = await standingOf(upstream)
  const found = await plainRoles(upstream, await fenced(upstream, leases))
  const standingRoles = found.flatMap(({ lease, oid, maker }) => (oid === null ? [] : [{ lease, oid, maker }]))
  const ended =
    standingRoles.length === 0 ? new Set<string>() : await shutAndDrop(upstream, standing, standingRoles, signal)
  const gone = found.filter(({ lease, oid }) => oid === null || ended.has(lease.id)).map(({ lease }) => lease)
  if (gone.length === 0) return new Map()
  await dropIdleMakers(upstream, standing)
  const residues = await residuesOf(site, settings, gone, signal)
  const evidence = await provenDead(site, settings, gone, signal)
  return new Map([...evidence].map(([id, each]) => [id, { residue: residues.get(id) ?? NOTHING, evidence: each }]))
}

const NOTHING: Residue = { appeared: [], unread: [] }

/** Those that nobody else works on. The locks go with the connection. */
async function fenced(upstream: Upstream, leases: readonly WrittenLease[]): Promise<WrittenLease[]> {
  const keys = leases.map((lease) => fenceOf(lease.principal))
  const rows = await upstream.query<{ at: number; held: boolean }>(
    'taking the fences',
    `select at::int, pg_try_advisory_lock(first, second) as held
       from unnest($1::int[], $2::int[]) with ordinality as fence (first, second, at)`,
    [keys.map(([first]) => first), keys.map(([, second]) => second)],
  )
  const held = new Set(rows.filter((row) => row.held).map((row) => row.at))
  return leases.filter((_, index) => held.has(index + 1))
}

/** Those that are one role of their own name and oid, or none any more. */
async function plainRoles(upstream: Upstream, leases: readonly WrittenLease[]): Promise<Held[]> {
  const rows = await upstream.query<{ id: string; oid: string; rolname: string; maker: string | null }>(
    'finding the roles',
    `select l.id, r.oid::text, r.rolname, ${MAKER_OF('r')} as maker
       from unnest($1::text[], $3::oid[]) as l (id, oid)
       join pg_roles r on r.oid = l.oid
      union
     select l.id, r.oid::text, r.rolname, ${MAKER_OF('r')}
       from unnest($1::text[], $2::name[]) as l (id, principal)
       join pg_roles r on r.rolname = l.principal`,
    [leases.map(({ id }) => id), leases.map(({ principal }) => principal), leases.map(oidOf)],
  )
  const byLease = Map.groupBy(rows, ({ id }) => id)
  return leases.flatMap((lease): Held[] => {
    const [role, ...others] = byLease.get(lease.id) ?? []
    if (!role) return [{ lease, oid: null, maker: null }]
    const isPlain = others.length === 0 && role.rolname === lease.principal && role.oid === oidOf(lease)
    return isPlain ? [{ lease, oid: role.oid, maker: role.maker }] : []
  })
}

type Role = { readonly lease: WrittenLease; readonly oid: string; readonly maker: string | null }

/** The ids of those whose role is gone then. */
async function shutAndDrop(
  upstream: Upstream,
  standing: Standing,
  roles: readonly Role[],
  signal: AbortSignal,
): Promise<Set<string>> {
  await upstream.script(
    'shutting the roles out',
    byMaker(roles, (some) => some.map(({ lease }) => `alter role ${name(lease.principal)} ${SHUT}`)),
  )
  await reachLease('lease.nologin')
  const joined = new Set<string>()
  await terminate(upstream, { standing, joined }, roles, signal)
  await reachLease('lease.terminated')
  const plain = await withoutTrouble(upstream, roles)
  if (plain.length === 0) return new Set()
  const full = await ownersAmong(upstream, plain)
  await join(upstream, { standing, joined }, full)
  for (const [heir, theirs] of await heirsOf(upstream, standing, full)) {
    const list = theirs.map(({ lease }) => name(lease.principal)).join(', ')
    // Rights at one database are one row, which two batches must not change at once.
    await upstream.script('emptying the roles', [
      `select pg_advisory_xact_lock(${EMPTYING.join(', ')})`,
      `reassign owned by ${list} to ${name(heir)}`,
      `drop owned by ${list}`,
    ])
  }
  await reachLease('lease.reassigned')
  await upstream.script(
    'dropping the roles',
    byMaker(plain, (some) => [`drop role ${some.map(({ lease }) => name(lease.principal)).join(', ')}`]),
  )
  await reachLease('lease.dropped')
  return new Set(plain.map(({ lease }) => lease.id))
}

/** Each by whoever administers it. */
function byMaker(roles: readonly Role[], statements: (some: readonly Role[]) => readonly string[]): string[] {
  return [...Map.groupBy(roles, ({ maker }) => maker)].flatMap(([maker, some]) => asMaker(maker, statements(some)))
}

type Joined = { readonly standing: Standing; readonly joined: Set<string> }

/** Ending sessions, REASSIGN and DROP OWNED need the rights of the role, once for each that has anything to end. */
async function join(upstream: Upstream, { standing, joined }: Joined, roles: readonly Role[]): Promise<void> {
  const others = standing.isSuperuser ? [] : roles.filter(({ oid }) => !joined.has(oid))
  if (others.length === 0) return
  await upstream.script(
    'becoming a member of the roles',
    byMaker(others, (some) => some.map(({ lease }) => membership(standing, lease.principal))),
  )
  for (const { oid } of others) joined.add(oid)
}

async function terminate(upstream: Upstream, by: Joined, roles: readonly Role[], signal: AbortSignal): Promise<void> {
  const oids = roles.map(({ oid }) => oid)
  let absent = 0
  for (let look = 0; look < LOOKS; look += 1) {
    const alive = await upstream.query<{ oid: string }>(
      'looking for their sessions',
      'select distinct usesysid::text as oid from pg_stat_activity where usesysid = any($1::oid[])',
      [oids],
    )
    absent = alive.length === 0 ? absent + 1 : 0
    if (absent >= ABSENT_LOOKS) return
    if (alive.length > 0) {
      const found = new Set(alive.map(({ oid }) => oid))
      const theirs = roles.filter(({ oid }) => found.has(oid))
      await join(upstream, by, theirs)
      await upstream.query(
        'terminating their sessions',
        'select pid, pg_terminate_backend(pid) from pg_stat_activity where usesysid = any($1::oid[])',
        [theirs.map(({ oid }) => oid)],
      )
    }
    await sleep(LOOK_MS, signal)
  }
  throw new LeaseFailure('their sessions do not end')
}

/** Those that own anything here or have a right in their own name. */
async function ownersAmong(upstream: Upstream, roles: readonly Role[]): Promise<Role[]> {
  const rows = await upstream.query<{ oid: string }>(
    'finding what they own',
    `select distinct refobjid::text as oid from pg_shdepend
      where refclassid = 'pg_authid'::regclass and refobjid = any($1::oid[])`,
    [roles.map(({ oid }) => oid)],
  )
  const owners = new Set(rows.map(({ oid }) => oid))
  return roles.filter(({ oid }) => owners.has(oid))
}

/** Without those that left a prepared transaction, or on which something in another database depends. */
async function withoutTrouble(upstream: Upstream, roles: readonly Role[]): Promise<Role[]> {
  const rows = await upstream.query<{ oid: string }>(
    'finding what they own',
    `select distinct s.refobjid::text as oid
       from pg_shdepend s left join pg_database d on d.oid = s.dbid
      where s.refclassid = 'pg_authid'::regclass and s.refobjid = any($1::oid[])
        and s.dbid <> 0 and d.datname is distinct from current_database()
      union
     select r.oid::text from pg_prepared_xacts p join pg_roles r on r.rolname = p.owner where r.oid = any($1::oid[])`,
    [roles.map(({ oid }) => oid)],
  )
  const troubled = new Set(rows.map(({ oid }) => oid))
  return roles.filter(({ oid }) => !troubled.has(oid))
}

/** Who gets what they own: their group, as if it had been born there; the provisioner where the group is gone. */
async function heirsOf(upstream: Upstream, standing: Standing, roles: readonly Role[]): Promise<Map<string, Role[]>> {
  if (roles.length === 0) return new Map()
  const groups = [...new Set(roles.map(({ lease }) => lease.terms.roles[0] ?? ''))]
  const rows = await upstream.query<{ rolname: string; reachable: boolean }>(
    'finding their groups',
    `select rolname, pg_has_role(oid, 'usage') as reachable from pg_roles where rolname = any($1)`,
    [groups],
  )
  const known = new Map(rows.map((row) => [row.rolname, row.reachable]))
  // A group that the provisioner is no member of yet is joined by the single way.
  const isOpen = (group: string) => standing.isSuperuser || known.get(group) === true
  const unreachable = rows.find(({ rolname }) => !isOpen(rolname))
  if (unreachable) throw new LeaseFailure(`the provisioner is no member of ${unreachable.rolname} yet`)
  return Map.groupBy(roles, ({ lease }) => {
    const group = lease.terms.roles[0] ?? ''
    return known.has(group) ? group : standing.user
  })
}

/**
 * What appeared since the oldest of them began holds all that appeared since any of them did. Mostly that is nothing but roles of leases; else
 * each is looked at by itself, so that none is blamed for what is older than it.
 */
async function residuesOf(
  site: Site,
  settings: PostgresSettings,
  leases: readonly WrittenLease[],
  signal: AbortSignal,
): Promise<Map<string, Residue>> {
  const since = ({ details }: WrittenLease) => {
    const at = details?.since
    return typeof at === 'string' && /^\d{1,20}$/.test(at) ? BigInt(at) : null
  }
  const noted = leases.flatMap((lease) => {
    const at = since(lease)
    return at === null ? [] : [{ lease, at }]
  })
  const [first] = noted
  if (!first) return new Map()
  const oldest = noted.reduce((a, b) => (b.at < a.at ? b : a), first)
  const all = await residueOf(site, settings, oldest.lease, signal)
  if (all.appeared.every(({ principal }) => principal !== undefined && OURS.test(principal))) {
    return new Map(noted.map(({ lease }) => [lease.id, all]))
  }
  const each = new Map<string, Residue>()
  for (const { lease } of noted) each.set(lease.id, await residueOf(site, settings, lease, signal))
  return each
}
