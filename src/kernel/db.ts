import { AsyncLocalStorage } from 'node:async_hooks'
import {
  CamelCasePlugin,
  CompiledQuery,
  Kysely,
  PostgresDialect,
  type PostgresPool,
  type PostgresPoolClient,
  type Transaction,
} from 'kysely'
import pg from 'pg'
import { CopiedRows, copyText } from './copy.ts'
import { reach } from './fault.ts'
import type { Log } from './log.ts'
import type { Database } from './schema.gen.ts'
import type { Secret } from './secret.ts'

/** For reads. */
export type Db = Kysely<Database>

declare const insideTransaction: unique symbol
/** For writes: only `transact` makes one, so a write outside a transaction does not compile. */
export type Tx = Transaction<Database> & { readonly [insideTransaction]: true }

/** Where a PostgreSQL is and as whom. `host` may be a socket folder. */
export type Connection = {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: Secret
  readonly database: string
  /** `undefined` for sockets; otherwise as `pg` takes it. */
  readonly ssl?: pg.ClientConfig['ssl']
}

export type OpenDatabase = AsyncDisposable & { readonly db: Db; readonly pool: pg.Pool }

/** Deadlock and serialisation failures are safe to run again: a command has no effect outside its transaction. */
const RETRYABLE = new Set(['40001', '40P01'])
const RETRIES = 5

const INT8 = 20

/** Opens a pool. An idle connection that breaks is logged and replaced; the next query says what is wrong. */
export function openDatabase(connection: Connection, options: { max?: number; log: Log }): OpenDatabase {
  const pool = new pg.Pool({ ...clientConfig(connection), max: options.max ?? 10, idleTimeoutMillis: 60_000 })
  pool.on('error', (error) => options.log.warn({ err: error }, 'an idle database connection broke'))
  // One that breaks while it is lent out says so to its query, and again here, where an error nobody hears would end the process.
  pool.on('connect', (client) => {
    client.on('error', (error) => options.log.debug({ err: error }, 'a database connection broke'))
  })
  const db = new Kysely<Database>({
    dialect: new PostgresDialect({ pool: copying(pool) }),
    plugins: [new CamelCasePlugin({ maintainNestedObjectKeys: true })],
  })
  return { db, pool, [Symbol.asyncDispose]: () => db.destroy() }
}

/** A pool whose connections take rows by COPY as well: see `copyInto`. */
function copying(pool: pg.Pool): PostgresPool {
  // The driver knows a connection by its client, so each client has one.
  const known = new WeakMap<pg.PoolClient, PostgresPoolClient>()
  const lend = (client: pg.PoolClient): PostgresPoolClient => {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- `query` is the client's own but for rows that are copied
    return Object.create(client, {
      query: {
        value: (text: string, values: unknown[]) => {
          const [rows] = values ?? []
          return rows instanceof CopiedRows ? copied(client, text, rows) : client.query(text, values)
        },
      },
    }) as PostgresPoolClient
  }
  return {
    options: pool.options,
    end: () => pool.end(),
    async connect() {
      const client = await pool.connect()
      const lent = known.get(client) ?? lend(client)
      known.set(client, lent)
      return lent
    },
  }
}

async function copied(client: pg.PoolClient, text: string, { lines }: CopiedRows) {
  await copyText(client, text, lines)
  return { command: 'COPY', rows: [] }
}

export type OpenSession = AsyncDisposable & { readonly db: Db; readonly broken: AbortSignal }

/**
 * One direct connection as a database, for what belongs to a session (advisory locks). It is never replaced: when it breaks, `broken`
 * aborts and every query fails.
 */
