import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { test } from 'node:test'
import pg from 'pg'
import { clientConfig, type Connection } from '../../src/kernel/db.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { startCluster } from './cluster.ts'
import { issuedServer } from './issued.ts'

const POSTGRES_15 = '/usr/lib/postgresql/15/bin'

test('a throw-away cluster answers over TCP to its password only, restarts in place, and leaves nothing', async () => {
  const cluster = await startCluster()

  await ask(cluster.connection(), 'create table kept as select 7 as x')
  await assert.rejects(ask(cluster.connection('postgres', new Secret('guess')), 'select 1'), { code: '28P01' })
  await cluster.stop()
  await assert.rejects(ask(cluster.connection(), 'select 1'), { code: 'ECONNREFUSED' })
  await cluster.restart()
  assert.deepEqual(await ask(cluster.connection(), 'table kept'), [{ x: 7 }])

  await cluster[Symbol.asyncDispose]()
  assert.ok(!existsSync(dirname(cluster.logFile)))
})

test('a throw-away cluster speaks TLS 1.3 where it is given a certificate', async () => {
  const { key, cert, ca } = await issuedServer('localhost')
  await using cluster = await startCluster({ tls: { key, cert } })

  const ssl = { ca, servername: 'localhost' }
  const seen = await ask(
    { ...cluster.connection(), ssl },
    'select ssl, version from pg_stat_ssl where pid = pg_backend_pid()',
  )

  assert.deepEqual(seen, [{ ssl: true, version: 'TLSv1.3' }])
})

test('another PostgreSQL’s programs make a cluster too', { skip: !existsSync(POSTGRES_15) }, async () => {
  await using cluster = await startCluster({ binFolder: POSTGRES_15 })

  const seen = await ask(cluster.connection(), 'show server_version_num')

  assert.match(JSON.stringify(seen), /"15\d{4}"/)
})

async function ask(connection: Connection, sql: string): Promise<unknown[]> {
  const client = new pg.Client(clientConfig(connection))
  client.on('error', () => undefined)
  try {
    await client.connect()
    return (await client.query(sql)).rows
  } finally {
    await client.end().catch(() => undefined)
  }
}
