import { createHash } from 'node:crypto'
import pg from 'pg'
import { clientConfig, type Connection } from '../../src/kernel/db.ts'

export type Size = { readonly identities: number; readonly grants: number; readonly references: number }

const SOURCES = 100
/** Of what acts, one in so many is a role that others are members of. */
const ROLES = 20
/** One in so many administers its system. */
const SUPERUSERS = 2_000

const TABLES = ['principal', 'credential', 'resource', 'grant', 'trust', 'reference'].map((kind) => `observed_${kind}`)

/**
 * Fills an inventory in the database itself, the same for the same seed: systems with principals, a tree of roles in each, rights on tables, one
 * credential each of which some are the same secret, and jobs that keep them.
 */
export async function makeEstate(owner: Connection, size: Size, seed: string): Promise<void> {
  const client = new pg.Client(clientConfig(owner))
  await client.connect()
  try {
    await client.query(`set synchronous_commit = off; set work_mem = '128MB'; set maintenance_work_mem = '256MB'`)
    const indexes = await client.query<{ name: string; definition: string }>(
      `select indexname as name, indexdef as definition from pg_indexes where tablename = any ($1) and indexname !~ '_pkey$'`,
      [TABLES],
    )
    for (const { name } of indexes.rows) await client.query(`drop index ${name}`)
    for (const table of [...TABLES, 'source', 'source_scope'])
      await client.query(`alter table ${table} disable trigger user`)
    for (const table of TABLES) await client.query(`alter table ${table} drop constraint ${table}_pkey`)
    const cause = await client.query<{ id: string }>(
      `insert into ledger_entry (xid, at, kind, leaf) values (pg_current_xact_id(), now(), 'bench.estate', '\\x00') returning id`,
    )
    for (const text of statements(size, seedOf(seed), cause.rows[0]?.id ?? '0')) await client.query(text)
    for (const table of TABLES) await client.query(`alter table ${table} add constraint ${table}_pkey primary key (id)`)
    for (const { definition } of indexes.rows) await client.query(definition)
    for (const table of [...TABLES, 'source', 'source_scope'])
      await client.query(`alter table ${table} enable trigger user`)
    await client.query('analyze')
  } finally {
    await client.end()
  }
}

function seedOf(seed: string): string {
  return createHash('sha256').update(seed).digest('hex').slice(0, 8)
}

