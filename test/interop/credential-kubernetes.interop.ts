import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { listGrants, revokeGrant } from '../../src/access/contract.ts'
import { cleaningOfFile } from '../support/installation.ts'
import { issuedWorld, type IssuedWorld } from '../support/issued-world.ts'
import { kubernetesCluster, type KubernetesCluster } from '../support/kubernetes-cluster.ts'
import { PROGRAM, reeve, type Place, type Ran } from '../support/program.ts'
import { placeOf } from '../support/proof-of.ts'
import { kubernetesPrograms } from './peers/kubernetes.ts'

// The real kubectl with the hook as its exec plugin, against a real API server over etcd.
const cleaning = cleaningOfFile()
let here: IssuedWorld
let cluster: KubernetesCluster
let kubectl = ''
let bob: Place

const rbac = (kind: string, namespace?: string) =>
  `/apis/rbac.authorization.k8s.io/v1/${namespace === undefined ? '' : `namespaces/${namespace}/`}${kind}`
const core = (kind: string, namespace: string) => `/api/v1/namespaces/${namespace}/${kind}`

/** No more than the writer says that it needs. */
async function furnish(): Promise<string> {
  for (const name of ['shop', 'reeve']) await cluster.apply('/api/v1/namespaces', { metadata: { name } })
  await cluster.apply(core('serviceaccounts', 'shop'), { metadata: { name: 'viewer' } })
  await cluster.apply(core('serviceaccounts', 'reeve'), { metadata: { name: 'provisioner' } })
  await cluster.apply(core('configmaps', 'shop'), { metadata: { name: 'prices' }, data: { tea: '3' } })
  const bind = async (namespace: string | undefined, role: string, to: string, from: string) =>
    cluster.apply(rbac(namespace === undefined ? 'clusterrolebindings' : 'rolebindings', namespace), {
      metadata: { name: `${role}-${to}` },
      roleRef: {
        apiGroup: 'rbac.authorization.k8s.io',
        kind: namespace === undefined ? 'ClusterRole' : 'Role',
        name: role,
      },
      subjects: [{ kind: 'ServiceAccount', name: to, namespace: from }],
    })
  const allow = (verbs: string[], resource: string, group = '') => ({
    verbs,
    resources: [resource],
    apiGroups: [group],
  })
  await cluster.apply(rbac('roles', 'shop'), {
    metadata: { name: 'look' },
    rules: [allow(['get', 'list', 'watch'], 'configmaps')],
  })
  await bind('shop', 'look', 'viewer', 'shop')
  await cluster.apply(rbac('roles', 'shop'), {
    metadata: { name: 'reeve' },
    rules: [allow(['create', 'delete', 'get'], 'secrets'), allow(['create'], 'serviceaccounts/token')],
  })
  await bind('shop', 'reeve', 'provisioner', 'reeve')
  await cluster.apply(rbac('clusterroles'), {
    metadata: { name: 'reeve-reviews' },
    rules: [allow(['create'], 'tokenreviews', 'authentication.k8s.io')],
  })
  await bind(undefined, 'reeve-reviews', 'provisioner', 'reeve')
  const { status } = (await cluster.api('POST', `${core('serviceaccounts', 'reeve')}/provisioner/token`, {
    spec: { expirationSeconds: 7200 },
  })) as { status: { token: string } }
  return status.token
}

before(async () => {
  const programs = await kubernetesPrograms()
  kubectl = programs.kubectl
  cluster = await kubernetesCluster(cleaning, programs.apiserver)
  const password = await furnish()
  here = await issuedWorld(cleaning)
  await here.register({
    name: 'cluster-1',
    protocol: 'kubernetes-token',
    settings: { server: cluster.url, ca: cluster.authorities },
    provisioner: { user: 'system:serviceaccount:reeve:provisioner', password },
    accounts: [{ name: 'shop/viewer', mode: 'lease' }],
    actions: ['k8s-token.read'],
  })
  bob = placeOf(here.folder, 'bob', here.bob)
})
after(() => cleaning.now())

