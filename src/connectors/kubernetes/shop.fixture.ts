/** A small shop in the stub, and reading it without an inventory. */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { sourceHttpTo } from '../../inventory/inventory.ts'
import { systemClock } from '../../kernel/clock.ts'
import { Secret } from '../../kernel/secret.ts'
import type { Observation, Page, ScopeReport } from '../connector.ts'
import { SECRET_VALUE, stubApiServer, TOKEN, type Stub } from './api-server.fixture.ts'
import { kubernetesConnector } from './connector.ts'

export const data = { password: SECRET_VALUE }
const labels = { 'app.kubernetes.io/part-of': 'shop' }
const spec = (more: object = {}) => ({ template: { spec: { containers: [{ name: 'app' }], ...more } } })

/** A small shop: an account with a legacy token, roles that escalate, a deployment that mounts secrets in each way. */
function furnish(stub: Stub): void {
  stub.put('serviceaccounts', {
    metadata: { name: 'cart', namespace: 'shop', uid: 'sa-cart' },
    imagePullSecrets: [{ name: 'pull' }],
  })
  stub.put('serviceaccounts', {
    metadata: { name: 'default', namespace: 'shop', uid: 'sa-default' },
    automountServiceAccountToken: false,
  })
  stub.put(
    'secrets',
    {
      metadata: {
        name: 'db',
        namespace: 'shop',
        uid: 'sec-db',
        labels,
        annotations: {
          'kubectl.kubernetes.io/last-applied-configuration': JSON.stringify({ data }),
          'example.com/owner': 'payments',
          'example.com/password-hint': SECRET_VALUE,
        },
        managedFields: [
          { time: '2026-01-02T03:04:05Z', fieldsV1: { 'f:data': {} } },
          { time: '2026-05-01T00:00:00Z', fieldsV1: {} },
        ],
      },
      type: 'Opaque',
      data,
    },
    {
      metadata: {
        name: 'cart-token',
        namespace: 'shop',
        uid: 'sec-token',
        annotations: { 'kubernetes.io/service-account.name': 'cart', 'kubernetes.io/service-account.uid': 'sa-cart' },
        labels: { 'kubernetes.io/legacy-token-last-used': '2026-02-01' },
      },
      type: 'kubernetes.io/service-account-token',
      data,
    },
    { metadata: { name: 'pull', namespace: 'shop', uid: 'sec-pull' }, type: 'kubernetes.io/dockerconfigjson', data },
    { metadata: { name: 'tls', namespace: 'shop', uid: 'sec-tls' }, type: 'kubernetes.io/tls', data },
  )
}

/** Roles that escalate, and who is bound to them. */
function furnishRights(stub: Stub): void {
  stub.put(
    'clusterroles',
    {
      metadata: { name: 'cluster-admin', uid: 'cr-admin' },
      rules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }],
    },
    {
      metadata: { name: 'widener', uid: 'cr-widen', labels: { 'rbac.authorization.k8s.io/aggregate-to-edit': 'true' } },
      rules: [
        { verbs: ['escalate', 'bind'], apiGroups: ['rbac.authorization.k8s.io'], resources: ['clusterroles'] },
        { verbs: ['impersonate'], apiGroups: [''], resources: ['users'], resourceNames: ['admin'] },
        { verbs: ['create'], apiGroups: [''], resources: ['serviceaccounts/token'] },
      ],
    },
    {
      metadata: { name: 'edit', uid: 'cr-edit' },
      rules: [],
      aggregationRule: {
        clusterRoleSelectors: [{ matchLabels: { 'rbac.authorization.k8s.io/aggregate-to-edit': 'true' } }],
      },
    },
  )
  stub.put('roles', {
    metadata: { name: 'reader', namespace: 'shop', uid: 'r-read' },
    rules: [{ verbs: ['get', 'list'], apiGroups: [''], resources: ['secrets'] }],
  })
  stub.put('clusterrolebindings', {
    metadata: { name: 'admins', uid: 'crb-1' },
    roleRef: { kind: 'ClusterRole', name: 'cluster-admin' },
    subjects: [
      { kind: 'User', name: 'ann' },
      { kind: 'Group', name: 'system:masters' },
      { kind: 'ServiceAccount', name: 'cart', namespace: 'shop' },
      { kind: 'ServiceAccount', name: 'nobody', namespace: 'shop' },
    ],
  })
  stub.put('rolebindings', {
    metadata: { name: 'readers', namespace: 'shop', uid: 'rb-1' },
    roleRef: { kind: 'Role', name: 'reader' },
    subjects: [
      { kind: 'Group', name: 'system:serviceaccounts:shop' },
      { kind: 'User', name: 'ann' },
    ],
  })
}

