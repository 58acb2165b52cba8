import assert from 'node:assert/strict'
import { test } from 'node:test'
import { saysEachRight } from '../support/each-right.ts'
import { inventoryWorld } from '../support/inventory-world.ts'
import { core, IN_NAMESPACE, PASSWORD, rbac, shopBed, untilDenied, untilListed } from './peers/kubernetes-shop.ts'

test('each verb of the reader is named by what is not seen without it, and by nothing else', async (t) => {
  const { cluster, settings, credential = {}, connector, token } = await shopBed(t)
  const kinds = Object.entries({
    '': ['namespaces', 'serviceaccounts', 'pods', 'secrets'],
    apps: ['deployments', 'statefulsets', 'daemonsets', 'replicasets'],
    batch: ['jobs', 'cronjobs'],
    'rbac.authorization.k8s.io': ['clusterroles', 'roles', 'clusterrolebindings', 'rolebindings'],
  }).flatMap(([group, resources]) => resources.map((resource) => ({ group, resource })))
  const may = async (left: typeof kinds) => {
    await cluster.api('PUT', `${rbac('clusterroles')}/reeve-inventory`, {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name: 'reeve-inventory' },
      rules: [
        { verbs: ['get'], apiGroups: [''], resources: ['namespaces'] },
        ...left.map(({ group, resource }) => ({ verbs: ['list'], apiGroups: [group], resources: [resource] })),
      ],
    })
    for (const kind of kinds) await untilListed(cluster, token, kind, left.includes(kind))
  }
  const scopeOf: Record<string, string> = {
    namespaces: 'namespaces',
    serviceaccounts: 'service-accounts',
    pods: 'pods',
    secrets: 'secrets',
    clusterroles: 'rbac/roles',
    roles: 'rbac/roles',
    clusterrolebindings: 'rbac/bindings',
    rolebindings: 'rbac/bindings',
  }
  await cluster.api('DELETE', `${rbac('clusterrolebindings')}/reeve-secrets`)
  await may(kinds)

  await saysEachRight(
    { connector, settings, credential, isForetold: true },
    kinds.map((kind) => ({
      name: kind.resource,
      take: () => may(kinds.filter((each) => each !== kind)),
      give: () => may(kinds),
      says: {
        // Of a part of several kinds the others are read on.
        [scopeOf[kind.resource] ?? 'workloads']: [
          ['namespaces', 'serviceaccounts', 'pods', 'secrets'].includes(kind.resource) ? 'denied' : 'partial',
          `list ${kind.resource}${kind.group === '' ? '' : ` in ${kind.group}`}`,
        ],
      },
    })),
  )
})

test('rights in one namespace show what is there: the other namespaces are named, and nothing of them is gone', async (t) => {
  const { cluster, settings, credential = {}, connector, token } = await shopBed(t)
  await cluster.apply('/api/v1/namespaces', { metadata: { name: 'bank' } })
  await cluster.apply(core('serviceaccounts', 'bank'), { metadata: { name: 'teller' } })
  await cluster.apply(core('secrets', 'bank'), { metadata: { name: 'vault' }, stringData: { password: PASSWORD } })
  const i = await inventoryWorld(t)
  const id = await i.source(connector, settings, { credential })
  await i.collect(id)
  const count = async () => ({
    accounts: await i.count('observed_principal', `type = 'service' and missed_at is null`),
    secrets: await i.count('observed_credential', `native_kind = 'secret' and missed_at is null`),
  })
  const before = await count()

  const bind = async (name: string, namespace: string) =>
    cluster.apply(rbac('rolebindings', namespace), {
      metadata: { name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
      subjects: [{ ...IN_NAMESPACE, name: 'reeve' }],
    })
  for (const name of ['reeve-inventory', 'reeve-secrets']) {
    await bind(name, 'shop')
    await cluster.api('DELETE', `${rbac('clusterrolebindings')}/${name}`)
  }
  await bind('reeve-inventory', 'kube-system')
  const spaces = { verbs: ['list'], apiGroups: [''], resources: ['namespaces'] }
  await cluster.apply(rbac('clusterroles'), { metadata: { name: 'reeve-spaces' }, rules: [spaces] })
  await cluster.apply(rbac('clusterrolebindings'), {
    metadata: { name: 'reeve-spaces' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'reeve-spaces' },
    subjects: [{ ...IN_NAMESPACE, name: 'reeve' }],
  })
  await untilDenied(cluster, token)
  await untilListed(cluster, token, { group: '', resource: 'serviceaccounts' }, false)
  await untilListed(cluster, token, { group: '', resource: 'namespaces' }, true)
  await i.collect(id)
  const { scopes } = await i.collect(id)
  const of = (scope: string) => {
    const { status, missing = [] } = scopes.find((each) => each.scope === scope) ?? {}
    return [status, ...missing.map(({ what, permission }) => `${what} <- ${permission ?? ''}`)]
  }
  const places = 'bank, default, kube-node-lease, kube-public, watch'

  assert.deepEqual(of('namespaces'), ['complete'])
  assert.deepEqual(of('service-accounts'), [
    'partial',
    `serviceaccounts of the namespaces ${places} <- list serviceaccounts`,
  ])
  assert.deepEqual(of('secrets'), [
    'partial',
    `secrets of the namespaces bank, default, kube-node-lease, kube-public, kube-system and 1 more <- list secrets`,
  ])
  assert.match(of('rbac/roles').join(), /^partial,clusterroles <- list clusterroles .*,roles of the namespaces bank/)
  assert.deepEqual(await count(), before)

  // The same in a new source: nothing but that namespace comes in.
  const two = await inventoryWorld(t)
  const named = { ...(settings as object), namespaces: ['shop'] }
  await cluster.api('DELETE', `${rbac('clusterrolebindings')}/reeve-spaces`)
  await untilListed(cluster, token, { group: '', resource: 'namespaces' }, false)
  const { scopes: few } = await two.collect(await two.source(connector, named, { credential }))
  const statusOf = (scope: string) => {
    const { status, missing = [] } = few.find((each) => each.scope === scope) ?? {}
    return [status, ...missing.map(({ what }) => what)]
  }
  assert.deepEqual(statusOf('service-accounts'), ['complete', 'serviceaccounts of other namespaces'])
  assert.deepEqual(statusOf('namespaces'), ['partial', 'namespaces'])
  assert.deepEqual(statusOf('rbac/bindings'), ['partial', 'clusterrolebindings', 'rolebindings of other namespaces'])
  assert.equal(await two.count('observed_resource', `type = 'kubernetes-namespace'`), 1)
  assert.equal(await two.count('observed_principal', `name like 'bank/%'`), 0)
  assert.ok((await two.count('observed_principal', `name like 'shop/%'`)) > 0)
  assert.ok((await two.count('observed_credential', `name = 'shop/db'`)) === 1)
})
