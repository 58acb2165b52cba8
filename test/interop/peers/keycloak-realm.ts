/** A realm as companies have it: clients well and badly set up, a vendor's, one of every way to prove itself. */
import assert from 'node:assert/strict'
import { z } from 'zod'

export const SECRET = 'correct-horse-battery-staple-4717'
export const PASSWORD = 'the password of alice'
export const PROVIDER_SECRET = 'the-secret-of-the-realm-elsewhere'
const VIEWS = ['view-realm', 'view-clients', 'view-users', 'view-identity-providers', 'view-events']
const USES = [
  'LOGIN',
  'CLIENT_LOGIN',
  'CODE_TO_TOKEN',
  'REFRESH_TOKEN',
  'TOKEN_EXCHANGE',
  'OAUTH2_DEVICE_CODE_TO_TOKEN',
  'AUTHREQID_TO_TOKEN',
]

export const client = (clientId: string, more: object = {}) => ({
  clientId,
  publicClient: false,
  standardFlowEnabled: false,
  ...more,
})
const service = (clientId: string, roles: object) => ({
  username: `service-account-${clientId}`,
  enabled: true,
  serviceAccountClientId: clientId,
  ...roles,
})

const CLIENTS = [
  client('reader', { secret: SECRET, serviceAccountsEnabled: true, fullScopeAllowed: true }),
  client('nobody', { secret: SECRET, serviceAccountsEnabled: true, fullScopeAllowed: true }),
  client('billing', {
    secret: 'short',
    serviceAccountsEnabled: true,
    fullScopeAllowed: true,
    attributes: { owner: 'team-payments', 'client.secret.creation.time': '1600000000' },
  }),
  client('acme-reports', {
    secret: SECRET,
    consentRequired: true,
    standardFlowEnabled: true,
    fullScopeAllowed: true,
    redirectUris: ['https://reports.acme.example/*', 'https://acme.example*', 'http://reports.acme.example/back'],
    attributes: { vendor: 'acme' },
  }),
  client('shop', {
    publicClient: true,
    standardFlowEnabled: true,
    implicitFlowEnabled: true,
    directAccessGrantsEnabled: true,
    fullScopeAllowed: true,
    redirectUris: ['*'],
  }),
  client('page', {
    publicClient: true,
    standardFlowEnabled: true,
    redirectUris: ['https://page.example/back', 'http://localhost:8080/*'],
    attributes: { 'pkce.code.challenge.method': 'S256' },
  }),
  client('pipeline', {
    serviceAccountsEnabled: true,
    clientAuthenticatorType: 'federated-jwt',
    attributes: { 'jwt.credential.issuer': 'ci', 'jwt.credential.sub': 'repo:acme/shop:ref:refs/heads/main' },
  }),
  client('signer', {
    serviceAccountsEnabled: true,
    clientAuthenticatorType: 'client-jwt',
    attributes: {
      'use.jwks.url': 'true',
      'jwks.url': 'https://signer.example/keys',
      'standard.token.exchange.enabled': 'true',
    },
  }),
  client('holder', {
    serviceAccountsEnabled: true,
    clientAuthenticatorType: 'client-x509',
    attributes: { 'x509.subjectdn': 'CN=.*', 'x509.allow.regex.pattern.comparison': 'true' },
  }),
  client('gone', { enabled: false, secret: SECRET, standardFlowEnabled: true, redirectUris: ['*'] }),
]

const PROVIDERS = [
  {
    alias: 'corp',
    providerId: 'oidc',
    enabled: true,
    trustEmail: true,
    config: {
      clientId: 'realm',
      clientSecret: PROVIDER_SECRET,
      issuer: 'http://idp.example',
      authorizationUrl: 'http://idp.example/a',
      tokenUrl: 'http://idp.example/t',
      validateSignature: 'false',
    },
  },
  {
    alias: 'ci',
    providerId: 'oidc',
    enabled: true,
    config: {
      clientId: 'realm',
      issuer: 'https://ci.example',
      authorizationUrl: 'https://ci.example/a',
      tokenUrl: 'https://ci.example/t',
      jwksUrl: 'https://ci.example/k',
      useJwksUrl: 'true',
      validateSignature: 'true',
      pkceEnabled: 'true',
      pkceMethod: 'S256',
      supportsClientAssertions: 'true',
    },
  },
]

