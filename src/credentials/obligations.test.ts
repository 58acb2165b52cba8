import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connectAs, credentialNeeds, leaseRoles, movableClock, world } from '../../test/support/lease-world.ts'
import { transact } from '../kernel/db.ts'
import { newId } from '../kernel/random.ts'
import { SYSTEM } from '../ledger/ledger.ts'
import { LeaseQuery } from './contract.ts'
import { sweepLeases } from './end-leases.ts'
import { leaseEndTried } from './events.ts'
import { leaseSite, never } from './lease.fixture.ts'
import { leaseFor } from './lease-for.ts'
import { runObligations, settleObligations } from './obligations.ts'
import { postgresRoleWriter } from './postgres/writer.ts'
import { countLeases, listLeases } from './reads.ts'
import type { LeaseWriter } from './writer.ts'

const site = leaseSite('superuser')

test('a target that is down leaves open obligations, all asked for by one connection, until it is back', async () => {
  const { clock, needs, here } = await site.setting()
  let asked = 0
  const counting = {
    ...needs,
    writers: [
      {
        ...postgresRoleWriter,
        end: ((...given) => {
          asked += 1
          return postgresRoleWriter.end(...given)
        }) satisfies LeaseWriter['end'],
      },
    ],
  }
  const grants = []
  for (let at = 0; at < 6; at += 1) grants.push(await here.grant())
  for (const given of grants) await leaseFor(site.home.db, needs, given, never)
  await site.cluster.stop()
  for (const given of grants) await here.endGrant(given.id)

  await settleObligations(site.home.db, counting, never)
  assert.equal(asked, 1)
  const open = await listLeases(site.home.db, LeaseQuery.parse({ open: 'true', target: `t-${here.targetId}` }))
  assert.deepEqual(
    open.items.map((lease) => [lease.state, lease.lastError, lease.attempts]),
    grants.map(() => ['ending', 'the target cannot be entered by its provisioner (ECONNREFUSED)', 1]),
  )
  await settleObligations(site.home.db, counting, never)
  assert.equal(asked, 1)
  clock.ahead(5 * 3600)
  await settleObligations(site.home.db, counting, never)
  assert.equal(asked, 2)
  const counts = await countLeases(site.home.db, needs)
  assert.deepEqual([counts.ending, counts.escalated.security], [6, 6])
  assert.ok(counts.oldestEndingSeconds >= 5 * 3600)
  await site.cluster.restart()
  clock.ahead(600)
  await settleObligations(site.home.db, counting, never)

  const left = await listLeases(site.home.db, LeaseQuery.parse({ open: 'true', target: `t-${here.targetId}` }))
  assert.deepEqual(left.items, [])
  assert.deepEqual(await leaseRoles(site.cluster), [])
})

test('what could not be made is ended like any other and the grant gets another lease', async () => {
  const { needs, here } = await site.setting()
  const given = await here.grant()
  await site.cluster.stop()

  await assert.rejects(leaseFor(site.home.db, needs, given, never), { slug: 'lease-unavailable' })
  assert.equal((await site.rowOf(given.id)).state, 'ending')
  await site.cluster.restart()
  const lease = await leaseFor(site.home.db, needs, given, never)

  const client = await connectAs(site.cluster, lease.user, lease.secret)
  await client.end()
  await here.endGrant(given.id)
  const later = movableClock()
  later.ahead(600)
  await settleObligations(site.home.db, credentialNeeds(later), never)
  assert.deepEqual(await leaseRoles(site.cluster), [])
})

test('a lease whose end was proven by nothing stays open', async () => {
  const { needs, here } = await site.setting({ ...postgresRoleWriter, end: async () => ({ appeared: [], unread: [] }) })
  const given = await here.grant()
  await leaseFor(site.home.db, needs, given, never)
  await here.endGrant(given.id)

  await settleObligations(site.home.db, needs, never)

  const row = await site.rowOf(given.id)
  assert.deepEqual(
    [row.state, row.lastError],
    ['ending', 'it was ended and still lives: the role is still in the catalog'],
  )
  const later = movableClock()
  later.ahead(600)
  await settleObligations(site.home.db, credentialNeeds(later), never)
  assert.equal((await site.rowOf(given.id)).state, 'dead')
})

test('the worker ends leases by itself and stops when it is told to', async () => {
  const { needs, here } = await site.setting()
  const given = await here.grant()
  await leaseFor(site.home.db, needs, given, never)
  const stop = new AbortController()
  const dead = Promise.withResolvers<void>()
  const ledger: typeof needs.ledger = {
    ...needs.ledger,
    recordAll: async (tx, facts) => {
      if (facts.some(({ event }) => event.kind === 'lease.dead')) dead.resolve()
      return needs.ledger.recordAll(tx, facts)
    },
  }

  const worker = runObligations(site.home.db, { ...needs, ledger }, stop.signal)
  await here.endGrant(given.id)
  worker.wake()
  await dead.promise
  stop.abort()
  await worker.done

  assert.equal((await site.rowOf(given.id)).state, 'dead')
})

