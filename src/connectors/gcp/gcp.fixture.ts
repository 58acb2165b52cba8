// Fixtures made by us after the published documentation (Cloud Asset API v1, IAM API v1, API Keys API v2, Policy Analyzer API v1). No Google service was asked.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { TestContext } from 'node:test'
import { pemKey, rsaKey } from '../../../test/support/certificates.ts'
import { verifyJws } from '../../kernel/jws.ts'

const keys = rsaKey(2048)
export const PRIVATE_KEY = pemKey(keys)
const JWK = { ...keys.publicKey.export({ format: 'jwk' }), kid: 'reader-key' }
/** A key as Google gives it out in a file. */
export const LOGIN = {
  type: 'service_account',
  project_id: 'acme-shop',
  private_key_id: 'reader-key',
  private_key: PRIVATE_KEY,
  client_email: 'reader@acme-shop.iam.gserviceaccount.com',
  // Nobody is asked at this address: the key signs tokens by itself.
  token_uri: 'https://tokens.attacker.example/token',
}
export const STRING = 'AIzaNoKeyAtAllOnlyForThisTest000000000'

type Json = Record<string, unknown>
const SHOP = ['projects/111', 'folders/22', 'organizations/9']
const IAM = '//iam.googleapis.com'
const POOL = 'projects/111/locations/global/workloadIdentityPools/github'
const pool = (rest: string) => `//iam.googleapis.com/${POOL}/${rest}`

const resource = (assetType: string, name: string, data: Json, ancestors = SHOP): Json => ({
  name,
  assetType,
  ancestors,
  updateTime: '2026-01-01T00:00:00Z',
  resource: { version: 'v1', discoveryDocumentUri: 'https://iam.googleapis.com/$discovery/rest', data },
})
const account = (uniqueId: string, name: string, more: Json = {}) =>
  resource('iam.googleapis.com/ServiceAccount', `${IAM}/projects/acme-shop/serviceAccounts/${uniqueId}`, {
    name: `projects/acme-shop/serviceAccounts/${name}@acme-shop.iam.gserviceaccount.com`,
    projectId: 'acme-shop',
    uniqueId,
    email: `${name}@acme-shop.iam.gserviceaccount.com`,
    displayName: name,
    ...more,
  })
const key = (uniqueId: string, id: string, more: Json = {}) =>
  resource('iam.googleapis.com/ServiceAccountKey', `${IAM}/projects/acme-shop/serviceAccounts/${uniqueId}/keys/${id}`, {
    keyAlgorithm: 'KEY_ALG_RSA_2048',
    keyOrigin: 'GOOGLE_PROVIDED',
    keyType: 'USER_MANAGED',
    validAfterTime: '2023-01-01T00:00:00Z',
    validBeforeTime: '9999-12-31T23:59:59Z',
    ...more,
  })
const provider = (name: string, data: Json) =>
  resource(
    'iam.googleapis.com/WorkloadIdentityPoolProvider',
    `${IAM}/projects/acme-shop${POOL.slice(12)}/providers/${name}`,
    {
      name: `${POOL}/providers/${name}`,
      state: 'ACTIVE',
      attributeMapping: { 'google.subject': 'assertion.sub', 'attribute.repository': 'assertion.repository' },
      ...data,
    },
  )
const policy = (assetType: string, name: string, bindings: readonly Json[], ancestors = SHOP): Json => ({
  name,
  assetType,
  ancestors,
  iamPolicy: { version: 3, etag: 'BwX=', bindings },
})
const sa = (name: string) => `serviceAccount:${name}@acme-shop.iam.gserviceaccount.com`
const api = (uid: string, displayName: string, restrictions?: Json) =>
  resource('apikeys.googleapis.com/Key', `//apikeys.googleapis.com/projects/111/locations/global/keys/${uid}`, {
    uid,
    displayName,
    createTime: '2024-05-01T00:00:00Z',
    keyString: STRING,
    ...(restrictions && { restrictions }),
  })

