import pg from 'pg'
import { scramVerifier, sha256 } from '../../kernel/crypto.ts'
import type { Random } from '../../kernel/random.ts'
import { Secret } from '../../kernel/secret.ts'
import { LeaseFailure, NotWanted, type Details, type WrittenLease } from '../writer.ts'
import type { PostgresSettings } from './settings.ts'
import type { Upstream } from './upstream.ts'

const name = pg.escapeIdentifier
const literal = pg.escapeLiteral

/** 64 random bits in the name: unique at any target, and nobody guesses whose lease it is. */
const NAME_BYTES = 8
const SECRET_BYTES = 32
const SALT_BYTES = 16
/** First key of the advisory lock that fences one principal; any fixed number does ("reev"). */
const FENCE = 0x72656576

/** Pure: the role's name and its secret. */
export function announceRole(random: Random): { principal: string; secret: Secret } {
  return {
    principal: `reeve_${random.bytes(NAME_BYTES).toString('hex')}`,
    secret: new Secret(random.bytes(SECRET_BYTES).toString('base64url')),
  }
}

/** What the provisioner is and may do here. */
export type Standing = { readonly version: number; readonly user: string; readonly isSuperuser: boolean }

export async function standingOf(upstream: Upstream): Promise<Standing> {
  const [row] = await upstream.query<{ version: number; user: string; is_superuser: boolean; standby: boolean }>(
    'looking at the server',
    `select current_setting('server_version_num')::int as version, current_user as "user", r.rolsuper as is_superuser,
            pg_is_in_recovery() as standby
       from pg_roles r where r.rolname = current_user`,
  )
  if (!row) throw new LeaseFailure('the server does not say who the provisioner is')
  if (row.standby) throw new LeaseFailure('the target is a standby: roles are made and ended at its primary')
  return { version: row.version, user: row.user, isSuperuser: row.is_superuser }
}

/**
 * Makes the role (core 20). The fence is a lock of the very backend that makes it: while we hold it nobody ends this principal, and once
 * somebody does, `isWanted` answers no. So a role cannot be born after it was proven dead, however late this process wakes up.
 */
export async function makeRole(
  upstream: Upstream,
  settings: PostgresSettings,
  lease: WrittenLease,
  isWanted: () => Promise<boolean>,
): Promise<Details> {
  const { principal, terms } = lease
  const role = name(principal)
  await upstream.query('waiting for the fence', 'select pg_advisory_lock($1, $2)', fenceOf(principal))
  if (!(await isWanted())) throw new NotWanted('the lease was ended before it was made')
  const standing = await standingOf(upstream)
  const verifier = await verifierOf(lease, settings)
  await upstream.query('making the role', 'begin')
  await upstream.query(
    'making the role',
    `create role ${role} with login noinherit nosuperuser nocreatedb nocreaterole noreplication nobypassrls
       connection limit ${connectionLimit(terms.connections)}
       valid until ${literal(terms.validUntil.toISOString())} password ${literal(verifier)}`,
  )
  for (const group of terms.roles) await joinGroup(upstream, standing, role, group)
  const [widest] = terms.roles
  // Applied at login: objects are born owned by the group, and its default privileges apply.
  if (widest !== undefined) {
    await upstream.query('setting its role', `alter role ${role} set role = ${literal(widest)}`)
  }
  await letIn(upstream, principal, terms.databases)
  const [made] = await upstream.query<{ oid: string; since: string }>(
    'noting the role',
    `select oid::text, pg_current_xact_id()::text as since from pg_roles where rolname = $1`,
    [principal],
  )
  await upstream.query('making the role', 'commit')
  if (!made) throw new LeaseFailure('the role that was just made is not there')
  return { oid: made.oid, since: made.since, version: standing.version }
}

/** The two keys of the advisory lock; the second is the first 32 bits of the name. */
export function fenceOf(principal: string): [number, number] {
  return [FENCE, sha256(principal).readInt32BE(0)]
}

// A backend lives on for a moment after its client left: clients that reconnect at once need room. The gateway counts exactly.
function connectionLimit(connections: number): number {
  return Math.min(connections * 2 + 4, 20_000)
}

/** The name is random, so a salt made of it is one too, and a repeated run gives the same verifier. */
async function verifierOf(lease: WrittenLease, settings: PostgresSettings): Promise<string> {
  const salt = sha256(lease.principal).subarray(0, SALT_BYTES)
  return scramVerifier(lease.secret, salt, settings.scramIterations)
}

async function joinGroup(upstream: Upstream, standing: Standing, role: string, group: string): Promise<void> {
  // Before 16 the role's own NOINHERIT says it, and whoever is a member may SET ROLE.
  const how = standing.version >= 160_000 ? ' with inherit false, set true' : ''
  await upstream.query(`letting it act as ${group}`, `grant ${name(group)} to ${role}${how}`)
}

/** The session enters as the lease itself, which inherits nothing: where PUBLIC may not connect, it needs the right by name. */
async function letIn(upstream: Upstream, principal: string, databases: readonly string[]): Promise<void> {
  if (databases.length === 0) return
  for (const datname of await shutOf(upstream, principal, databases)) {
    await upstream.query(
      `letting it connect to ${datname}`,
      `grant connect on database ${name(datname)} to ${name(principal)}`,
    )
  }
  // A grant without the right to grant is only a warning to PostgreSQL.
  const [still] = await shutOf(upstream, principal, databases)
  if (still !== undefined) throw new LeaseFailure(`the provisioner cannot let it connect to database ${still}`)
}

async function shutOf(upstream: Upstream, principal: string, databases: readonly string[]): Promise<string[]> {
  const rows = await upstream.query<{ datname: string }>(
    'looking at who may connect',
    `select datname from pg_database where datname = any($1) and not has_database_privilege($2::name, oid, 'connect')`,
    [databases, principal],
  )
  return rows.map((row) => row.datname)
}
