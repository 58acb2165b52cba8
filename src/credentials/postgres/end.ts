import pg from 'pg'
import { sqlState } from '../../kernel/db.ts'
import { sleep } from '../../kernel/timer.ts'
import { reachLease } from '../fault-points.ts'
import { LeaseBusy, LeaseFailure, type Site, type WrittenLease } from '../writer.ts'
import { asMaker, dropIdleMakers, MAKER_OF } from './makers.ts'
import { fenceOf, standingOf, type Standing } from './role.ts'
import type { PostgresSettings } from './settings.ts'
import { enter, type Upstream } from './upstream.ts'

const name = pg.escapeIdentifier

/** A role at the target that is the lease: by its oid, which renaming does not change, or by its name. */
type Found = { readonly oid: string; readonly rolname: string; readonly maker: string | null }

const LOOK_MS = 20
/** About ten seconds for backends to go; then the attempt fails and is made again. */
const LOOKS = 500
/** A backend between its login check and its first sight is invisible for a moment, so absence is believed twice. */
const ABSENT_LOOKS = 2
/** Dropping may fail because something was granted to the role meanwhile; each pass takes what is there. */
const PASSES = 3

/** How a role looks that nobody enters any more. */
export const SHUT = `with nologin connection limit 0 password null valid until '-infinity'`

/** Ends the role (core 20): no login, no sessions, nothing owned, no role. Every step may run again. */
export async function endRole(
  site: Site,
  settings: PostgresSettings,
  lease: WrittenLease,
  signal: AbortSignal,
): Promise<void> {
  await using upstream = await enter(site, settings, settings.database, signal)
  const [fence] = await upstream.query<{ held: boolean }>(
    'taking the fence',
    'select pg_try_advisory_lock($1, $2) as held',
    fenceOf(lease.principal),
  )
  if (fence?.held !== true) throw new LeaseBusy('another attempt is under way')
  const standing = await standingOf(upstream)
  for (const role of await rolesOfLease(upstream, lease)) {
    await shutOut(upstream, role)
    await reachLease('lease.nologin')
    if (!standing.isSuperuser) await takeMembership(upstream, standing, role)
    await terminate(upstream, role, signal)
    await reachLease('lease.terminated')
    await refusePrepared(upstream, role)
    await emptyAndDrop({ site, settings, upstream, standing, lease, role, signal })
  }
  await dropIdleMakers(upstream, standing)
}

/** Every role that is this lease. A renamed one still has the oid; one that took the name has the name. */
export function rolesOfLease(upstream: Upstream, lease: WrittenLease): Promise<Found[]> {
  return upstream.query<Found>(
    'finding the role',
    `select r.oid::text, r.rolname, ${MAKER_OF('r')} as maker from pg_roles r where r.rolname = $1 or r.oid = $2::oid`,
    [lease.principal, oidOf(lease)],
  )
}

/** The oid that was noted when the role was made; 0 is nobody's. */
export function oidOf(lease: WrittenLease): string {
  const oid = lease.details?.oid
  return typeof oid === 'string' && /^\d{1,10}$/.test(oid) ? oid : '0'
}

/** The password goes too: it may have been changed by the role itself, and nothing here relies on knowing it. */
async function shutOut(upstream: Upstream, { rolname, maker }: Found): Promise<void> {
  await upstream.script('shutting the role out', asMaker(maker, [`alter role ${name(rolname)} ${SHUT}`]))
}

async function terminate(upstream: Upstream, role: Found, signal: AbortSignal): Promise<void> {
  let absent = 0
  for (let look = 0; look < LOOKS; look += 1) {
    const alive = await upstream.query(
      'terminating its sessions',
      'select pid, pg_terminate_backend(pid) from pg_stat_activity where usesysid = $1::oid',
      [role.oid],
    )
    absent = alive.length === 0 ? absent + 1 : 0
    if (absent >= ABSENT_LOOKS) return
    await sleep(LOOK_MS, signal)
  }
  throw new LeaseFailure('its sessions do not end')
}

