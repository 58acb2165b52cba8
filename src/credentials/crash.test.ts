import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'
import { eventually } from '../../test/support/eventually.ts'
import { connectAs, leaseRoles } from '../../test/support/lease-world.ts'
import { LEASE_FAULT_POINTS } from './fault-points.ts'
import { leaseSite, never } from './lease.fixture.ts'
import { leaseFor } from './lease-for.ts'
import { settleObligations } from './obligations.ts'
import type { LeaseGrant } from './terms.ts'

const site = leaseSite('createrole')

/** Runs the child and says by what it died. */
async function dieAt(point: string, work: 'make' | 'end', grant: LeaseGrant, nodeId?: string): Promise<string | null> {
  const database = { ...site.home.server, password: site.home.server.password.reveal() }
  const script = join(import.meta.dirname, '../../test/support/lease-crash.ts')
  const child = spawn(process.execPath, [script, JSON.stringify({ database, point, work, grant, nodeId })], {
    stdio: 'inherit',
  })
  const [, killedBy] = await once(child, 'exit')
  return killedBy
}

const MAKING = LEASE_FAULT_POINTS.slice(0, 3)
const ENDING = LEASE_FAULT_POINTS.slice(3)

for (const point of MAKING) {
  test(`a process killed at ${point} leaves a lease that is ended, and the grant may have another`, async () => {
    const { clock, needs, here } = await site.setting()
    const given = await here.grant()
    const nodeId = await site.node(clock.now())

    assert.equal(await dieAt(point, 'make', given, nodeId), 'SIGKILL')
    // A dead node is known by its missing heartbeat; nobody waits as long as a living one may take.
    clock.ahead(16)
    await settleObligations(site.home.db, needs, never)
    const lease = await leaseFor(site.home.db, needs, given, never)
    const client = await connectAs(site.cluster, lease.user, lease.secret)
    await here.endGrant(given.id)
    await settleObligations(site.home.db, needs, never)

    await assert.rejects(client.query('select 1'))
    const rows = await site.home.db.selectFrom('lease').select('state').where('grantId', '=', given.id).execute()
    // One that was issued before the crash is simply used on.
    assert.deepEqual(
      rows.map((row) => row.state),
      point === 'lease.issued' ? ['dead'] : ['dead', 'dead'],
    )
    assert.deepEqual(await leaseRoles(site.cluster), [])
  })
}

function deadLeaseOf(grantId: string) {
  return site.home.db
    .selectFrom('lease')
    .selectAll()
    .where('grantId', '=', grantId)
    .where('state', '=', 'dead')
    .executeTakeFirst()
}

for (const point of ENDING) {
  test(`a process killed at ${point} leaves an obligation that another one meets`, async () => {
    const { clock, needs, here } = await site.setting()
    const given = await here.grant({ actions: ['postgres.write'] })
    const lease = await leaseFor(site.home.db, needs, given, never)
    const client = await connectAs(site.cluster, lease.user, lease.secret)
    await client.query('set role none; create table public.mine_' + lease.user + ' (id int)')
    await here.endGrant(given.id)

    assert.equal(await dieAt(point, 'end', given), 'SIGKILL')
    // The target may take a moment to notice who died, and until then their fence stands.
    const row = await eventually(async () => {
      clock.ahead(90)
      await settleObligations(site.home.db, needs, never)
      return deadLeaseOf(given.id)
    })

    assert.equal(row.sealedSecret, null)
    assert.deepEqual(await leaseRoles(site.cluster), [])
    await assert.rejects(connectAs(site.cluster, lease.user, lease.secret), { code: '28P01' })
  })
}
