import type { TestContext } from 'node:test'
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { clientConfig, openDatabase, type Connection, type Db } from '../../src/kernel/db.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { Secret } from '../../src/kernel/secret.ts'

export const TEMPLATE = 'reeve_template'

export type TestCluster = { readonly owner: Connection; readonly server: Connection }

export type TestDatabase = {
  /** As the role the server runs as. */
  readonly db: Db
  readonly server: Connection
  /** As the role that owns the schema: only to look, or to attack. */
  readonly owner: Connection
}

/** A fresh, migrated database of this test (or, with `before` hooks' context, this file), dropped when it ends. */
export async function freshDatabase(
  t: Pick<TestContext, 'after'>,
  options: { max?: number } = {},
): Promise<TestDatabase> {
  const cluster = runningCluster()
  const database = `reeve_t_${randomBytes(6).toString('hex')}`
  await asAdmin(cluster, `create database ${database} template ${TEMPLATE} strategy file_copy`)
  const server = { ...cluster.server, database }
  const opened = openDatabase(server, { max: options.max ?? 10, log: silentLog })
  t.after(async () => {
    await opened[Symbol.asyncDispose]()
    await asAdmin(cluster, `drop database if exists ${database} with (force)`)
  })
  return { db: opened.db, server, owner: { ...cluster.owner, database } }
}

/** The cluster of this test run, made by setup.ts. */
export function runningCluster(): TestCluster {
  const text = process.env.REEVE_TEST_CLUSTER
  if (!text)
    throw new Error('no test cluster: run `npm test`, or node --test --test-global-setup=test/support/setup.ts <files>')
  const { owner, server } = JSON.parse(text)
  return {
    owner: { ...owner, password: new Secret(owner.password) },
    server: { ...server, password: new Secret(server.password) },
  }
}

/** REEVE_TEST_DATABASE_URL names a superuser of an external PostgreSQL; REEVE_TEST_SERVER_URL the role the server runs as. */
export function externalCluster(): TestCluster | undefined {
  const owner = process.env.REEVE_TEST_DATABASE_URL
  const server = process.env.REEVE_TEST_SERVER_URL ?? owner
  return owner && server ? { owner: connectionOf(owner), server: connectionOf(server) } : undefined
}

function connectionOf(text: string): Connection {
  const url = new URL(text)
  return {
    host: url.searchParams.get('host') ?? url.hostname,
    port: Number(url.port || 5432),
    user: decodeURIComponent(url.username),
    password: new Secret(decodeURIComponent(url.password)),
    database: url.pathname.slice(1) || 'postgres',
  }
}

async function asAdmin(cluster: TestCluster, statement: string): Promise<void> {
  const client = new pg.Client(clientConfig({ ...cluster.owner, database: 'postgres' }))
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}
