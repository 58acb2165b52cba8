import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { startApi, type ApiWorld } from '../../test/support/api.ts'
import { freshDatabase } from '../../test/support/database.ts'
import {
  allPlaced,
  openTestLedger,
  openTestSequencer,
  outsideFile,
  rawClient,
  seen,
  until,
} from '../../test/support/ledger.ts'
import { transact } from '../kernel/db.ts'
import { mintPermit } from '../kernel/permit.ts'
import { listLogs } from './logs.ts'
import { ledgerRoutes } from './routes.ts'
import { openCheckpoint } from './tree/checkpoint.ts'
import { HASH_BYTES, leafHash } from './tree/hash.ts'
import { rootFromTiles } from './tree/proof.ts'
import { decodeBundle, tilePath } from './tree/tile.ts'

const SIZE = 300
const PREFIX = '/v1/ledger/logs/1'
const KEPT = 'private, max-age=31536000, immutable'

/** A log of 300 entries, causes and observations, over a real listener. */
async function served(t: TestContext) {
  const database = await freshDatabase(t)
  const { ledger, needs } = await openTestLedger(t, database)
  const file = outsideFile(t)
  const first = openTestSequencer(t, database.server, file)
  const { db } = database
  await transact(db, async (tx) => {
    for (let count = 0; count < 100; count++) await ledger.record(tx, seen('cause', count))
  })
  await allPlaced(db)
  await Promise.all(Array.from({ length: SIZE - 100 }, (_, n) => ledger.observe(seen('seen', n))))
  await allPlaced(db)
  await first[Symbol.asyncDispose]()
  const routes = ledgerRoutes({ ...needs, db, ledger })
  const api = await startApi(t, db, {
    routes,
    authenticate: async () => ({ id: 'erin', name: 'erin', kind: 'human', proof: 'token', proofId: 't' }),
    decide: async (caller, action, { type, id }) =>
      mintPermit({
        action,
        subject: { type: 'Person', id: caller.id },
        onBehalfOf: [],
        resource: { type, id },
        policyEpoch: '1',
        decisionId: 'd',
        evaluatedAt: new Date(),
      }),
  })
  const get = (path: string) => api.call('GET', `${PREFIX}/${path}`, { headers: { authorization: 'Bearer t' } })
  return { database, db, ledger, needs, api, file, get }
}

type Get = (path: string) => ReturnType<ApiWorld['call']>

/** A tile as a client of such logs asks for it. */
function tilesOver(get: Get) {
  return async (level: number, index: number, width: number) => {
    const path = tilePath({ level, index, width })
    const { status, bytes } = await get(path)
    assert.equal(status, 200, path)
    assert.equal(bytes.length, width * HASH_BYTES, path)
    return bytes
  }
}

test('a log is served as C2SP tiles: the tiles give the signed root, and each entry its hash', async (t) => {
  const { db, get } = await served(t)
  const [log] = await listLogs(db)
  assert.ok(log)

  const note = await get('checkpoint')
  const { size, root } = openCheckpoint(note.text, log.key)
  const read = tilesOver(get)

  assert.equal(note.headers['content-type'], 'text/plain; charset=utf-8')
  assert.equal(note.headers['cache-control'], 'no-store')
  assert.equal(size, SIZE)
  assert.deepEqual(await rootFromTiles(read, size), root)
  const hashes = Buffer.concat([await read(0, 0, 256), await read(0, 1, SIZE - 256)])
  const entries = [
    ...decodeBundle((await get('tile/entries/000')).bytes, 256),
    ...decodeBundle((await get(`tile/entries/001.p/${SIZE - 256}`)).bytes, SIZE - 256),
  ]
  assert.deepEqual(Buffer.concat(entries.map(leafHash)), hashes)
})

test('tiles and entries are bytes that may be kept for ever; a refusal is kept by nobody', async (t) => {
  const { get } = await served(t)

  for (const path of ['tile/0/000', 'tile/1/000.p/1', 'tile/entries/000', 'tile/entries/001.p/7']) {
    const { status, headers } = await get(path)
    assert.deepEqual(
      [status, headers['content-type'], headers['cache-control']],
      [200, 'application/octet-stream', KEPT],
      path,
    )
  }
  assert.equal((await get('tile/0/002')).headers['cache-control'], 'no-store')
})

