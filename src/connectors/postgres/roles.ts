import { known, unknown, type Observation, type Page, type ScopeReport, type Since } from '../connector.ts'
import { byOid, CLUSTER, needing, PAGE_ROWS, role, type Session } from './session.ts'

type RoleRow = {
  oid: number
  name: string
  superuser: boolean
  inherits: boolean
  create_role: boolean
  create_db: boolean
  can_log_in: boolean
  replication: boolean
  bypass_rls: boolean
  connection_limit: number
  valid_until: Date | null
  member_of: string[]
  owns: string[]
  comment: string | null
}

/** Until when a password counts: as far as four digits of a year go, which the calendar of the server does in both directions. Null is without end. */
const endOf = (role: string) =>
  `case when ${role}.rolvaliduntil < '9999-12-31Z' then greatest(${role}.rolvaliduntil, '0001-01-02Z') end`

const ROLES = `
  select r.oid as oid, r.rolname::text as name, r.rolsuper as superuser, r.rolinherit as inherits, r.rolcreaterole as create_role,
         r.rolcreatedb as create_db, r.rolcanlogin as can_log_in, r.rolreplication as replication, r.rolbypassrls as bypass_rls,
         r.rolconnlimit as connection_limit, ${endOf('r')} as valid_until,
         array(select g.rolname::text from pg_auth_members m join pg_roles g on g.oid = m.roleid where m.member = r.oid order by 1 limit 200) as member_of,
         array(select d.datname::text from pg_database d where d.datdba = r.oid order by 1 limit 200) as owns,
         left(shobj_description(r.oid, 'pg_authid'), 1000) as comment
    from pg_roles r where r.oid > $1 order by r.oid limit ${PAGE_ROWS}`

/** Every role, and what it may do by its own attributes. Leases of Reeve's own are left out by name: they are on record as leases. */
export async function* readRoles(session: Session, since: Since): AsyncGenerator<Page, ScopeReport> {
  if (since.cursor === undefined) yield { observations: [cluster(), everybody()] }
  const isOurs = await session.given.ours()
  yield* byOid(
    since.cursor,
    (after) => session.query<RoleRow>(ROLES, [after]),
    (row) => (isOurs.has(row.name) ? [] : roleOf(row, session.given.clock.now())),
  )
  return { status: 'complete', missing: [] }
}

function cluster(): Observation {
  return {
    kind: 'resource',
    id: CLUSTER,
    type: 'postgres-cluster',
    name: 'the cluster',
    environment: unknown('unsupported'),
    sensitivity: unknown('unsupported'),
  }
}

function everybody(): Observation {
  return {
    kind: 'principal',
    id: role(0),
    type: 'group',
    name: 'PUBLIC',
    state: known('active'),
    createdAt: unknown('unsupported'),
    createdBy: unknown('unsupported'),
    interactive: known(false),
    environment: unknown('unsupported'),
    facts: { everybody: true },
  }
}

function roleOf(row: RoleRow, now: Date): Observation[] {
  const isExpired = row.valid_until !== null && row.valid_until <= now
  const principal: Observation = {
    kind: 'principal',
    id: role(row.oid),
    type: row.can_log_in ? 'account' : 'role',
    name: row.name,
    // Past `valid until` a password does not count; other methods do not ask for it.
    state: known(row.can_log_in ? (isExpired ? 'expired' : 'active') : 'disabled'),
    createdAt: unknown('unsupported'),
    createdBy: unknown('unsupported'),
    interactive: known(row.can_log_in),
    environment: unknown('unsupported'),
    tags: row.comment === null ? {} : { comment: row.comment },
    facts: {
      isSuperuser: row.superuser,
      canCreateRole: row.create_role,
      canLogIn: row.can_log_in,
      inherits: row.inherits,
      connectionLimit: row.connection_limit,
      validUntil: row.valid_until?.toISOString() ?? null,
      memberOf: row.member_of,
      owns: row.owns,
      owner: row.comment === null ? null : row.comment.slice(0, 200),
      // Roles of the server's own: nobody made them, and they cannot be dropped.
      isBuiltIn: row.oid < 16_384,
    },
  }
  return [principal, ...attributes(row)]
}

/** What a role may do because of what it is; on the whole cluster. */
function attributes(row: RoleRow): Observation[] {
  const held = [
    ['SUPERUSER', row.superuser, 'admin'],
    ['CREATEROLE', row.create_role, 'grant'],
    ['CREATEDB', row.create_db, 'write'],
    ['REPLICATION', row.replication, 'read'],
    ['BYPASSRLS', row.bypass_rls, 'read'],
  ] as const
  return held
    .filter(([, holds]) => holds)
    .map(([privilege, , level]) => ({
      kind: 'grant' as const,
      id: { kind: 'attribute', id: `${row.oid}/${privilege}` },
      principal: role(row.oid),
      on: CLUSTER,
      privilege,
      level,
      grantable: known(false),
      grantedBy: unknown('unsupported' as const),
      expiresAt: known('never' as const),
    }))
}

