import assert from 'node:assert/strict'
import { test } from 'node:test'
import { toyPrincipal } from '../../../test/support/toy-source.ts'
import { known } from '../../connectors/connector.ts'
import { TOKEN } from '../../connectors/kubernetes/api-server.fixture.ts'
import { kubernetesConnector } from '../../connectors/kubernetes/connector.ts'
import { stubbed } from '../../connectors/kubernetes/shop.fixture.ts'
import { PathQuery } from './contract.ts'
import { CLUSTER, credential, estate, grant, member, people, reference, resource, toy, trust } from './graph.fixture.ts'
import { listPaths } from './paths.ts'

test('whoever may run pods or read the secrets of a namespace has its accounts, and trusts are followed', async (t) => {
  const e = await estate(t)
  const inside = { facts: { namespace: 'pay' } }
  await e.tell([
    resource('api', 'kubernetes-cluster'),
    resource('pay', 'namespace', { parent: toy('api') }),
    resource('shop', 'namespace', { parent: toy('api') }),
    toyPrincipal('operator', { name: 'operator', ...inside }),
    ...people('deployer', 'snoop', 'visitor', 'lister', 'federated', 'binder'),
    credential('operator-token', 'operator', { type: 'service-account-token', ...inside }),
    grant('deployer', 'pay', 'create pods', 'write'),
    grant('snoop', 'pay', 'get secrets', 'read'),
    grant('visitor', 'shop', 'create pods', 'write'),
    grant('lister', 'pay', 'list pods', 'read'),
    grant('binder', 'api', 'bind clusterroles', 'write'),
    trust('federated', 'operator'),
    trust({ issuer: 'https://ci.example' }, 'operator'),
    grant('operator', 'api', '* *', 'admin'),
  ])

  assert.deepEqual(await e.way('deployer'), ['can-create-pods', 'contains', 'administers'])
  assert.deepEqual(await e.way('snoop'), ['can-read-secret', 'contains', 'proves', 'administers'])
  assert.deepEqual(await e.way('federated'), ['trusted', 'administers'])
  assert.deepEqual(await e.way('binder'), ['administers'])
  for (const name of ['visitor', 'lister']) assert.equal(await e.way(name), undefined, name)
  assert.ok((await e.reach('deployer')).includes('operator'))
  assert.ok((await e.reach('snoop')).includes('operator-token'))
  const outside = await listPaths(e.w.db, e.w.clock, PathQuery.parse({ node: 'other', limit: 200 }))
  assert.ok(outside.items.some(({ edge }) => edge === 'trusts-issuer'))
})

test('a role of Kubernetes is worth what it says where it is bound, and what runs or stands there is reached', async (t) => {
  const e = await estate(t)
  const kind = (name: string) => resource(name, 'kubernetes-resource', { sensitivity: known(0) })
  const role = (id: string, namespace: string | null = null) =>
    toyPrincipal(id, { name: id, type: 'role', facts: { namespace } })
  const bound = (who: string, to: string, namespace: string | null) =>
    grant(who, to, 'BOUND ClusterRole', 'use', { facts: { namespace } })
  await e.tell([
    kind('*/*'),
    kind('core/secrets'),
    kind('apps/deployments'),
    role('cluster-admin'),
    role('secret-reader'),
    role('one-secret'),
    role('releaser', 'pay'),
    grant('cluster-admin', '*/*', '*', 'admin'),
    grant('secret-reader', 'core/secrets', 'get,list', 'read'),
    grant('one-secret', 'core/secrets', 'get', 'read', { facts: { resourceNames: ['tls'] } }),
    grant('releaser', 'apps/deployments', 'create,get', 'write'),
    ...people('admin', 'local', 'snoop', 'far', 'narrow', 'deployer'),
    toyPrincipal('operator', { name: 'operator', type: 'service', facts: { namespace: 'pay' } }),
    credential('operator-token', 'operator', { type: 'service-account-token', facts: { namespace: 'pay' } }),
    bound('admin', 'cluster-admin', null),
    bound('operator', 'cluster-admin', null),
    bound('local', 'cluster-admin', 'shop'),
    bound('snoop', 'secret-reader', 'pay'),
    bound('far', 'secret-reader', 'shop'),
    bound('narrow', 'one-secret', null),
    bound('deployer', 'releaser', null),
  ])

  const toRoot = ['member-of', 'administers'] as const
  assert.deepEqual(await e.way('admin'), toRoot)
  assert.deepEqual(await e.way('snoop'), ['member-of', 'can-read-secret', 'holds-secret', 'proves', ...toRoot])
  assert.deepEqual(await e.way('deployer'), ['member-of', 'can-create-pods', 'runs-as', ...toRoot])
  for (const name of ['local', 'far', 'narrow']) assert.equal(await e.way(name), undefined, name)
  assert.ok((await e.reach('snoop')).includes('operator-token'))
  assert.ok((await e.reach('deployer')).includes('operator'))
  assert.deepEqual([(await e.reach('admin')).includes('*/*'), await e.reach('far')], [true, []])
})