export const companyRealm = (realm: string) => ({
  realm,
  enabled: true,
  sslRequired: 'none',
  eventsEnabled: true,
  eventsExpiration: 86_400,
  enabledEventTypes: USES,
  clients: CLIENTS,
  identityProviders: PROVIDERS,
  groups: [{ name: 'operators', subGroups: [{ name: 'inner' }] }],
  roles: {
    realm: [{ name: 'ops', composite: true, composites: { client: { 'realm-management': ['manage-users'] } } }],
  },
  users: [
    {
      username: 'alice',
      email: 'alice@example.org',
      firstName: 'Alice',
      lastName: 'Example',
      emailVerified: true,
      enabled: true,
      realmRoles: ['offline_access', 'ops'],
      groups: ['/operators/inner'],
      credentials: [{ type: 'password', value: PASSWORD, temporary: false }],
    },
    { username: 'bob', enabled: true, realmRoles: ['offline_access'], requiredActions: ['UPDATE_PASSWORD'] },
    service('reader', { clientRoles: { 'realm-management': VIEWS } }),
    service('nobody', { clientRoles: { 'realm-management': ['view-realm', 'query-clients', 'query-users'] } }),
    service('billing', { clientRoles: { 'realm-management': ['realm-admin'] } }),
  ],
})

const cookiesOf = (answer: Response) =>
  answer.headers
    .getSetCookie()
    .map((each) => each.split(';')[0])
    .join('; ')
const actionOf = (page: string) => /action="([^"]+)"/.exec(page)?.[1]?.replaceAll('&amp;', '&') ?? assert.fail(page)

/** Alice lets the client of a vendor in for good, on Keycloak's own pages. */
export async function letIn(url: string, realm: string): Promise<void> {
  const back = 'https://reports.acme.example/back'
  const query = new URLSearchParams({
    client_id: 'acme-reports',
    response_type: 'code',
    scope: 'openid offline_access',
    redirect_uri: back,
  })
  const base = `${url}/realms/${realm}/protocol/openid-connect`
  const page = await fetch(`${base}/auth?${query.toString()}`, { redirect: 'manual' })
  let cookie = cookiesOf(page)
  const send = async (to: string, form: Record<string, string>) => {
    const answer = await fetch(new URL(to, url), {
      method: 'POST',
      redirect: 'manual',
      headers: { cookie },
      body: new URLSearchParams(form),
    })
    cookie = [cookie, cookiesOf(answer)].filter((each) => each !== '').join('; ')
    return answer
  }
  let answer = await send(actionOf(await page.text()), { username: 'alice', password: PASSWORD })
  const asks = answer.headers.get('location') ?? assert.fail(await answer.text())
  const consent = await (await fetch(asks, { headers: { cookie }, redirect: 'manual' })).text()
  const code = /name="code" value="([^"]+)"/.exec(consent)?.[1] ?? ''
  answer = await send(actionOf(consent), { code, accept: 'Yes' })
  const to = new URL(answer.headers.get('location') ?? assert.fail(await answer.text()))
  const form = new URLSearchParams({
    grant_type: 'authorization_code',
    code: to.searchParams.get('code') ?? assert.fail(to.href),
    redirect_uri: back,
    client_id: 'acme-reports',
    client_secret: SECRET,
  })
  const token = z
    .object({ refresh_token: z.string() })
    .parse(await (await fetch(`${base}/token`, { method: 'POST', body: form })).json())
  const again = new URLSearchParams({
    grant_type: 'refresh_token',
    refresh_token: token.refresh_token,
    client_id: 'acme-reports',
    client_secret: SECRET,
  })
  assert.equal((await fetch(`${base}/token`, { method: 'POST', body: again })).status, 200)
}
