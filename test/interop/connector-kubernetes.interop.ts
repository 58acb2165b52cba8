import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { before, test, type TestContext } from 'node:test'
import { sql } from 'kysely'
import { redeem } from '../../demo/people.ts'
import { CONFORMANCE, type Bed } from '../../src/connectors/conformance.fixture.ts'
import { kubernetesConnector } from '../../src/connectors/kubernetes/connector.ts'
import { attestOwner, enrolIdentity, registerIdentity } from '../../src/identities/contract.ts'
import { collectSource, registerSource } from '../../src/inventory/contract.ts'
import { eventually } from '../support/eventually.ts'
import { saysEachRight } from '../support/each-right.ts'
import { founded } from '../support/installation.ts'
import { inventoryWorld } from '../support/inventory-world.ts'
import { ask, kubernetesCluster, type AuditWebhook, type KubernetesCluster } from '../support/kubernetes-cluster.ts'
import { kubernetesPrograms } from './peers/kubernetes.ts'

// The common story and the facts of a shop, over kube-apiserver and etcd. No controller runs: what controllers fill in (tokens in Secrets,
// aggregated rules) is written by the test as they write it.

const PASSWORD = 'correct-horse-battery-staple-4711'
const IN_NAMESPACE = { kind: 'ServiceAccount', namespace: 'watch' }
let apiserver: string

before(async () => {
  ;({ apiserver } = await kubernetesPrograms())
})

const rbac = (kind: string, namespace?: string) =>
  `/apis/rbac.authorization.k8s.io/v1/${namespace === undefined ? '' : `namespaces/${namespace}/`}${kind}`
const core = (kind: string, namespace: string) => `/api/v1/namespaces/${namespace}/${kind}`

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

