import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'
import type pg from 'pg'
import { connectAs, leaseRoles } from '../../test/support/lease-world.ts'
import { LEASE_FAULT_POINTS } from './fault-points.ts'
import { leaseSite, never } from './lease.fixture.ts'
import { leaseFor, type IssuedLease } from './lease-for.ts'
import { settleObligations } from './obligations.ts'
import { postgresRoleWriter } from './postgres/writer.ts'
import type { LeaseGrant } from './terms.ts'
import type { LeaseWriter } from './writer.ts'

const site = leaseSite('createrole')
const MANY = 8

/** So many leases whose grants ended, each with a session that is still open. */
async function ending(writer: LeaseWriter = postgresRoleWriter) {
  const { clock, needs, here } = await site.setting(writer)
  const leases: { grant: LeaseGrant; lease: IssuedLease; client: pg.Client }[] = []
  for (let at = 0; at < MANY; at += 1) {
    const grant = await here.grant({ actions: ['postgres.write'] })
    const lease = await leaseFor(site.home.db, needs, grant, never)
    leases.push({ grant, lease, client: await connectAs(site.cluster, lease.user, lease.secret) })
  }
  const end = async () => {
    for (const { grant } of leases) await here.endGrant(grant.id)
  }
  const rows = () =>
    site.home.db.selectFrom('lease').selectAll().where('targetId', '=', here.targetId).orderBy('id').execute()
  return { clock, needs, leases, end, rows }
}

/** The writer, and how often it was asked for one. */
function counting(more: Partial<LeaseWriter> = {}) {
  const asked = { single: 0 }
  const writer: LeaseWriter = {
    ...postgresRoleWriter,
    end: (...given) => {
      asked.single += 1
      return postgresRoleWriter.end(...given)
    },
    ...more,
  }
  return { asked, writer }
}

test('many leases of a target end together: no session, no role, no login, and evidence of each', async () => {
  const { asked, writer } = counting()
  const { needs, leases, end, rows } = await ending(writer)
  const [, second] = leases
  await second?.client.query('create table public.kept_by_its_group (id int)')
  await end()

  await settleObligations(site.home.db, needs, never)

  assert.equal(asked.single, 1, 'the first alone, which tells that the target is up')
  const ended = await rows()
  assert.deepEqual(new Set(ended.map((row) => [row.state, row.sealedSecret].join())), new Set(['dead,']))
  assert.equal(new Set(ended.map(({ cause }) => cause)).size, MANY)
  assert.equal(
    ended.filter(({ evidence }) => JSON.stringify(evidence).includes(`"together":${MANY - 1}`)).length,
    MANY - 1,
  )
  assert.deepEqual(await leaseRoles(site.cluster), [])
  for (const { client, lease } of leases) {
    await assert.rejects(client.query('select 1'))
    await assert.rejects(connectAs(site.cluster, lease.user, lease.secret), { code: '28P01' })
  }
})

test('attack: a lease with work in another database does not slip through with the others', async () => {
  const { asked, writer } = counting()
  const { needs, leases, end, rows } = await ending(writer)
  const odd = leases.at(-1)
  assert.ok(odd)
  const there = await connectAs(site.cluster, odd.lease.user, odd.lease.secret, 'template1')
  await there.query('set role none')
  await there.query('select lo_create(0)')
  await end()

  await settleObligations(site.home.db, needs, never)

  assert.equal(asked.single, 2, 'the first one and the odd one')
  assert.ok((await rows()).every(({ state }) => state === 'dead'))
  assert.deepEqual(await leaseRoles(site.cluster), [])
  await assert.rejects(there.query('select 1'))
})

test('attack: what was ended together and proven by nothing stays open', async () => {
  const nothing = { appeared: [], unread: [] }
  const { writer } = counting({ endMany: async () => new Map(), end: async () => nothing })
  const { clock, needs, end, rows } = await ending(writer)
  await end()

  await settleObligations(site.home.db, needs, never)
  assert.deepEqual(new Set((await rows()).map(({ state }) => state)), new Set(['ending']))

  clock.ahead(600)
  await settleObligations(site.home.db, { ...needs, writers: [postgresRoleWriter] }, never)
  assert.deepEqual(new Set((await rows()).map(({ state }) => state)), new Set(['dead']))
  assert.deepEqual(await leaseRoles(site.cluster), [])
})

test('what fails together is ended one by one', async () => {
  const { asked, writer } = counting({ endMany: () => Promise.reject(new Error('somebody holds a lock')) })
  const { needs, end, rows } = await ending(writer)
  await end()

  await settleObligations(site.home.db, needs, never)

  assert.equal(asked.single, MANY)
  assert.ok((await rows()).every(({ state }) => state === 'dead'))
})

for (const point of LEASE_FAULT_POINTS.slice(3)) {
  test(`a process killed at ${point} of many leaves obligations that another one meets`, async () => {
    const { clock, needs, leases, end, rows } = await ending()
    await end()
    const database = { ...site.home.server, password: site.home.server.password.reveal() }
    // The first lease goes the single way and passes the point once.
    const order = JSON.stringify({ database, point, work: 'end', skips: 1 })
    const script = join(import.meta.dirname, '../../test/support/lease-crash.ts')

    const child = spawn(process.execPath, [script, order], { stdio: 'inherit' })
    const [, killedBy] = await once(child, 'exit')
    assert.equal(killedBy, 'SIGKILL')
    const left = (await rows()).filter(({ state }) => state === 'ending').length
    assert.equal(left, point === 'lease.dead' ? 0 : MANY - 1)
    clock.ahead(90)
    await settleObligations(site.home.db, needs, never)

    assert.ok((await rows()).every(({ state, sealedSecret }) => state === 'dead' && sealedSecret === null))
    assert.deepEqual(await leaseRoles(site.cluster), [])
    for (const { lease } of leases) {
      await assert.rejects(connectAs(site.cluster, lease.user, lease.secret), { code: '28P01' })
    }
  })
}