test('ten thousand open leases of a target that is down cost one connection and one statement', async () => {
  const stillness = new Date()
  const clock = { now: () => stillness, monotonicMs: () => 0 }
  const needs = credentialNeeds(clock)
  const here = await world(site.home.db, needs, site.cluster, { port: 1 })
  const given = await here.grant()
  const count = 10_000
  const now = needs.clock.now()
  await transact(site.home.db, async (tx) => {
    const cause = await needs.ledger.record(tx, {
      event: leaseEndTried,
      actor: SYSTEM,
      resource: { type: 'Target', id: here.targetId },
      outcome: 'done',
      facts: { leaseIds: [] },
    })
    const rows = Array.from({ length: count }, () => {
      const id = newId(needs.clock, needs.random)
      return {
        id,
        grantId: given.id,
        targetId: given.targetId,
        accountId: given.accountId,
        nodeId: needs.nodeId,
        kind: 'postgres-role',
        principal: `reeve_${id}`,
        terms: JSON.stringify({ account: 'app', roles: ['reader'], databases: [], validUntil: now, connections: 1 }),
        state: 'ending' as const,
        revocability: 'immediate' as const,
        announcedAt: now,
        endingAt: now,
        nextTryAt: now,
        cause,
      }
    })
    for (let at = 0; at < count; at += 1_000) {
      await tx
        .insertInto('lease')
        .values(rows.slice(at, at + 1_000))
        .execute()
    }
  })

  await settleObligations(site.home.db, needs, never)
  await settleObligations(site.home.db, needs, never)

  const tried = await site.home.db
    .selectFrom('ledgerEntry')
    .select('kind')
    .where('resourceId', '=', here.targetId)
    .orderBy('id')
    .execute()
  assert.deepEqual(
    tried.map((row) => row.kind),
    ['lease.end-tried', 'lease.end-tried', 'lease.end-failed'],
  )
  const moved = await site.home.db
    .selectFrom('lease')
    .select((row) => ['nextTryAt', 'attempts', row.fn.countAll().as('leases')])
    .where('targetId', '=', here.targetId)
    .groupBy(['nextTryAt', 'attempts'])
    .execute()
  assert.deepEqual(
    moved.map((row) => [row.attempts, row.leases]),
    [[1, count]],
  )
})

test('what a living node is making is left to it, and what a dead or stopped one announced is not', async () => {
  const making = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  const { clock, needs, here } = await site.setting({
    ...postgresRoleWriter,
    apply: async (...given) => {
      making.resolve()
      await goOn.promise
      return postgresRoleWriter.apply(...given)
    },
  })
  const given = await here.grant()
  const nodeId = await site.node(clock.now())
  const made = leaseFor(site.home.db, { ...needs, nodeId }, given, never)
  await making.promise
  const heard = (set: { heartbeatAt?: Date; stoppedAt?: Date }) =>
    transact(site.home.db, (tx) => tx.updateTable('node').set(set).where('id', '=', nodeId).execute())

  clock.ahead(14)
  await settleObligations(site.home.db, needs, never)
  await heard({ heartbeatAt: clock.now() })
  clock.ahead(14)
  await settleObligations(site.home.db, needs, never)
  assert.equal((await site.rowOf(given.id)).state, 'announced')
  await heard({ stoppedAt: clock.now() })
  await settleObligations(site.home.db, needs, never)

  assert.equal((await site.rowOf(given.id)).state, 'dead')
  goOn.resolve()
  await assert.rejects(made, { slug: 'lease-unavailable' })
  assert.deepEqual(await leaseRoles(site.cluster), [])
  await here.endGrant(given.id)
})

test('a sweep waits for nobody who ends leases meanwhile', async () => {
  const { clock, needs, here } = await site.setting()
  const given = await here.grant()
  await leaseFor(site.home.db, needs, given, never)
  clock.ahead(4000)

  await transact(site.home.db, async (tx) => {
    await tx.selectFrom('lease').select('id').where('grantId', '=', given.id).forUpdate().execute()
    await sweepLeases(site.home.db, needs)
  })
  assert.equal((await site.rowOf(given.id)).state, 'issued')
  await settleObligations(site.home.db, needs, never)

  assert.equal((await site.rowOf(given.id)).state, 'dead')
})
