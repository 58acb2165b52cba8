// Fixtures made by us after the published documentation (Microsoft Graph v1.0 and beta reference, Microsoft identity platform). No tenant was asked.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import type { TestContext } from 'node:test'
import { decodeJwt, jwtVerify } from 'jose'
import { z } from 'zod'
import { certificateOf, pemKey, rsaKey } from '../../../test/support/certificates.ts'
import { sha256 } from '../../kernel/crypto.ts'
import { instantAt } from '../../kernel/instant.ts'
import { AZURE, certificate, holds, login, object, SCHEDULES, type Json, type Lists } from './shapes.fixture.ts'

export const TENANT = '11111111-1111-4111-8111-111111111111'
const VENDOR = '22222222-2222-4222-8222-222222222222'
const MICROSOFT = 'f8cdef31-a31e-4b4a-93e4-5f571e91255a'
const GRAPH_APP = '00000003-0000-0000-c000-000000000000'
const CLIENT = '33333333-3333-4333-8333-333333333333'
export const SECRET = 'correct-horse-battery-staple-4722'

const keys = rsaKey(2048)
const shown = certificateOf({ subject: 'reader', key: keys })
export const BY_SECRET = { clientId: CLIENT, clientSecret: SECRET }
export const BY_CERTIFICATE = { clientId: CLIENT, privateKey: pemKey(keys), certificate: shown.pem }

const application = (name: string, more: Json = {}): Json => ({
  id: `object-${name}`,
  appId: `app-${name}`,
  displayName: name,
  createdDateTime: '2022-01-01T00:00:00Z',
  signInAudience: 'AzureADMyOrg',
  tags: [],
  passwordCredentials: [],
  keyCredentials: [],
  federatedIdentityCredentials: [],
  owners: [],
  ...more,
})
const sp = (name: string, more: Json = {}): Json => ({
  id: `sp-${name}`,
  appId: `app-${name}`,
  displayName: name,
  accountEnabled: true,
  appOwnerOrganizationId: TENANT,
  servicePrincipalType: 'Application',
  verifiedPublisher: { displayName: null, verifiedPublisherId: null, addedDateTime: null },
  alternativeNames: [],
  tags: ['WindowsAzureActiveDirectoryIntegratedApp'],
  appRoles: [],
  oauth2PermissionScopes: [],
  passwordCredentials: [],
  keyCredentials: [],
  appRoleAssignments: [],
  owners: [],
  ...more,
})
const federated = (id: string, issuer: string, subject: string | null): Json => ({
  id,
  name: id,
  issuer,
  subject,
  audiences: ['api://AzureADTokenExchange'],
})
const assigned = (of: string, role: string): Json => ({
  id: `assigned-${of}-${role}`,
  appRoleId: role,
  principalId: `sp-${of}`,
  resourceId: 'sp-graph',
  createdDateTime: '2025-01-01T00:00:00Z',
})
const change = (activityDateTime: string, activityDisplayName: string, by: Json): Json => ({
  id: `change-${activityDateTime}`,
  activityDateTime,
  activityDisplayName,
  initiatedBy: by,
})
/** Changes at these moments: of a service principal, of a person, and of nobody. */
export const changes = (...moments: readonly string[]): Json[] => [
  ...moments.map((at) =>
    change(at, 'Add owner to application', { user: null, app: { servicePrincipalId: 'sp-billing' } }),
  ),
  ...moments.map((at) => change(at, 'Consent to application', { user: { id: 'user-eve' }, app: null })),
  ...moments.map((at) => change(at, 'Update policy', { user: null, app: { servicePrincipalId: null } })),
]
const roleOf = (id: string, displayName: string, isBuiltIn: boolean, actions: readonly string[] = []): Json => ({
  id,
  templateId: id,
  displayName,
  isBuiltIn,
  isEnabled: true,
  rolePermissions: [{ allowedResourceActions: actions }],
})

