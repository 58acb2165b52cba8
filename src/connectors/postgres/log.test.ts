import assert from 'node:assert/strict'
import { appendFileSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { startCluster, type Cluster } from '../../../test/support/cluster.ts'
import { inventoryWorld } from '../../../test/support/inventory-world.ts'
import { plainLogin } from '../../../test/support/postgres-source.ts'
import { postgresConnector } from './connector.ts'
import { csvFields, deedOf, parseRecord, Records, RECORD_MAX_BYTES } from './log-records.ts'

let cluster: Cluster

before(async () => {
  cluster = await startCluster({ settings: { log_connections: 'on', log_timezone: 'UTC' } })
})
after(() => cluster[Symbol.asyncDispose]())

const csv = (at: string, user: string, message: string) =>
  `${at} UTC,"${user}","postgres",4711,"10.1.2.3:5000",6.1,1,"x",2029-01-01 00:00:00 UTC,1/1,0,LOG,00000,"${message.replaceAll('"', '""')}",,,,,,,,,"psql","client backend",,0\n`
const LOGIN = 'connection authorized: user=x database=postgres'
const AUDIT =
  'AUDIT: SESSION,1,1,WRITE,DELETE,TABLE,public.orders,"delete from orders\nwhere card = ""4111xyz""",<not logged>'

async function logged(t: TestContext, name: string) {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-log-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'server.csv')
  const { user, password } = await plainLogin(cluster, name)
  const i = await inventoryWorld(t)
  const settings = { host: cluster.host, port: cluster.port, tls: { mode: 'disable' }, log: { path, format: 'csvlog' } }
  const id = await i.source(postgresConnector, settings, { credential: { user, password: password.reveal() } })
  const collect = async () => (await i.collect(id)).scopes.find(({ scope }) => scope === 'cluster/log')
  const uses = async () =>
    (
      await i.w.db
        .selectFrom('observedUsage')
        .select(['semantics', 'privilege', 'count'])
        .where('count', '>', 0)
        .execute()
    ).map(({ semantics, privilege, count }) => `${semantics} ${privilege ?? ''} ${count}`)
  return { i, path, collect, uses, user }
}

test('logins and audited statements are counted once each, read on from where the last reading ended', async (t) => {
  const { i, path, collect, uses, user } = await logged(t, 'reads_log')
  writeFileSync(path, csv('2029-01-01 10:00:00.000', user, LOGIN) + csv('2029-01-01 11:00:00.000', user, AUDIT))
  const first = await collect()
  await collect()
  appendFileSync(path, csv('2029-01-01 12:00:00.000', user, LOGIN))
  await collect()

  assert.equal(first?.status, 'complete')
  assert.deepEqual(
    (await uses()).toSorted((a, b) => a.localeCompare(b)),
    ['auth  2', 'statement DELETE 1'],
  )
  assert.equal(
    await i.count('usage_window', `sees = 'every-use' and seen @> tstzrange('2029-01-01 10:00Z', '2029-01-01 12:00Z')`),
    1,
  )
  const rows = (await i.snapshot()).join('\n')
  assert.ok(!rows.includes('4111xyz') && !rows.includes('delete from'), 'the text of a statement was kept')
})

test('a log that was rotated is a gap that is said', async (t) => {
  const { path, collect, i, user } = await logged(t, 'reads_rotated')
  writeFileSync(path, csv('2029-01-01 10:00:00.000', user, LOGIN) + csv('2029-01-01 11:00:00.000', user, LOGIN))
  await collect()
  renameSync(path, `${path}.1`)
  writeFileSync(path, csv('2029-01-01 13:00:00.000', user, LOGIN))
  const second = await collect()

  assert.deepEqual([second?.status, second?.missing[0]?.why], ['partial', 'the log was rotated since the last reading'])
  assert.equal(
    await i.count('usage_window', `sees = 'every-use' and seen @> tstzrange('2029-01-01 10:00Z', '2029-01-01 13:00Z')`),
    0,
  )
})

test('attack: a log that is a link, or longer than any record, is not followed and not held', async (t) => {
  const { path, collect, uses, user } = await logged(t, 'reads_hostile')
  symlinkSync('/etc/passwd', path)
  const link = await collect()
  rmSync(path)
  writeFileSync(path, `"${'x'.repeat(3 * RECORD_MAX_BYTES)}"\n${csv('2029-01-01 10:00:00.000', user, LOGIN)}`)
  const long = await collect()

  assert.deepEqual([link?.status, /ELOOP/.test(link?.missing[0]?.why ?? '')], ['partial', true])
  assert.deepEqual([long?.status, await uses()], ['partial', ['auth  1']])
})

test('attack: a record that was torn within quotes costs those behind it up to the bound, and no more, and is counted', () => {
  const records = new Records('csvlog')
  const later = csv('2029-01-01 10:00:00.000', 'a', LOGIN)
  const most = Math.ceil(RECORD_MAX_BYTES / later.length) + 2
  const found = [...records.add(Buffer.from(`2029-01-01 09:00:00.000 UTC,"torn${later.repeat(most + 10)}`))]

  assert.equal(records.tooLong, 1)
  assert.ok(found.length >= 10 && found.every((text) => text === later))
})

test('records are the same however the bytes come in', () => {
  const text = csv('2029-01-01 10:00:00.000', 'a', AUDIT) + csv('2029-01-01 10:00:01.000', 'b c', LOGIN)
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1 }), (sizes) => {
      const records = new Records('csvlog')
      const found: string[] = []
      const bytes = Buffer.from(text)
      for (let at = 0, next = 0; at < bytes.length; next += 1) {
        const size = sizes[next % sizes.length] ?? 1
        found.push(...records.add(bytes.subarray(at, at + size)))
        at += size
      }

      assert.equal(found.length, 2)
      assert.equal(records.taken, bytes.length)
    }),
  )
})

test('fields, lines of JSON and deeds are read as PostgreSQL writes them, and anything else is nothing', () => {
  assert.deepEqual(csvFields('a,"b ""c"", d",,"e"\n'), ['a', 'b "c", d', '', 'e'])
  assert.deepEqual(deedOf(AUDIT), { semantics: 'statement', privilege: 'DELETE' })
  assert.equal(deedOf('duration: 1 ms'), undefined)
  const json = JSON.stringify({
    timestamp: '2029-01-01 10:00:00.123 UTC',
    user: 'a',
    dbname: 'd',
    remote_host: 'h',
    message: LOGIN,
  })
  assert.deepEqual(parseRecord(json, 'jsonlog'), {
    at: '2029-01-01 10:00:00.123',
    user: 'a',
    database: 'd',
    address: 'h',
    agent: undefined,
    message: LOGIN,
  })
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (line) => {
      assert.equal(parseRecord(line, 'jsonlog'), undefined)
      parseRecord(line, 'csvlog')
    }),
  )
})
