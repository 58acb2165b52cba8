import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
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
import {
  beginDevice,
  decide,
  fieldIn,
  loginWorld,
  type Browser,
  type LoginWorld,
} from '../../test/support/login-world.ts'
import { newTestKey, type Answer, type TestKey } from '../../test/support/token-world.ts'

let w: LoginWorld
let browser: Browser
const cleaning = cleaningOfFile()

before(async () => {
  w = await loginWorld(cleaning)
  await w.person('alice')
  browser = await w.loggedIn()
})
after(() => cleaning.now())

function authorize(more: Form = {}): Promise<Answer> {
  return browser.get(`/oauth2/authorize?${new URLSearchParams(defined(codeAsked(more))).toString()}`)
}

async function codeFor(more: Form = {}): Promise<string> {
  return answered(await authorize(more)).get('code') ?? assert.fail('there was no code')
}

const redeem = (code: string, key: TestKey | undefined, more: Form = {}) =>
  redeemCode(w, code, key ? { dpop: key } : {}, more)

test('an answer says whose it is and what it is the answer to', async () => {
  const answer = await authorize()

  assert.equal(answer.status, 303)
  const said = answered(answer)
  assert.deepEqual([said.get('state'), said.get('iss')], ['the state', w.issuer])
})

test('attack: nothing is sent to an address that is not the registered one, to the letter', async () => {
  const variants = [
    'https://console.example/callback/',
    'https://console.example/callback?a=b',
    'https://console.example/callback#',
    'https://console.example/Callback',
    'https://console.example:443/callback',
    'https://console.example/callback/../callback',
    'https://console.example.evil.example/callback',
    'https://console.example@evil.example/callback',
    'http://console.example/callback',
    'https://evil.example/callback',
    'javascript:alert(1)',
    undefined,
  ]
  for (const redirect_uri of variants) {
    const { status, headers } = await authorize({ redirect_uri })
    assert.deepEqual([status, headers['location']], [400, undefined], String(redirect_uri))
  }
  assert.equal((await authorize({ client_id: 'unknown' })).status, 400)
  assert.equal((await authorize({ client_id: 'native' })).status, 400, 'the address of another client')
})

test('attack: a code without a challenge, or with one that is no S256, is not given', async () => {
  for (const more of [
    { code_challenge: undefined },
    { code_challenge_method: undefined },
    { code_challenge_method: 'plain', code_challenge: VERIFIER },
    { code_challenge: 'short' },
  ]) {
    const said = answered(await authorize(more))
    assert.deepEqual([said.get('error'), said.get('code')], ['invalid_request', null], JSON.stringify(more))
  }
  for (const [more, error] of [
    [{ response_type: 'token' }, 'unsupported_response_type'],
    [{ response_mode: 'fragment' }, 'invalid_request'],
    [{ scope: 'openid' }, 'invalid_scope'],
    [{ request_uri: 'https://evil.example/' }, 'request_not_supported'],
  ] as const) {
    assert.equal(answered(await authorize(more)).get('error'), error)
  }
})

test('attack: a parameter that is there twice is read by nobody', async () => {
  const twice = `/oauth2/authorize?client_id=console&redirect_uri=${encodeURIComponent(CALLBACK)}&redirect_uri=${encodeURIComponent('https://evil.example')}`
  const { status, headers } = await browser.get(twice)

  assert.deepEqual([status, headers['location']], [400, undefined])
})

test('attack: a code is for its client, its address, its verifier and a key, and is spent by any of them being wrong', async () => {
  const key = await newTestKey()
  for (const more of [
    { code_verifier: `${VERIFIER}x` },
    { code_verifier: undefined },
    { code_verifier: challengeOf(VERIFIER) },
    { redirect_uri: 'https://console.example/other' },
    { redirect_uri: undefined },
    { client_id: 'native' },
  ]) {
    const code = await codeFor()
    const wrong = await redeem(code, key, more)
    const right = await redeem(code, key)
    assert.deepEqual([wrong.json.error, right.json.error], ['invalid_grant', 'invalid_grant'], JSON.stringify(more))
  }
  assert.equal((await redeem(await codeFor(), undefined)).json.error, 'invalid_request', 'no key, no token')
  const secret = await redeem(await codeFor(), key, { client_secret: 'x' })
  assert.equal(secret.json.error, 'invalid_client')
})

