import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../kernel/config.ts'
import { connectionFrom } from '../kernel/connection-url.ts'
import { openDatabaseClock, type DatabaseClock } from '../kernel/database-clock.ts'
import { openDatabase, type Connection, type Db } from '../kernel/db.ts'
import type { Log } from '../kernel/log.ts'
import { migrate, refuseOwner, schemaState } from '../kernel/migrate.ts'
import { startEmbeddedPostgres } from '../kernel/postgres/embedded.ts'
import type { Seal } from '../kernel/seal.ts'
import type { SigningKeys } from '../kernel/signing-keys.ts'
import { openSeal, signingKeysOf } from './custody.ts'

/** What everything stands on: the database at this release's schema, its time, and the seal of this installation. */
export type Ground = AsyncDisposable & {
  readonly db: Db
  /** For those who need a connection of their own. */
  readonly connection: Connection
  readonly clock: DatabaseClock
  readonly seal: Seal
  /** Where keys that sign are made and held. */
  readonly keys: SigningKeys
}

/** Sessions, calls and jobs of one node; PostgreSQL's default allows 100 in all, so two nodes fit on one machine. */
const POOL_SIZE = 20

/** Opens it, starting and migrating the embedded database where none is named. An external one is migrated by `reeve migrate` only (core 18). */
export async function openGround(config: Config, log: Log, signal: AbortSignal): Promise<Ground> {
  await using opened = new AsyncDisposableStack()
  await prepareHome(config.home)
  const connection = config.database.url
    ? await external(connectionFrom(config.database.url))
    : await embedded(config.home, log, opened, signal)
  const { db } = opened.use(openDatabase(connection, { max: POOL_SIZE, log }))
  const clock = opened.use(await openDatabaseClock(db, log))
  const seal = await openSeal(config, db)
  const keys = await signingKeysOf(config)
  const kept = opened.move()
  return { db, connection, clock, seal, keys, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}

/** The home lets the database's own user pass through when Reeve runs as root; what is secret in it has stricter folders. */
async function prepareHome(home: string): Promise<void> {
  const made = await mkdir(home, { recursive: true, mode: 0o711 })
  if (made !== undefined) await chmod(home, 0o711)
}

async function embedded(
  home: string,
  log: Log,
  opened: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<Connection> {
  const postgres = opened.use(await startEmbeddedPostgres({ folder: join(home, 'postgres'), log }, signal))
  const server = postgres.connection('server')
  const { applied } = await migrate(postgres.connection('owner'), server.user)
  if (applied.length > 0) log.info({ applied }, 'the schema was brought to this release')
  return server
}

async function external(connection: Connection): Promise<Connection> {
  const { found, wanted } = await schemaState(connection)
  await refuseOwner(connection)
  if (found === wanted) return connection
  throw new Error(
    found === null
      ? 'the database has no schema yet: run `reeve migrate` with REEVE_DATABASE_OWNER_URL set'
      : `the database's schema is ${found} and this release needs ${wanted}: run \`reeve migrate\``,
  )
}

/** Brings an external database to this release's schema; `reeve migrate`. */
export async function migrateExternal(config: Config): Promise<{ applied: readonly string[]; version: string }> {
  const { url, ownerUrl } = config.database
  if (!url || !ownerUrl) {
    throw new Error(
      'set REEVE_DATABASE_URL (the server’s role) and REEVE_DATABASE_OWNER_URL (the owner’s) to migrate; the embedded database migrates itself',
    )
  }
  return migrate(connectionFrom(ownerUrl), connectionFrom(url).user)
}
