import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
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
import { LEASE_FAULT_POINTS } from './fault-points.ts'
import { leaseFor } from './lease-for.ts'
import { settleObligations } from './obligations.ts'
import type { LeaseGrant } from './terms.ts'

const closing = closers()
const never = new AbortController().signal
let cluster: Cluster
let home: TestDatabase

before(async () => {
  cluster = await startCluster()
  closing.after(() => cluster[Symbol.asyncDispose]())
  await furnish(cluster, 'createrole')
  home = await freshDatabase(closing)
})
after(() => closing.close())

/** Runs the child and says by what it died. */
async function dieAt(point: string, work: 'make' | 'end', grant: LeaseGrant): Promise<string | null> {
  const database = { ...home.server, password: home.server.password.reveal() }
  const script = join(import.meta.dirname, '../../test/support/lease-crash.ts')
  const child = spawn(process.execPath, [script, JSON.stringify({ database, point, work, grant })], {
    stdio: 'inherit',
  })
  const [, killedBy] = await once(child, 'exit')
  return killedBy
}

const MAKING = LEASE_FAULT_POINTS.slice(0, 3)
const ENDING = LEASE_FAULT_POINTS.slice(3)

for (const point of MAKING) {
  test(`a process killed at ${point} leaves a lease that is ended, and the grant may have another`, async () => {
    const clock = movableClock()
    const needs = credentialNeeds(clock)
    const here = await world(home.db, needs, cluster)
    const given = await here.grant()

    assert.equal(await dieAt(point, 'make', given), 'SIGKILL')
    clock.ahead(90)
    await settleObligations(home.db, needs, never)
    const lease = await leaseFor(home.db, needs, given, never)
    const client = await connectAs(cluster, lease.user, lease.secret)
    await here.endGrant(given.id)
    await settleObligations(home.db, needs, never)

    await assert.rejects(client.query('select 1'))
    const rows = await home.db.selectFrom('lease').select('state').where('grantId', '=', given.id).execute()
    // One that was issued before the crash is simply used on.
    assert.deepEqual(
      rows.map((row) => row.state),
      point === 'lease.issued' ? ['dead'] : ['dead', 'dead'],
    )
    assert.deepEqual(await leaseRoles(cluster), [])
  })
}

for (const point of ENDING) {
  test(`a process killed at ${point} leaves an obligation that another one meets`, async () => {
    const clock = movableClock()
    const needs = credentialNeeds(clock)
    const here = await world(home.db, needs, cluster)
    const given = await here.grant({ actions: ['postgres.write'] })
    const lease = await leaseFor(home.db, needs, given, never)
    const client = await connectAs(cluster, lease.user, lease.secret)
    await client.query('set role none; create table public.mine_' + lease.user + ' (id int)')
    await here.endGrant(given.id)

    assert.equal(await dieAt(point, 'end', given), 'SIGKILL')
    clock.ahead(90)
    await settleObligations(home.db, needs, never)

    const row = await home.db.selectFrom('lease').selectAll().where('grantId', '=', given.id).executeTakeFirstOrThrow()
    assert.deepEqual([row.state, row.sealedSecret], ['dead', null])
    assert.deepEqual(await leaseRoles(cluster), [])
    await assert.rejects(connectAs(cluster, lease.user, lease.secret), { code: '28P01' })
  })
}
