import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { startCluster, type Cluster } from '../../../test/support/cluster.ts'
import { inventoryWorld } from '../../../test/support/inventory-world.ts'
import { asSuperuser, plainLogin, postgresBed } from '../../../test/support/postgres-source.ts'
import { CONFORMANCE } from '../conformance.fixture.ts'
import { postgresConnector } from './connector.ts'

let cluster: Cluster
const byText = (a: unknown, b: unknown) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)

before(async () => {
  cluster = await startCluster({ settings: { log_connections: 'on' } })
})
after(() => cluster[Symbol.asyncDispose]())

for (const [story, run] of Object.entries(CONFORMANCE)) {
  test(`conformance: ${story}`, async (t) => run(t, await postgresBed(cluster)))
}

test('roles, memberships with their options, owners, rights, defaults and methods are told as they stand', async (t) => {
  const bed = await postgresBed(cluster)
  const i = await inventoryWorld(t)
  const id = await i.source(bed.connector, bed.settings, { credential: bed.credential ?? {} })
  await i.collect(id)
  const { db } = i.w
  const named = async (name: string) =>
    (await db.selectFrom('observedPrincipal').selectAll().where('name', '=', name).executeTakeFirst())!
  const billing = await named('svc_billing')
  const grants = await db
    .selectFrom('observedGrant as g')
    .leftJoin('observedResource as r', 'r.id', 'g.onId')
    .leftJoin('observedPrincipal as p', 'p.id', 'g.onId')
    .select(['g.privilege', 'g.level', 'g.grantable', 'g.facts', 'r.name as on', 'p.name as of', 'g.principalId'])
    .execute()
  const of = (principalId: string) => grants.filter((grant) => grant.principalId === principalId)

  assert.deepEqual(
    [billing.type, billing.state, billing.interactive, billing.tags],
    ['account', 'active', true, { comment: 'owner: payments' }],
  )
  assert.equal((await named('old_job')).state, 'expired')
  const member = of(billing.id).find(({ privilege }) => privilege === 'MEMBER')
  assert.deepEqual(
    [member?.of, member?.level, member?.facts],
    ['readers', 'grant', { admin: true, inherit: true, set: true }],
  )
  const columns = of(billing.id).filter(({ on }) => on === 'sales.orders')
  assert.deepEqual(columns.map(({ privilege, facts, grantable }) => [privilege, facts, grantable]).toSorted(byText), [
    ['SELECT', { column: 'id' }, true],
    ['UPDATE', { column: 'card' }, true],
  ])
  const owner = of((await named('app_owner')).id)
    .filter(({ privilege }) => privilege === 'OWNER')
    .map(({ on }) => on)
  assert.deepEqual(owner.toSorted(byText), ['sales', 'sales.orders'])
  const readers = of((await named('readers')).id)
    .map(({ privilege, on }) => `${privilege} ${on}`)
    .sort()
  assert.deepEqual(readers, ['DEFAULT SELECT sales', 'SELECT sales.orders'])
  assert.ok(
    of((await named('postgres')).id).some(({ privilege, on }) => privilege === 'SUPERUSER' && on === 'the cluster'),
  )
  const definer = await db
    .selectFrom('observedResource')
    .select('facts')
    .where('name', '=', 'sales.refund()')
    .executeTakeFirst()
  assert.deepEqual(definer?.facts, { securityDefiner: true })
  const passwords = await db
    .selectFrom('observedCredential')
    .select(['name', 'strength', 'state', 'neverExpires', 'unknown'])
    .execute()
  const old = passwords.find(({ name }) => name === 'password of old_job')
  assert.deepEqual([old?.strength, old?.state, old?.neverExpires], ['deprecated', 'expired', false])
  assert.ok(Object.keys(Object(old?.unknown)).includes('rotatedAt'))
  const trusts = await db.selectFrom('observedTrust').select(['issuer', 'isWildcard']).execute()
  assert.ok(trusts.some(({ issuer, isWildcard }) => issuer === 'pg_hba scram-sha-256' && isWildcard))
  const uses = await db.selectFrom('observedUsage').select(['semantics', 'subjectId']).execute()
  assert.ok(uses.every(({ semantics }) => semantics === 'session'))
})

