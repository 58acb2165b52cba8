import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { LEASE_FAULT_POINTS } from '../../src/credentials/fault-points.ts'
import { valuesOf } from '../../src/credentials/issued/handed.ts'
import { leaseFor } from '../../src/credentials/lease-for.ts'
import { leaseSite, never } from '../../src/credentials/lease.fixture.ts'
import { settleObligations } from '../../src/credentials/obligations.ts'
import type { LeaseGrant } from '../../src/credentials/terms.ts'
import { handedLeaseWriter, type HandedOrder } from '../support/handed-lease.ts'
import { cleaningOfFile } from '../support/installation.ts'
import { startMariadb, type Mariadb } from '../support/mariadb.ts'

// Debian's MariaDB: a process that makes or ends a user of a grant is killed between any two steps.
const cleaning = cleaningOfFile()
const site = leaseSite('createrole')
const provisioner = { user: 'reeve', password: 'provisioner-of-the-test' }
let server: Mariadb
let handed: HandedOrder

before(async () => {
  server = await startMariadb(cleaning)
  await server.sql(`
    create database shop; create table shop.orders (id int primary key, card text); insert into shop.orders values (1, 'x');
    create user reeve@localhost identified by '${provisioner.password}' require ssl;
    grant create user, process, connection admin on *.* to reeve@localhost;
    grant select, update on mysql.* to reeve@localhost;
    create role app_reader with admin reeve@localhost; grant select on shop.* to app_reader`)
  const settings = { host: 'localhost', port: server.port, ca: server.ca, from: 'localhost' }
  handed = { kind: 'mysql', settings, provisioner }
})
after(() => cleaning.now())

async function dieAt(point: string, work: 'make' | 'end', grant: LeaseGrant, nodeId?: string): Promise<string | null> {
  const database = { ...site.home.server, password: site.home.server.password.reveal() }
  const script = join(import.meta.dirname, '../support/lease-crash.ts')
  const order = JSON.stringify({ database, point, work, grant, nodeId, handed })
  const child = spawn(process.execPath, [script, order], { stdio: 'inherit' })
  const [, killedBy] = await once(child, 'exit')
  return killedBy
}

async function setting() {
  const { clock, needs, here } = await site.setting()
  return { clock, here, needs: { ...needs, writers: [handedLeaseWriter(handed, clock)] } }
}
const users = () => server.sql(`select count(*) from mysql.global_priv where user like 'reeve\\_%'`)
const select = (user: string, password: string) => server.as(user, password, 'select card from shop.orders')

for (const point of LEASE_FAULT_POINTS.slice(0, 3)) {
  test(`killed at ${point}: the user is ended, nobody is left, and the grant may have another`, async () => {
    const { clock, needs, here } = await setting()
    const given = await here.grant()
    const nodeId = await site.node(clock.now())

    assert.equal(await dieAt(point, 'make', given, nodeId), 'SIGKILL')
    clock.ahead(16)
    await settleObligations(site.home.db, needs, never)
    const { username = '', password = '' } = valuesOf((await leaseFor(site.home.db, needs, given, never)).secret)
    assert.equal(await select(username, password), 'x')
    await here.endGrant(given.id)
    await settleObligations(site.home.db, needs, never)

    const rows = await site.home.db.selectFrom('lease').select('state').where('grantId', '=', given.id).execute()
    assert.ok(rows.every(({ state }) => state === 'dead'))
    assert.equal(await users(), '0')
    await assert.rejects(select(username, password), /Access denied/)
  })
}

// MariaDB has no owners, so nothing is reassigned.
for (const point of LEASE_FAULT_POINTS.slice(3).filter((each) => each !== 'lease.reassigned')) {
  test(`killed at ${point}: another process meets the obligation, and nobody is left`, async () => {
    const { clock, needs, here } = await setting()
    const given = await here.grant()
    const { username = '', password = '' } = valuesOf((await leaseFor(site.home.db, needs, given, never)).secret)
    await here.endGrant(given.id)

    assert.equal(await dieAt(point, 'end', given), 'SIGKILL')
    clock.ahead(90)
    await settleObligations(site.home.db, needs, never)

    const row = await site.rowOf(given.id)
    assert.deepEqual([row.state, row.sealedSecret], ['dead', null])
    assert.equal(await users(), '0')
    await assert.rejects(select(username, password), /Access denied/)
  })
}
