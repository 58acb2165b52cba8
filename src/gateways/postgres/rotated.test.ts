import assert from 'node:assert/strict'
import { test } from 'node:test'
import pg from 'pg'
import { startCluster } from '../../../test/support/cluster.ts'
import { asSuperuser } from '../../../test/support/lease-world.ts'
import { permitFor } from '../../../test/support/permit.ts'
import { planeWorld } from '../../../test/support/plane-world.ts'
import { postgresLoginRotator } from '../../credentials/postgres/rotate.ts'
import { configureRotation } from '../../credentials/rotation/configure.ts'
import { rotationDue } from '../../credentials/rotation/events.ts'
import { issueLocalSecret, revokeLocalSecret } from '../../credentials/rotation/local-secret.ts'
import { startRotation } from '../../credentials/rotation/start.ts'
import { settleRotations } from '../../credentials/rotation/worker.ts'
import { transact } from '../../kernel/db.ts'
import { onReach } from '../../kernel/fault.ts'
import { Secret } from '../../kernel/secret.ts'
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

test('an application that cannot reload keeps a fixed secret to the gateway, while the real one is rotated behind it', async (t) => {
  await using cluster = await startCluster()
  const admin = await asSuperuser(cluster)
  await admin.query(`create role app login password 'standing-password'`)
  await admin.end()
  const gateway = postgresGateway({ allowsPlaintext: true })
  const world = await planeWorld(t, { protocol: gateway.protocol, actions: gateway.actions })
  const settings = { host: cluster.host, port: cluster.port, database: 'postgres', tls: { mode: 'disable' } }
  const login = { account: 'app', password: 'standing-password' }
  const grant = await world.grant({
    actions: ['postgres.read'],
    settings,
    login,
    maxConnections: 50,
    subject: 'workload',
  })
  await using listening = await gateway.open(world.plane, { host: '127.0.0.1', port: 0 })
  const needs = { ...world.needs.credentials, rotators: [postgresLoginRotator] }
  const somebody = { type: 'Person', id: grant.subjectId }
  const legacy = { type: 'Identity', id: grant.subjectId }
  const issue = (address: string) =>
    transact(world.db, (tx) => {
      const input = { account: grant.accountId, address, reason: 'it cannot reload' }
      return issueLocalSecret(tx, needs, permitFor('local-secret.issue', somebody, legacy), input)
    })
  const person = await world.grant({ actions: ['postgres.read'], settings, login })
  await assert.rejects(
    transact(world.db, (tx) => {
      const input = { account: person.accountId, address: '127.0.0.1', reason: 'no' }
      const permit = permitFor('local-secret.issue', somebody, { type: 'Identity', id: person.subjectId })
      return issueLocalSecret(tx, needs, permit, input)
    }),
    { slug: 'invalid-input', message: /a person proves themselves/ },
  )
  const { secret, id } = await issue('127.0.0.1')
  const elsewhere = await issue('203.0.113.7')
  const read = async (password: string) => {
    const user = `${grant.account}@${grant.target}`
    const client = new pg.Client({ host: '127.0.0.1', port: listening.port, user, password, database: 'postgres' })
    await client.connect()
    const { rows } = await client.query('select 1 as one')
    await client.end()
    return rows
  }
  const stay = new pg.Client({
    host: '127.0.0.1',
    port: listening.port,
    user: `${grant.account}@${grant.target}`,
    password: secret,
    database: 'postgres',
  })
  await stay.connect()

  const permit = permitFor('rotation.start', somebody, { type: 'Account', id: grant.accountId })
  for (let at = 0; at < 3; at += 1) {
    const input = { reason: 'a test says so', endSessions: false }
    await transact(world.db, (tx) => startRotation(tx, needs, permit, input))
    await settleRotations(world.db, needs, never)
    assert.deepEqual(await read(secret), [{ one: 1 }])
  }

  assert.deepEqual((await stay.query('select 1 as one')).rows, [{ one: 1 }])
  await stay.end()
  const states = await world.db.selectFrom('rotation').select('state').execute()
  assert.deepEqual(
    states.map(({ state }) => state),
    ['dead', 'dead', 'dead'],
  )
  // Attacks: from an address that is not its own, of a grant that is over, and after it was revoked.
  await assert.rejects(read(elsewhere.secret))
  await assert.rejects(read(`${secret}x`))
  await transact(world.db, (tx) =>
    revokeLocalSecret(tx, needs, permitFor('local-secret.revoke', somebody, legacy), id, { reason: 'x' }),
  )
  await assert.rejects(read(secret))
  const other = await issue('127.0.0.1')
  assert.deepEqual(await read(other.secret), [{ one: 1 }])
  await world.revoke(grant.grantId)
  await assert.rejects(read(other.secret))
  const entries = await world.db.selectFrom('ledgerEntry').select('leaf').execute()
  for (const shown of [secret, other.secret]) assert.ok(!entries.some(({ leaf }) => leaf.includes(shown)))
})

