import assert from 'node:assert/strict'
import { test } from 'node:test'
import pg from 'pg'
import { freshDatabase } from '../../test/support/database.ts'
import { clientConfig } from './db.ts'

test('what arrives in the binary format is refused, never taken for a text', async (t) => {
  const { server } = await freshDatabase(t)
  // What PGBINARY in the environment does to every connection.
  const client = new pg.Client(Object.assign(clientConfig(server), { binary: true }))
  await client.connect()
  try {
    for (const value of [
      `'\\x01ff00c3'::bytea`,
      `1::int8`,
      `'01a2018d-35f2-73b7-8e66-7e489a34b79b'::uuid`,
      `'é'::text`,
    ]) {
      await assert.rejects(client.query(`select ${value} as it where $1`, [true]), /binary format/, value)
    }
    assert.deepEqual((await client.query(`select '\\x01'::bytea as it`)).rows, [{ it: Buffer.of(1) }])
  } finally {
    await client.end()
  }
})
