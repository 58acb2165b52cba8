import pg from 'pg'
import { sha256 } from '../../kernel/crypto.ts'
import { LeaseFailure, type WrittenLease } from '../writer.ts'
import { makerLockOf, type Standing } from './role.ts'
import type { Upstream } from './upstream.ts'

const name = pg.escapeIdentifier
const literal = pg.escapeLiteral

/**
 * From PostgreSQL 16 on whoever makes a role is a member of it with the right to administer it, and for each change of a role the server walks
 * all that its administrator is a member of (`is_admin_of_role`, and `GRANT`, in user.c and acl.c). Seen at 5,000 leases of one provisioner: 30 ms a
 * grant. So a provisioner that has many leases makes further ones as one of a few roles that are made for it, each of which knows only its own.
 */
const MANY_OWN = 128
const MAKERS = 64

/** How many roles the provisioner made and administers itself: leases mostly, and makers. */
export const OWN_ROLES = `select count(*)::int as own from pg_auth_members
 where member = (select oid from pg_roles where rolname = current_user) and grantor = 10 and admin_option`

/**
 * For connections that look roles up by what is indexed. Catalogs of a server where roles come and go are not analyzed in time, and a plan for a
 * few rows was seen to take 40 ms with some hundred.
 */
export const BY_INDEX = 'enable_seqscan = off'

const COMMENT = 'Reeve makes roles of leases as this one. Whoever drops it leaves those to a superuser.'

/** Of roles of this name, those that are makers of whoever asks: only the server itself enters who made a role, as its first superuser (oid 10). */
export const IS_MAKER = (role: string) => `(${role}.rolname ~ '^reeve_maker_[0-9a-f]{8}_[0-9]{2}$' and exists (
   select from pg_auth_members made
    where made.roleid = ${role}.oid and made.grantor = 10 and made.admin_option
      and made.member = (select oid from pg_roles where rolname = current_user)))`

/** The maker of a connection, which groups it was found ready for, and how many leases more it makes before there is another one's turn. */
type AtHand = { readonly maker: string; readonly ready: ReadonlySet<string>; readonly left: number }
const atHand = new WeakMap<Upstream, AtHand>()
const IN_TURN = 64

/** The maker of a role, by its name; null where it has none. */
export const MAKER_OF = (role: string) => `(select maker.rolname::text
   from pg_auth_members of join pg_roles maker on maker.oid = of.member
  where of.roleid = ${role}.oid and of.admin_option and ${IS_MAKER('maker')} limit 1)`

/** Statements with which a transaction begins that makes roles as this one, so that it does not go meanwhile. */
export function actingAs(maker: string): readonly string[] {
  return [`select pg_advisory_xact_lock_shared(${makerLockOf(maker).join(', ')})`, `set local role ${name(maker)}`]
}

/** What was found out of makers does not hold any more. */
export function forgetMakers(upstream: Upstream): void {
  atHand.delete(upstream)
}

/**
 * Drops those makers of this provisioner that have no lease left. Whoever ends leases does it before these count as dead, so that one is left at most
 * where somebody gave it something of their own.
 */
export async function dropIdleMakers(upstream: Upstream, { version, isSuperuser, user }: Standing): Promise<void> {
  if (isSuperuser || version < 160_000) return
  const first = prefixOf(user, upstream.database)
  const rows = await upstream.query<{ rolname: string }>(
    'looking for makers without leases',
    `select r.rolname::text from pg_roles r where r.rolname >= $1 and r.rolname < $1 || 'a' and ${IS_IDLE}`,
    [first],
  )
  for (const { rolname } of rows) await dropMaker(upstream, rolname)
}

const IS_IDLE = `${IS_MAKER('r')} and not exists (
   select from pg_auth_members made where made.member = r.oid and made.grantor = 10 and made.admin_option)`

