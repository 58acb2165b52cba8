import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { finishGrant, readGrant, revokeGrant } from '../../access/contract.ts'
import { registerTarget } from '../../catalog/contract.ts'
import { ApiProblem } from '../../cli/problems.ts'
import { listEntries } from '../../ledger/contract.ts'
import { eventually } from '../../../test/support/eventually.ts'
import { cleaningOfFile } from '../../../test/support/installation.ts'
import { issuedWorld, type IssuedWorld } from '../../../test/support/issued-world.ts'
import { issueCredential, listLeases, retryLease } from '../contract.ts'
import { clusterIn, openStub, type Stub, type StubCluster } from './stub.fixture.ts'

let here: IssuedWorld
let stub: Stub
let cluster: StubCluster
let registry: Stub
let password = 'standing-password'
const cleaning = cleaningOfFile()

before(async () => {
  here = await issuedWorld(cleaning)
  stub = await openStub(cleaning)
  cluster = clusterIn(stub)
  await here.register({
    name: 'cluster-1',
    protocol: 'kubernetes-token',
    settings: { server: stub.url, plaintext: true },
    provisioner: { user: 'reeve', password: 'provisioner-token' },
    accounts: [
      { name: 'shop/viewer', mode: 'lease' },
      { name: '../../secrets/x', mode: 'lease' },
    ],
    actions: ['k8s-token.read', 'k8s-token.change'],
  })
  registry = await openStub(cleaning)
  registry.answer = ({ headers }) => {
    const right = `Basic ${Buffer.from(`deploy:${password}`).toString('base64')}`
    return { status: headers.authorization === right ? 200 : 401 }
  }
  await here.register({
    name: 'registry-1',
    protocol: 'https',
    settings: { server: registry.url, plaintext: true, probePath: '/v2/' },
    accounts: [{ name: 'deploy', mode: 'static', password }],
    actions: ['https.read'],
  })
})
after(() => cleaning.now())

const issue = (grant: string, by = here.bob) => by.ask(issueCredential, { params: { grant }, input: {} })
const read = (more?: object) => here.grant('cluster-1', 'shop/viewer', ['k8s-token.read'], more)
const refusedAs = (slug: string) => (error: unknown) => error instanceof ApiProblem && error.slug === slug
const stolen = (token: string) => [...cluster.secrets.values()].includes(cluster.tokens.get(token) ?? '')

test('the holder of a grant gets a token of the service account, no longer than the grant, and the same one again', async () => {
  const grant = await read({ ttlSeconds: 1800 })

  const one = await issue(grant)
  const again = await issue(grant)

  assert.equal(one.kind, 'kubernetes-token')
  assert.deepEqual([one.about['namespace'], one.about['serviceAccount']], ['shop', 'viewer'])
  assert.deepEqual([again.values, again.leaseId], [one.values, one.leaseId])
  const { expiresAt, uses } = await here.bob.ask(readGrant, { params: { grant } })
  assert.ok(one.validBefore <= expiresAt)
  assert.equal(uses, 1)
  const { items } = await here.bob.ask(listLeases, { query: { grantId: grant } })
  assert.deepEqual(
    items.map(({ kind, state, revocability, residualBefore, principal }) => [
      kind,
      state,
      revocability,
      residualBefore,
      principal,
    ]),
    [['kubernetes-token', 'issued', 'immediate', null, 'system:serviceaccount:shop:viewer']],
  )
  const { items: entries } = await here.ada.ask(listEntries, { query: { grant, limit: 200 } })
  assert.equal(entries.filter(({ kind }) => kind === 'credential.handed-out').length, 2)
  assert.ok(!JSON.stringify(entries).includes(one.values['token'] ?? 'x'))
})

test('attack: a stolen token is worth nothing once the grant is revoked, and its lease is proven dead', async () => {
  const grant = await read()
  const { values } = await issue(grant)
  assert.ok(stolen(values['token'] ?? ''))

  await here.ada.ask(revokeGrant, { params: { grant }, input: { reason: 'it was stolen' } })

  const lease = await here.lease(grant, 'dead')
  assert.ok(!stolen(values['token'] ?? ''))
  assert.equal(Object(lease.evidence).tokenReview, 'not authenticated')
  await assert.rejects(issue(grant), refusedAs('grant-over'))
})

test('attack: a grant that ends between plan and token leaves nothing that works', async () => {
  const grant = await read()
  const before = new Set(cluster.tokens.keys())
  cluster.beforeToken = async () => {
    cluster.beforeToken = () => undefined
    await here.bob.ask(finishGrant, { params: { grant } })
  }

  await assert.rejects(
    issue(grant),
    (error) => refusedAs('lease-refused')(error) || refusedAs('lease-unavailable')(error),
  )

  await here.lease(grant, 'dead')
  assert.deepEqual(
    [...cluster.tokens.keys()].filter((token) => !before.has(token) && stolen(token)),
    [],
  )
})