export const RESOURCES: readonly Json[] = [
  resource(
    'cloudresourcemanager.googleapis.com/Organization',
    '//cloudresourcemanager.googleapis.com/organizations/9',
    { name: 'organizations/9', displayName: 'acme.example', state: 'ACTIVE' },
    ['organizations/9'],
  ),
  resource(
    'cloudresourcemanager.googleapis.com/Folder',
    '//cloudresourcemanager.googleapis.com/folders/22',
    { name: 'folders/22', displayName: 'shops', parent: 'organizations/9' },
    ['folders/22', 'organizations/9'],
  ),
  resource('cloudresourcemanager.googleapis.com/Project', '//cloudresourcemanager.googleapis.com/projects/111', {
    projectNumber: '111',
    projectId: 'acme-shop',
    lifecycleState: 'ACTIVE',
    labels: { env: 'production', team: 'payments' },
  }),
  account('1001', 'deployer', { description: 'ships the shop' }),
  account('1002', 'ruler'),
  account('1003', 'old', { disabled: true }),
  account('1004', 'reporter'),
  key('1001', 'aaaa', {}),
  key('1001', 'bbbb', { keyType: 'SYSTEM_MANAGED', validBeforeTime: '2026-02-01T00:00:00Z' }),
  key('1003', 'cccc', { disabled: true, disableReason: 'SERVICE_ACCOUNT_KEY_DISABLE_REASON_EXPOSED' }),
  key('1004', 'dddd', { keyAlgorithm: 'KEY_ALG_RSA_1024', validBeforeTime: '2025-01-01T00:00:00Z' }),
  resource('iam.googleapis.com/Role', `${IAM}/organizations/9/roles/quiet`, {
    name: 'organizations/9/roles/quiet',
    title: 'quiet',
    includedPermissions: ['storage.objects.get', 'iam.serviceAccounts.getAccessToken'],
  }),
  resource('iam.googleapis.com/WorkloadIdentityPool', `${IAM}/projects/acme-shop${POOL.slice(12)}`, {
    name: POOL,
    displayName: 'github',
    state: 'ACTIVE',
  }),
  provider('open', { oidc: { issuerUri: 'https://token.actions.githubusercontent.com' } }),
  provider('tight', {
    oidc: { issuerUri: 'https://ci.example', allowedAudiences: ['acme'] },
    attributeCondition: 'google.subject == \'job:ship\' && attribute.repository == "acme/shop"',
  }),
  provider('tricked', {
    oidc: { issuerUri: 'https://tricked.example' },
    attributeCondition: "assertion.sub == 'x' || true",
  }),
  provider('off', { disabled: true, oidc: { issuerUri: 'https://off.example' } }),
  api('k-open', 'maps'),
  api('k-tight', 'backend', {
    serverKeyRestrictions: { allowedIps: ['192.0.2.1'] },
    apiTargets: [{ service: 'maps' }],
  }),
]

export const POLICIES: readonly Json[] = [
  policy(
    'cloudresourcemanager.googleapis.com/Organization',
    '//cloudresourcemanager.googleapis.com/organizations/9',
    [
      { role: 'roles/owner', members: [sa('ruler')] },
      { role: 'roles/viewer', members: ['group:everyone@acme.example', 'deleted:user:gone@acme.example?uid=77'] },
    ],
    ['organizations/9'],
  ),
  policy('cloudresourcemanager.googleapis.com/Project', '//cloudresourcemanager.googleapis.com/projects/111', [
    { role: 'roles/iam.serviceAccountTokenCreator', members: [sa('reporter')] },
    { role: 'roles/editor', members: [sa('deployer'), 'serviceAccount:111@cloudservices.gserviceaccount.com'] },
    { role: 'roles/storage.admin', members: ['serviceAccount:sync@vendor-prod.iam.gserviceaccount.com'] },
    { role: 'roles/bigquery.dataViewer', members: ['user:Ann@acme.example', 'allUsers'] },
    {
      role: 'roles/browser',
      members: ['user:ann@acme.example'],
      condition: { title: 'for a while', expression: 'request.time < timestamp("2030-01-01T00:00:00Z")' },
    },
  ]),
  policy('iam.googleapis.com/ServiceAccount', `${IAM}/projects/acme-shop/serviceAccounts/1002`, [
    {
      role: 'roles/iam.workloadIdentityUser',
      members: [`principalSet:${pool('attribute.repository/acme/shop')}`, `principal:${pool('subject/job:ship')}`],
    },
    { role: 'organizations/9/roles/quiet', members: ['user:bob@acme.example'] },
    { role: 'roles/iam.serviceAccountViewer', members: ['user:bob@acme.example'] },
  ]),
  policy('storage.googleapis.com/Bucket', '//storage.googleapis.com/acme-invoices', [
    { role: 'roles/storage.objectViewer', members: ['allUsers', 'serviceAccount:acme-shop.svc.id.goog[web/front]'] },
  ]),
]