type Membership = {
  oid: number
  member: number
  role: number
  grantor: number
  admin: boolean
  inherit: boolean
  set: boolean
}

/** Who is in which role, with the options. Before 16 there is one grantor and `set` goes with membership, `inherit` with the member. */
export async function* readMemberships(session: Session): AsyncGenerator<Page, ScopeReport> {
  const [server] = await session.query<{ version: number }>(
    `select current_setting('server_version_num')::int as version`,
  )
  const is16 = (server?.version ?? 0) >= 160_000
  const rows = await session.query<Membership>(`
    select m.member as member, m.roleid as role, m.grantor as grantor, m.admin_option as admin,
           ${is16 ? 'm.inherit_option' : '(select r.rolinherit from pg_roles r where r.oid = m.member)'} as inherit,
           ${is16 ? 'm.set_option' : 'true'} as set
      from pg_auth_members m order by m.roleid, m.member, m.grantor`)
  const isOurs = await session.given.ours()
  const ours = new Set<number>()
  if (isOurs.size > 0) {
    const held = await session.query<{ oid: number }>(`select oid as oid from pg_roles where rolname = any ($1)`, [
      [...isOurs],
    ])
    for (const { oid } of held) ours.add(oid)
  }
  const told = rows.filter(({ member }) => !ours.has(member))
  for (let at = 0; at < told.length; at += PAGE_ROWS)
    yield { observations: told.slice(at, at + PAGE_ROWS).map(membership) }
  return { status: 'complete', missing: [] }
}

function membership(row: Membership): Observation {
  return {
    kind: 'grant',
    id: { kind: 'membership', id: `${row.role}/${row.member}/${row.grantor}` },
    principal: role(row.member),
    on: role(row.role),
    privilege: 'MEMBER',
    level: row.admin ? 'grant' : row.set ? 'impersonate' : 'use',
    grantable: known(row.admin),
    grantedBy: known(role(row.grantor)),
    expiresAt: known('never'),
    facts: { admin: row.admin, inherit: row.inherit, set: row.set },
  }
}

type PasswordRow = {
  oid: number
  name: string
  kind: 'scram' | 'md5' | 'other' | 'none'
  iterations: number | null
  valid_until: Date | null
}

const PASSWORDS = `
  select a.oid as oid, a.rolname::text as name,
         case when a.rolpassword is null then 'none' when a.rolpassword like 'SCRAM-SHA-256$%' then 'scram'
              when a.rolpassword ~ '^md5[0-9a-f]{32}$' then 'md5' else 'other' end as kind,
         substring(a.rolpassword from '^SCRAM-SHA-256\\$(\\d{1,9}):')::int as iterations,
         ${endOf('a')} as valid_until
    from pg_authid a where a.rolcanlogin and a.oid > $1 order by a.oid limit ${PAGE_ROWS}`

/** Nothing of the verifier leaves the server but its kind. */
export async function* readPasswords(session: Session, since: Since): AsyncGenerator<Page, ScopeReport> {
  const isOurs = await session.given.ours()
  yield* byOid(
    since.cursor,
    (after) => needing(PASSWORDS_MISSING, () => session.query<PasswordRow>(PASSWORDS, [after])),
    (row) => (isOurs.has(row.name) ? [] : [passwordOf(row, session.given.clock.now())]),
  )
  return { status: 'complete', missing: [] }
}

export const PASSWORDS_MISSING = {
  what: 'whether roles have a password, of which kind',
  why: 'the login may not read pg_authid',
  permission: 'SELECT on pg_catalog.pg_authid',
}

// RFC 7677 §4: at least 4096 iterations.
const ITERATIONS = 4096

function passwordOf(row: PasswordRow, now: Date): Observation {
  const why = {
    scram: [],
    md5: ['MD5 verifiers are deprecated'],
    other: ['the kind of verifier is not known'],
    none: [],
  }[row.kind]
  const isShort = row.iterations !== null && row.iterations < ITERATIONS
  const isExpired = row.valid_until !== null && row.valid_until <= now
  return {
    kind: 'credential',
    id: { kind: 'password', id: String(row.oid) },
    principal: known(role(row.oid)),
    type: row.kind === 'none' ? 'none' : 'password',
    name: `password of ${row.name}`,
    state: known(row.kind === 'none' ? 'inactive' : isExpired ? 'expired' : 'active'),
    createdAt: unknown('unsupported'),
    rotatedAt: unknown('unsupported'),
    expiresAt: known(row.valid_until ?? 'never'),
    // A salted verifier of the same secret is another one each time.
    fingerprints: unknown('unsupported'),
    scopes: known([]),
    bindings: known([]),
    strength:
      row.kind === 'md5'
        ? known('deprecated')
        : row.kind === 'other'
          ? unknown('unsupported')
          : known(isShort ? 'weak' : 'strong'),
    strengthWhy: isShort ? [`${row.iterations} iterations of SCRAM are fewer than ${ITERATIONS}`] : why,
    heldBy: unknown('unsupported'),
    facts: { verifier: row.kind },
  }
}
