import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { mysqlLoginRotator } from '../../src/credentials/mysql/rotate.ts'
import { mysqlWriter } from '../../src/credentials/mysql/writer.ts'
import { ROTATION_FAULT_POINTS } from '../../src/credentials/rotation/fault-points.ts'
import { NotWanted } from '../../src/credentials/writer.ts'
import { newId, systemRandom } from '../../src/kernel/random.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { freshDatabase, type TestDatabase } from '../support/database.ts'
import { cleaningOfFile } from '../support/installation.ts'
import { ORDINARY_POINTS, standing } from '../support/rotation-place.ts'
import { startMysql, type Mysql } from './peers/mysql.ts'

// MySQL itself, which knows two secrets of one login: the one of now, and the one that was retained.
const cleaning = cleaningOfFile()
const signal = new AbortController().signal
/** What quotes and backslashes it has is part of the test: it is told again where a rotation is backed out of. */
const STANDING = `st'an"d\\ing 'pa\`ss`
const OWNER = { user: 'reeve', password: 'provisioner-of-the-test' }
let server: Mysql
let home: TestDatabase

const settings = () => ({ host: 'localhost', port: server.port, ca: server.ca, from: 'localhost' })

before(async () => {
  server = await startMysql(cleaning)
  await server.sql(
    'create database shop',
    'create table shop.orders (id int primary key, card text)',
    `insert into shop.orders values (1, 'x')`,
    `create user reeve@localhost identified by '${OWNER.password}' require ssl`,
    'grant create user, process, connection_admin, role_admin on *.* to reeve@localhost',
    'grant select on mysql.* to reeve@localhost',
    'grant create, select, insert, update on reeve.* to reeve@localhost',
    'create role app_reader',
    'grant select on shop.* to app_reader',
  )
  home = await freshDatabase(cleaning)
})
after(() => cleaning.now())

let names = 0

async function keeping(way: 'retain-old' | 'alternating' | 'cut-over' = 'retain-old') {
  const name = `kept_${(names += 1)}`
  await server.sql(
    `create user ${name}@localhost identified by ${escaped(STANDING)} require ssl`,
    `grant app_reader to ${name}@localhost`,
    `set default role all to ${name}@localhost`,
  )
  const account = { name, password: STANDING }
  const here = await standing(home, { protocol: 'mysql', settings: settings(), provisioner: OWNER, account })
  const other = `${name}_b`
  if (way !== 'cut-over') {
    await here.configure({ strategy: way, ...(way === 'alternating' && { alternate: other }) })
  }
  return { ...here, other }
}

