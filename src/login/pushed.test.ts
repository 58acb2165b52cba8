import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'
import { openAuthority } from '../kernel/ca.ts'
import { systemClock } from '../kernel/clock.ts'
import { readPublicKey } from '../kernel/crypto.ts'
import { newKeyPair } from '../kernel/key-pair.ts'
import { systemRandom } from '../kernel/random.ts'
import {
  answered,
  CALLBACK,
  challengeOf,
  codeAsked,
  defined,
  redeemCode,
  VERIFIER,
  type Form,
} from '../../test/support/code-flow.ts'
import { cleaningOfFile } from '../../test/support/installation.ts'
import { fetchTo, fieldIn, loginWorld, type Browser, type LoginWorld } from '../../test/support/login-world.ts'
import { dpopProof, newTestKey, type Answer, type TestKey } from '../../test/support/token-world.ts'

let w: LoginWorld
let browser: Browser
const cleaning = cleaningOfFile()

before(async () => {
  w = await loginWorld(cleaning)
  await w.person('alice')
  browser = await w.loggedIn()
})
after(() => cleaning.now())

const redeem = (code: string, key: TestKey, more: Form = {}) => redeemCode(w, code, { dpop: key }, more)

async function push(key: TestKey | undefined, more: Form = {}): Promise<Answer> {
  const proof = key && (await dpopProof(key, { htm: 'POST', htu: `${w.issuer}/oauth2/par` }))
  return w.send('/oauth2/par', {
    method: 'POST',
    body: new URLSearchParams(defined(codeAsked(more))).toString(),
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...(proof && { dpop: proof }) },
  })
}

const enter = (uri: string, more: Form = {}) =>
  browser.get(
    `/oauth2/authorize?${new URLSearchParams(defined({ client_id: 'console', request_uri: uri, ...more })).toString()}`,
  )

test('attack: what was pushed is answered once, however many come, and by nobody but its client', async () => {
  const key = await newTestKey()
  const pushed = await push(key)
  assert.deepEqual([pushed.status, pushed.json.expires_in], [201, 300], JSON.stringify(pushed.json))
  const uri: string = pushed.json.request_uri

  const others = [
    await enter(uri, { client_id: 'native' }),
    await enter(uri, { client_id: undefined }),
    await enter(`${uri}x`),
    await enter('urn:ietf:params:oauth:request_uri:'),
  ]
  const many = await Promise.all(Array.from({ length: 6 }, () => enter(uri)))
  const late = await enter(uri)

  for (const { status, headers } of [...others, late]) assert.deepEqual([status, headers['location']], [400, undefined])
  assert.equal(many.filter(({ status }) => status === 303).length, 1)
  assert.equal(many.filter(({ headers }) => headers['location'] !== undefined).length, 1)
})

test('attack: nothing that a browser says of a pushed request counts, and its code belongs to the key it was pushed with', async () => {
  const [key, thief] = [await newTestKey(), await newTestKey()]
  const [first, second] = [await push(key), await push(key)]
  const bent = { redirect_uri: 'https://evil.example/', state: 'another', code_challenge: challengeOf('x'.repeat(50)) }

  const answer = await enter(first.json.request_uri, bent)
  const stolen = await redeem(answered(await enter(second.json.request_uri)).get('code') ?? '', thief)

  assert.equal(answered(answer).get('state'), 'the state')
  assert.ok(String(answer.headers['location']).startsWith(`${CALLBACK}?`))
  assert.equal(stolen.json.error, 'invalid_grant')
  assert.equal((await redeem(answered(answer).get('code') ?? '', key)).status, 200)
})

test('attack: what was pushed with a TLS certificate is redeemed with its key alone', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-push-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const elsewhere = await openAuthority(join(folder, 'ca'), { clock: systemClock, random: systemRandom })
  const certified = async () => {
    const { publicKey, privateKey } = await newKeyPair()
    const spki = readPublicKey(publicKey)?.spki ?? assert.fail()
    return { ...(await elsewhere.issueClient({ spki, commonName: 'x', ttlSeconds: 600 })), key: privateKey.reveal() }
  }
  const [mine, theirs] = await Promise.all([certified(), certified()])
  const body = new URLSearchParams(defined(codeAsked())).toString()
  const headers = { 'content-type': 'application/x-www-form-urlencoded' }
  const by = async ({ cert, key }: typeof mine, dpop?: TestKey) => {
    const pushed = await w.send('/oauth2/par', { method: 'POST', body, headers, cert: mine.cert, key: mine.key })
    const code = answered(await enter(pushed.json.request_uri)).get('code') ?? assert.fail()
    return redeemCode(w, code, dpop ? { dpop } : { cert, key })
  }

  const answers = [await by(theirs), await by(mine, await newTestKey()), await by(mine)]

  assert.deepEqual(
    answers.map(({ status }) => status),
    [400, 400, 200],
  )
})

