import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { after, before, test } from 'node:test'
import { cleaningOfFile } from '../../../test/support/installation.ts'
import { LOGIN_COOKIE, loginWorld, refusedLogin, type LoginWorld } from '../../../test/support/login-world.ts'
import { newTestKey, type Answer } from '../../../test/support/token-world.ts'

let w: LoginWorld
const cleaning = cleaningOfFile()

before(async () => {
  w = await loginWorld(cleaning)
  await w.person('alice')
})
after(() => cleaning.now())

const db = () => w.server.ground.db

/** Where the provider would send the browser that was just sent to it. */
async function backFrom(start: Answer): Promise<URL> {
  const there = await fetch(String(start.headers['location']), { redirect: 'manual' })
  return new URL(there.headers.get('location') ?? '')
}

test('attack: an answer with another state, nonce or issuer is of another login', async () => {
  const other = await newTestKey()
  const past = Math.floor(Date.now() / 1000) - 600
  const cases: Partial<LoginWorld['provider']>[] = [
    { answer: { state: 'made-up' } },
    { answer: { state: undefined } },
    { answer: { iss: w.other.url } },
    { answer: { iss: undefined } },
    { claims: { nonce: 'made-up' } },
    { claims: { nonce: undefined } },
    { claims: { aud: 'somebody-else' } },
    { claims: { aud: ['reeve', 'somebody-else'], azp: 'somebody-else' } },
    { claims: { iss: w.other.url } },
    { claims: { exp: past, iat: past - 60 } },
    { claims: { iat: past + 7_200, exp: past + 8_000, nbf: past + 7_200 } },
    { signer: other },
    { header: { kid: 'two' } },
  ]

  for (const bend of cases) {
    const { status } = await refusedLogin(w, bend)
    assert.equal(status, 400, JSON.stringify(bend))
  }
})

test('a clock of the provider that is half a minute off does no harm', async () => {
  const now = Math.floor(Date.now() / 1000)
  for (const claims of [
    { iat: now - 80, exp: now - 20 },
    { iat: now + 20, exp: now + 80, nbf: now + 20 },
  ]) {
    w.provider.claims = claims
    const browser = await w.loggedIn()
    assert.ok(browser.cookies.has(LOGIN_COOKIE), JSON.stringify(claims))
  }
  w.provider.claims = {}
})

test('attack: an ID token without a signature, or signed with the secret of the client, proves nothing', async () => {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const now = Math.floor(Date.now() / 1000)
  const claims = (nonce: string) =>
    encode({ iss: w.provider.url, sub: w.provider.subject, aud: 'reeve', nonce, iat: now, exp: now + 60 })
  const none = async (nonce: string) => `${encode({ alg: 'none' })}.${claims(nonce)}.`
  const symmetric = async (nonce: string) => {
    const input = `${encode({ alg: 'HS256', kid: 'one' })}.${claims(nonce)}`
    return `${input}.${createHmac('sha256', w.provider.clientSecret).update(input).digest('base64url')}`
  }

  for (const idToken of [none, symmetric]) assert.equal((await refusedLogin(w, { idToken })).status, 400)
})

test('attack: the answer of one provider is not taken at the address of another, nor shown to it', async () => {
  const browser = w.browser()
  const back = await backFrom(await browser.get('/login/start/main'))
  const shownBefore = w.other.redeemed.length

  const mixedUp = await browser.get(`/login/callback/other${back.search}`)

  assert.equal(mixedUp.status, 400)
  assert.equal(w.other.redeemed.length, shownBefore)
  assert.equal(browser.cookies.has(LOGIN_COOKIE), false)
})

test('attack: an answer is taken in the browser that asked, and once', async () => {
  const victim = w.browser()
  const attacker = w.browser()
  await victim.get('/login/start/main')
  const back = await backFrom(await attacker.get('/login/start/main'))
  const path = `${back.pathname}${back.search}`

  const inTheVictims = await victim.get(path)
  const first = await attacker.get(path)
  const second = await attacker.get(path)

  assert.deepEqual([inTheVictims.status, first.status, second.status], [400, 303, 400])
  assert.equal(victim.cookies.has(LOGIN_COOKIE), false)
})

test('attack: who is not linked is nobody, whatever address of mail the provider tells', async () => {
  await db().selectFrom('identity').select('id').where('name', '=', 'alice').executeTakeFirstOrThrow()
  const { status, json } = await refusedLogin(w, {
    subject: 'mallory-at-the-provider',
    claims: { email: 'alice@example.org', email_verified: true, preferred_username: 'alice' },
  })

  assert.equal(status, 403)
  assert.match(String(json), /nobody here is linked/)
})

test('attack: a browser neither reads nor bends what was pushed to a provider, and is sent with nothing else when that fails', async (t) => {
  const pushing = await loginWorld({ after: (work) => t.after(work) }, { login: { mustPush: true } })
  pushing.provider.pushes = true
  await pushing.person('bob', 'bob-at-the-provider')
  pushing.provider.subject = 'bob-at-the-provider'
  const start = () => pushing.browser().get('/login/start/main')

  const to = new URL(String((await start()).headers['location']))
  const browser = await pushing.loggedIn()
  const refused: number[] = []
  for (const pushAnswer of [
    { status: 400, body: { error: 'invalid_request' } },
    { status: 200, body: {} },
    { status: 201, body: { expires_in: 60 } },
    { status: 201, body: { request_uri: 7, expires_in: 60 } },
  ]) {
    pushing.provider.pushAnswer = pushAnswer
    const { status, headers } = await start()
    assert.equal(headers['location'], undefined, JSON.stringify(pushAnswer))
    refused.push(status)
  }
  const asked = `client_id=console&redirect_uri=${encodeURIComponent('https://console.example/callback')}&response_type=code`
  const unpushed = await browser.get(`/oauth2/authorize?${asked}`)

  assert.deepEqual([...to.searchParams.keys()].toSorted(), ['client_id', 'request_uri'])
  const names = ['code_challenge', 'nonce', 'redirect_uri', 'scope', 'state']
  assert.ok(names.every((name) => pushing.provider.pushed[0]?.has(name)))
  assert.ok(browser.cookies.has(LOGIN_COOKIE))
  assert.deepEqual(refused, [400, 400, 400, 400])
  assert.match(String(unpushed.headers['location']), /error=invalid_request&error_description=.*pushed/, 'mustPush')
})

test('a provider that cannot be reached is said to be that, and is asked again by the next', async () => {
  w.provider.isDown = true
  w.other.isDown = true
  const down = await w.browser().get('/login/start/other')
  w.provider.isDown = false
  w.other.isDown = false

  assert.equal(down.status, 503)
  assert.match(String(down.json), /cannot be asked now/)
  assert.equal((await w.browser().get('/login/start/other')).status, 303)
})