async function bed(
  t: Pick<TestContext, 'after'>,
  webhook?: AuditWebhook,
): Promise<Bed & { readonly cluster: KubernetesCluster; readonly token: string }> {
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
async function untilDenied(cluster: KubernetesCluster, token: string): Promise<void> {
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

for (const [story, run] of Object.entries(CONFORMANCE)) {
  test(`conformance over kube-apiserver: ${story}`, async (t) => run(t, await bed(t)))
}

test('a shop on a real cluster is told: rights, mounts, tokens, and who asked for what', async (t) => {
  const { cluster, settings, credential, connector, token } = await bed(t)
  const i = await inventoryWorld(t)
  const id = await i.source(
    connector,
    { ...(settings as object), auditLog: cluster.auditLog, auditSeesAll: true },
    credential && { credential },
  )
  await ask(cluster.url, { method: 'GET', path: '/api/v1/secrets?limit=1', token, ca: cluster.authorities })
  const { scopes } = await i.collect(id)

  assert.deepEqual(
    scopes.map(({ scope, status }) => [scope, status]).filter(([, status]) => status !== 'complete'),
    [],
  )
  const rows = await i.snapshot()
  const has = (table: string, ...parts: string[]) =>
    assert.ok(
      rows.some((row) => row.startsWith(`${table} `) && parts.every((part) => row.includes(part))),
      `${table} ${parts.join(' ')}`,
    )
  has('observed_grant', 'cluster-admin', 'system:masters')
  has('observed_grant', 'bind,escalate', 'rbac.authorization.k8s.io/clusterroles')
  has('observed_grant', 'BOUND ClusterRole', 'shop/cart-widens')
  has('observed_credential', 'shop/cart-token', 'service-account-token', 'legacy')
  has('observed_credential', 'token of shop/cart for the API server', '3607')
  has('observed_credential', 'shop/db', 'isCopiedInAnnotation')
  has('observed_reference', 'app: $PW')
  has('observed_trust', 'runs-as')
  // Any account may ask for it, unless that was taken away.
  has('observed_resource', 'token-issuer', 'https://')
  has('observed_principal', 'tokenSubjects', 'system:serviceaccount:shop:cart')
  has('observed_usage', 'list core/secrets')
  has('usage_window', 'every-use')
  // What was asked for secrets, as the API server itself wrote it down: nothing but lists, none of them with data.
  const asked = readFileSync(cluster.auditLog, 'utf8')
    .split('\n')
    .filter((line) => line.includes('serviceaccount:watch:reeve'))
  assert.ok(asked.length > 10)
  const verbs = new Set(asked.map((line) => (JSON.parse(line) as { verb: string }).verb))
  assert.deepEqual([...verbs].toSorted(), ['create', 'get', 'list'])
  const created = asked.filter((line) => line.includes('"verb":"create"'))
  assert.ok(created.every((line) => line.includes('selfsubjectaccessreviews')))
})

test('an API server posts its audit events to the node by its webhook backend, and each request is counted as often as it was made', async (t) => {
  const found = await founded(t)
  const { ada, server, database } = found
  const name = 'shop-cluster'
  const made = { kind: 'workload', name, profile: 'service', ownerTeam: 'shop', owner: 'ada' }
  const { id } = await ada.ask(registerIdentity, { input: made })
  await ada.ask(attestOwner, { params: { identity: name } })
  const { secret } = await ada.ask(enrolIdentity, { params: { identity: name }, input: {} })
  const { address, authority = '', token: posts } = (await redeem(server, secret)).connection
  const webhook = { server: new URL(`/v1/sources/${name}/deliveries`, address).href, authority }
  const b = await bed(t, { ...webhook, token: posts?.reveal() ?? '' })
  const settings = { ...(b.settings as object), auditDeliveredBy: id }
  const source = { connector: 'kubernetes', ownerTeam: 'shop', environment: 'production', schedule: 'never' }
  await ada.ask(registerSource, { input: { name, ...source, settings, credential: b.credential } })
  const rows = async (query: ReturnType<typeof sql<{ n: number }>>) => (await query.execute(database.db)).rows[0]?.n
  // Nobody else asks for one account: the connector lists them.
  const came = sql<{ n: number }>`
    select count(*)::int as n from delivery where content -> 'objectRef' ->> 'resource' = 'serviceaccounts' and content ->> 'verb' = 'get'
       and content -> 'user' ->> 'username' = 'admin'`

  for (let at = 0; at < 7; at += 1) await b.cluster.api('GET', `${core('serviceaccounts', 'shop')}/cart`)
  await eventually(async () => ((await rows(came)) === 7 ? true : undefined))
  const { scopes } = await ada.ask(collectSource, { params: { source: name } })
  const again = await ada.ask(collectSource, { params: { source: name } })

  assert.deepEqual(
    [...scopes, ...again.scopes]
      .filter(({ status }) => status !== 'complete')
      .map(({ scope, missing }) => [scope, missing]),
    [],
  )
  // The audit log beside it is the API server's own count of requests that ended.
  const logged = readFileSync(b.cluster.auditLog, 'utf8')
    .split('\n')
    .filter((line) => line.includes('"username":"admin"') && line.includes('"verb":"get"'))
    .filter((line) => line.includes('/serviceaccounts/cart') && line.includes('"stage":"ResponseComplete"'))
  assert.equal(logged.length, 7)
  const counted = sql<{ n: number }>`
    select sum(count)::int as n from observed_usage where privilege = 'get core/serviceaccounts' and agent is null`
  assert.equal(await rows(counted), 7)
  assert.equal(await rows(sql`select count(*)::int as n from usage_window where sees = 'samples'`), 1)
})

test('2,300 accounts come in pages, a right that is taken away in mid-run is denied by its verb, and nothing is lost', async (t) => {
  const { cluster, settings, credential, connector } = await bed(t)
  for (let at = 0; at < 2_300; at += 50) {
    await Promise.all(
      Array.from({ length: 50 }, (_, of) =>
        cluster.apply(core('serviceaccounts', 'shop'), { metadata: { name: `many-${at + of}` } }),
      ),
    )
  }
  const i = await inventoryWorld(t)
  const id = await i.source(connector, settings, credential && { credential })
  const first = await i.collect(id)
  const before = await i.count('observed_principal', `type = 'service' and missed_at is null`)
  let pages = 0
  const onPage = ({ scope }: { scope: string }) => {
    if (scope !== 'service-accounts') return
    pages += 1
    if (pages === 2) removed = cluster.api('DELETE', `${rbac('clusterrolebindings')}/reeve-inventory`)
  }
  let removed: Promise<unknown> | undefined
  const { scopes } = await i.collect(id, { onPage })
  await removed

  assert.equal(first.scopes.find(({ scope }) => scope === 'service-accounts')?.status, 'complete')
  assert.ok(before >= 2_300)
  assert.ok(
    scopes.some(({ status, missing }) => status === 'denied' && missing[0]?.permission?.startsWith('list ') === true),
  )
  assert.equal(await i.count('observed_principal', `type = 'service' and missed_at is null`), before)
})

test('each verb of the reader is named by what is not seen without it, and by nothing else', async (t) => {
  const { cluster, settings, credential = {}, connector, token } = await bed(t)
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
        [scopeOf[kind.resource] ?? 'workloads']: [
          'denied',
          `list ${kind.resource}${kind.group === '' ? '' : ` in ${kind.group}`}`,
        ],
      },
    })),
  )
})

/** Until the cache of RBAC has it so. */
async function untilListed(
  cluster: KubernetesCluster,
  token: string,
  { group, resource }: { readonly group: string; readonly resource: string },
  isListed: boolean,
): Promise<void> {
  const place = group === '' ? '/api/v1' : `/apis/${group}/v1`
  const asked = { method: 'GET', path: `${place}/${resource}?limit=1`, token, ca: cluster.authorities }
  await eventually(async () => ((await ask(cluster.url, asked)).status === (isListed ? 200 : 403) ? true : undefined))
}