test('attack: what would be refused of a browser is refused when it is pushed, and nothing is kept of it', async () => {
  const key = await newTestKey()
  const uri = 'urn:ietf:params:oauth:request_uri:'
  for (const [more, error] of [
    [{ redirect_uri: 'https://evil.example/' }, 'invalid_request'],
    [{ redirect_uri: undefined }, 'invalid_request'],
    [{ request_uri: `${uri}x` }, 'invalid_request'],
    [{ request: 'a.b.c' }, 'request_not_supported'],
    [{ response_type: 'token' }, 'unsupported_response_type'],
    [{ code_challenge_method: 'plain' }, 'invalid_request'],
    [{ dpop_jkt: (await newTestKey()).thumbprint }, 'invalid_request'],
    [{ scope: 'openid' }, 'invalid_scope'],
    [{ client_id: 'reeve-cli' }, 'invalid_request'],
    [{ client_id: 'unknown' }, 'invalid_client'],
    [{ client_secret: 'x' }, 'invalid_client'],
  ] as const) {
    const { json } = await push(key, more)
    assert.deepEqual([json.error, json.request_uri], [error, undefined], JSON.stringify(more))
  }
  assert.equal((await push(undefined)).json.error, 'invalid_request', 'without a key')
  const elsewhere = await dpopProof(key, { htm: 'POST', htu: `${w.issuer}/oauth2/token` })
  const headers = { 'content-type': 'application/x-www-form-urlencoded', dpop: elsewhere }
  const body = new URLSearchParams(defined(codeAsked())).toString()
  const forAnother = await w.send('/oauth2/par', { method: 'POST', body, headers })
  assert.equal(forAnother.json.error, 'invalid_dpop_proof')
})

test('attack: a pushed request that is over is answered to nobody, and a refusal spends it as well', async () => {
  const key = await newTestKey()
  const old = await push(key)
  const { db } = w.server.ground
  await db
    .updateTable('pushedRequest')
    .set({ expiresAt: new Date(Date.now() - 1_000) })
    .where('usedAt', 'is', null)
    .execute()
  const stranger = w.browser()
  const asked = await push(key, { prompt: 'none' })
  const path = `/oauth2/authorize?${new URLSearchParams({ client_id: 'console', request_uri: asked.json.request_uri }).toString()}`

  assert.equal((await enter(old.json.request_uri)).status, 400)
  assert.equal(answered(await stranger.get(path)).get('error'), 'login_required')
  assert.equal((await browser.get(path)).status, 400)
})

test('what was pushed waits while its person logs in, and while they let a program of this machine in', async () => {
  const key = await newTestKey()
  const redirect_uri = 'http://127.0.0.1:49153/callback'
  const { json } = await push(key, { client_id: 'native', redirect_uri })
  const stranger = w.browser()
  const path = `/oauth2/authorize?${new URLSearchParams({ client_id: 'native', request_uri: json.request_uri }).toString()}`
  const login = await stranger.get(path)
  const start = `/login/start/main?${new URL(String(login.headers['location']), w.issuer).search.slice(1)}`
  const back = await stranger.viaProvider(await stranger.get(start))
  const page = await stranger.get(String(back.headers['location']))
  const form = { form: fieldIn(page, 'form'), client_id: 'native', answer: 'yes' }
  const other = await push(key, { client_id: 'native', redirect_uri })

  const swapped = await stranger.post('/oauth2/authorize', { ...form, request_uri: other.json.request_uri })
  const yes = await stranger.post('/oauth2/authorize', { ...form, request_uri: fieldIn(page, 'request_uri') })

  assert.equal(swapped.status, 400, 'the form is for the request that was shown')
  assert.doesNotMatch(String(page.json), /name="state"/)
  const asked = { client_id: 'native', redirect_uri }
  assert.equal((await redeem(answered(yes).get('code') ?? '', key, asked)).status, 200)
})

test('oauth4webapi and openid-client push what they ask for, with the key of the token', async () => {
  const [fetchOver, issuer] = [fetchTo(w), new URL(w.issuer)]
  const options = { [oauth.customFetch]: fetchOver }
  const found = await oauth.discoveryRequest(issuer, { ...options, algorithm: 'oauth2' })
  const as = await oauth.processDiscoveryResponse(issuer, found)
  assert.deepEqual(
    [as.pushed_authorization_request_endpoint, as.require_pushed_authorization_requests],
    [`${w.issuer}/oauth2/par`, false],
  )
  const client: oauth.Client = { client_id: 'console' }
  const DPoP = oauth.DPoP(client, await oauth.generateKeyPair('ES256'))
  const sent = new URLSearchParams(defined(codeAsked()))
  const pushed = await oauth.processPushedAuthorizationResponse(
    as,
    client,
    await oauth.pushedAuthorizationRequest(as, client, oauth.None(), sent, { ...options, DPoP }),
  )
  const current = new URL(String((await enter(pushed.request_uri)).headers['location']))
  const params = oauth.validateAuthResponse(as, client, current, 'the state')
  const response = await oauth.authorizationCodeGrantRequest(as, client, oauth.None(), params, CALLBACK, VERIFIER, {
    ...options,
    DPoP,
  })
  const issued = await oauth.processAuthorizationCodeResponse(as, client, response)
  assert.equal(issued.token_type, 'dpop')

  const config = await openid.discovery(issuer, 'console', {}, openid.None(), {
    algorithm: 'oauth2',
    [openid.customFetch]: fetchOver,
  })
  const handle = openid.getDPoPHandle(config, await openid.randomDPoPKeyPair())
  const wanted = {
    redirect_uri: CALLBACK,
    code_challenge: challengeOf(VERIFIER),
    code_challenge_method: 'S256',
    state: 'the state',
  }
  const url = await openid.buildAuthorizationUrlWithPAR(config, wanted, { DPoP: handle })
  assert.deepEqual([...url.searchParams.keys()].toSorted(), ['client_id', 'request_uri'])
  const answer = await browser.get(`${url.pathname}${url.search}`)
  const checks = { pkceCodeVerifier: VERIFIER, expectedState: 'the state' }
  const back = new URL(String(answer.headers['location']))
  const token = await openid.authorizationCodeGrant(config, back, checks, undefined, { DPoP: handle })
  assert.equal(token.token_type, 'dpop')
})