test('a partial tile stays what it was when it grows, and ends where its width says', async (t) => {
  const { get } = await served(t)
  const [whole, part, entries, few] = await Promise.all(
    ['tile/0/000', 'tile/0/000.p/100', 'tile/entries/001.p/44', 'tile/entries/001.p/3'].map(get),
  )

  assert.deepEqual(part?.bytes, whole?.bytes.subarray(0, 100 * HASH_BYTES))
  assert.deepEqual(
    decodeBundle(few?.bytes ?? Buffer.alloc(0), 3),
    decodeBundle(entries?.bytes ?? Buffer.alloc(0), 44).slice(0, 3),
  )
})

test('what is beyond the tree, and whatever is spelled in another way, is not there', async (t) => {
  const { get, api } = await served(t)
  const headers = { authorization: 'Bearer t' }

  for (const [path, status] of [
    ['tile/0/001', 404],
    ['tile/0/001.p/45', 404],
    ['tile/0/002.p/1', 404],
    ['tile/1/000', 404],
    ['tile/1/000.p/2', 404],
    ['tile/2/000.p/1', 404],
    ['tile/63/000.p/1', 404],
    ['tile/entries/001', 404],
    ['tile/entries/001.p/45', 404],
    ['tile/0/x000/000', 404],
    ['tile/entries/x000/000', 404],
    ['tile/0/000.p/256', 404],
    ['tile/0/0', 400],
    ['tile/0/0000', 400],
    ['tile/0/000/', 400],
    ['tile/0/000.p/01', 400],
    ['tile/0/000.p/0', 400],
    ['tile/0/000.P/1', 400],
    ['tile/0/-01', 400],
    ['tile/00/000', 400],
    ['tile/64/000', 400],
    ['tile/0/', 400],
    ['tile/0/x001/x002/x003/x004/x005/x006/007', 400],
    ['tile/0/000?width=3', 400],
  ] as const) {
    assert.equal((await get(path)).status, status, path)
  }
  for (const log of ['2', '9999', '01', '0', '-1', '1e0']) {
    const { status } = await api.call('GET', `/v1/ledger/logs/${log}/checkpoint`, { headers })
    assert.ok([400, 404].includes(status), log)
  }
})

test('nothing that is not signed is served: entries without a checkpoint over them are beyond the tree', async (t) => {
  const { database, ledger, get } = await served(t)
  const dba = await rawClient(t, database.owner)
  await dba.query('set session_replication_role = replica')

  await ledger.observe(seen('later', 1))
  await dba.query(`delete from ledger_checkpoint where size > 100`)

  assert.equal((await get('tile/0/000.p/100')).status, 200)
  assert.equal((await get('tile/0/000.p/101')).status, 404)
  assert.equal((await get('tile/entries/000.p/101')).status, 404)
})

test('each life of a log keeps its own tiles under its own number', async (t) => {
  const { database, db, api, file } = await served(t)
  const headers = { authorization: 'Bearer t' }
  const before = await api.call('GET', `${PREFIX}/tile/entries/000.p/9`, { headers })
  const dba = await rawClient(t, database.owner)
  await dba.query('set session_replication_role = replica')
  // As after a restore: the database holds less than was signed.
  await dba.query(`delete from ledger_checkpoint where size > 100; delete from ledger_leaf where first_position >= 100`)

  openTestSequencer(t, database.server, file)
  await until(async () => (await listLogs(db)).length === 2)

  const second = await api.call('GET', '/v1/ledger/logs/2/checkpoint', { headers })
  assert.match(second.text, /^log\.test\/ledger\/2\n/)
  const after = await api.call('GET', `${PREFIX}/tile/entries/000.p/9`, { headers })
  assert.deepEqual(after.bytes, before.bytes)
  const keys = await api.call('GET', '/v1/ledger/keys', { headers })
  assert.deepEqual(
    keys.json().items.map(({ log }: { log: number }) => log),
    [1, 2],
  )
})
