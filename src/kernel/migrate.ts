import { readdir, readFile } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { Kysely, PostgresDialect, sql } from 'kysely'
import { Migrator, type Migration } from 'kysely/migration'
import pg from 'pg'
import { clientConfig, sqlState, type Connection } from './db.ts'
import { installJobs } from './jobs.ts'

/** Where the SQL files are: beside `src` in the tree and in the package alike. */
const FOLDER = join(import.meta.dirname, '..', '..', 'migrations')
const RIGHTS = 'server-rights.sql'

type Bookkeeping = { schema_checksum: { name: string; sha256: string } }
type SqlFile = { name: string; text: string; sha256: string }

export type Migrated = { readonly applied: readonly string[]; readonly version: string }

/**
 * Brings the schema to this release (core 18): applies what is missing, in order, and gives the server's role its rights.
 * Throws when an applied file was edited since, or when the database is newer than this release. Safe to run from several nodes at once.
 */
export async function migrate(owner: Connection, serverRole: string): Promise<Migrated> {
  const files = await sqlFiles()
  const pool = new pg.Pool({ ...clientConfig(owner), max: 2 })
  const db = new Kysely<Bookkeeping>({ dialect: new PostgresDialect({ pool }) })
  let isLost = false
  // Of a connection that breaks its query says so, and it says so itself: where nobody hears that, the process ends without a word.
  const onError = () => (isLost = true)
  pool.on('error', onError)
  pool.on('connect', (client) => client.on('error', onError))
  try {
    const known = await checksums(db)
    refuseEdited(files, known)
    const migrator = new Migrator({
      db,
      provider: { getMigrations: async () => migrations(files) },
      migrationTableName: 'schema_migration',
      migrationLockTableName: 'schema_migration_lock',
    })
    const { error, results } = await migrator.migrateToLatest()
    if (error) throw error
    await db.transaction().execute(async (tx) => {
      await sql.raw(await rightsFor(serverRole)).execute(tx)
    })
    await installJobs(owner, serverRole)
    const applied = (results ?? [])
      .filter((result) => result.status === 'Success')
      .map((result) => result.migrationName)
    return { applied, version: files.at(-1)?.name ?? '' }
  } catch (error) {
    throw isLost || isOperatorsEnd(error) ? lost(error) : error
  } finally {
    await db.destroy()
  }
}

/** Class 57P: somebody stopped the server or ended the connection. */
function isOperatorsEnd(error: unknown): boolean {
  return sqlState(error)?.startsWith('57P') === true
}

function lost(cause: unknown): Error {
  return new Error(
    'the connection to the database was lost while its schema was being migrated: run it again, what was not finished is undone',
    { cause },
  )
}

/** What the database's schema is, and what this release wants; a node that finds another one does not start. */
export async function schemaState(connection: Connection): Promise<{ found: string | null; wanted: string }> {
  const wanted = (await sqlFiles()).at(-1)?.name ?? ''
  const client = await connect(connection)
  try {
    const { rows } = await client
      .query<{ found: string | null }>(
        `select case when to_regclass('schema_migration') is null then null else (select max(name) from schema_migration) end as found`,
      )
      .catch(async (error: unknown) => {
        if (error instanceof pg.DatabaseError && error.code === '42P01') return { rows: [{ found: null }] }
        throw error
      })
    return { found: rows[0]?.found ?? null, wanted }
  } finally {
    await client.end()
  }
}

/**
 * Core 10: the role a node runs as owns no table, so that nothing it is tricked into can rewrite the ledger. Throws for a superuser, and for
 * a role that owns the schema or may become who does.
 */
export async function refuseOwner(connection: Connection): Promise<void> {
  const client = await connect(connection)
  try {
    const { rows } = await client.query<{ is_strong: boolean }>(
      `select r.rolsuper or exists (select from pg_class c where c.oid = to_regclass('public.ledger_entry')
          and pg_has_role(r.oid, c.relowner, 'member')) as is_strong
         from pg_roles r where r.rolname = current_user`,
    )
    if (rows[0]?.is_strong !== false) {
      throw new Error(
        `the role ${connection.user} of REEVE_DATABASE_URL owns Reeve's tables or is a superuser: name a role of its own there, and the owner in REEVE_DATABASE_OWNER_URL`,
      )
    }
  } finally {
    await client.end()
  }
}

/** Its query says when it breaks; nobody else has to hear of it. */
async function connect(connection: Connection): Promise<pg.Client> {
  const client = new pg.Client(clientConfig(connection))
  client.on('error', () => undefined)
  await client.connect()
  return client
}

async function sqlFiles(): Promise<SqlFile[]> {
  const names = migrationNames(await readdir(FOLDER))
  return Promise.all(
    names.map(async (file) => {
      const text = await readFile(join(FOLDER, file), 'utf8')
      return { name: file.slice(0, -4), text, sha256: createHash('sha256').update(text).digest('hex') }
    }),
  )
}

/** Files of the folder that are migrations, in order. One that is left out by its spelling would be missed where it is needed. */
export function migrationNames(files: readonly string[]): string[] {
  const names = files.filter((name) => name.endsWith('.sql') && name !== RIGHTS).sort()
  const misnamed = names.find((name) => !/^\d{4}_[a-z-]+\.sql$/.test(name))
  if (misnamed !== undefined) throw new Error(`${misnamed}: a migration is named like 0001_what-changes.sql`)
  return names
}

async function checksums(db: Kysely<Bookkeeping>): Promise<Map<string, string>> {
  await sql`create table if not exists schema_checksum (name text primary key, sha256 text not null)`.execute(db)
  await sql`comment on table schema_checksum is 'A row is the hash of a migration as it was applied.'`.execute(db)
  const rows = await db.selectFrom('schema_checksum').selectAll().execute()
  return new Map(rows.map((row) => [row.name, row.sha256]))
}

function refuseEdited(files: readonly SqlFile[], known: ReadonlyMap<string, string>): void {
  const names = new Set(files.map((file) => file.name))
  for (const name of known.keys()) {
    if (!names.has(name))
      throw new Error(`the database has migration ${name}, which this release does not know: start a newer release`)
  }
  for (const file of files) {
    const applied = known.get(file.name)
    if (applied !== undefined && applied !== file.sha256) {
      throw new Error(
        `migration ${file.name} was edited after it had been applied: restore the file, and write a new migration instead`,
      )
    }
  }
}

function migrations(files: readonly SqlFile[]): Record<string, Migration> {
  return Object.fromEntries(
    files.map((file) => [
      file.name,
      {
        up: async (db: Kysely<unknown>) => {
          await sql.raw(file.text).execute(db)
          await sql`insert into schema_checksum (name, sha256) values (${file.name}, ${file.sha256})`.execute(db)
        },
      },
    ]),
  )
}

async function rightsFor(serverRole: string): Promise<string> {
  const text = await readFile(join(FOLDER, RIGHTS), 'utf8')
  return text.replaceAll(/^(?!--)(.*):server/gm, (_, before: string) => `${before}${pg.escapeIdentifier(serverRole)}`)
}
