import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'
import { z } from 'zod'
import { cleaningOfFile } from '../../test/support/installation.ts'
import { startIssuer, tokenWorld, type TokenWorld } from '../../test/support/token-world.ts'
import { ACCESS_TOKEN_TYPE, GRANT_TYPES } from './grants.ts'

const cleaning = cleaningOfFile()
let w: TokenWorld
type KeyPair = Awaited<ReturnType<typeof oauth.generateKeyPair>>
let own: KeyPair
let dpopKey: KeyPair
/** How the clients of others reach the server: over its own TLS, with their own requests. */
let fetchOverTls: (
  url: string | URL,
  options: { method?: string; headers?: object; body?: ConstructorParameters<typeof Response>[0] },
) => Promise<Response>

before(async () => {
  w = await tokenWorld(cleaning)
  own = await oauth.generateKeyPair('ES256', { extractable: true })
  dpopKey = await oauth.generateKeyPair('ES256')
  const { x = '', y = '' } = await crypto.subtle.exportKey('jwk', own.publicKey)
  await w.workload('batch')
  await w.rule('batch', {
    name: 'batch',
    preset: 'client-key',
    keys: { keys: [{ kty: 'EC', crv: 'P-256', x, y, kid: 'batch-1' }] },
  })
  fetchOverTls = async (url, { method = 'GET', headers = {}, body }) => {
    const { pathname, search } = new URL(url)
    const sent = Object.fromEntries(new Headers(Object.entries(headers)))
    const text = body === undefined || body === null ? undefined : await new Response(body).text()
    const answer = await w.send(`${pathname}${search}`, {
      method,
      headers: sent,
      ...(text !== undefined && { body: text }),
    })
    const told = Object.entries(answer.headers).flatMap(([name, value]): [string, string][] =>
      value === undefined ? [] : [[name, String(value)]],
    )
    return new Response(typeof answer.json === 'string' ? answer.json : JSON.stringify(answer.json), {
      status: answer.status,
      headers: told,
    })
  }
})
after(() => cleaning.now())

const nameIn = async (answer: Response) => z.object({ name: z.string() }).parse(await answer.json()).name

test('oauth4webapi finds the token service, gets a DPoP-bound token, uses, inspects, exchanges and revokes it', async () => {
  const options = { [oauth.customFetch]: fetchOverTls }
  const issuer = new URL(w.issuer)
  const found = await oauth.discoveryRequest(issuer, { ...options, algorithm: 'oauth2' })
  const as = await oauth.processDiscoveryResponse(issuer, found)
  const client: oauth.Client = { client_id: 'batch' }
  const auth = oauth.PrivateKeyJwt({ key: own.privateKey, kid: 'batch-1' })
  const DPoP = oauth.DPoP(client, dpopKey)

  const response = await oauth.clientCredentialsGrantRequest(as, client, auth, {}, { ...options, DPoP })
  const { access_token: token, token_type } = await oauth.processClientCredentialsResponse(as, client, response)
  assert.equal(token_type, 'dpop')

  const place = new URL(`${w.issuer}/v1/whoami`)
  const me = await oauth.protectedResourceRequest(token, 'GET', place, undefined, undefined, { ...options, DPoP })
  assert.equal(await nameIn(me), 'batch')

  const looked = await oauth.introspectionRequest(as, client, auth, token, options)
  const told = await oauth.processIntrospectionResponse(as, client, looked)
  assert.deepEqual([told.active, told.client_id, told.iss], [true, 'batch', w.issuer])

  const form = { subject_token: token, subject_token_type: ACCESS_TOKEN_TYPE }
  const exchanged = await oauth.genericTokenEndpointRequest(as, client, auth, GRANT_TYPES.exchange, form, {
    ...options,
    DPoP,
  })
  const child = await oauth.processGenericTokenEndpointResponse(as, client, exchanged)
  assert.equal(child['issued_token_type'], ACCESS_TOKEN_TYPE)

  await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, auth, token, options))
  // oauth4webapi turns the challenge of a 401 into an error of its own: it read `WWW-Authenticate`.
  const late = oauth.protectedResourceRequest(child.access_token, 'GET', place, undefined, undefined, {
    ...options,
    DPoP,
  })
  await assert.rejects(late, { name: 'WWWAuthenticateChallengeError', status: 401 })
})

test('oauth4webapi, as a resource server, takes our token by its signature and the key it is bound to', async () => {
  const options = { [oauth.customFetch]: fetchOverTls }
  const issuer = new URL(w.issuer)
  const as = await oauth.processDiscoveryResponse(
    issuer,
    await oauth.discoveryRequest(issuer, { ...options, algorithm: 'oauth2' }),
  )
  const client: oauth.Client = { client_id: 'batch' }
  const DPoP = oauth.DPoP(client, dpopKey)
  const auth = oauth.PrivateKeyJwt({ key: own.privateKey, kid: 'batch-1' })
  const form = { resource: 'https://billing.example' }
  const response = await oauth.clientCredentialsGrantRequest(as, client, auth, form, { ...options, DPoP })
  const { access_token } = await oauth.processClientCredentialsResponse(as, client, response)
  let shown: Request | undefined
  await oauth.protectedResourceRequest(
    access_token,
    'GET',
    new URL('https://billing.example/bills'),
    undefined,
    undefined,
    {
      DPoP,
      [oauth.customFetch]: async (url: string, sent: object) => {
        shown = new Request(url, sent)
        return new Response('')
      },
    },
  )

  assert.ok(shown)
  const claims = await oauth.validateJwtAccessToken(as, shown, 'https://billing.example', options)
  assert.deepEqual([claims.client_id, claims.iss], ['batch', w.issuer])
  const where = await oauth.resourceDiscoveryRequest(issuer, options)
  assert.deepEqual((await oauth.processResourceDiscoveryResponse(issuer, where)).authorization_servers, [w.issuer])
})

test('openid-client gets tokens by its own key and by the token of a platform, and uses them', async () => {
  const config = await openid.discovery(
    new URL(w.issuer),
    'batch',
    {},
    openid.PrivateKeyJwt({ key: own.privateKey, kid: 'batch-1' }),
    { algorithm: 'oauth2', [openid.customFetch]: fetchOverTls },
  )
  const DPoP = openid.getDPoPHandle(config, dpopKey)
  const platform = await startIssuer(cleaning)
  await w.rule('batch', { name: 'batch-platform', issuer: platform.url, subject: { is: 'system:batch-of-the-shop' } })
  const assertion = await platform.token({ sub: 'system:batch-of-the-shop', aud: w.issuer })

  const byKey = await openid.clientCredentialsGrant(config, {}, { DPoP })
  const byPlatform = await openid.genericGrantRequest(config, GRANT_TYPES.bearer, { assertion }, { DPoP })

  for (const { access_token } of [byKey, byPlatform]) {
    const url = new URL(`${w.issuer}/v1/whoami`)
    const me = await openid.fetchProtectedResource(config, access_token, url, 'GET', undefined, undefined, { DPoP })
    assert.equal(await nameIn(me), 'batch')
  }
  assert.equal((await openid.tokenIntrospection(config, byPlatform.access_token)).active, true)
  await openid.tokenRevocation(config, byPlatform.access_token)
  assert.equal((await openid.tokenIntrospection(config, byPlatform.access_token)).active, false)
})