test('what policies of AWS together let somebody become leads to its account; what they say of patterns does not', async (t) => {
  const e = await estate(t)
  await e.tell([
    resource('account', 'aws-account'),
    resource('*', 'aws-resource', { sensitivity: known(0) }),
    ...people('admin', 'maker', 'passer', 'maybe', 'reader', 'starred'),
    toyPrincipal('function', { name: 'function', type: 'role' }),
    toyPrincipal('everything', { name: 'everything', type: 'role' }),
    grant('admin', 'account', '*', 'admin'),
    grant('maker', 'admin', 'iam:CreateAccessKey', 'write'),
    grant('function', 'maker', 'iam:UpdateLoginProfile', 'write'),
    grant('passer', 'function', 'iam:PassRole + lambda:CreateFunction', 'impersonate'),
    grant('maybe', 'account', 'iam:AttachUserPolicy', 'use', { facts: { isConditional: true } }),
    grant('everything', '*', '*', 'admin', { facts: { isWildcard: true } }),
    grant('starred', 'everything', 'POLICY', 'use'),
    grant('reader', '*', 's3:get*', 'read'),
  ])

  assert.deepEqual(await e.way('maker'), ['can-set-password', 'administers'])
  assert.deepEqual(await e.way('passer'), ['can-assume', 'can-set-password', 'can-set-password', 'administers'])
  for (const name of ['maybe', 'reader', 'starred']) assert.equal(await e.way(name), undefined, name)
})

test('who writes a repository has what its pipelines have', async (t) => {
  const e = await estate(t)
  await e.tell([
    CLUSTER,
    resource('shop', 'repository'),
    toyPrincipal('deploy.yaml', { name: 'deploy.yaml', type: 'workload' }),
    ...people('writer', 'viewer', 'boss', 'team', 'subteam'),
    grant('team', 'shop', 'write', 'write'),
    member('writer', 'subteam'),
    grant('subteam', 'team', 'CHILD', 'use'),
    grant('viewer', 'shop', 'read', 'read'),
    grant('deploy.yaml', 'shop', 'contents: read', 'read', { id: { kind: 'pipeline-token', id: 'deploy' } }),
    reference('deploy.yaml', 'db-password'),
    credential('db-password', 'boss'),
    grant('boss', 'cluster', 'SUPERUSER', 'admin'),
  ])

  const rest = ['can-write-pipeline', 'can-write-pipeline', 'keeps', 'proves', 'superuser'] as const
  assert.deepEqual(await e.way('writer'), ['member-of', 'member-of', ...rest])
  assert.equal(await e.way('viewer'), undefined)
})

test('what the connector for Kubernetes reads of a stub API leads to tier 0 by its bindings', async (t) => {
  const stub = await stubbed(t)
  const e = await estate(t)
  await e.i.collect(await e.i.source(kubernetesConnector, { url: stub.url }, { credential: { token: TOKEN } }))
  await e.look()

  const { items } = await listPaths(e.w.db, e.w.clock, PathQuery.parse({ limit: 200 }))
  const near = items.filter(({ hops, goal }) => hops === 2 && goal.name === '*/*').map(({ from }) => from.name)
  assert.ok(near.includes('shop/cart') && near.includes('ann'), near.join())
})