/** Only the target's people know whether such a transaction should be committed or rolled back, and it holds its locks until then. */
async function refusePrepared(upstream: Upstream, role: Found): Promise<void> {
  const prepared = await upstream.query<{ database: string }>(
    'looking for prepared transactions',
    'select database from pg_prepared_xacts where owner = $1',
    [role.rolname],
  )
  const [first] = prepared
  if (first) {
    throw new LeaseFailure(
      `it left ${prepared.length} prepared transaction(s), one in database ${first.database}: commit or roll back there`,
    )
  }
}

type Emptying = {
  readonly site: Site
  readonly settings: PostgresSettings
  readonly upstream: Upstream
  readonly standing: Standing
  readonly lease: WrittenLease
  readonly role: Found
  readonly signal: AbortSignal
}

async function emptyAndDrop(work: Emptying): Promise<void> {
  const heir = await heirOf(work)
  for (let pass = 1; ; pass += 1) {
    for (const database of await databasesToEmpty(work)) await emptyIn(work, database, heir)
    await reachLease('lease.reassigned')
    try {
      const { rolname, maker } = work.role
      await work.upstream.script('dropping the role', asMaker(maker, [`drop role if exists ${name(rolname)}`]))
      await reachLease('lease.dropped')
      return
    } catch (error) {
      const isDependedOn = error instanceof LeaseFailure && sqlState(error.cause) === '2BP01'
      if (!isDependedOn || pass === PASSES) throw error
    }
  }
}

/** Who gets what the role owns: its group, as if it had been born there; the provisioner when the group is gone. */
async function heirOf({ upstream, standing, lease }: Emptying): Promise<string> {
  const [group] = await upstream.query<{ rolname: string; reachable: boolean }>(
    'finding its group',
    `select rolname, pg_has_role(oid, 'usage') as reachable from pg_roles where rolname = $1`,
    [lease.terms.roles[0] ?? ''],
  )
  if (!group) return standing.user
  if (!standing.isSuperuser && !group.reachable) await takeMembership(upstream, standing, { ...group, maker: null })
  return group.rolname
}

/** REASSIGN, DROP OWNED and ending sessions need the rights of the role; administering it does not give them. */
async function takeMembership(
  upstream: Upstream,
  standing: Standing,
  { rolname, maker }: Omit<Found, 'oid'>,
): Promise<void> {
  await upstream.script(`becoming a member of ${rolname}`, asMaker(maker, [membership(standing, rolname)]))
}

/** Makes the provisioner a member of a role, with all of its rights. */
export function membership({ version, user }: Standing, rolname: string): string {
  return `grant ${name(rolname)} to ${name(user)}${version >= 160_000 ? ' with inherit true, set true' : ''}`
}

/** Where something depends on the role; the database we are in stands for what is shared by all. */
async function databasesToEmpty({ upstream, role }: Emptying): Promise<string[]> {
  const rows = await upstream.query<{ datname: string | null }>(
    'finding what it owns',
    `select distinct d.datname from pg_shdepend s left join pg_database d on d.oid = s.dbid
      where s.refclassid = 'pg_authid'::regclass and s.refobjid = $1::oid`,
    [role.oid],
  )
  return [...new Set(rows.map((row) => row.datname ?? upstream.database))]
}

async function emptyIn(work: Emptying, database: string, heir: string): Promise<void> {
  if (database === work.upstream.database) return empty(work.upstream, work.role, heir)
  try {
    await using there = await enter(work.site, work.settings, database, work.signal)
    await empty(there, work.role, heir)
  } catch (error) {
    // The database went away meanwhile, and with it what was in it.
    if (error instanceof LeaseFailure && sqlState(error.cause) === '3D000') return
    throw error
  }
}

async function empty(upstream: Upstream, { rolname }: Found, heir: string): Promise<void> {
  const where = `in database ${upstream.database}`
  await upstream.query(`reassigning what it owns ${where}`, `reassign owned by ${name(rolname)} to ${name(heir)}`)
  await upstream.query(`dropping its rights ${where}`, `drop owned by ${name(rolname)}`)
}
