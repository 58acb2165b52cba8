import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ROTATION_FAULT_POINTS } from '../../src/credentials/rotation/fault-points.ts'
import { freshDatabase, type TestDatabase } from '../support/database.ts'
import { cleaningOfFile } from '../support/installation.ts'
import { startMariadb, type Mariadb } from '../support/mariadb.ts'
import { ORDINARY_POINTS, standing } from '../support/rotation-place.ts'

// Debian's MariaDB: two users with the same role take turns, and one that is cut over.
const cleaning = cleaningOfFile()
const STANDING = 'standing-password'
const OWNER = { user: 'reeve', password: 'provisioner-of-the-test' }
let server: Mariadb
let home: TestDatabase

before(async () => {
  server = await startMariadb(cleaning)
  await server.sql(`
    create database shop; create table shop.orders (id int primary key, card text); insert into shop.orders values (1, 'x');
    create user reeve@localhost identified by '${OWNER.password}' require ssl;
    grant create user, process, connection admin on *.* to reeve@localhost;
    grant select, update on mysql.* to reeve@localhost;
    grant create, select, insert, update on reeve.* to reeve@localhost;
    create role app_reader; grant app_reader to reeve@localhost with admin option; grant select on shop.* to app_reader;
    create role app_other; grant app_other to reeve@localhost with admin option`)
  home = await freshDatabase(cleaning)
})
after(() => cleaning.now())

let names = 0

/** A user with a role, whose secret Reeve keeps, and the name of the one that takes turns with it. */
async function turning({ configured = true } = {}) {
  const name = `turn_${(names += 1)}`
  await server.sql(`create user ${name}@localhost identified by '${STANDING}' require ssl with max_user_connections 7;
    grant app_reader to ${name}@localhost; set default role app_reader for ${name}@localhost`)
  const settings = { host: 'localhost', port: server.port, ca: server.ca, from: 'localhost' }
  const account = { name, password: STANDING }
  const here = await standing(home, { protocol: 'mysql', settings, provisioner: OWNER, account })
  const other = `${name}_b`
  if (configured) await here.configure({ strategy: 'alternating', alternate: other })
  return { ...here, other }
}

const enter = (user: string, password: string) => server.as(user, password, 'select card from shop.orders')
const isRefused = (user: string, password: string) =>
  assert.rejects(enter(user, password), /\(28000\)|1045|Access denied/)

test('two users take turns: the other one gets the same role, limits and TLS, and the first is dead with what it had open', async () => {
  const { start, settle, read, kept, name, other } = await turning()
  const id = await start()

  await settle()

  const dead = await read(id)
  assert.deepEqual([dead.state, dead.lastError, dead.nextPrincipal], ['dead', null, other])
  assert.deepEqual(Object(dead.evidence).oldSecret, { refusedWith: '1045' })
  assert.equal(Object(dead.evidence).openedWithTheOld, 'ended')
  const now = await kept()
  assert.equal(now.user, other)
  assert.equal(await enter(other, now.password), 'x')
  await isRefused(name, STANDING)
  const of = (user: string) =>
    server.sql(`select ssl_type, max_user_connections, default_role from mysql.user where user = '${user}'`)
  assert.equal(await of(other), await of(name))
  assert.ok(!server.generalLog().includes(now.password), 'the log of the server has the secret')

  const back = await start()
  await settle()

  assert.equal((await read(back)).state, 'dead')
  const again = await kept()
  assert.equal(again.user, name)
  assert.equal(await enter(name, again.password), 'x')
  await isRefused(other, now.password)
})

test('a consumer that is connected by the old one keeps it alive until it is there by the new one', async () => {
  const { start, settle, read, kept, clock, name, other } = await turning()
  const id = await start()
  const open = holdOpen(name, STANDING)
  await open.isIn
  await settle()

  const waiting = await read(id)
  assert.equal(waiting.state, 'distributed', waiting.lastError ?? 'and no error')
  assert.match(waiting.waitsFor ?? '', /^seen-[0-9a-f]{12} was not seen with the new secret$/)
  assert.equal(await enter(name, STANDING), 'x')
  const moved = holdOpen(other, (await kept()).password)
  await moved.isIn
  clock.ahead(400)
  await settle()
  assert.equal((await read(id)).waitsFor, '1 sessions are open with the old login')
  await open.end()
  clock.ahead(400)
  await settle()

  assert.equal((await read(id)).state, 'dead')
  await moved.end()
})