const APPLICATIONS: Lists = [
  ['/v1.0/organization', [{ id: TENANT, displayName: 'Acme', verifiedDomains: [{ name: 'acme.example' }] }]],
  [
    '/v1.0/applications',
    [
      application('billing', {
        passwordCredentials: [login('old'), login('over', { endDateTime: '2024-01-01T00:00:00Z' })],
        keyCredentials: [certificate('cert')],
        notes: 'of the payments team',
      }),
      application('shipper', {
        federatedIdentityCredentials: [
          federated('main', 'https://token.actions.githubusercontent.com', 'repo:acme/shop:ref:refs/heads/main'),
          federated('loose', 'https://token.actions.githubusercontent.com', null),
        ],
        owners: [object('user', 'user-eve')],
      }),
      application('gone'),
      application('many', {
        federatedIdentityCredentials: Array.from({ length: 20 }, (_, n) =>
          federated(`f${n}`, 'https://ci.example', `${n}`),
        ),
      }),
    ],
  ],
  [
    '/v1.0/applications/object-many/federatedIdentityCredentials',
    Array.from({ length: 21 }, (_, n) => federated(`f${n}`, 'https://ci.example', `${n}`)),
  ],
]
const PRINCIPALS: Lists = [
  [
    '/v1.0/servicePrincipals',
    [
      sp('graph', {
        appId: GRAPH_APP,
        displayName: 'Microsoft Graph',
        appOwnerOrganizationId: MICROSOFT,
        appRoles: [
          { id: 'role-rule', value: 'RoleManagement.ReadWrite.Directory' },
          { id: 'role-mail', value: 'Mail.Read' },
        ],
        oauth2PermissionScopes: [{ id: 'scope-mail' }],
      }),
      sp('billing', {
        keyCredentials: [certificate('cert', { customKeyIdentifier: 'qhG7Iswz3UTuVf9mqne7iMyZ3QA=' })],
      }),
      sp('shipper', { appRoleAssignments: [assigned('shipper', 'role-rule'), assigned('shipper', 'role-mail')] }),
      sp('notes', {
        displayName: 'Acme Notes',
        appOwnerOrganizationId: VENDOR,
        verifiedPublisher: {
          displayName: 'Notes Inc',
          verifiedPublisherId: '4711',
          addedDateTime: '2024-01-01T00:00:00Z',
        },
      }),
      sp('shady', { displayName: 'Free PDF', appOwnerOrganizationId: VENDOR, accountEnabled: false }),
      sp('function', {
        servicePrincipalType: 'ManagedIdentity',
        appOwnerOrganizationId: null,
        alternativeNames: ['isExplicit=False', '/subscriptions/s/resourcegroups/g/providers/Microsoft.Web/sites/ship'],
        keyCredentials: [certificate('azure')],
        owners: [object('servicePrincipal', 'sp-billing')],
      }),
    ],
  ],
]
const RIGHTS: Lists = [
  [
    '/v1.0/oauth2PermissionGrants',
    [
      {
        id: 'grant-all',
        clientId: 'sp-notes',
        consentType: 'AllPrincipals',
        principalId: null,
        resourceId: 'sp-graph',
        scope: 'Mail.Read offline_access openid',
      },
      {
        id: 'grant-eve',
        clientId: 'sp-shady',
        consentType: 'Principal',
        principalId: 'user-eve',
        resourceId: 'sp-graph',
        scope: ' Files.ReadWrite.All  User.Read',
      },
    ],
  ],
  [
    '/v1.0/roleManagement/directory/roleDefinitions',
    [
      roleOf('9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3', 'Application Administrator', true),
      roleOf('88d8e3e3-8f55-4a1e-953a-9b9898b8876b', 'Directory Readers', true),
      roleOf('own-1', 'Login keeper', false, ['microsoft.directory/servicePrincipals/credentials/update']),
    ],
  ],
  [
    '/v1.0/roleManagement/directory/roleAssignments',
    [
      holds('a1', '9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3', object('group', 'group-apps')),
      holds('a2', '88d8e3e3-8f55-4a1e-953a-9b9898b8876b', object('servicePrincipal', 'sp-notes')),
      holds('a3', 'own-1', object('servicePrincipal', 'sp-billing')),
      holds('a4', '9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3', object('user', 'user-zoe'), '/object-gone'),
      holds('a5', '88d8e3e3-8f55-4a1e-953a-9b9898b8876b', object('user', 'user-zoe'), '/administrativeUnits/unit-1'),
    ],
  ],
  ['/v1.0/directoryObjects/object-gone', { ...object('application', 'object-gone'), appId: 'app-gone' }],
]
const PEOPLE: Lists = [
  ['/v1.0/groups', [{ id: 'group-apps', displayName: 'app admins', createdDateTime: '2024-01-01T00:00:00Z' }]],
  ['/v1.0/groups/group-apps/members', [object('user', 'user-ann')]],
  ['/v1.0/groups/group-apps/owners', [object('user', 'user-eve')]],
  [
    '/v1.0/users',
    ['ann', 'eve', 'zoe'].map((name) => ({
      id: `user-${name}`,
      userPrincipalName: `${name}@acme.example`,
      displayName: name,
      accountEnabled: true,
      userType: name === 'zoe' ? 'Guest' : 'Member',
      createdDateTime: '2024-01-01T00:00:00Z',
    })),
  ],
  [
    '/beta/reports/servicePrincipalSignInActivities',
    [
      {
        id: 'x1',
        appId: 'app-billing',
        applicationAuthenticationClientSignInActivity: { lastSignInDateTime: '2026-03-01T00:00:00Z' },
        delegatedClientSignInActivity: { lastSignInDateTime: null },
      },
    ],
  ],
  ['/v1.0/auditLogs/directoryAudits', changes('2029-12-20T10:00:00.000Z', '2029-12-20T11:00:00.000Z')],
  [
    '/beta/reports/appCredentialSignInActivities',
    [
      {
        id: 'y1',
        keyId: 'old',
        keyType: 'clientSecret',
        appId: 'app-billing',
        credentialOrigin: 'application',
        signInActivity: { lastSignInDateTime: '2026-03-01T00:00:00Z' },
      },
    ],
  ],
]

