import { randomBytes } from 'node:crypto'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { clientConfig, type Connection } from '../../src/kernel/db.ts'
import { chooseAccount, type Account } from '../../src/kernel/postgres/account.ts'
import { prepareBinaries } from '../../src/kernel/postgres/binaries.ts'
import { createData } from '../../src/kernel/postgres/data-folder.ts'
import { CannotStartPostgres } from '../../src/kernel/postgres/failure.ts'
import { launchPostmaster, type Site } from '../../src/kernel/postgres/launch.ts'
import { findPostmaster, stopPostmaster } from '../../src/kernel/postgres/postmaster.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { sleep } from '../../src/kernel/timer.ts'
import { quickFolder } from './quick-folder.ts'
import { freePort } from './free-port.ts'

/** A throw-away PostgreSQL on 127.0.0.1 that plays a company's own database. Nothing of it is left after disposal. */
export type Cluster = AsyncDisposable & {
  readonly host: '127.0.0.1'
  readonly port: number
  /** The superuser is `postgres`. */
  readonly password: Secret
  readonly logFile: string
  /** As the superuser unless told; over TCP without TLS. */
  connection(user?: string, password?: Secret, database?: string): Connection
  /** Stops it in the ordinary way and starts it on the same port and data. */
  restart(): Promise<void>
  /** Stops it and leaves the data: a target that is down until `restart`. */
  stop(): Promise<void>
}

export type ClusterOptions = {
  /** Another PostgreSQL's programs, such as `/usr/lib/postgresql/15/bin`; the embedded ones when missing. */
  readonly binFolder?: string
  /** PEM texts; the cluster then speaks TLS as well. */
  readonly tls?: { readonly key: string; readonly cert: string; readonly ca?: string }
  readonly settings?: Readonly<Record<string, string>>
  /** Lines of `pg_hba.conf` in place of SCRAM for everybody over TCP. */
  readonly hba?: readonly string[]
}

/** Nothing here has to survive the machine. */
const FORGETFUL = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }
const SUPERUSER = 'postgres'
/** A port is found free and then taken; somebody else may be quicker. */
const PORT_ATTEMPTS = 5

export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const isDurable = options.settings?.['fsync'] === 'on'
  const folder = isDurable ? mkdtempSync(join(tmpdir(), 'reeve-cluster-')) : quickFolder('reeve-cluster-')
  try {
    return await start(folder, options)
  } catch (error) {
    await stopPostmaster(join(folder, 'data'))
    rmSync(folder, { recursive: true, force: true })
    throw error
  }
}

async function start(folder: string, options: ClusterOptions): Promise<Cluster> {
  chmodSync(folder, 0o711)
  const account = chooseAccount(join(folder, 'data'))
  const binFolder = options.binFolder ?? join(prepareBinaries(folder, account).folder, 'bin')
  const dataFolder = join(folder, 'data')
  const password = new Secret(randomBytes(24).toString('base64url'))
  await createData(binFolder, account, dataFolder, {
    superuser: SUPERUSER,
    locale: ['--locale=C'],
    isDurable: false,
    hba: [
      'local all all scram-sha-256',
      ...(options.hba ?? [
        'host all all 127.0.0.1/32 scram-sha-256',
        'host replication all 127.0.0.1/32 scram-sha-256',
      ]),
    ],
    sql: [`alter role ${SUPERUSER} password '${password.reveal()}'`],
  })
  const socketFolder = join(folder, 'run')
  mkdirSync(socketFolder, { mode: 0o700 })
  give(account, socketFolder)
  const settings = {
    ...FORGETFUL,
    listen_addresses: '127.0.0.1',
    ...tlsSettings(dataFolder, account, options),
    ...options.settings,
  }
  const site: Site = { binFolder, dataFolder, socketFolder, logFile: join(folder, 'postgres.log'), account, settings }
  const port = await startOnFreePort(site, password)
  const stop = () => stopPostmaster(dataFolder)
  return {
    host: '127.0.0.1',
    port,
    password,
    logFile: site.logFile,
    connection: (user = SUPERUSER, secret = password, database = 'postgres') => ({
      host: '127.0.0.1',
      port,
      user,
      password: secret,
      database,
    }),
    stop,
    async restart() {
      await stop()
      await startAt(site, port, password)
    },
    async [Symbol.asyncDispose]() {
      await stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function tlsSettings(dataFolder: string, account: Account, { tls }: ClusterOptions): Record<string, string> {
  if (tls === undefined) return {}
  const files = {
    'server.key': tls.key,
    'server.crt': tls.cert,
    ...(tls.ca === undefined ? {} : { 'root.crt': tls.ca }),
  }
  for (const [name, text] of Object.entries(files)) {
    const path = join(dataFolder, name)
    writeFileSync(path, text, { mode: 0o600 })
    give(account, path)
  }
  return { ssl: 'on', ...(tls.ca === undefined ? {} : { ssl_ca_file: 'root.crt' }) }
}

function give(account: Account, path: string): void {
  if (account.isDropped) chownSync(path, account.uid, account.gid)
}

async function startOnFreePort(site: Site, password: Secret): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    try {
      await startAt(site, port, password)
      return port
    } catch (error) {
      if (!(error instanceof CannotStartPostgres) || attempt === PORT_ATTEMPTS) throw error
    }
  }
}

async function startAt(site: Site, port: number, password: Secret): Promise<void> {
  const launched = launchPostmaster({ ...site, settings: { ...site.settings, port: String(port) } })
  const connection = { host: site.socketFolder, port, user: SUPERUSER, password, database: 'postgres' }
  for (;;) {
    const over = launched.over()
    if (over !== undefined) throw over === 'race' ? new Error('another postmaster has the data folder') : over
    if (findPostmaster(site.dataFolder) !== undefined && (await answers(connection))) return
    await sleep(20)
  }
}

async function answers(connection: Connection): Promise<boolean> {
  const client = new pg.Client(clientConfig(connection))
  client.on('error', () => undefined)
  try {
    await client.connect()
    return true
  } catch {
    return false
  } finally {
    await client.end().catch(() => undefined)
  }
}