/** A connection that stays. */
function holdOpen(user: string, password: string) {
  const running = server.as(user, password, 'select sleep(600)').catch(() => undefined)
  const list = `select group_concat(id) from information_schema.processlist where user = '${user}' and info like 'select sleep%'`
  const isIn = (async () => {
    for (;;) {
      const ids = await server.sql(list)
      if (ids !== 'NULL') return ids
    }
  })()
  return {
    isIn,
    async end() {
      for (const id of (await isIn).split(',')) await server.sql(`kill ${id}`)
      await running
    },
  }
}

for (const point of ORDINARY_POINTS(ROTATION_FAULT_POINTS)) {
  test(`killed at ${point}: one that works is known at any time, and another process brings it to its end`, async () => {
    const { start, settle, read, kept, dieAt, clock, name, other } = await turning()
    const id = await start()

    assert.equal(await dieAt(point), 'SIGKILL')

    const then = await kept()
    assert.equal(await enter(then.user, then.password), 'x')
    clock.ahead(90)
    await settle()
    const { state, lastError } = await read(id)
    assert.deepEqual([state, lastError], ['dead', null])
    const now = await kept()
    assert.equal(now.user, other)
    assert.equal(await enter(other, now.password), 'x')
    await isRefused(name, STANDING)
  })
}

for (const point of ['rotation.undone-upstream', 'rotation.aborted'] as const) {
  test(`killed at ${point} while it backs out: the old one works and the new one is proven dead`, async () => {
    const { start, settle, read, kept, dieAt, declare, abort, clock, name, other } = await turning()
    await declare('billing', '192.0.2.1')
    const id = await start()
    await settle()
    const given = await kept()
    assert.equal(given.user, other)
    await abort(id)

    assert.equal(await dieAt(point, 90), 'SIGKILL')

    clock.ahead(400)
    await settle()
    assert.equal((await read(id)).state, 'aborted')
    assert.equal(await enter(name, STANDING), 'x')
    await isRefused(other, given.password)
  })
}

test('attack: a login with rights of its own, a twin with more, or another host is not rotated by turns', async () => {
  const cases = [
    ['holds 1 rights of its own', (a: string) => `grant select on shop.orders to ${a}@localhost`],
    ['may pass its roles on', (a: string) => `grant app_reader to ${a}@localhost with admin option`],
    ['roles that', (_a: string, b: string) => `create user ${b}@localhost; grant app_other to ${b}@localhost`],
    [
      'holds rights of its own',
      (_a: string, b: string) => `create user ${b}@localhost; grant super on *.* to ${b}@localhost`,
    ],
    ['stands at another host', (_a: string, b: string) => `create user ${b}@'%'`],
    ['is the name of 2 users', (a: string) => `create user ${a}@'%' identified by 'x'`],
    ['needs a certificate', (a: string) => `alter user ${a}@localhost require x509`],
  ] as const
  for (const [why, arrange] of cases) {
    const { start, settle, read, kept, name, other } = await turning()
    await server.sql(arrange(name, other))
    const id = await start()
    await settle()
    const open = await read(id)
    assert.equal(open.state, 'planned', why)
    assert.match(open.lastError ?? '', new RegExp(why))
    assert.deepEqual(await kept(), { user: name, password: STANDING })
  }
})

test('attack: names that would be more than a name change nobody else', async () => {
  const hostile = ['h` account unlock, `root', "h'; drop user root@localhost; --", 'h\\', 'h"%']
  const before = await server.sql('select count(*) from mysql.global_priv')
  for (const name of hostile) {
    const at = {
      protocol: 'mysql',
      settings: { host: 'localhost', port: server.port, ca: server.ca, from: 'localhost' },
    }
    const here = await standing(home, { ...at, provisioner: OWNER, account: { name, password: STANDING } })
    const id = await here.start()
    await here.settle()
    assert.match((await here.read(id)).lastError ?? '', /there is no user/)
  }
  assert.equal(await server.sql('select count(*) from mysql.global_priv'), before)
})

