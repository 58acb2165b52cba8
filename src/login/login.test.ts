import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { exportJWK, SignJWT } from 'jose'
import * as openid from 'openid-client'
import { cliFor } from '../cli/support.fixture.ts'
import { enrolIdentity, registerIdentity, whoami } from '../identities/contract.ts'
import { spkiSha256 } from '../kernel/key-pair.ts'
import { cleaningOfFile } from '../../test/support/installation.ts'
import {
  beginDevice,
  decide,
  fetchTo,
  fieldIn,
  loginWorld,
  poll,
  type LoginWorld,
} from '../../test/support/login-world.ts'
import { newTestKey } from '../../test/support/token-world.ts'
import { listLoginLinks, listLoginSessions, retireLoginLink } from './contract.ts'
import { isSameAddress } from './asking.ts'

let w: LoginWorld
const cleaning = cleaningOfFile()

before(async () => {
  w = await loginWorld(cleaning)
  await w.person('alice')
})
after(() => cleaning.now())

const sessionsOf = async (name: string) =>
  (await w.ada.ask(listLoginSessions, { params: { identity: name }, query: { limit: 200 } })).items

test('a person logs in at a provider, and the strength of that is kept with the login', async () => {
  const browser = w.browser()
  const back = await browser.viaProvider(await browser.get('/login/start/main?to=/device'))

  assert.equal(back.status, 303, String(back.json))
  assert.equal(back.headers['location'], '/device')
  const page = await browser.get('/login')
  assert.match(String(page.json), /You are <strong>alice<\/strong>/)
  const last = (await sessionsOf('alice')).at(-1)
  assert.deepEqual(
    { acr: last?.acr, amr: last?.amr, method: last?.method, provider: last?.provider, channel: last?.channel },
    { acr: 'urn:example:gold', amr: ['pwd', 'otp'], method: 'oidc', provider: 'main', channel: 'browser' },
  )
  assert.ok(last && last.authenticatedAt < last.createdAt)
})

test('pages run no script, load nothing and are framed by nobody', async () => {
  const { headers } = await w.browser().get('/login')
  const policy = String(headers['content-security-policy'])

  assert.match(
    policy,
    /^default-src 'none'; style-src 'sha256-[\w+/=]+'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'$/,
  )
  assert.equal(headers['x-frame-options'], 'DENY')
  assert.equal(headers['cache-control'], 'no-store')
})

test('the cookie of a login is for this host alone, over TLS, and no script reads it', async () => {
  const browser = w.browser()
  const back = await browser.viaProvider(await browser.get('/login/start/main'))

  const [cookie = ''] = [back.headers['set-cookie'] ?? []].flat()
  assert.match(cookie, /^__Host-reeve-login=[\w-]{43}; Max-Age=\d+; Path=\/; Secure; HttpOnly; SameSite=Lax$/)
})

test('a one-time link is spent on a login at a provider, and begins the person who holds it', async () => {
  const input = { kind: 'human', name: 'newcomer', profile: 'person', environment: 'production', tier: 1 } as const
  await w.ada.ask(registerIdentity, { input })
  const { secret } = await w.ada.ask(enrolIdentity, { params: { identity: 'newcomer' }, input: {} })
  w.other.subject = 'newcomer-at-the-other'
  const browser = w.browser()

  const next = await browser.post('/login/enrol', { link: `${w.issuer}/#enrol=${secret}&ca=00`, provider: 'other' })
  const to = /href="(http[^"]+)"/.exec(String(next.json))?.[1]?.replaceAll('&amp;', '&') ?? ''
  await browser.viaProvider({ ...next, headers: { location: to } })

  assert.match(String((await browser.get('/login')).json), /You are <strong>newcomer<\/strong>/)
  const { items } = await w.ada.ask(listLoginLinks, { params: { identity: 'newcomer' } })
  assert.deepEqual(
    items.map(({ provider, subject, issuer }) => ({ provider, subject, issuer })),
    [{ provider: 'other', subject: 'newcomer-at-the-other', issuer: w.other.url }],
  )
})