/** As a kubeconfig names the hook. */
function kubeconfig(server: string, name: string): string {
  const path = join(here.folder, name)
  const exec = {
    apiVersion: 'client.authentication.k8s.io/v1',
    command: process.execPath,
    args: [PROGRAM, 'credential', 'kubectl', '--on', 'cluster-1:shop/viewer', '--for', 'use-cluster-1'],
    interactiveMode: 'Never',
    provideClusterInfo: true,
  }
  const ca = Buffer.from(cluster.authorities).toString('base64')
  writeFileSync(
    path,
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'c', cluster: { server, 'certificate-authority-data': ca } }],
      users: [{ name: 'u', user: { exec } }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u', namespace: 'shop' } }],
      'current-context': 'x',
    }),
  )
  return path
}

function run(config: string, ...args: string[]): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(
      kubectl,
      [`--kubeconfig=${config}`, ...args],
      { env: bob.env, cwd: here.folder },
      (error, stdout, stderr) => {
        resolve({ code: typeof error?.code === 'number' ? error.code : error ? -1 : 0, stdout, stderr })
      },
    )
  })
}

test('kubectl works by the hook, as the service account and no more', async () => {
  const config = kubeconfig(cluster.url, 'kubeconfig')

  const read = await run(config, 'get', 'configmap', 'prices', '-o', 'jsonpath={.data.tea}')
  const who = await run(config, 'auth', 'whoami', '-o', 'jsonpath={.status.userInfo.username}')
  const secrets = await run(config, 'get', 'secrets')

  assert.deepEqual([read.code, read.stdout], [0, '3'], read.stderr)
  assert.equal(who.stdout, 'system:serviceaccount:shop:viewer', who.stderr)
  assert.match(secrets.stderr, /forbidden/)
})

test('attack: a token that was stolen from kubectl is refused within seconds of the revocation, and proven dead', async () => {
  const printed = await reeve(bob, ['credential', 'kubectl', '--on', 'cluster-1:shop/viewer', '--for', 'use-cluster-1'])
  const { token } = JSON.parse(printed.stdout).status
  const bearer = [`--server=${cluster.url}`, `--token=${token}`, '--namespace=shop', 'get', 'configmaps']
  const empty = join(here.folder, 'empty')
  writeFileSync(empty, JSON.stringify({ apiVersion: 'v1', kind: 'Config' }))
  const ca = join(here.folder, 'cluster.pem')
  writeFileSync(ca, cluster.authorities)
  const steal = () => run(empty, `--certificate-authority=${ca}`, ...bearer)
  assert.equal((await steal()).code, 0)
  const grant = await grantOf()
  await here.ada.ask(revokeGrant, { params: { grant }, input: { reason: 'it was stolen' } })

  const lease = await here.lease(grant, 'dead')
  const after = await steal()

  assert.equal(Object(lease.evidence).tokenReview, 'not authenticated')
  assert.notEqual(after.code, 0)
  assert.match(after.stderr, /Unauthorized|must be logged in/)
  assert.ok(!printed.stderr.includes(token))
})

test('attack: a kubeconfig that names another server gets no token', async () => {
  const { code, stderr } = await run(kubeconfig('https://127.0.0.1:1', 'elsewhere'), 'get', 'configmaps')

  assert.notEqual(code, 0)
  assert.match(stderr, /names another server/)
})

test('reeve run gives kubectl the cluster for as long as the grant lives', async () => {
  const args = ['run', '--on', 'cluster-1:shop/viewer', '--for', 'use-cluster-1', '--action', 'k8s-token.read', '--']
  const { code, stdout, stderr } = await reeve(bob, [...args, kubectl, '-n', 'shop', 'get', 'configmaps', '-o', 'name'])

  assert.deepEqual([code, stdout.includes('configmap/prices')], [0, true], stderr)
})

async function grantOf(): Promise<string> {
  const { items } = await here.bob.ask(listGrants, { query: { view: 'mine', isLive: 'true' } })
  return items[0]?.id ?? ''
}