const period = { startTime: '2026-01-01T07:00:00Z', endTime: '2026-03-31T07:00:00Z' }
const ACTIVITIES: Readonly<Record<string, readonly Json[]>> = {
  serviceAccountLastAuthentication: [
    {
      fullResourceName: `${IAM}/projects/acme-shop/serviceAccounts/deployer@acme-shop.iam.gserviceaccount.com`,
      activityType: 'serviceAccountLastAuthentication',
      observationPeriod: period,
      activity: { lastAuthenticatedTime: '2026-03-30T07:00:00Z', serviceAccount: { serviceAccountId: '1001' } },
    },
    {
      fullResourceName: `${IAM}/projects/acme-shop/serviceAccounts/old@acme-shop.iam.gserviceaccount.com`,
      activityType: 'serviceAccountLastAuthentication',
      observationPeriod: period,
      activity: { serviceAccount: { serviceAccountId: '1003' } },
    },
  ],
  serviceAccountKeyLastAuthentication: [
    {
      fullResourceName: `${IAM}/projects/acme-shop/serviceAccounts/deployer@acme-shop.iam.gserviceaccount.com/keys/aaaa`,
      activityType: 'serviceAccountKeyLastAuthentication',
      observationPeriod: period,
      activity: { lastAuthenticatedTime: '2026-03-30T07:00:00Z' },
    },
  ],
}

export type GcpStub = {
  readonly assets: string
  readonly activity: string
  resources: Json[]
  policies: Json[]
  /** Words within a path and its query, refused with a status and the reason beside it. */
  readonly refused: Map<string, { readonly status: number; readonly reason?: string }>
  /** By which origin was asked, with what. */
  readonly asked: string[]
  readonly tokens: string[]
  pageSize: number
  intercept: (request: IncomingMessage, response: ServerResponse) => boolean
}

/** A stub of two APIs of Google: lists in pages behind tokens that the key signs. It is no Google. */
export async function gcpStub(t: Pick<TestContext, 'after'>): Promise<GcpStub> {
  const stub: GcpStub = {
    assets: await listening(t, (request, response) => respond(stub, 'cloudasset', request, response)),
    activity: await listening(t, (request, response) => respond(stub, 'policyanalyzer', request, response)),
    resources: [...RESOURCES],
    policies: [...POLICIES],
    refused: new Map(),
    asked: [],
    tokens: [],
    pageSize: 4,
    intercept: () => false,
  }
  return stub
}

async function listening(
  t: Pick<TestContext, 'after'>,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<string> {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  return `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`
}

function respond(stub: GcpStub, of: string, request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? '/', 'http://stub')
  stub.asked.push(`${of} ${decodeURIComponent(request.url ?? '')}`)
  const token = (request.headers.authorization ?? '').replace(/^Bearer /, '')
  stub.tokens.push(token)
  if (stub.intercept(request, response)) return
  const proven = verifyJws(token, [JWK])
  // AIP-4111: the token names the one API that it is for.
  if (proven?.claims['aud'] !== `https://${of}.googleapis.com/` || proven.claims['sub'] !== LOGIN.client_email) {
    refuse(response, 401)
    return
  }
  const refusal = [...stub.refused].find(([words]) => decodeURIComponent(request.url ?? '').includes(words))?.[1]
  if (refusal) refuse(response, refusal.status, refusal.reason)
  else if (of === 'cloudasset') listAssets(stub, url, response)
  else {
    const sort = /activityTypes\/(\w+)\/activities:query$/.exec(url.pathname)?.[1] ?? ''
    page(stub, url, response, { key: 'activities', all: ACTIVITIES[sort] ?? [] })
  }
}

function refuse(response: ServerResponse, code: number, reason?: string): void {
  const details = reason === undefined ? [] : [{ '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason }]
  response.writeHead(code).end(JSON.stringify({ error: { code, message: 'no', status: 'PERMISSION_DENIED', details } }))
}

function listAssets(stub: GcpStub, url: URL, response: ServerResponse): void {
  const types = url.searchParams.getAll('assetTypes')
  const all = url.searchParams.get('contentType') === 'IAM_POLICY' ? stub.policies : stub.resources
  const parent = /^\/v1\/([a-z]+\/[^/]+)\/assets$/.exec(url.pathname)?.[1] ?? ''
  const within = all.filter(
    ({ assetType, ancestors }) =>
      (types.length === 0 || types.includes(String(assetType))) &&
      (parent === 'projects/acme-shop'
        ? /"projects\/111\d?"/.test(JSON.stringify(ancestors))
        : JSON.stringify(ancestors).includes(`"${parent}"`)),
  )
  page(stub, url, response, { key: 'assets', all: within })
}

function page(
  stub: GcpStub,
  url: URL,
  response: ServerResponse,
  { key: under, all }: { readonly key: string; readonly all: readonly Json[] },
): void {
  const from = Number(url.searchParams.get('pageToken') ?? 0)
  const size = Math.min(stub.pageSize, Number(url.searchParams.get('pageSize')))
  const next = from + size < all.length ? { nextPageToken: String(from + size) } : {}
  response.end(JSON.stringify({ ...(all.length > 0 && { [under]: all.slice(from, from + size) }), ...next }))
}