function statements({ identities, grants, references }: Size, seed: string, cause: string): string[] {
  const id = (of: string) => `hashed_id('${seed}' || ${of})`
  const some = (of: string, below: string | number) => `(abs(hashtext('${seed}' || ${of})::bigint) % ${below})`
  const scope = (n: string) => id(`'scope' || (${n}) % ${SOURCES}`)
  const kept = `'{}'::jsonb, '{}'::jsonb, '\\x00'::bytea, now(), now(), ${cause}`
  const keptAs = 'facts, unknown, digest, first_seen_at, changed_at, cause'
  const named = `scope_id, native_kind, native_id`
  const roles = Math.max(1, Math.floor(identities / ROLES / SOURCES))
  // The k-th role of a system: roles are the first numbers of each system.
  const role = (system: string, k: string) => id(`'p' || ((${k}) * ${SOURCES} + (${system}))`)
  const tables = Math.max(1, Math.floor(identities / 20))
  const memberships = Math.floor(grants * 0.4)
  return [
    `insert into source (id, name, connector, settings, owner_team, environment, authority, system, schedule, created_at, cause)
     select ${id(`'source' || n`)}, 'source-' || n, 'postgres', '{}', 'team', case when n % 5 = 0 then 'production' else 'staging' end,
            'bench:' || n, 'PostgreSQL 18', 'never', now(), ${cause} from generate_series(0, ${SOURCES - 1}) n`,
    `insert into source_scope (id, source_id, scope, is_feed, status, seen_at, read_at, cause)
     select ${id(`'scope' || n`)}, ${id(`'source' || n`)}, 'all', false, 'complete', now(), now(), ${cause} from generate_series(0, ${SOURCES - 1}) n`,
    `insert into observed_resource (id, ${named}, type, name, parent_id, tags, ${keptAs})
     select ${id(`'root' || n`)}, ${scope('n')}, 'cluster', n::text, 'postgres-cluster', 'cluster ' || n, null, '{}', ${kept}
       from generate_series(0, ${SOURCES - 1}) n`,
    `insert into observed_resource (id, ${named}, type, name, parent_id, tags, ${keptAs})
     select ${id(`'table' || n`)}, ${scope('n')}, 'table', n::text, 'table', 'table ' || n, ${id(`'root' || (n % ${SOURCES})`)}, '{}', ${kept}
       from generate_series(0, ${tables - 1}) n`,
    `insert into observed_resource (id, ${named}, type, name, parent_id, tags, ${keptAs})
     select ${id(`'job' || n`)}, ${scope('n')}, 'job', n::text, 'job', 'job ' || n, null, '{}', ${kept} from generate_series(0, ${tables - 1}) n`,
    `insert into observed_principal (id, ${named}, type, name, aliases, tags, ${keptAs})
     select ${id(`'p' || n`)}, ${scope('n')}, 'role', n::text, case when n < ${roles * SOURCES} then 'role' else 'account' end, 'p-' || n, '{}', '{}', ${kept}
       from generate_series(0, ${identities - 1}) n`,
    `insert into observed_credential (id, ${named}, principal_id, type, name, state, never_expires, fingerprints, strength_why, ${keptAs})
     select ${id(`'c' || n`)}, ${scope('n')}, 'password', n::text, ${id(`'p' || n`)}, 'password', 'c-' || n, 'active', true,
            array['hmac-sha256:${seed}:' || case when n % 10 = 0 then ${some(`'shared' || n`, Math.max(1, Math.floor(identities / 40)))} else n + ${identities} end], '{}', ${kept}
       from generate_series(0, ${identities - 1}) n`,
    // Most are members of a role of their system; a role is a member of one nearer to the first.
    `insert into observed_grant (id, ${named}, principal_id, on_id, privilege, level, via, never_expires, ${keptAs})
     select ${id(`'m' || n`)}, ${scope('n')}, 'membership', n::text, ${id(`'p' || (n % ${identities})`)},
            case when n % ${identities} < ${roles * SOURCES} then ${role(`n % ${SOURCES}`, `(n % ${identities}) / ${SOURCES} / 2`)}
                 else ${role(`n % ${SOURCES}`, some(`'r' || n`, roles))} end, 'MEMBER', 'impersonate', '{}', true, ${kept}
       from generate_series(0, ${memberships - 1}) n`,
    `insert into observed_grant (id, ${named}, principal_id, on_id, privilege, level, via, never_expires, ${keptAs})
     select ${id(`'s' || n`)}, ${scope('n')}, 'attribute', n::text, ${id(`'p' || n`)}, ${id(`'root' || (n % ${SOURCES})`)}, 'SUPERUSER', 'admin', '{}', true, ${kept}
       from generate_series(0, ${identities - 1}, ${SUPERUSERS - 1}) n`,
    `insert into observed_grant (id, ${named}, principal_id, on_id, privilege, level, via, never_expires, ${keptAs})
     select ${id(`'g' || n`)}, ${scope('n')}, 'privilege', n::text, ${id(`'p' || (n % ${identities})`)}, ${id(`'table' || ${some(`'t' || n`, tables)}`)},
            case n % 3 when 0 then 'SELECT' when 1 then 'INSERT' else 'OWNER' end, case n % 3 when 0 then 'read' when 1 then 'write' else 'admin' end, '{}', true, ${kept}
       from generate_series(0, ${grants - memberships - 1}) n`,
    `insert into observed_reference (id, ${named}, consumer_id, credential_id, how, location, evidence, ${keptAs})
     select ${id(`'ref' || n`)}, ${scope('n')}, 'reference', n::text, ${id(`'job' || ${some(`'j' || n`, tables)}`)}, ${id(`'c' || ${some(`'k' || n`, identities)}`)},
            'env', '/etc/' || n, 'static', ${kept} from generate_series(0, ${references - 1}) n`,
  ]
}
