/**
 * A shop on kube-apiserver and etcd, and a reader of it. No controller runs: what controllers fill in (tokens in Secrets, aggregated rules) is
 * written as they write it.
 */
import type { TestContext } from 'node:test'
import type { Bed } from '../../../src/connectors/conformance.fixture.ts'
import { kubernetesConnector } from '../../../src/connectors/kubernetes/connector.ts'
import { eventually } from '../../support/eventually.ts'
import { ask, kubernetesCluster, type AuditWebhook, type KubernetesCluster } from '../../support/kubernetes-cluster.ts'
import { kubernetesPrograms } from './kubernetes.ts'

export const PASSWORD = 'correct-horse-battery-staple-4711'
export const IN_NAMESPACE = { kind: 'ServiceAccount', namespace: 'watch' }
export const rbac = (kind: string, namespace?: string) =>
  `/apis/rbac.authorization.k8s.io/v1/${namespace === undefined ? '' : `namespaces/${namespace}/`}${kind}`
export const core = (kind: string, namespace: string) => `/api/v1/namespaces/${namespace}/${kind}`

/** A token of the connector's own account, by TokenRequest: bound and short. */
async function readerOf(cluster: KubernetesCluster): Promise<string> {
  await cluster.apply('/api/v1/namespaces', { metadata: { name: 'watch' } })
  await cluster.apply(core('serviceaccounts', 'watch'), { metadata: { name: 'reeve' } })
  const list = (apiGroups: string[], resources: string[]) => ({ verbs: ['list'], apiGroups, resources })
  await cluster.apply(rbac('clusterroles'), {
    metadata: { name: 'reeve-inventory' },
    rules: [
      { verbs: ['get'], apiGroups: [''], resources: ['namespaces'] },
      list([''], ['namespaces', 'serviceaccounts', 'pods']),
      list(['apps'], ['deployments', 'statefulsets', 'daemonsets', 'replicasets']),
      list(['batch'], ['jobs', 'cronjobs']),
      list(['rbac.authorization.k8s.io'], ['clusterroles', 'roles', 'clusterrolebindings', 'rolebindings']),
    ],
  })
  await cluster.apply(rbac('clusterroles'), { metadata: { name: 'reeve-secrets' }, rules: [list([''], ['secrets'])] })
  for (const name of ['reeve-inventory', 'reeve-secrets']) {
    await cluster.apply(rbac('clusterrolebindings'), {
      metadata: { name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
      subjects: [{ ...IN_NAMESPACE, name: 'reeve' }],
    })
  }
  const { status } = (await cluster.api('POST', `${core('serviceaccounts', 'watch')}/reeve/token`, {
    spec: { expirationSeconds: 3600 },
  })) as { status: { token: string } }
  return status.token
}

async function furnish(cluster: KubernetesCluster): Promise<void> {
  await cluster.apply('/api/v1/namespaces', { metadata: { name: 'shop', labels: { team: 'payments' } } })
  await cluster.apply(core('serviceaccounts', 'shop'), { metadata: { name: 'default' } })
  await cluster.apply(core('serviceaccounts', 'shop'), {
    metadata: { name: 'cart' },
    imagePullSecrets: [{ name: 'pull' }],
  })
  const last = JSON.stringify({ data: { password: Buffer.from(PASSWORD).toString('base64') } })
  await cluster.apply(core('secrets', 'shop'), {
    metadata: {
      name: 'db',
      labels: { team: 'payments' },
      annotations: { 'kubectl.kubernetes.io/last-applied-configuration': last },
    },
    stringData: { password: PASSWORD },
  })
  await cluster.apply(core('secrets', 'shop'), {
    metadata: { name: 'cart-token', annotations: { 'kubernetes.io/service-account.name': 'cart' } },
    type: 'kubernetes.io/service-account-token',
    stringData: { token: PASSWORD },
  })
  const containers = [
    { name: 'app', image: 'x', env: [{ name: 'PW', valueFrom: { secretKeyRef: { name: 'db', key: 'password' } } }] },
  ]
  const labels = { app: 'cart' }
  await cluster.apply('/apis/apps/v1/namespaces/shop/deployments', {
    metadata: { name: 'cart', labels },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: { serviceAccountName: 'cart', containers, volumes: [{ name: 'v', secret: { secretName: 'db' } }] },
      },
    },
  })
  await cluster.apply(core('pods', 'shop'), {
    metadata: { name: 'by-hand' },
    spec: { serviceAccountName: 'cart', containers },
  })
  await cluster.apply(rbac('clusterroles'), {
    metadata: { name: 'widener' },
    rules: [{ verbs: ['escalate', 'bind'], apiGroups: ['rbac.authorization.k8s.io'], resources: ['clusterroles'] }],
  })
  await cluster.apply(rbac('rolebindings', 'shop'), {
    metadata: { name: 'cart-widens' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'widener' },
    subjects: [{ kind: 'ServiceAccount', name: 'cart', namespace: 'shop' }],
  })
}

const WHOLE = ['namespaces', 'service-accounts', 'rbac/roles', 'rbac/bindings', 'secrets', 'workloads', 'pods']

/** A cluster with a shop in it, and a reader of it. */
export async function shopBed(
  t: Pick<TestContext, 'after'>,
  webhook?: AuditWebhook,
): Promise<Bed & { readonly cluster: KubernetesCluster; readonly token: string }> {
  const { apiserver } = await kubernetesPrograms()
  const cluster = await kubernetesCluster(t, apiserver, webhook)
  const token = await readerOf(cluster)
  await furnish(cluster)
  return {
    cluster,
    token,
    connector: kubernetesConnector,
    settings: { url: cluster.url, authorities: cluster.authorities },
    credential: { token },
    whole: WHOLE,
    secrets: [PASSWORD, Buffer.from(PASSWORD).toString('base64'), token],
    async lose() {
      await cluster.api('DELETE', `${rbac('clusterroles')}/widener`)
      return 'rbac/roles'
    },
    async deny() {
      await cluster.api('DELETE', `${rbac('clusterrolebindings')}/reeve-secrets`)
      await untilDenied(cluster, token)
      return ['secrets']
    },
    async plant() {
      // Names of users in bindings are not checked by Kubernetes; names of things are.
      const names = ['=cmd|calc', '\u001b[31mred', '\u202egnp', 'two\nlines', 'x'.repeat(5_000)]
      await cluster.apply(rbac('rolebindings', 'shop'), {
        metadata: { name: 'hostile' },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' },
        subjects: names.map((name) => ({
          kind: 'User',
          apiGroup: 'rbac.authorization.k8s.io',
          name: `hostile ${name}`,
        })),
      })
      return { table: 'observed_principal', count: names.length, like: 'hostile %' }
    },
  }
}

/** RBAC is answered from a cache that follows the bindings by moments. */
export async function untilDenied(cluster: KubernetesCluster, token: string): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    const { status } = await ask(cluster.url, {
      method: 'GET',
      path: '/api/v1/secrets?limit=1',
      token,
      ca: cluster.authorities,
    })
    if (status === 403) return
  }
  throw new Error('the right was not taken')
}

/** Until the cache of RBAC has it so. */
export async function untilListed(
  cluster: KubernetesCluster,
  token: string,
  { group, resource }: { readonly group: string; readonly resource: string },
  isListed: boolean,
): Promise<void> {
  const place = group === '' ? '/api/v1' : `/apis/${group}/v1`
  const asked = { method: 'GET', path: `${place}/${resource}?limit=1`, token, ca: cluster.authorities }
  await eventually(async () => ((await ask(cluster.url, asked)).status === (isListed ? 200 : 403) ? true : undefined))
}
