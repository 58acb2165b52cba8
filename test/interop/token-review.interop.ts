import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { z } from 'zod'
import { Jwks } from '../../src/tokens/schemas.ts'
import { eventually } from '../support/eventually.ts'
import { cleaningOfFile } from '../support/installation.ts'
import { kubernetesCluster, type KubernetesCluster } from '../support/kubernetes-cluster.ts'
import { newTestKey, tokenWorld, type TokenWorld } from '../support/token-world.ts'
import { kubernetesPrograms } from './peers/kubernetes.ts'

// Pods prove themselves by their service account, and a real API server over etcd says which of their tokens are still good.
const cleaning = cleaningOfFile()
const ISSUER = 'https://kubernetes.default.svc'
const CORE = '/api/v1/namespaces'
let cluster: KubernetesCluster
let w: TokenWorld

const Made = z.object({ metadata: z.object({ name: z.string(), uid: z.string() }) })
const Issued = z.object({ status: z.object({ token: z.string() }) })

async function tokenOf(account: string, spec: Record<string, unknown>): Promise<string> {
  const path = `${CORE}/shop/serviceaccounts/${account}/token`
  return Issued.parse(await cluster.api('POST', path, { spec: { expirationSeconds: 3600, ...spec } })).status.token
}

/** A token for us that lives as long as the thing it is bound to. */
async function boundTo(kind: 'Pod' | 'Secret', name: string, audiences = [w.issuer]): Promise<string> {
  const { uid } = Made.parse(await cluster.api('GET', `${CORE}/shop/${kind.toLowerCase()}s/${name}`)).metadata
  return tokenOf('migrator', { audiences, boundObjectRef: { kind, apiVersion: 'v1', name, uid } })
}

const pod = (name: string) =>
  cluster.apply(`${CORE}/shop/pods`, {
    metadata: { name },
    spec: { serviceAccountName: 'migrator', containers: [{ name: 'one', image: 'registry.example/migrator:1' }] },
  })

async function obtain(assertion: string) {
  const form = { grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion }
  const { status, json } = await w.ask(form, { dpop: await newTestKey() })
  return { status, error: json.error, token: json.access_token }
}

/** The API server remembers a token that it found good for ten seconds. */
async function refusedSoon(token: string): Promise<void> {
  const { status, error } = await eventually(async () => {
    const answer = await obtain(token)
    return answer.status === 200 ? undefined : answer
  })
  assert.deepEqual([status, error], [400, 'invalid_grant'])
}

before(async () => {
  const { apiserver } = await kubernetesPrograms()
  cluster = await kubernetesCluster(cleaning, apiserver)
  const folder = mkdtempSync(join(tmpdir(), 'reeve-review-'))
  cleaning.after(() => rmSync(folder, { recursive: true, force: true }))
  const caFile = join(folder, 'cluster.pem')
  writeFileSync(caFile, cluster.authorities)
  w = await tokenWorld(cleaning, { egress: { allow: ['http://127.0.0.1', '127.0.0.1'], caFile } })
  await cluster.apply(CORE, { metadata: { name: 'shop' } })
  for (const name of ['migrator', 'other', 'reviewer']) {
    await cluster.apply(`${CORE}/shop/serviceaccounts`, { metadata: { name } })
  }
  // All that the reviewer may do is what every cluster has a role for.
  await cluster.apply('/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
    metadata: { name: 'reeve-reviews' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'system:auth-delegator' },
    subjects: [{ kind: 'ServiceAccount', name: 'reviewer', namespace: 'shop' }],
  })
  await w.workload('migrator')
  await w.rule('migrator', {
    name: 'migrator-in-the-cluster',
    preset: 'kubernetes',
    issuer: ISSUER,
    subject: { is: 'system:serviceaccount:shop:migrator' },
    keys: Jwks.parse(await cluster.api('GET', '/openid/v1/jwks')),
    review: { url: cluster.url },
    reviewer: await tokenOf('reviewer', {}),
  })
})
after(() => cleaning.now())

test('a pod gets a token by its service account, until the pod is gone', async () => {
  await pod('one')
  const [shown, kept] = [await boundTo('Pod', 'one'), await boundTo('Pod', 'one')]
  const first = await obtain(shown)
  assert.equal(first.status, 200, first.error)

  await cluster.api('DELETE', `${CORE}/shop/pods/one?gracePeriodSeconds=0`)

  // Its signature is good for an hour more; that is what the review is for.
  await refusedSoon(shown)
  await refusedSoon(kept)
})

test('attack: a pod of the same name that came after is not the pod that the token was made for', async () => {
  await pod('again')
  const old = await boundTo('Pod', 'again')
  await cluster.api('DELETE', `${CORE}/shop/pods/again?gracePeriodSeconds=0`)
  await pod('again')

  await refusedSoon(old)
  assert.equal((await obtain(await boundTo('Pod', 'again'))).status, 200)
})

test('a token that is bound to a secret ends with the secret', async () => {
  await cluster.apply(`${CORE}/shop/secrets`, { metadata: { name: 'switch' } })
  const token = await boundTo('Secret', 'switch')
  assert.equal((await obtain(token)).status, 200)

  await cluster.api('DELETE', `${CORE}/shop/secrets/switch`)

  await refusedSoon(token)
})

test('attack: a token for another audience, of another account or for the cluster itself proves nothing here', async () => {
  await pod('two')
  const others = [
    await boundTo('Pod', 'two', ['https://elsewhere.example']),
    await boundTo('Pod', 'two', [ISSUER]),
    await tokenOf('other', { audiences: [w.issuer] }),
    cluster.adminToken,
  ]

  const answers = []
  for (const token of others) answers.push(await obtain(token))

  assert.deepEqual(
    answers.map(({ status, token }) => [status, token]),
    others.map(() => [400, undefined]),
  )
})

test('attack: while nobody can review, no token is believed', async () => {
  await pod('three')
  const token = await boundTo('Pod', 'three')
  assert.equal((await obtain(token)).status, 200)
  await cluster.api('DELETE', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/reeve-reviews')

  await refusedSoon(token)
})