/** By path without its query: what stands under `value`, in pages, or one thing. */
const tenant = () =>
  new Map<string, Json[] | Json>(
    structuredClone([...APPLICATIONS, ...PRINCIPALS, ...RIGHTS, ...SCHEDULES, ...AZURE, ...PEOPLE]),
  )

export type EntraStub = {
  readonly graph: string
  readonly login: string
  readonly azure: string
  readonly lists: Map<string, Json[] | Json>
  /** Words within a path, refused with a status and a code. */
  readonly refused: Map<string, { readonly status: number; readonly code?: string }>
  readonly asked: string[]
  /** What came to each of the two, headers and body. */
  readonly came: { graph: string; login: string; azure: string }
  pageSize: number
  logins: number
  token: string
  intercept: (request: IncomingMessage, response: ServerResponse) => boolean
}

/** A stub of Graph and of the login service: lists in pages behind tokens. It is no tenant. */
export async function entraStub(t: Pick<TestContext, 'after'>): Promise<EntraStub> {
  const stub: EntraStub = {
    graph: await listening(t, (request, response) => graph(stub, request, response)),
    login: await listening(t, (request, response) => void logIn(stub, request, response)),
    azure: await listening(t, (request, response) => graph(stub, request, response, 'azure')),
    lists: tenant(),
    refused: new Map(),
    asked: [],
    came: { graph: '', login: '', azure: '' },
    pageSize: 2,
    logins: 0,
    token: 'token-of-the-stub-0',
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

async function logIn(stub: EntraStub, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const body = await text(request)
  stub.came.login += `${request.url} ${JSON.stringify(request.headers)} ${body}\n`
  const fields = new URLSearchParams(body)
  const isAzure = fields.get('scope') === 'https://management.azure.com/.default'
  const isFor =
    request.url === `/${TENANT}/oauth2/v2.0/token` &&
    fields.get('grant_type') === 'client_credentials' &&
    (isAzure || fields.get('scope') === 'https://graph.microsoft.com/.default') &&
    fields.get('client_id') === CLIENT
  const assertion = fields.get('client_assertion')
  const isProven = assertion === null ? fields.get('client_secret') === SECRET : await isSigned(stub, assertion)
  if (!isFor || !isProven) {
    response.writeHead(401).end(JSON.stringify({ error: 'invalid_client' }))
    return
  }
  if (isAzure) {
    response.end(JSON.stringify({ token_type: 'Bearer', expires_in: 3599, access_token: AZURE_TOKEN }))
    return
  }
  stub.logins += 1
  stub.token = `token-of-the-stub-${stub.logins}`
  response.end(JSON.stringify({ token_type: 'Bearer', expires_in: 3599, access_token: stub.token }))
}

/** "Certificate credentials". */
async function isSigned(stub: EntraStub, assertion: string): Promise<boolean> {
  const issuedAt = z.object({ iat: z.number() }).safeParse(decodeJwt(assertion)).data?.iat ?? 0
  const at = instantAt(issuedAt * 1000)
  try {
    const { protectedHeader, payload } = await jwtVerify(assertion, keys.publicKey, {
      algorithms: ['PS256'],
      audience: `${stub.login}/${TENANT}/oauth2/v2.0/token`,
      issuer: CLIENT,
      subject: CLIENT,
      // The clock of the inventory is turned by hand.
      ...(at && { currentDate: at }),
      requiredClaims: ['jti', 'nbf', 'exp'],
    })
    return payload.jti !== undefined && protectedHeader['x5t#S256'] === sha256(shown.der).toString('base64url')
  } catch {
    return false
  }
}

const AZURE_TOKEN = 'token-of-the-stub-for-azure'

function graph(
  stub: EntraStub,
  request: IncomingMessage,
  response: ServerResponse,
  which: 'graph' | 'azure' = 'graph',
): void {
  const url = new URL(request.url ?? '/', stub[which])
  const token = which === 'azure' ? AZURE_TOKEN : stub.token
  stub.asked.push(request.url ?? '')
  stub.came[which] += `${request.url} ${JSON.stringify(request.headers)}\n`
  if (stub.intercept(request, response)) return
  const refusal = [...stub.refused].find(([words]) => (request.url ?? '').includes(words))?.[1]
  const found = within(stub.lists.get(decodeURIComponent(url.pathname)), url.searchParams.get('$filter') ?? '')
  if (request.headers.authorization !== `Bearer ${token}`) refuse(response, 401, 'InvalidAuthenticationToken')
  else if (refusal) refuse(response, refusal.status, refusal.code ?? 'Authorization_RequestDenied')
  else if (found === undefined) refuse(response, 404, 'Request_ResourceNotFound')
  else if (!Array.isArray(found)) response.end(JSON.stringify(found))
  else page(stub, url, response, found, which)
}

/** The one filter by time that the log of changes has. */
function within(found: Json[] | Json | undefined, filter: string): Json[] | Json | undefined {
  const [, from, to] = /^activityDateTime ge (\S+) and activityDateTime le (\S+)$/.exec(filter) ?? []
  if (from === undefined || to === undefined || !Array.isArray(found)) return found
  return found.filter(({ activityDateTime: at }) => String(at) >= from && String(at) <= to)
}

function refuse(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status).end(JSON.stringify({ error: { code, message: 'no', innerError: {} } }))
}

function page(
  stub: EntraStub,
  url: URL,
  response: ServerResponse,
  all: readonly Json[],
  which: 'graph' | 'azure',
): void {
  const from = Number(url.searchParams.get('$skiptoken') ?? 0)
  const size = Math.min(stub.pageSize, Number(url.searchParams.get('$top') ?? 100))
  const next = new URL(url)
  next.searchParams.set('$skiptoken', String(from + size))
  response.end(
    JSON.stringify({
      ...(from + size < all.length && { [which === 'azure' ? 'nextLink' : '@odata.nextLink']: next.href }),
      value: all.slice(from, from + size),
    }),
  )
}
