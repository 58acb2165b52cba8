import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { issueToken, resumeIdentity, suspendIdentity } from '../identities/contract.ts'
import { transact } from '../kernel/db.ts'
import { newKeyPair } from '../kernel/key-pair.ts'
import { cleaningOfFile } from '../../test/support/installation.ts'
import {
  beginDevice,
  decide,
  fieldIn,
  LOGIN_COOKIE,
  loginWorld,
  poll,
  refusedLogin,
  type Browser,
  type LoginWorld,
} from '../../test/support/login-world.ts'
import { dpopProof, newTestKey, signed, type TestKey } from '../../test/support/token-world.ts'
import { endLoginSession, listLoginSessions } from './contract.ts'
import { sweepLoginSessions } from './login.ts'

let w: LoginWorld
const cleaning = cleaningOfFile()
const LATE = new Date(Date.now() - 3_600_000 * 5)

before(async () => {
  w = await loginWorld(cleaning)
  await w.person('alice')
})
after(() => cleaning.now())

const db = () => w.server.ground.db
const openSessions = async () =>
  (await w.ada.ask(listLoginSessions, { params: { identity: 'alice' }, query: { limit: 200 } })).items.filter(
    ({ endedAt }) => endedAt === null,
  )

/** A program that was let in from the browser. */
async function letIn(browser: Browser): Promise<{ readonly key: TestKey; readonly token: string }> {
  const key = await newTestKey()
  const { json } = await beginDevice(w, key)
  await decide(browser, json.user_code, 'yes')
  const issued = await poll(w, { key, ...json })
  assert.equal(issued.status, 200, JSON.stringify(issued.json))
  return { key, token: issued.json.access_token }
}

test('attack: a login leads to pages of ours only', async () => {
  for (const to of [
    'https://evil.example/',
    '//evil.example',
    '/\\evil.example',
    '/a\r\nset-cookie: a=b',
    'javascript:1',
  ]) {
    const browser = w.browser()
    const path = `/login/start/main?${new URLSearchParams({ to }).toString()}`
    const back = await browser.viaProvider(await browser.get(path))
    assert.equal(back.headers['location'], '/login', to)
  }
})

test('attack: another site can neither begin a login nor send a form', async () => {
  const foreign = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }
  const begun = await w.browser().get('/login/start/main', { headers: foreign })
  const browser = await w.loggedIn()
  const sent = await browser.post(
    '/login/out',
    { form: 'x' },
    { headers: { ...foreign, origin: 'https://evil.example' } },
  )
  const embedded = await browser.get('/device', { headers: { ...foreign, 'sec-fetch-dest': 'iframe' } })

  assert.deepEqual([begun.status, sent.status, embedded.status], [403, 403, 403])
})

test('attack: a cookie that was there before a login is not the one after it, and the login before is over', async () => {
  const browser = await w.loggedIn()
  const before = browser.cookies.get(LOGIN_COOKIE)
  await browser.viaProvider(await browser.get('/login/start/main'))
  const after = browser.cookies.get(LOGIN_COOKIE)
  const old = w.browser()
  old.cookies.set(LOGIN_COOKIE, before ?? '')

  assert.notEqual(before, after)
  assert.match(String((await old.get('/login')).json), /Log in to Reeve/)
})

test('attack: a form without the word of its page does nothing, and a cookie is worth nothing after logout', async () => {
  const browser = await w.loggedIn()
  const stolen = w.browser()
  stolen.cookies.set(LOGIN_COOKIE, browser.cookies.get(LOGIN_COOKIE) ?? '')
  const page = await browser.get('/login')
  const another = await w.loggedIn()
  const foreign = fieldIn(await another.get('/login'), 'form')

  const forged = await Promise.all([browser.post('/login/out', {}), browser.post('/login/out', { form: foreign })])
  const stillIn = await browser.get('/login')
  const out = await browser.post('/login/out', { form: fieldIn(page, 'form') })

  assert.deepEqual(
    forged.map(({ status }) => status),
    [400, 400],
  )
  assert.match(String(stillIn.json), /You are logged in/)
  assert.match(String(out.json), /You are logged out/)
  assert.match(String((await stolen.get('/login')).json), /Log in to Reeve/)
})

