import { mkdirSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import type { Connection } from '../db.ts'
import { chooseAccount } from './account.ts'
import { prepareBinaries, type Binaries } from './binaries.ts'
import { DATABASE, ensureCluster, OWNER, prepareHome, readPasswords, SERVER, type Passwords } from './data-folder.ts'
import { Keeper, type KeeperLog } from './keeper.ts'
import { findPostmaster } from './postmaster.ts'
import { keepBounded } from './server-log.ts'
import { preparePrivateFolder, SOCKET_PORT, socketFolderFor } from './socket-folder.ts'

/** A real PostgreSQL that runs while this object lives. Several processes may share one: the last to dispose stops it. */
export type EmbeddedPostgres = AsyncDisposable & {
  /** `owner` runs migrations and is a superuser; `server` may connect and owns nothing (core 10). */
  connection(role: 'owner' | 'server', database?: string): Connection
  readonly socketFolder: string
  readonly port: number
  readonly logFile: string
}

export type EmbeddedOptions = {
  /** Everything is kept here: data, passwords, log, socket. Made when it is missing. */
  readonly folder: string
  readonly log: KeeperLog
  /** Settings of PostgreSQL, for tests (`fsync: 'off'`). */
  readonly settings?: Readonly<Record<string, string>>
}

/**
 * Starts the embedded PostgreSQL, or attaches to the one that already runs for this folder, and keeps it running.
 * Throws `CannotStartPostgres` with a sentence that says what to do; on abort it leaves nothing running.
 */
export async function startEmbeddedPostgres(options: EmbeddedOptions, signal?: AbortSignal): Promise<EmbeddedPostgres> {
  const { folder, log, settings = {} } = options
  signal?.throwIfAborted()
  const { home, account, binaries } = prepare(folder)
  await ensureCluster(home, account, binaries, settings['fsync'] !== 'off')
  signal?.throwIfAborted()

  const dataFolder = join(home, 'cluster', 'data')
  const logFile = join(home, 'log', 'postgres.log')
  // A node with another TMPDIR may have started it: its word counts, after the same checks.
  const socketFolder = findPostmaster(dataFolder)?.socketFolder || socketFolderFor(home, account)
  preparePrivateFolder(socketFolder, account)
  const connection = connections(socketFolder, readPasswords(home))
  const site = { binFolder: join(binaries.folder, 'bin'), dataFolder, socketFolder, logFile, account, settings }
  const keeper = new Keeper(site, connection('owner', 'postgres'), log)
  await keeper.open(signal ?? new AbortController().signal)
  const rotation = keepBounded(logFile, (err) =>
    log.warn({ err, logFile }, 'the log of the embedded PostgreSQL cannot be cut'),
  )
  log.info({ version: binaries.version, socketFolder, logFile }, 'the embedded PostgreSQL is ready')
  return {
    connection,
    socketFolder,
    port: SOCKET_PORT,
    logFile,
    async [Symbol.asyncDispose]() {
      rotation[Symbol.dispose]()
      await keeper[Symbol.asyncDispose]()
    },
  }
}

function prepare(folder: string): { home: string; account: ReturnType<typeof chooseAccount>; binaries: Binaries } {
  const account = chooseAccount(join(folder, 'cluster', 'data'))
  prepareHome(folder, account)
  // One name for one cluster: the running postmaster is recognised by the folder in its command line.
  const home = realpathSync(folder)
  const binaries = prepareBinaries(home, account)
  mkdirSync(join(home, 'log'), { recursive: true, mode: 0o700 })
  return { home, account, binaries }
}

function connections(host: string, passwords: Passwords): EmbeddedPostgres['connection'] {
  return (role, database = DATABASE) => ({
    host,
    port: SOCKET_PORT,
    user: role === 'owner' ? OWNER : SERVER,
    password: passwords[role],
    database,
  })
}