/** What runs in it, and with which of the secrets. */
function furnishWorkloads(stub: Stub): void {
  const volumes = [
    { name: 'a', secret: { secretName: 'tls' } },
    { name: 'b', projected: { sources: [{ secret: { name: 'db' } }] } },
    { name: 'c', csi: { driver: 'x', nodePublishSecretRef: { name: 'db' } } },
  ]
  const env = [
    { name: 'PASSWORD', valueFrom: { secretKeyRef: { name: 'db', key: 'password' } } },
    { name: 'PLAIN', value: SECRET_VALUE },
  ]
  stub.put('deployments', {
    metadata: { name: 'cart', namespace: 'shop', uid: 'dep-cart', labels },
    spec: spec({
      serviceAccountName: 'cart',
      imagePullSecrets: [{ name: 'pull' }],
      containers: [{ name: 'app', env }],
      volumes,
    }),
  })
  const controlled = (kind: string, name: string, uid: string) => [{ kind, name, uid, controller: true }]
  stub.put('replicasets', {
    metadata: {
      name: 'cart-1',
      namespace: 'shop',
      uid: 'rs-1',
      ownerReferences: controlled('Deployment', 'cart', 'dep-cart'),
    },
    spec: spec(),
  })
  stub.put('cronjobs', {
    metadata: { name: 'night', namespace: 'shop', uid: 'cj-1' },
    spec: { jobTemplate: { spec: spec() } },
  })
  const token = { serviceAccountToken: { expirationSeconds: 3607, path: 'token' } }
  for (const at of [1, 2]) {
    stub.put('pods', {
      metadata: {
        name: `cart-1-${at}`,
        namespace: 'shop',
        uid: `pod-${at}`,
        ownerReferences: controlled('ReplicaSet', 'cart-1', 'rs-1'),
      },
      spec: {
        serviceAccountName: 'cart',
        containers: [{ name: 'app', envFrom: [{ secretRef: { name: 'db' } }] }],
        volumes: [{ name: `kube-api-access-abcd${at}`, projected: { sources: [token] } }],
      },
    })
  }
  stub.put('pods', {
    metadata: { name: 'by-hand', namespace: 'shop', uid: 'pod-9' },
    spec: { containers: [{ name: 'x' }] },
  })
}

export async function stubbed(t: Pick<TestContext, 'after'>): Promise<Stub> {
  const stub = await stubApiServer(t)
  furnish(stub)
  furnishRights(stub)
  furnishWorkloads(stub)
  return stub
}

/** Reads scopes of the stub without an inventory. */
export async function reading(
  stub: Stub,
  settings: object = {},
  since: object = {},
  onPage: (scope: string, page: Page) => void = () => {},
) {
  const signal = new AbortController().signal
  const http = sourceHttpTo(stub.url, systemClock)
  const given = {
    settings: { url: stub.url, ...settings },
    credential: new Secret(JSON.stringify({ token: TOKEN })),
    clock: systemClock,
    fingerprint: () => assert.fail(),
    http,
    ours: async () => new Set<string>(),
    custody: () => assert.fail(),
  }
  await using source = await kubernetesConnector.open(given, signal)
  const told: Observation[] = []
  const reports = new Map<string, ScopeReport | Error>()
  for await (const { scope } of source.scopes(signal)) {
    const pages = source.read(scope, since, signal)
    try {
      for (let next = await pages.next(); ; next = await pages.next()) {
        if (next.done) {
          reports.set(scope, next.value)
          break
        }
        onPage(scope, next.value)
        told.push(...next.value.observations)
      }
    } catch (error) {
      assert.ok(error instanceof Error)
      reports.set(scope, error)
    }
  }
  const of = <K extends Observation['kind']>(kind: K) =>
    told.filter((each): each is Extract<Observation, { kind: K }> => each.kind === kind)
  return { told, reports, of, source, probed: await source.probe(signal) }
}