async function dropMaker(upstream: Upstream, maker: string): Promise<void> {
  const step = 'letting a maker go'
  await upstream.query(step, 'begin')
  try {
    const [lock] = await upstream.query<{ held: boolean }>(
      step,
      'select pg_try_advisory_xact_lock($1, $2) as held',
      makerLockOf(maker),
    )
    // A look of its own, so that it sees what was committed before the lock was free.
    const idle = await upstream.query(step, `select from pg_roles r where r.rolname = $1 and ${IS_IDLE}`, [maker])
    if (lock?.held === true && idle.length === 1) await upstream.query(step, `drop role ${name(maker)}`)
    await upstream.query(step, 'commit')
  } catch (error) {
    // Somebody gave it something: that is theirs to take back, and no lease hangs on it.
    if (!(error instanceof LeaseFailure)) throw error
    await upstream.query(step, 'rollback')
  }
}

/** Statements for one message, which is one transaction: who acts is taken back with the rest when one fails. */
export function asMaker(maker: string | null, statements: readonly string[]): readonly string[] {
  return maker === null ? statements : [`set local role ${name(maker)}`, ...statements, 'reset role']
}

/** The role as which these leases are made; undefined: as the provisioner itself. Makes it if need be, in the transaction that is open. */
export async function makerFor(
  upstream: Upstream,
  { version, isSuperuser, user }: Standing,
  own: number,
  leases: readonly WrittenLease[],
): Promise<string | undefined> {
  const [first] = leases
  if (isSuperuser || version < 160_000 || own < MANY_OWN + MAKERS || !first) return undefined
  const last = atHand.get(upstream)
  const { maker, ready, left } =
    last && last.left > 0 ? last : turnOf(makerOf(prefixOf(user, upstream.database), first.principal))
  const groups = [...new Set(leases.flatMap(({ terms }) => terms.roles))]
  atHand.set(upstream, { maker, ready, left: left - leases.length })
  if (groups.every((group) => ready.has(group))) return maker
  const [found] = await upstream.query<{ ours: boolean; groups: string[] }>(
    'looking for a maker',
    `select ${IS_MAKER('r')} as ours,
            array(select g.rolname::text from pg_auth_members m join pg_roles g on g.oid = m.roleid
                   where m.member = r.oid and m.admin_option and g.rolname = any($2)) as groups
       from pg_roles r where r.rolname = $1`,
    [maker, groups],
  )
  // Somebody else's of the same name is left alone.
  if (found?.ours === false) {
    atHand.delete(upstream)
    return undefined
  }
  const missing = groups.filter((group) => found?.groups.includes(group) !== true)
  const making = [
    `create role ${name(maker)} with nologin createrole noinherit`,
    `grant ${name(maker)} to ${name(user)} with inherit false, set true`,
    `comment on role ${name(maker)} is ${literal(COMMENT)}`,
  ]
  const joining = missing.map(
    (group) => `grant ${name(group)} to ${name(maker)} with admin true, inherit false, set false`,
  )
  const steps = [...(found ? [] : making), ...joining]
  if (steps.length > 0) await upstream.script('making a maker', steps)
  // What is made now may be taken back; what was found stands, and is looked at again by the next connection.
  else atHand.set(upstream, { maker, ready: new Set([...ready, ...groups]), left: left - leases.length })
  return maker
}

function turnOf(maker: string): AtHand {
  return { maker, ready: new Set(), left: IN_TURN }
}

/** Many of them, so that each has few leases; which one does not matter, but those that are made together have the same. */
function makerOf(prefix: string, principal: string): string {
  const which = sha256(principal).readUInt32BE(4) % MAKERS
  return `${prefix}${String(which).padStart(2, '0')}`
}

/** Of one provisioner at one database, where the locks are that keep a maker from going while it is used. */
function prefixOf(provisioner: string, database: string): string {
  return `reeve_maker_${sha256(JSON.stringify([provisioner, database]))
    .toString('hex')
    .slice(0, 8)}_`
}
