import assert from 'node:assert/strict'
import { test } from 'node:test'
import pg from 'pg'
import { startCluster } from '../../../test/support/cluster.ts'
import { asSuperuser } from '../../../test/support/lease-world.ts'
import { permitFor } from '../../../test/support/permit.ts'
import { planeWorld } from '../../../test/support/plane-world.ts'
import { postgresLoginRotator } from '../../credentials/postgres/rotate.ts'
import { startRotation } from '../../credentials/rotation/start.ts'
import { settleRotations } from '../../credentials/rotation/worker.ts'
import { transact } from '../../kernel/db.ts'
import { onReach } from '../../kernel/fault.ts'
import { postgresGateway } from './gateway.ts'

const never = new AbortController().signal

test('a login is rotated right between a session’s look at it and its use: the session is let in, and the one before stays', async (t) => {
  await using cluster = await startCluster()
  const admin = await asSuperuser(cluster)
  await admin.query(`create role app login password 'standing-password'`)
  await admin.end()
  const gateway = postgresGateway({ allowsPlaintext: true })
  const world = await planeWorld(t, { protocol: gateway.protocol, actions: gateway.actions })
  const settings = { host: cluster.host, port: cluster.port, database: 'postgres', tls: { mode: 'disable' } }
  const login = { account: 'app', password: 'standing-password' }
  const grant = await world.grant({ actions: ['postgres.read'], settings, login })
  await using listening = await gateway.open(world.plane, { host: '127.0.0.1', port: 0 })
  const connect = async () => {
    const user = `${grant.account}@${grant.target}`
    const client = new pg.Client({
      host: '127.0.0.1',
      port: listening.port,
      user,
      password: grant.ticket,
      database: 'postgres',
    })
    await client.connect()
    return client
  }
  const needs = { ...world.needs.credentials, rotators: [postgresLoginRotator] }
  const permit = permitFor(
    'rotation.start',
    { type: 'Person', id: grant.subjectId },
    { type: 'Account', id: grant.accountId },
  )
  const before = await connect()
  let rotations = 0
  using _hook = onReach(async (label) => {
    if (label !== 'gateway.lease-ready') return
    const input = { reason: 'a test says so', endSessions: false }
    await transact(world.db, (tx) => startRotation(tx, needs, permit, input))
    await settleRotations(world.db, needs, never)
    rotations += 1
  })

  const during = await connect()

  assert.equal(rotations, 1)
  for (const client of [before, during]) {
    assert.deepEqual((await client.query('select 1 as one')).rows, [{ one: 1 }])
    await client.end()
  }
  const { state } = await world.db.selectFrom('rotation').select('state').executeTakeFirstOrThrow()
  assert.equal(state, 'dead')
})