test('the turn of a login is over right between a session’s look at it and its use: the session is let in as the other one', async (t) => {
  await using cluster = await startCluster()
  const admin = await asSuperuser(cluster)
  await admin.query(`create role shop; create role app login password 'standing-password' in role shop`)
  await admin.end()
  const gateway = postgresGateway({ allowsPlaintext: true })
  const world = await planeWorld(t, { protocol: gateway.protocol, actions: gateway.actions })
  const settings = { host: cluster.host, port: cluster.port, database: 'postgres', tls: { mode: 'disable' } }
  const login = { account: 'app', password: 'standing-password' }
  const grant = await world.grant({ actions: ['postgres.read'], settings, login })
  await using listening = await gateway.open(world.plane, { host: '127.0.0.1', port: 0 })
  const needs = { ...world.needs.credentials, rotators: [postgresLoginRotator] }
  const somebody = { type: 'Person', id: grant.subjectId }
  const account = { type: 'Account', id: grant.accountId }
  await transact(world.db, async (tx) => {
    const way = { strategy: 'alternating', alternate: 'app_b', soakSeconds: 0, reason: 'a test says so' } as const
    await configureRotation(tx, needs, permitFor('rotation.configure', somebody, account), way)
    const cause = await needs.ledger.record(tx, {
      event: rotationDue,
      actor: { id: null, kind: 'system' },
      resource: account,
      outcome: 'done',
      facts: { principal: 'x', isStarted: false },
    })
    const provisioner = JSON.stringify({ user: 'postgres', password: cluster.password.reveal() })
    const place = `target.sealed_provisioner:${grant.targetId}`
    const sealedProvisioner = needs.seal.seal(new Secret(provisioner), place)
    await tx.updateTable('target').set({ sealedProvisioner, cause }).where('id', '=', grant.targetId).execute()
  })
  let turns = 0
  using _hook = onReach(async (label) => {
    if (label !== 'gateway.lease-ready') return
    turns += 1
    const input = { reason: 'a test says so', endSessions: false }
    const permit = permitFor('rotation.start', somebody, account)
    await transact(world.db, (tx) => startRotation(tx, needs, permit, input))
    await settleRotations(world.db, needs, never)
  })
  const who = async () => {
    const user = `${grant.account}@${grant.target}`
    const password = grant.ticket
    const client = new pg.Client({ host: '127.0.0.1', port: listening.port, user, password, database: 'postgres' })
    await client.connect()
    const { rows } = await client.query('select session_user as name')
    await client.end()
    return rows
  }

  // Each time the login that the session was given is dead by the time it is used.
  assert.deepEqual(await who(), [{ name: 'app_b' }])
  assert.deepEqual(await who(), [{ name: 'app' }])

  assert.equal(turns, 2)
  const states = await world.db.selectFrom('rotation').select('state').execute()
  assert.deepEqual(
    states.map(({ state }) => state),
    ['dead', 'dead'],
  )
})