test('a program without a browser is let in by a code, and its token belongs to a login of its own', async () => {
  const key = await newTestKey()
  const { json } = await beginDevice(w, key)
  const waiting = { key, ...json }
  assert.match(json.user_code, /^[B-Z]{4}-[B-Z]{4}$/)
  assert.equal('verification_uri_complete' in json, false)
  const browser = await w.loggedIn()
  await decide(browser, json.user_code.toLowerCase().replace('-', ' '), 'yes')

  const { status, json: issued } = await poll(w, waiting)

  assert.equal(status, 200, JSON.stringify(issued))
  assert.equal(issued.token_type, 'DPoP')
  assert.equal((await w.whoami(issued.access_token, key)).json.name, 'alice')
  const [session] = (await sessionsOf('alice')).toReversed()
  assert.deepEqual([session?.channel, session?.acr, session?.clientAgent], ['cli', 'urn:example:gold', 'a laptop'])
  assert.ok(issued.expires_in > 3_600, 'it lasts as long as the login')
})

test('a program that asks too fast is told to slow down, and one that is not let in is told so', async () => {
  const key = await newTestKey()
  const { json } = await beginDevice(w, key)
  const waiting = { key, ...json }

  const first = await poll(w, waiting)
  const second = await poll(w, waiting)
  await decide(await w.loggedIn(), json.user_code, 'no')
  const third = await poll(w, waiting)

  assert.deepEqual(
    [first, second, third].map((each) => each.json.error),
    ['authorization_pending', 'slow_down', 'access_denied'],
  )
})

test('openid-client gets a token by the authorization endpoint and PKCE, bound to its own key', async () => {
  const config = await openid.discovery(new URL(w.issuer), 'console', {}, openid.None(), {
    algorithm: 'oauth2',
    [openid.customFetch]: fetchTo(w),
  })
  const verifier = openid.randomPKCECodeVerifier()
  const state = openid.randomState()
  const url = openid.buildAuthorizationUrl(config, {
    redirect_uri: 'https://console.example/callback',
    code_challenge: await openid.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
  })
  const DPoP = openid.getDPoPHandle(config, await openid.randomDPoPKeyPair())
  const browser = w.browser()
  const login = await browser.get(`${url.pathname}${url.search}`)
  const start = `/login/start/main?${new URL(String(login.headers['location']), w.issuer).search.slice(1)}`

  const loggedIn = await browser.viaProvider(await browser.get(start))
  const answer = await browser.get(String(loggedIn.headers['location']))
  const current = new URL(String(answer.headers['location']))
  const checks = { pkceCodeVerifier: verifier, expectedState: state }
  const issued = await openid.authorizationCodeGrant(config, current, checks, undefined, { DPoP })

  const me = new URL(`${w.issuer}/v1/whoami`)
  const asked = await openid.fetchProtectedResource(config, issued.access_token, me, 'GET', undefined, undefined, {
    DPoP,
  })
  const { name } = whoami.output.parse(await asked.json())
  assert.equal(name, 'alice')
  assert.ok((issued.expires_in ?? 0) <= 600, 'a token of a browser is short')
})

test('openid-client is let in by the device flow', async () => {
  const config = await openid.discovery(new URL(w.issuer), 'reeve-cli', {}, openid.None(), {
    algorithm: 'oauth2',
    [openid.customFetch]: async (url: string, options: { headers?: object }) => {
      // The library sends no proof at this endpoint of itself; the key that asks has to be the one that gets the token.
      const isFirst = url.endsWith('/device_authorization')
      const proof = isFirst ? await proofOf() : undefined
      return fetchTo(w)(url, { ...options, headers: { ...options.headers, ...(proof && { dpop: proof }) } })
    },
  })
  const pair = await openid.randomDPoPKeyPair('ES256', { extractable: true })
  const jwk = await exportJWK(pair.publicKey)
  const proofOf = () =>
    new SignJWT({ htm: 'POST', htu: `${w.issuer}/oauth2/device_authorization`, jti: crypto.randomUUID() })
      .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk })
      .setIssuedAt()
      .sign(pair.privateKey)
  const DPoP = openid.getDPoPHandle(config, pair)
  const begun = await openid.initiateDeviceAuthorization(config, {})
  await decide(await w.loggedIn(), begun.user_code, 'yes')

  const issued = await openid.pollDeviceAuthorizationGrant(config, begun, undefined, { DPoP })

  assert.equal(issued.token_type, 'dpop')
})

