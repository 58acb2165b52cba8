import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { accessWorld, refusalOf } from '../../test/support/access-world.ts'
import { postgresActions } from '../gateways/postgres/actions.ts'
import { catalogFrom, readCatalog, withShipped } from './shipped.ts'
import { listActions, syncActions } from './actions.ts'

const shipped = await readCatalog(join(import.meta.dirname, '..', '..', 'policies', 'catalog.json'))

test('the shipped catalog names what is privileged in each kind of system, and no gateway enforces any of it', () => {
  const protocols = new Set(shipped.map(({ protocol }) => protocol))

  for (const protocol of ['kubernetes', 'http', 'cloud', 'secrets', 'keys', 'deploy', 'mcp', 'reeve']) {
    assert.ok(protocols.has(protocol), protocol)
  }
  assert.deepEqual(
    shipped.filter(({ enforcement, protocol }) => enforcement !== (protocol === 'reeve' ? 'reeve' : 'none')),
    [],
  )
  assert.deepEqual(
    shipped.filter(({ name }) => postgresActions.some((action) => action.name === name)),
    [],
  )
})

test('each action says who owns it, who says who holds it, and who answers for its credentials', () => {
  const deciders = new Map(shipped.map((action) => [action.name, action.deciders]))

  assert.deepEqual(deciders.get('k8s.cluster-admin'), { owns: 'pam', holds: 'iam', credentials: 'nhi' })
  assert.equal(deciders.get('reeve.policy-change')?.owns, 'governance')
  assert.equal(deciders.get('reeve.identity-change')?.owns, 'iam')
})

test('outside production an action may be less sensitive, and never more', () => {
  for (const { name, tier, tierElsewhere } of shipped) assert.ok(tierElsewhere === null || tierElsewhere >= tier, name)
  const action = { protocol: 'ssh', class: 'admin', tier: 1, summary: 'x' }
  assert.throws(
    () => catalogFrom({ version: '1', actions: { 'ssh.x': { ...action, tierElsewhere: 0 } } }),
    /ssh\.x: it is more/,
  )
})

test('a file cannot say that a gateway enforces something, misspell a field, or leave out a tier', () => {
  const action = { protocol: 'ssh', class: 'admin', tier: 1, summary: 'x' }
  for (const broken of [
    { ...action, enforcement: 'gateway' },
    { ...action, enforced: true },
    { ...action, tier: 4 },
    { protocol: 'ssh' },
  ]) {
    assert.throws(() => catalogFrom({ version: '1', actions: { 'ssh.x': broken } }), /ssh\.x/)
  }
})

test('what a gateway offers stands before what is shipped under the same name', () => {
  const offered = [{ name: 'k8s.cluster-admin', protocol: 'ssh' }]

  const all = withShipped(offered, shipped)

  assert.deepEqual(
    all.filter(({ name }) => name === 'k8s.cluster-admin'),
    offered,
  )
  assert.equal(all.length, shipped.length)
})

test('what nothing enforces is listed as that and cannot be asked for, whatever target claims its protocol', async (t) => {
  const world = await accessWorld(t)
  const here = shipped.map((action) =>
    action.name === 'k8s.cluster-admin' ? { ...action, protocol: 'postgres' } : action,
  )
  await world.run((tx) => syncActions(tx, world.needs.ledger, here))
  await world.purpose(
    'root',
    { proposer: world.bob, approver: world.alice, targets: [world.orders] },
    { actions: ['k8s.cluster-admin'] },
  )

  const { items } = await listActions(world.db, { limit: 100 })

  assert.equal(items.find(({ name }) => name === 'k8s.cluster-admin')?.enforcement, 'none')
  assert.equal(items.find(({ name }) => name === 'postgres.read')?.enforcement, 'gateway')
  assert.equal(items.find(({ name }) => name === 'k8s.secrets')?.tierElsewhere, 1)
  assert.equal(
    await refusalOf(world.ask(world.dave, { actions: ['k8s.cluster-admin'], purpose: 'root' })),
    'not-permitted',
  )
  const again = await world.run((tx) => syncActions(tx, world.needs.ledger, here))
  assert.deepEqual(again, [], 'the same catalog is no change')
})
