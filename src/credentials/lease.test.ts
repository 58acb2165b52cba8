import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startCluster, type Cluster } from '../../test/support/cluster.ts'
import { freshDatabase, type TestDatabase } from '../../test/support/database.ts'
import { leaseFor } from './lease-for.ts'
import { settleObligations } from './obligations.ts'
import { closers, connectAs, credentialNeeds, furnish, leaseRoles, movableClock, world } from './world.fixture.ts'

let cluster: Cluster
let home: TestDatabase

const closing = closers()
const never = new AbortController().signal

before(async () => {
  cluster = await startCluster()
  closing.after(() => cluster[Symbol.asyncDispose]())
  await furnish(cluster, 'superuser')
  home = await freshDatabase(closing)
})
after(() => closing.close())

test('a lease logs in as its group and is dead after its grant ended', async () => {
  const needs = credentialNeeds(movableClock())
  const { grant, endGrant } = await world(home.db, needs, cluster)
  const given = await grant()

  const lease = await leaseFor(home.db, needs, given, never)
  const client = await connectAs(cluster, lease.user, lease.secret)
  const { rows } = await client.query('select session_user, current_user')
  await endGrant(given.id)
  await settleObligations(home.db, needs, never)

  assert.deepEqual(rows, [{ session_user: lease.user, current_user: 'reader' }])
  assert.deepEqual(await leaseRoles(cluster), [])
  const row = await home.db.selectFrom('lease').selectAll().where('grantId', '=', given.id).executeTakeFirstOrThrow()
  assert.equal(row.lastError, null)
  assert.equal(row.state, 'dead')
  assert.equal(row.sealedSecret, null)
  console.log(row.evidence)
})