export async function openSession(connection: Connection): Promise<OpenSession> {
  const pool = new pg.Pool({ ...clientConfig(connection), max: 1, idleTimeoutMillis: 0 })
  const broken = new AbortController()
  pool.on('error', (error) => broken.abort(error))
  pool.on('remove', () => broken.abort(new Error('the connection ended')))
  pool.on('connect', (client) => {
    client.on('error', (error) => broken.abort(error))
    if (broken.signal.aborted) client.end().catch(() => undefined)
  })
  const first = await pool.connect()
  first.release()
  const db = new Kysely<Database>({
    dialect: new PostgresDialect({ pool }),
    plugins: [new CamelCasePlugin({ maintainNestedObjectKeys: true })],
  })
  return { db, broken: broken.signal, [Symbol.asyncDispose]: () => db.destroy() }
}

/** What `pg.Client` takes for a connection; bigints arrive as numbers and never lose digits silently. */
export function clientConfig(connection: Connection): pg.ClientConfig {
  return {
    host: connection.host,
    port: connection.port,
    user: connection.user,
    password: connection.password.reveal(),
    database: connection.database,
    ssl: connection.ssl ?? false,
    keepAlive: true,
    connectionTimeoutMillis: 10_000,
    types: { getTypeParser: (oid: number, format?: 'text' | 'binary') => parserOf(oid, format) },
  }
}

/** Runs `write` in one transaction and commits. Again, at most five times, when the database says the order of two was the trouble. */
export async function transact<T>(db: Db, write: (tx: Tx) => Promise<T>): Promise<T> {
  const joined = joining.getStore()
  const also = joined?.also
  if (joined) joined.also = undefined
  for (let attempt = 1; ; attempt += 1) {
    try {
      const written = await db.transaction().execute(async (transaction) => {
        // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- this is the one place that makes a Tx
        const tx = transaction as Tx
        await also?.(tx)
        return write(tx)
      })
      await reach('kernel.committed')
      return written
    } catch (error) {
      if (attempt < RETRIES && RETRYABLE.has(sqlState(error) ?? '')) continue
      if (joined && also) joined.also = also
      throw error
    }
  }
}

type Joined = { also: ((tx: Tx) => Promise<void>) | undefined }

const joining = new AsyncLocalStorage<Joined>()

/**
 * Runs `work` so that the first transaction it commits also carries `also`, ahead of what it writes itself: both happen or neither does. Work
 * that commits nothing is followed by a transaction of `also` alone, and ends as that does.
 */
export async function joinFirst<T>(db: Db, also: (tx: Tx) => Promise<void>, work: () => Promise<T>): Promise<T> {
  const joined: Joined = { also }
  const done = await joining.run(joined, work)
  const left = joined.also
  if (left) await transact(db, left)
  return done
}

/** Adds rows to a table by COPY, in the transaction: several times as fast as an insert. Each line comes from `copyLine`. */
export async function copyInto(
  tx: Tx,
  { table, columns }: { readonly table: string; readonly columns: readonly string[] },
  lines: readonly string[],
): Promise<void> {
  if (lines.length === 0) return
  const named = columns.map((column) => pg.escapeIdentifier(column)).join(', ')
  const text = `copy ${pg.escapeIdentifier(table)} (${named}) from stdin`
  await tx.executeQuery(CompiledQuery.raw(text, [new CopiedRows(lines)]))
}

/** The SQLSTATE of an error that came from PostgreSQL. */
export function sqlState(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.code : undefined
}

/** The constraint an error of PostgreSQL names, to turn a violated rule into its problem. */
export function violatedConstraint(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.constraint : undefined
}

function parserOf(oid: number, format: 'text' | 'binary' | undefined) {
  if (format === 'binary') return refuseBinary
  return oid === INT8 ? parseInt8 : pg.types.getTypeParser(oid, 'text')
}

// The driver reads only some types in that format and makes a text of the bytes of all others: a leaf would be hashed as something else.
function refuseBinary(): never {
  throw new Error(
    'the database answered in the binary format, which is not read here: take PGBINARY out of the environment',
  )
}

function parseInt8(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value)) throw new Error(`the number ${text} does not fit; nothing of ours counts that far`)
  return value
}
