import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { test } from 'node:test'
import pg from 'pg'
import { clientConfig } from '../../../kernel/db.ts'
import { startCluster } from '../../../../test/support/cluster.ts'
import { classifyFunction } from './functions.ts'
import { readFunctions, recentReadFunctions } from './read-functions.gen.ts'

const debian = '/usr/lib/postgresql/15/bin'

async function volatileNames(binFolder?: string): Promise<{ names: Set<string>; volatile: Set<string> }> {
  await using cluster = await startCluster(binFolder === undefined ? {} : { binFolder })
  const client = new pg.Client(clientConfig(cluster.connection()))
  await client.connect()
  const { rows } = await client.query<{ name: string; isVolatile: boolean }>(
    `select proname::text as name, bool_or(provolatile = 'v') as "isVolatile"
     from pg_proc
     where pronamespace = 'pg_catalog'::regnamespace and prokind <> 'p'
     group by 1`,
  )
  await client.end()
  return {
    names: new Set(rows.map((row) => row.name)),
    volatile: new Set(rows.filter((row) => row.isVolatile).map((row) => row.name)),
  }
}

test('every function that counts as reading is one that the embedded server does not call volatile', async () => {
  const { names, volatile } = await volatileNames()

  for (const name of [...readFunctions, ...recentReadFunctions]) assert.ok(names.has(name) && !volatile.has(name), name)
})

test('the same holds on PostgreSQL 15, which has none of the recent ones', { skip: !existsSync(debian) }, async () => {
  const { names, volatile } = await volatileNames(debian)

  for (const name of readFunctions) assert.ok(names.has(name) && !volatile.has(name), name)
  for (const name of recentReadFunctions) assert.ok(!names.has(name), name)
})

test('a volatile function of the server counts as reading only where the list says that it merely looks', async () => {
  const { volatile } = await volatileNames()

  const reads = [...volatile].filter((name) => classifyFunction([name]).class === 'read')

  assert.equal(reads.length, 45, reads.join(' '))
  for (const name of reads)
    assert.doesNotMatch(name, /^(lo_|set|nextval|query_to|pg_(logical|read|ls|advisory|notify))/)
})
