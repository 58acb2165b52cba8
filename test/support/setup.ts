import { chmod, mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { clientConfig } from '../../src/kernel/db.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { migrate } from '../../src/kernel/migrate.ts'
import { startEmbeddedPostgres } from '../../src/kernel/postgres/embedded.ts'
import { externalCluster, TEMPLATE, type TestCluster } from './database.ts'
import { quickFolder } from './quick-folder.ts'

let close: () => Promise<void> = async () => undefined

/** Once per test run: a PostgreSQL (the embedded one, or the one REEVE_TEST_DATABASE_URL names) with a migrated template to clone. */
export async function globalSetup(): Promise<void> {
  try {
    await prepare()
  } catch (error) {
    // The runner would swallow it, run nothing and report success.
    console.error(error)
    process.exit(1)
  }
}

async function prepare(): Promise<void> {
  // Each file of tests is a process: what the first has compiled the next ones need not.
  const compiled = join(import.meta.dirname, '../../node_modules/.cache/reeve-compiled')
  await mkdir(compiled, { recursive: true })
  process.env.NODE_COMPILE_CACHE ??= compiled

  const cluster = externalCluster() ?? (await embeddedCluster())
  const admin = new pg.Client(clientConfig({ ...cluster.owner, database: 'postgres' }))
  await admin.connect()
  await admin.query(`drop database if exists ${TEMPLATE}`)
  await admin.query(`create database ${TEMPLATE}`)
  await migrate({ ...cluster.owner, database: TEMPLATE }, cluster.server.user)
  await admin.end()
  process.env.REEVE_TEST_CLUSTER = JSON.stringify({
    owner: { ...cluster.owner, password: cluster.owner.password.reveal() },
    server: { ...cluster.server, password: cluster.server.password.reveal() },
  })
}

export async function globalTeardown(): Promise<void> {
  await close()
}

async function embeddedCluster(): Promise<TestCluster> {
  const folder = quickFolder('reeve-test-')
  // As root the cluster runs under another uid, which must be able to pass through.
  await chmod(folder, 0o711)
  const postgres = await startEmbeddedPostgres({
    folder,
    log: silentLog,
    settings: {
      fsync: 'off',
      synchronous_commit: 'off',
      full_page_writes: 'off',
      max_connections: '200',
      max_wal_size: '256MB',
    },
  })
  close = async () => {
    await postgres[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  }
  return { owner: postgres.connection('owner', 'postgres'), server: postgres.connection('server', 'postgres') }
}
