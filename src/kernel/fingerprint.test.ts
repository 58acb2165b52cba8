import assert from 'node:assert/strict'
import { test } from 'node:test'
import { freshDatabase } from '../../test/support/database.ts'
import { systemClock } from './clock.ts'
import { openDatabase } from './db.ts'
import { fingerprintsUnder, openFingerprints } from './fingerprint.ts'
import { silentLog } from './log.ts'
import { systemRandom } from './random.ts'
import { sealUnder } from './seal.ts'
import { Secret } from './secret.ts'

const key = (byte: number) => new Secret(Buffer.alloc(32, byte))

test('a secret has one fingerprint in an installation, however it was found, and another elsewhere', () => {
  const here = fingerprintsUnder(key(1))
  const there = fingerprintsUnder(key(2))

  const fromFile = here.of(new Secret(Buffer.from('  s3cret-value\r\n')))

  assert.deepEqual(here.of(new Secret('s3cret-value')), fromFile)
  assert.notEqual(here.of(new Secret('s3cret value')).value, fromFile.value)
  assert.notEqual(there.of(new Secret('s3cret-value')).value, fromFile.value)
  assert.notEqual(there.keyId, here.keyId)
})

test('attack: what names the key does not help to test a guess', () => {
  const here = fingerprintsUnder(key(1))

  assert.notEqual(here.of(new Secret('key-id')).value.slice(0, 12), here.keyId)
})

test('nodes that start together use one key, and it is in the database only under seal', async (t) => {
  const { server } = await freshDatabase(t)
  await using database = openDatabase(server, { log: silentLog })
  const needs = { clock: systemClock, random: systemRandom, seal: sealUnder(key(9)) }

  const nodes = await Promise.all([1, 2, 3].map(() => openFingerprints(database.db, needs)))

  assert.equal(new Set(nodes.map((node) => node.of(new Secret('x')).value)).size, 1)
  const rows = await database.db.selectFrom('fingerprintKey').selectAll().execute()
  assert.equal(rows.length, 1)
  assert.throws(() =>
    sealUnder(key(8)).open(rows[0]?.sealedKey ?? Buffer.alloc(0), `fingerprint_key.sealed_key:${rows[0]?.id}`),
  )
})