test('a user is cut over by the provisioner, or by itself, and what it had open is ended if that was asked for', async () => {
  const { start, settle, read, kept, name } = await turning({ configured: false })
  const id = await start({ endSessions: true })
  const open = holdOpen(name, STANDING)
  await open.isIn

  await settle()

  const dead = await read(id)
  assert.deepEqual([dead.state, dead.lastError], ['dead', null])
  assert.deepEqual([Object(dead.evidence).openedWithTheOld, Object(dead.evidence).sessions], ['ended', 1])
  assert.equal(await enter(name, (await kept()).password), 'x')
  await isRefused(name, STANDING)

  await server.sql('revoke create user on *.* from reeve@localhost')
  const byItself = await start()
  await settle()
  await server.sql('grant create user on *.* to reeve@localhost')
  const { state, lastError } = await read(byItself)
  assert.deepEqual([state, lastError], ['dead', null])
  assert.equal(await enter(name, (await kept()).password), 'x')
})

test('the provisioner itself is cut over, and leases and rotations go on by its new secret', async () => {
  const { start, settle, read, kept } = await turning()
  await server.sql(`create user second@localhost identified by 'second-one' require ssl;
    grant create user, process, connection admin on *.* to second@localhost;
    grant select, update on mysql.* to second@localhost; grant create, select, insert, update on reeve.* to second@localhost`)
  const settings = { host: 'localhost', port: server.port, ca: server.ca, from: 'localhost' }
  const provisioner = { user: 'second', password: 'second-one' }
  const own = await standing(home, {
    protocol: 'mysql',
    settings,
    provisioner,
    account: { name: 'none', password: 'x' },
  })
  const id = await own.start({ provisioner: true })

  await own.settle()

  assert.deepEqual([(await own.read(id)).state, (await own.read(id)).lastError], ['dead', null])
  const now = await own.kept('provisioner')
  assert.notEqual(now.password, 'second-one')
  assert.equal(await server.as('second', now.password, 'select 1'), '1')
  await isRefused('second', 'second-one')
  const first = await start()
  await settle()
  assert.equal((await read(first)).state, 'dead')
  assert.ok((await kept()).password)
})

test('attack: a record that was restored from a backup shuts nothing: the server knows a later rotation', async () => {
  const { start, settle, read, kept, dieAt, clock, name } = await turning()
  const id = await start()
  assert.equal(await dieAt('rotation.adopted'), 'SIGKILL')
  // What a later rotation, which this record does not know of, left there: it gave the first one a secret that lives.
  await server.sql(`alter user ${name}@localhost identified by 'of-a-later-rotation';
    update reeve.rotation set rotation = 'ffffffff-ffff-7fff-bfff-ffffffffffff' where login like '${name}%';
    insert ignore into reeve.rotation values ('${name}', 'ffffffff-ffff-7fff-bfff-ffffffffffff')`)
  clock.ahead(90)

  await settle()

  const { state, escalation } = await read(id)
  assert.deepEqual([state, escalation], ['superseded', 'security'])
  assert.equal(await enter(name, 'of-a-later-rotation'), 'x')
  assert.ok((await kept()).password)
})

test('attack: identified by something beside a password, it gets none: that would open a way in or shut one', async () => {
  const { start, settle, read, name } = await turning({ configured: false })
  await server.sql(
    `alter user ${name}@localhost identified via mysql_native_password using password('${STANDING}') or unix_socket`,
  )
  const id = await start()

  await settle()

  // Neither by the provisioner, nor by the login itself.
  const open = await read(id)
  assert.equal(open.state, 'planned')
  assert.match(open.lastError ?? '', /not identified by a password alone/)
})

test('retain-old is refused of MariaDB, which has no second secret, and nothing changes', async () => {
  const { start, settle, read, configure, name } = await turning({ configured: false })
  await configure({ strategy: 'retain-old' })
  const id = await start()

  await settle()

  const open = await read(id)
  assert.equal(open.state, 'planned')
  assert.match(open.lastError ?? '', /MariaDB knows one secret/)
  assert.equal(await enter(name, STANDING), 'x')
})