test('a form is good as long as its login, also when the cookie was replaced after it was shown', async () => {
  const browser = await w.loggedIn()
  const before = browser.cookies.get(LOGIN_COOKIE)
  const page = await browser.get('/login')
  await db().updateTable('loginCookie').set({ createdAt: LATE }).where('replacedAt', 'is', null).execute()
  await browser.get('/login')
  assert.notEqual(browser.cookies.get(LOGIN_COOKIE), before)

  const out = await browser.post('/login/out', { form: fieldIn(page, 'form') })

  assert.match(String(out.json), /You are logged out/)
})

test('attack: a value of the cookie that was replaced and comes back later ends the login for both', async () => {
  const browser = await w.loggedIn()
  const thief = w.browser()
  thief.cookies.set(LOGIN_COOKIE, browser.cookies.get(LOGIN_COOKIE) ?? '')
  await db().updateTable('loginCookie').set({ createdAt: LATE }).where('replacedAt', 'is', null).execute()

  await browser.get('/login')
  assert.notEqual(browser.cookies.get(LOGIN_COOKIE), thief.cookies.get(LOGIN_COOKIE))
  await db().updateTable('loginCookie').set({ replacedAt: LATE }).where('replacedAt', 'is not', null).execute()
  const late = await thief.get('/login')

  assert.match(String(late.json), /Log in to Reeve/)
  assert.match(String((await browser.get('/login')).json), /Log in to Reeve/)
})

test('a login that nobody uses is over, and the tokens of its program with it', async () => {
  const browser = await w.loggedIn()
  const { key, token } = await letIn(browser)
  assert.equal((await w.whoami(token, key)).status, 200)
  await db().updateTable('loginActivity').set({ seenAt: LATE }).execute()

  const page = await browser.get('/login')
  await transact(db(), (tx) => sweepLoginSessions(tx, w.server.domains.login.needs))

  assert.match(String(page.json), /Log in to Reeve/)
  assert.equal((await w.whoami(token, key)).status, 401)
  assert.deepEqual(await openSessions(), [])
})

test('attack: whoever is suspended is out everywhere at once, and does not come back in', async () => {
  const browser = await w.loggedIn()
  const { key, token } = await letIn(browser)
  const why = { params: { identity: 'alice' }, input: { reason: 'a lost laptop' } }

  await w.ada.ask(suspendIdentity, why)
  const [page, called] = [await browser.get('/login'), await w.whoami(token, key)]
  const again = await refusedLogin(w, {})
  await w.ada.ask(resumeIdentity, { params: { identity: 'alice' } })

  assert.match(String(page.json), /Log in to Reeve/)
  assert.deepEqual([called.status, again.status], [401, 403])
  const entered = await db().selectFrom('ledgerEntry').select('id').where('kind', '=', 'login.refused').execute()
  assert.equal(entered.length, 1)
  assert.equal((await w.whoami(token, key)).status, 401, 'what ended does not come back')
})

test('attack: a token that one makes for oneself under a login ends with the login', async () => {
  const { key, token } = await letIn(await w.loggedIn())
  const ath = Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from(token))).toString('base64url')
  const path = issueToken.path.replace(':identity', 'alice')
  const proof = await dpopProof(key, { htm: 'POST', htu: `${w.issuer}${path}`, ath })
  const { publicKey } = await newKeyPair()
  const made = await w.send(path, {
    method: 'POST',
    headers: { authorization: `DPoP ${token}`, dpop: proof, 'content-type': 'application/json' },
    body: JSON.stringify({ label: 'a further one', ttlSeconds: 2_592_000, publicKey }),
  })
  assert.equal(made.status, 201, JSON.stringify(made.json))
  const [session] = (await openSessions()).filter(({ channel }) => channel === 'cli')
  assert.equal(made.json.expiresAt, session?.expiresAt.toISOString())

  await w.ada.ask(endLoginSession, { params: { session: session?.id ?? '' }, input: { reason: 'a look around' } })

  const row = await db().selectFrom('apiToken').select('revokedAt').where('id', '=', made.json.id).executeTakeFirst()
  assert.ok(row?.revokedAt)
  assert.equal((await w.whoami(token, key)).status, 401)
})