test('a login without rights says scope by scope what it does not see, and what would show it', async (t) => {
  await postgresBed(cluster)
  const { user, password } = await plainLogin(cluster, 'nobody_special')
  const i = await inventoryWorld(t)
  const settings = { host: cluster.host, port: cluster.port, tls: { mode: 'disable' } }
  const id = await i.source(postgresConnector, settings, { credential: { user, password: password.reveal() } })

  const { outcome, scopes } = await i.collect(id)

  const status = new Map(scopes.map((scope) => [scope.scope, scope]))
  const hidden = await asSuperuser(cluster, (client) =>
    client.query<{ oid: number }>(`select oid from pg_database where datname = 'hidden'`),
  )
  assert.equal(outcome, 'partial')
  assert.deepEqual(
    [
      'cluster/roles',
      'cluster/memberships',
      'cluster/passwords',
      'cluster/hba',
      'cluster/log',
      `database/${hidden.rows[0]?.oid}`,
    ].map((scope) => [scope.replace(/\d+/, 'hidden'), status.get(scope)?.status]),
    [
      ['cluster/roles', 'complete'],
      ['cluster/memberships', 'complete'],
      ['cluster/passwords', 'denied'],
      ['cluster/hba', 'denied'],
      ['cluster/log', 'unsupported'],
      ['database/hidden', 'denied'],
    ],
  )
  for (const scope of scopes) if (scope.status === 'denied') assert.ok(scope.missing[0]?.permission, scope.scope)
  assert.equal(await i.count('observed_credential'), 0)
})

test('a wrong password and an address where nobody listens are a problem of the source, and nothing else', async (t) => {
  const i = await inventoryWorld(t)
  const settings = { host: cluster.host, port: cluster.port, tls: { mode: 'disable' } }
  const wrong = await i.source(postgresConnector, settings, { credential: { user: 'postgres', password: 'wrong-one' } })
  const nobody = await i.source(
    postgresConnector,
    { ...settings, port: 1 },
    { credential: { user: 'postgres', password: 'x' } },
  )
  const untrusted = await i.source(
    postgresConnector,
    { ...settings, tls: { mode: 'verify-full' } },
    { credential: { user: 'postgres', password: 'x' } },
  )

  const results = [await i.collect(wrong), await i.collect(nobody), await i.collect(untrusted)]

  assert.deepEqual(
    results.map(({ outcome }) => outcome),
    ['failed', 'failed', 'failed'],
  )
  assert.match(results[0]?.problem ?? '', /28P01/)
  assert.match(results[1]?.problem ?? '', /ECONNREFUSED/)
  assert.ok(!JSON.stringify(results).includes('wrong-one'))
})

test('a database that is dropped is gone with all that was in it, after two readings', async (t) => {
  const bed = await postgresBed(cluster)
  await asSuperuser(cluster, (client) => client.query('create database passing'))
  const i = await inventoryWorld(t)
  const id = await i.source(bed.connector, bed.settings, { credential: bed.credential ?? {} })
  await i.collect(id)
  await asSuperuser(cluster, (client) => client.query('drop database passing'))

  await i.collect(id)
  const once = await i.count('observed_resource', 'gone_at is not null')
  await i.collect(id)

  assert.equal(once, 0)
  assert.ok((await i.count('observed_resource', `name = 'passing' and gone_at is not null`)) === 1)
  assert.ok((await i.count('observed_resource', `name = 'public' and gone_at is not null`)) >= 1)
})

test('attack: ends beyond all calendars and a login without a connection to spare hide nothing but what they say', async (t) => {
  const { connector, settings, credential = {} } = await postgresBed(cluster)
  const ends = {
    absurd: '294276-12-31',
    ancient: '4713-01-01 BC',
    over: '-infinity',
    endless: 'infinity',
    soon: '9000-01-01',
  }
  await asSuperuser(cluster, async (client) => {
    for (const [name, end] of Object.entries(ends))
      await client.query(`create role ends_${name} login valid until '${end}'`)
    await client.query(`alter role ${credential['user']} connection limit 1`)
  })
  t.after(() => asSuperuser(cluster, (client) => client.query(`alter role ${credential['user']} connection limit -1`)))
  const i = await inventoryWorld(t)
  const { scopes } = await i.collect(await i.source(connector, settings, { credential }))

  const rows = await i.w.db
    .selectFrom('observedPrincipal as p')
    .innerJoin('observedCredential as c', 'c.principalId', 'p.id')
    .select(['p.name', 'p.state', 'c.neverExpires'])
    .where('p.name', 'like', 'ends\\_%')
    .orderBy('p.name')
    .execute()
  assert.deepEqual(
    rows.map(({ name, state, neverExpires }) => [name, state, neverExpires].join(' ')),
    [
      'ends_absurd active true',
      'ends_ancient expired false',
      'ends_endless active true',
      'ends_over expired false',
      'ends_soon active false',
    ],
  )
  const why = scopes.flatMap(({ scope, status, missing }) =>
    scope.startsWith('database/') && status === 'partial' ? [missing[0]?.why ?? ''] : [],
  )
  assert.ok(why.length > 1)
  for (const each of why) assert.match(each, /cannot be entered \(53300\)/)
})
