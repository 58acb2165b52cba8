import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startCluster, type Cluster } from '../../test/support/cluster.ts'
import { freshDatabase, type TestDatabase } from '../../test/support/database.ts'
import {
  closers,
  connectAs,
  credentialNeeds,
  furnish,
  leaseRoles,
  movableClock,
  world,
} from '../../test/support/lease-world.ts'
import { transact } from '../kernel/db.ts'
import { newId } from '../kernel/random.ts'
import { SYSTEM } from '../ledger/ledger.ts'
import { LeaseQuery } from './contract.ts'
import { leaseEndTried } from './events.ts'
import { leaseFor } from './lease-for.ts'
import { runObligations, settleObligations } from './obligations.ts'
import { postgresRoleWriter } from './postgres/writer.ts'
import { countLeases, listLeases } from './reads.ts'
import type { LeaseWriter } from './writer.ts'

const closing = closers()
const never = new AbortController().signal
let cluster: Cluster
let home: TestDatabase

before(async () => {
  cluster = await startCluster()
  closing.after(() => cluster[Symbol.asyncDispose]())
  await furnish(cluster, 'superuser')
  home = await freshDatabase(closing)
})
after(() => closing.close())

async function setting(writer: LeaseWriter = postgresRoleWriter, settings: object = {}) {
  const clock = movableClock()
  const needs = { ...credentialNeeds(clock), writers: [writer] }
  return { clock, needs, here: await world(home.db, needs, cluster, settings) }
}

const rowOf = (grantId: string) =>
  home.db.selectFrom('lease').selectAll().where('grantId', '=', grantId).executeTakeFirstOrThrow()

test('a target that is down leaves open obligations, all asked for by one connection, until it is back', async () => {
  const { clock, needs, here } = await setting()
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
  for (const given of grants) await leaseFor(home.db, needs, given, never)
  await cluster.stop()
  for (const given of grants) await here.endGrant(given.id)

  await settleObligations(home.db, counting, never)
  assert.equal(asked, 1)
  const open = await listLeases(home.db, LeaseQuery.parse({ open: 'true', target: `t-${here.targetId}` }))
  assert.deepEqual(
    open.items.map((lease) => [lease.state, lease.lastError, lease.attempts]),
    grants.map(() => ['ending', 'the target cannot be entered by its provisioner (ECONNREFUSED)', 1]),
  )
  await settleObligations(home.db, counting, never)
  assert.equal(asked, 1)
  clock.ahead(5 * 3600)
  await settleObligations(home.db, counting, never)
  assert.equal(asked, 2)
  const counts = await countLeases(home.db, needs)
  assert.deepEqual([counts.ending, counts.escalated.security], [6, 6])
  assert.ok(counts.oldestEndingSeconds >= 5 * 3600)
  await cluster.restart()
  clock.ahead(600)
  await settleObligations(home.db, counting, never)

  const left = await listLeases(home.db, LeaseQuery.parse({ open: 'true', target: `t-${here.targetId}` }))
  assert.deepEqual(left.items, [])
  assert.deepEqual(await leaseRoles(cluster), [])
})

test('what could not be made is ended like any other and the grant gets another lease', async () => {
  const { needs, here } = await setting()
  const given = await here.grant()
  await cluster.stop()

  await assert.rejects(leaseFor(home.db, needs, given, never), { slug: 'lease-unavailable' })
  assert.equal((await rowOf(given.id)).state, 'ending')
  await cluster.restart()
  const lease = await leaseFor(home.db, needs, given, never)

  const client = await connectAs(cluster, lease.user, lease.secret)
  await client.end()
  await here.endGrant(given.id)
  const later = movableClock()
  later.ahead(600)
  await settleObligations(home.db, credentialNeeds(later), never)
  assert.deepEqual(await leaseRoles(cluster), [])
})

test('a lease whose end was proven by nothing stays open', async () => {
  const { needs, here } = await setting({ ...postgresRoleWriter, end: async () => ({ appeared: [], unread: [] }) })
  const given = await here.grant()
  await leaseFor(home.db, needs, given, never)
  await here.endGrant(given.id)

  await settleObligations(home.db, needs, never)

  const row = await rowOf(given.id)
  assert.deepEqual(
    [row.state, row.lastError],
    ['ending', 'it was ended and still lives: the role is still in the catalog'],
  )
  const later = movableClock()
  later.ahead(600)
  await settleObligations(home.db, credentialNeeds(later), never)
  assert.equal((await rowOf(given.id)).state, 'dead')
})

test('the worker ends leases by itself and stops when it is told to', async () => {
  const { needs, here } = await setting()
  const given = await here.grant()
  await leaseFor(home.db, needs, given, never)
  const stop = new AbortController()
  const dead = Promise.withResolvers<void>()
  const ledger: typeof needs.ledger = {
    ...needs.ledger,
    record: async (tx, fact) => {
      if (fact.event.kind === 'lease.dead') dead.resolve()
      return needs.ledger.record(tx, fact)
    },
  }

  const worker = runObligations(home.db, { ...needs, ledger }, stop.signal)
  await here.endGrant(given.id)
  worker.wake()
  await dead.promise
  stop.abort()
  await worker.done

  assert.equal((await rowOf(given.id)).state, 'dead')
})

test('ten thousand open leases of a target that is down cost one connection and one statement', async () => {
  const stillness = new Date()
  const clock = { now: () => stillness, monotonicMs: () => 0 }
  const needs = credentialNeeds(clock)
  const here = await world(home.db, needs, cluster, { port: 1 })
  const given = await here.grant()
  const count = 10_000
  const now = needs.clock.now()
  await transact(home.db, async (tx) => {
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

  await settleObligations(home.db, needs, never)
  await settleObligations(home.db, needs, never)

  const tried = await home.db
    .selectFrom('ledgerEntry')
    .select('kind')
    .where('resourceId', '=', here.targetId)
    .orderBy('id')
    .execute()
  assert.deepEqual(
    tried.map((row) => row.kind),
    ['lease.end-tried', 'lease.end-tried', 'lease.end-failed'],
  )
  const moved = await home.db
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