test('attack: a logout token that is forged, old, shown twice, or none ends nothing', async () => {
  const browser = await w.loggedIn()
  const { key, token } = await letIn(browser)
  const post = (path: string, logoutToken: string) =>
    w.send(path, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({ logout_token: logoutToken }).toString(),
    })
  const main = '/oauth2/backchannel-logout/main'
  const now = Math.floor(Date.now() / 1000)
  const bad = await Promise.all([
    w.provider.logoutToken({}, {}, await newTestKey()),
    w.provider.logoutToken({ aud: 'somebody-else' }),
    w.provider.logoutToken({ iss: w.other.url }),
    w.provider.logoutToken({ nonce: 'x' }),
    w.provider.logoutToken({ events: undefined }),
    w.provider.logoutToken({ events: { 'urn:another': {} } }),
    w.provider.logoutToken({ iat: now - 3_600 }),
    w.provider.logoutToken({ iat: now + 3_600 }),
    w.provider.logoutToken({ exp: now - 3_600 }),
    w.provider.logoutToken({ jti: undefined }),
    w.provider.logoutToken({ sub: undefined }),
    w.provider.logoutToken({}, { typ: 'at+jwt' }),
    signed(w.provider.key, { iss: w.provider.url, aud: 'reeve', sub: w.provider.subject, nonce: 'n' }, { kid: 'one' }),
  ])

  for (const each of bad) assert.equal((await post(main, each)).status, 400)
  const [, payload] = (await w.provider.logoutToken()).split('.')
  const none = `${Buffer.from('{"alg":"none","typ":"logout+jwt"}').toString('base64url')}.${payload}.`
  assert.equal((await post(main, none)).status, 400)
  assert.equal((await post('/oauth2/backchannel-logout/other', await w.provider.logoutToken())).status, 400)
  assert.equal((await w.whoami(token, key)).status, 200)

  const good = await w.provider.logoutToken({ sub: undefined, sid: 'session-at-the-provider' })
  assert.equal((await post(main, good)).status, 200)
  assert.equal((await w.whoami(token, key)).status, 401)
  assert.match(String((await browser.get('/login')).json), /Log in to Reeve/)
  assert.equal((await post(main, good)).status, 400, 'once')
})

test('attack: codes are not found by guessing, and a program is let in with the word of its page only', async () => {
  await w.person('guesser', 'guesser-at-the-provider')
  w.provider.subject = 'guesser-at-the-provider'
  const browser = await w.loggedIn()
  w.provider.subject = 'alice-at-the-provider'
  const form = fieldIn(await browser.get('/device'), 'form')
  const statuses: number[] = []
  for (const code of ['BCDF-GHJK', 'BCDF-GHJL', 'aaaa-aaaa', '', 'BCDF-GHJM', 'BCDF-GHJN', 'BCDF-GHJP']) {
    statuses.push((await browser.post('/device', { form, user_code: code })).status)
  }
  assert.deepEqual(statuses, [400, 400, 400, 400, 400, 429, 429])

  const alice = await w.loggedIn()
  const key = await newTestKey()
  const { json } = await beginDevice(w, key)
  const asked = await alice.get('/device')
  const shown = await alice.post('/device', { form: fieldIn(asked, 'form'), user_code: json.user_code })
  const device = fieldIn(shown, 'device')
  const forged = await alice.post('/device/decide', { device, answer: 'yes', form: fieldIn(asked, 'form') })
  assert.equal(forged.status, 400)
  assert.equal((await poll(w, { key, ...json })).json.error, 'authorization_pending')
})

test('attack: the code of a program is worth nothing without its key, is spent once, and is over in time', async () => {
  const browser = await w.loggedIn()
  const key = await newTestKey()
  const thief = await newTestKey()
  const { json } = await beginDevice(w, key)
  const waiting = { key, ...json }
  await decide(browser, json.user_code, 'yes')

  const stolen = await poll(w, waiting, thief)
  const bare = await w.ask({
    grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
    device_code: json.device_code,
    client_id: 'reeve-cli',
  })
  const right = await poll(w, waiting)
  const again = await poll(w, waiting)

  assert.deepEqual([stolen.json.error, bare.json.error], ['invalid_grant', 'invalid_request'])
  assert.equal(right.status, 200, JSON.stringify(right.json))
  assert.equal(again.json.error, 'invalid_grant')
  const second = await beginDevice(w, key)
  await db().updateTable('deviceAuthorization').set({ expiresAt: LATE }).where('state', '=', 'pending').execute()
  assert.equal((await poll(w, { key, ...second.json })).json.error, 'expired_token')
  const twice = await decide(browser, json.user_code, 'yes').catch((error: unknown) => error)
  assert.ok(twice instanceof Error, 'a code that was used is no code any more')
})