const escaped = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`
const enter = async (user: string, password: string) =>
  (await server.as(user, password, 'select card from shop.orders')).map(({ card }) => card)
const isRefused = (user: string, password: string) => assert.rejects(enter(user, password), { errno: 1045 })

test('the server is MySQL, from 8.0.14', () => {
  assert.ok(Number(server.version.split('.')[0]) >= 8, server.version)
})

test('the secret before is let in until those who hold a copy took the new one, and is proven dead then', async () => {
  const { start, settle, read, kept, declare, withdraw, clock, name } = await keeping()
  await declare('billing', '192.0.2.1')
  const id = await start()

  await settle()

  const waiting = await read(id)
  assert.equal(waiting.state, 'distributed')
  assert.match(waiting.waitsFor ?? '', /^nobody can be seen at this target: withdraw billing/)
  const now = await kept()
  assert.equal(now.user, name)
  assert.deepEqual(await enter(name, now.password), ['x'])
  assert.deepEqual(await enter(name, STANDING), ['x'])
  assert.ok(!server.generalLog().includes(now.password), 'the log of the server has the secret')

  await withdraw('billing')
  clock.ahead(400)
  await settle()

  const dead = await read(id)
  assert.deepEqual([dead.state, dead.lastError], ['dead', null])
  assert.deepEqual(Object(dead.evidence).oldSecret, { refusedWith: '1045' })
  assert.equal(Object(dead.evidence).openedWithTheOld, 'goes on')
  await isRefused(name, STANDING)
  assert.deepEqual(await enter(name, now.password), ['x'])
})

for (const point of ORDINARY_POINTS(ROTATION_FAULT_POINTS)) {
  test(`killed at ${point}: one that works is known at any time, and another process brings it to its end`, async () => {
    const { start, settle, read, kept, dieAt, clock, name } = await keeping()
    const id = await start()

    assert.equal(await dieAt(point), 'SIGKILL')

    assert.deepEqual(await enter(name, (await kept()).password), ['x'])
    clock.ahead(90)
    await settle()
    const { state, lastError } = await read(id)
    assert.deepEqual([state, lastError], ['dead', null])
    assert.deepEqual(await enter(name, (await kept()).password), ['x'])
    await isRefused(name, STANDING)
  })
}

for (const point of ['rotation.disabled-upstream', 'rotation.undone-upstream', 'rotation.aborted'] as const) {
  test(`backed out of, killed at ${point}: the old one is the only one again`, async () => {
    const { start, settle, read, kept, dieAt, declare, abort, clock, name } = await keeping()
    const isEarly = point !== 'rotation.disabled-upstream'
    if (isEarly) await declare('billing', '192.0.2.1')
    const id = await start()
    if (isEarly) await settle()
    else assert.equal(await dieAt(point), 'SIGKILL')
    const given = await kept()
    assert.notEqual(given.password, STANDING)
    await abort(id)

    if (isEarly) assert.equal(await dieAt(point, 90), 'SIGKILL')
    clock.ahead(400)
    await settle()

    const { state, lastError } = await read(id)
    assert.deepEqual([state, lastError], ['aborted', null])
    assert.deepEqual(await enter(name, STANDING), ['x'])
    await isRefused(name, given.password)
    assert.equal((await kept()).password, STANDING)
  })
}

test('attack: told twice, the new one does not take the place of the old one', async () => {
  const { name } = await keeping()
  const place = { target: 'shop', settings: settings(), databases: [] }
  const actors = [{ user: OWNER.user, secret: new Secret(OWNER.password) }]
  const mark = newId(systemClock, systemRandom)
  const act = { user: name, actors, isWanted: async () => true, mark, old: new Secret(STANDING) }
  const secret = new Secret('the-new-one-of-both')
  const add = () => mysqlLoginRotator.retains?.add(place, { ...act, secret }, signal)

  await add()
  await add()
  assert.deepEqual(await enter(name, STANDING), ['x'])
  assert.deepEqual(await enter(name, 'the-new-one-of-both'), ['x'])

  const unwanted = { ...act, isWanted: async () => false }
  await assert.rejects(mysqlLoginRotator.retains?.discard(place, unwanted, signal) ?? Promise.resolve(), NotWanted)
  assert.deepEqual(await enter(name, STANDING), ['x'])
})

test('attack: a second secret that somebody else retained is not cut off: the rotation waits and says so', async () => {
  const { start, settle, read, name } = await keeping()
  await server.sql(`alter user ${name}@localhost identified by 'of-a-person' retain current password`)
  const id = await start()

  await settle()

  const open = await read(id)
  assert.equal(open.state, 'planned')
  assert.match(open.lastError ?? '', /has a second password that is not of Reeve/)
  assert.deepEqual(await enter(name, STANDING), ['x'])
  assert.deepEqual(await enter(name, 'of-a-person'), ['x'])
})

test('attack: a record that was restored from a backup discards nothing that lives', async () => {
  const { start, settle, read, dieAt, clock, name } = await keeping()
  const id = await start()
  assert.equal(await dieAt('rotation.adopted'), 'SIGKILL')
  await server.sql(
    `alter user ${name}@localhost identified by 'of-a-later-rotation' retain current password`,
    `update reeve.rotation set rotation = 'ffffffff-ffff-7fff-bfff-ffffffffffff' where login = '${name}'`,
  )
  clock.ahead(90)

  await settle()

  assert.equal((await read(id)).state, 'superseded')
  assert.deepEqual(await enter(name, 'of-a-later-rotation'), ['x'])
})

test('two users take turns in MySQL too, and one is cut over', async () => {
  const turns = await keeping('alternating')
  const id = await turns.start()
  await turns.settle()
  const { state, lastError } = await turns.read(id)
  assert.deepEqual([state, lastError], ['dead', null])
  const now = await turns.kept()
  assert.equal(now.user, turns.other)
  assert.deepEqual(await enter(now.user, now.password), ['x'])
  await isRefused(turns.name, STANDING)
  const back = await turns.start()
  await turns.settle()
  assert.equal((await turns.read(back)).state, 'dead')
  assert.deepEqual(await enter(turns.name, (await turns.kept()).password), ['x'])
  await isRefused(turns.other, now.password)

  const cut = await keeping('cut-over')
  const cutId = await cut.start({ endSessions: true })
  await cut.settle()
  const done = await cut.read(cutId)
  assert.deepEqual([done.state, done.lastError], ['dead', null])
  await isRefused(cut.name, STANDING)
})

test('leases are made, ended and proven dead in MySQL too', async () => {
  const id = newId(systemClock, systemRandom)
  const validUntil = new Date(Date.now() + 600_000)
  const terms = { account: 'app', roles: ['app_reader'], databases: [], validUntil, connections: 1 }
  const planned = mysqlWriter.plan(systemRandom, { leaseId: id, grantId: id, terms, settings: settings() })
  const provisioner = { user: OWNER.user, secret: new Secret(OWNER.password) }
  const site = { target: 'shop-db', settings: settings(), provisioner }
  assert.ok(planned.secret)
  const lease = { id, principal: planned.principal, secret: planned.secret, terms, details: undefined, issuedAt: null }
  const { username, password } = JSON.parse(planned.secret.reveal())

  await mysqlWriter.apply(site, lease, { isWanted: async () => true, keep: async () => true }, signal)
  assert.deepEqual(await enter(username, password), ['x'])
  assert.deepEqual(await mysqlWriter.verify(site, lease, signal), { kind: 'alive', why: 'the user is still there' })
  await mysqlWriter.end(site, lease, signal)

  assert.equal((await mysqlWriter.verify(site, lease, signal)).kind, 'dead')
  await isRefused(username, password)
})