test('attack: a code that is shown again ends what it became', async () => {
  const key = await newTestKey()
  const code = await codeFor()
  const { json } = await redeem(code, key)
  assert.equal((await w.whoami(json.access_token, key)).status, 200)

  const replayed = await redeem(code, await newTestKey())

  assert.equal(replayed.json.error, 'invalid_grant')
  assert.equal((await w.whoami(json.access_token, key)).status, 401)
})

test('attack: of many who show one code at once, one gets a token at most', async () => {
  const key = await newTestKey()
  const code = await codeFor()

  const answers = await Promise.all(Array.from({ length: 6 }, () => redeem(code, key)))

  assert.ok(answers.filter(({ status }) => status === 200).length <= 1)
})

test('attack: a code that was asked for with one key is not redeemed with another', async () => {
  const [key, thief] = [await newTestKey(), await newTestKey()]
  const stolen = await redeem(await codeFor({ dpop_jkt: key.thumbprint }), thief)
  const own = await redeem(await codeFor({ dpop_jkt: key.thumbprint }), key)

  assert.deepEqual([stolen.json.error, own.status], ['invalid_grant', 200])
})

test('attack: a token of a browser belongs to its key, ends with its login, and is known to be of a person who logged in', async () => {
  const key = await newTestKey()
  const { json } = await redeem(await codeFor(), key)
  const claims = JSON.parse(Buffer.from(json.access_token.split('.')[1], 'base64url').toString())
  assert.deepEqual([claims.acr, claims.amr, typeof claims.auth_time], ['urn:example:gold', ['pwd', 'otp'], 'number'])
  assert.equal((await w.whoami(json.access_token)).status, 401, 'as a bearer token')
  assert.equal((await w.whoami(json.access_token, await newTestKey())).status, 401, 'with another key')
  const code = await codeFor()
  const page = await browser.get('/login')

  await browser.post('/login/out', { form: fieldIn(page, 'form') })

  assert.equal((await w.whoami(json.access_token, key)).status, 401)
  assert.equal((await redeem(code, key)).json.error, 'invalid_grant', 'a code on its way ends as well')
  assert.equal(answered(await authorize({ prompt: 'none' })).get('error'), 'login_required')
  browser = await w.loggedIn()
})

test('a program of this machine is let in by its person, at whichever port it listens', async () => {
  const redirect_uri = 'http://127.0.0.1:49152/callback'
  const asked = { client_id: 'native', redirect_uri }
  const page = await authorize(asked)
  assert.equal(page.status, 200)
  assert.match(String(page.headers['content-security-policy']), /form-action 'self' http:\/\/127\.0\.0\.1:49152;/)
  assert.equal(answered(await authorize({ ...asked, prompt: 'none' })).get('error'), 'interaction_required')
  const names = ['response_type', 'client_id', 'redirect_uri', 'state', 'code_challenge', 'code_challenge_method']
  const form = Object.fromEntries([...names, 'form'].map((name) => [name, fieldIn(page, name)]))

  const forged = await browser.post('/oauth2/authorize', { ...form, state: 'another', answer: 'yes' })
  const no = await browser.post('/oauth2/authorize', { ...form, answer: 'no' })
  const yes = await browser.post('/oauth2/authorize', { ...form, answer: 'yes' })

  assert.deepEqual([forged.status, forged.headers['location']], [400, undefined])
  assert.equal(answered(no).get('error'), 'access_denied')
  assert.match(String(yes.headers['location']), /^http:\/\/127\.0\.0\.1:49152\/callback\?code=/)
  const code = answered(yes).get('code') ?? ''
  assert.equal((await redeem(code, await newTestKey(), asked)).status, 200)
})

test('a token of the command line for another place is as short as any, since that place may not look it up', async () => {
  const key = await newTestKey()
  const { json } = await beginDevice(w, key)
  await decide(browser, json.user_code, 'yes')
  const form = { grant_type: 'urn:ietf:params:oauth:grant-type:device_code', client_id: 'reeve-cli' }

  const issued = await w.ask(
    { ...form, device_code: json.device_code, resource: 'https://billing.example' },
    { dpop: key },
  )

  assert.equal(issued.status, 200, JSON.stringify(issued.json))
  assert.ok(issued.json.expires_in <= 600)
})