test('reeve login shows an address and a code, and reeve logout ends what came of it', async (t) => {
  const cli = await cliFor(t)
  const pin = spkiSha256(w.server.authority.certificate)
  const browser = await w.loggedIn()
  const code = Promise.withResolvers<string>()
  cli.onStderr = (text) => {
    const found = /\n {4}([B-Z]{4}-[B-Z]{4})\n/.exec(text)?.[1]
    if (found !== undefined) code.resolve(found)
  }

  const login = cli.run('login', '--address', w.issuer, '--ca', pin)
  await decide(browser, await code.promise, 'yes')
  const { code: exitCode, stderr } = await login
  assert.equal(exitCode, 0, stderr)
  assert.match(stderr, /You are alice \(human\)/)
  const me = await cli.run('whoami', '-o', 'name')
  assert.match(me.stdout, /alice/)
  const contexts = await cli.run('context', 'list', '-o', 'json')
  assert.doesNotMatch(contexts.stdout, /PRIVATE KEY/)
  const open = (await sessionsOf('alice')).filter(({ channel, endedAt }) => channel === 'cli' && endedAt === null)

  const logout = await cli.run('logout')

  assert.equal(logout.code, 0, logout.stderr)
  assert.match(logout.stderr, /The login ended/)
  const left = (await sessionsOf('alice')).filter(({ channel, endedAt }) => channel === 'cli' && endedAt === null)
  assert.equal(left.length, open.length - 1)
})

test('a link that is retired lets nobody in any more, and ends the logins it made', async () => {
  await w.person('leaver', 'leaver-at-the-provider')
  w.provider.subject = 'leaver-at-the-provider'
  const browser = await w.loggedIn()
  const { items } = await w.ada.ask(listLoginLinks, { params: { identity: 'leaver' } })

  await w.ada.ask(retireLoginLink, { params: { link: items[0]?.id ?? '' }, input: { reason: 'another provider' } })

  const refused = await browser.viaProvider(await browser.get('/login/start/main'))
  w.provider.subject = 'alice-at-the-provider'
  assert.equal(refused.status, 403)
  const sessions = await sessionsOf('leaver')
  assert.deepEqual(
    sessions.map(({ endReason }) => endReason),
    ['link-retired'],
  )
})

test('an address of a client is compared as text; on this machine any port is its own', () => {
  const known = 'http://127.0.0.1/callback'
  const same = ['http://127.0.0.1/callback', 'http://127.0.0.1:49152/callback']
  const others = [
    'http://localhost/callback',
    'http://127.0.0.1:80@evil.example/callback',
    'http://127.0.0.1.evil.example/callback',
    'http://127.0.0.1/callback/',
    'http://127.0.0.1/callback#x',
    'http://127.0.0.2/callback',
    'https://127.0.0.1/callback',
    'http://[::1]/callback',
    'http://127.0.0.1:999999/callback',
  ]

  assert.deepEqual(
    same.filter((each) => !isSameAddress(known, each)),
    [],
  )
  assert.deepEqual(
    others.filter((each) => isSameAddress(known, each)),
    [],
  )
  assert.equal(isSameAddress('https://console.example/a', 'https://console.example:443/a'), false)
})

test('the page says where a program is when that is not where the person is', async () => {
  const { json } = await beginDevice(w, await newTestKey())
  await w.server.ground.db
    .updateTable('deviceAuthorization')
    .set({ clientAddress: '203.0.113.7', clientAgent: '<script>alert(1)</script>' })
    .where('state', '=', 'pending')
    .execute()
  const browser = await w.loggedIn()

  const asked = await browser.get('/device')
  const shown = await browser.post('/device', { form: fieldIn(asked, 'form'), user_code: json.user_code })

  assert.match(String(shown.json), /It is at <strong>203\.0\.113\.7<\/strong>/)
  assert.doesNotMatch(String(shown.json), /<script>/)
})