test('attack: a cluster that binds its tokens to nothing gets no trust, and nobody gets such a token', async () => {
  const grant = await read()
  cluster.ignoresBinding = true

  await assert.rejects(issue(grant), refusedAs('lease-unavailable'))

  cluster.ignoresBinding = false
  const { uses } = await here.bob.ask(readGrant, { params: { grant } })
  assert.equal(uses, 0)
  await issue(grant)
})

test('a cluster whose clock is wrong makes no credential that is said to outlast its grant', async () => {
  const grant = await read({ ttlSeconds: 1800 })
  const { expiresAt } = await here.bob.ask(readGrant, { params: { grant } })
  cluster.aheadSeconds = 30 * 86_400

  const { validBefore } = await issue(grant)

  cluster.aheadSeconds = 0
  assert.ok(validBefore <= expiresAt)
})

test('attack: names that lead elsewhere are no service accounts, and nothing is asked of the cluster', async () => {
  const grant = await here.grant('cluster-1', '../../secrets/x', ['k8s-token.read'])
  const before = stub.calls.length

  await assert.rejects(issue(grant), refusedAs('lease-impossible'))

  assert.equal(stub.calls.length, before)
})

test('attack: nobody gets the credential of a grant that is another’s', async () => {
  const grant = await read()
  await issue(grant)

  await assert.rejects(issue(grant, here.carol), refusedAs('not-permitted'))
})

test('two calls at once get one credential', async () => {
  const grant = await read()

  const [one, other] = await Promise.all([issue(grant), issue(grant)])

  assert.equal(one.leaseId, other.leaseId)
  const { uses } = await here.bob.ask(readGrant, { params: { grant } })
  assert.equal(uses, 1)
})

test('attack: a target is not pointed at this machine, at plain text or at a login in an address', async () => {
  const about = { protocol: 'kubernetes-token', environment: 'test', sensitivity: 2, ownerTeam: 'shop' } as const
  const register = (name: string, settings: Record<string, unknown>) =>
    here.ada.ask(registerTarget, { input: { name, ...about, settings } })

  for (const [index, server] of [
    'http://10.0.0.1:6443',
    'https://user:pass@api.example',
    'https://api.example/?x=1',
    'ftp://api.example',
  ].entries()) {
    await assert.rejects(register(`bad-${index}`, { server, plaintext: true }), refusedAs('invalid-input'))
  }
  await assert.rejects(register('bad-plain', { server: stub.url }), refusedAs('invalid-input'))

  // What stands in the settings is still asked for by the guarded client alone: the cloud's own address is closed to it.
  await here.register({
    name: 'inside',
    protocol: 'kubernetes-token',
    settings: { server: 'https://169.254.169.254' },
    provisioner: { user: 'reeve', password: 'provisioner-token' },
    accounts: [{ name: 'shop/viewer', mode: 'lease' }],
    actions: ['k8s-token.read'],
  })
  const grant = await here.grant('inside', 'shop/viewer', ['k8s-token.read'])
  await assert.rejects(issue(grant), (error: unknown) => {
    return refusedAs('lease-unavailable')(error) && /not open to the internet/.test(String(error))
  })
})

test('a target that is down leaves an open obligation with its reason, and it is met when it is back', async () => {
  const grant = await read()
  const { values } = await issue(grant)
  cluster.isDown = true

  await here.bob.ask(finishGrant, { params: { grant } })
  const open = await eventually(async () => {
    const { items } = await here.ada.ask(listLeases, { query: { grantId: grant, open: true } })
    return items[0]?.lastError ? items[0] : undefined
  })
  cluster.isDown = false
  await here.ada.ask(retryLease, { params: { lease: open.id } })

  assert.match(open.lastError ?? '', /could not do it now/)
  await here.lease(grant, 'dead')
  assert.ok(!stolen(values['token'] ?? ''))
})

test('a lent login cannot be taken back: its lease says so and stays open until the server refuses it', async () => {
  const grant = await here.grant('registry-1', 'deploy', ['https.read'])
  const { values, revocability } = await issue(grant)
  assert.deepEqual([values, revocability], [{ username: 'deploy', password: 'standing-password' }, 'none'])

  await here.bob.ask(finishGrant, { params: { grant } })
  const open = await eventually(async () => {
    const { items } = await here.ada.ask(listLeases, { query: { grantId: grant, open: true } })
    return items[0]?.lastError ? items[0] : undefined
  })
  assert.match(open.lastError ?? '', /still accepted: replace the login/)
  password = 'another-password'
  await here.ada.ask(retryLease, { params: { lease: open.id } })

  const dead = await here.lease(grant, 'dead')
  assert.equal(Object(dead.evidence).login, 401)
})
