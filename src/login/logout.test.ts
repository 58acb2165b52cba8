import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { decodeJwt } from 'jose'
import * as openid from 'openid-client'
import { Secret } from '../kernel/secret.ts'
import { cleaningOfFile } from '../../test/support/installation.ts'
import {
  fetchTo,
  fieldIn,
  LOGIN_COOKIE,
  loginWorld,
  type Browser,
  type LoginWorld,
} from '../../test/support/login-world.ts'
import type { Answer } from '../../test/support/token-world.ts'

let w: LoginWorld
const cleaning = cleaningOfFile()
const BACK = 'https://console.example/out'
const FOREIGN = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }

before(async () => {
  w = await loginWorld(cleaning)
  w.provider.leaves = true
  await w.person('alice')
})
after(() => cleaning.now())

type Form = Readonly<Record<string, string>>
const endAt = (form: Form) => `/oauth2/end_session?${new URLSearchParams(form).toString()}`
const comes = (browser: Browser, form: Form) => browser.get(endAt(form), { headers: FOREIGN })
const isIn = async (browser: Browser) => String((await browser.get('/login')).json).includes('You are logged in')
/** Where a page goes on at by itself. */
const onFrom = ({ headers }: Answer) => {
  const [, to] = /^0;url=(.+)$/.exec(String(headers['refresh'] ?? '')) ?? []
  return to === undefined ? undefined : new URL(to)
}
const formOf = (page: Answer, names: readonly string[]) =>
  Object.fromEntries([...names, 'form'].map((name) => [name, fieldIn(page, name)]))

test('a logout here ends the login and leads to the provider, with the ID token it gave, and back', async () => {
  const browser = await w.loggedIn()
  const page = await browser.get('/login')
  const { db } = w.server.ground
  const sealed = await db.selectFrom('loginSession').select('sealedIdToken').where('endedAt', 'is', null).execute()
  assert.ok(sealed.length > 0 && sealed.every(({ sealedIdToken: kept }) => kept && !kept.includes('eyJ')))

  const out = await browser.post('/login/out', { form: fieldIn(page, 'form') })

  const to = onFrom(out) ?? assert.fail(JSON.stringify(out.headers))
  assert.equal(`${to.origin}${to.pathname}`, `${w.provider.url}/logout`)
  const { sub, sid } = decodeJwt(to.searchParams.get('id_token_hint') ?? '')
  assert.deepEqual([sub, sid], ['alice-at-the-provider', 'session-at-the-provider'])
  assert.deepEqual(
    [to.searchParams.get('client_id'), to.searchParams.get('post_logout_redirect_uri'), to.searchParams.get('state')],
    ['reeve', `${w.issuer}/login/out`, 'done'],
  )
  assert.equal(browser.cookies.has(LOGIN_COOKIE), false)
  const left = await db
    .selectFrom('loginSession')
    .select('sealedIdToken')
    .where('sealedIdToken', 'is not', null)
    .execute()
  assert.deepEqual(left, [], 'what ended keeps no ID token')
  const back = await browser.get('/login/out?state=done', { headers: FOREIGN })
  assert.deepEqual([back.status, onFrom(back)], [200, undefined])
})

test('a logout stays here where the person says so', async () => {
  const browser = await w.loggedIn()
  const page = await browser.get('/login')

  const out = await browser.post('/login/out', { form: fieldIn(page, 'form'), answer: 'here' })

  assert.equal(onFrom(out), undefined)
  assert.match(String(out.json), /You are logged out/)
  assert.equal(await isIn(browser), false)
})

test('a client that asks for a logout is answered by the person, and has its browser back by the provider', async () => {
  const config = await openid.discovery(new URL(w.issuer), 'console', {}, openid.None(), {
    algorithm: 'oauth2',
    [openid.customFetch]: fetchTo(w),
  })
  const url = openid.buildEndSessionUrl(config, { post_logout_redirect_uri: BACK, state: 'the state' })
  assert.equal(url.pathname, '/oauth2/end_session')
  const browser = await w.loggedIn()

  const page = await browser.get(`${url.pathname}${url.search}`, { headers: FOREIGN })
  assert.match(String(page.json), /the console asks whether you want to log out/)
  assert.equal(await isIn(browser), true, 'a link alone ends nothing')
  const names = ['client_id', 'post_logout_redirect_uri', 'state']
  const no = await browser.post('/oauth2/end_session', { ...formOf(page, names), answer: 'no' })
  assert.deepEqual([no.headers['location'], await isIn(browser)], ['/login', true])
  const yes = await browser.post('/oauth2/end_session', { ...formOf(page, names), answer: 'yes' })

  const there = onFrom(yes) ?? assert.fail()
  assert.equal(there.origin, w.provider.url)
  assert.equal(await isIn(browser), false)
  const state = there.searchParams.get('state') ?? ''
  const back = await browser.get(`/login/out?${new URLSearchParams({ state }).toString()}`, { headers: FOREIGN })
  assert.equal(back.headers['location'], `${BACK}?state=the+state`)
})

test('whoever is not logged in is sent back at once, and nobody has to name a client', async () => {
  const nobody = await comes(w.browser(), { client_id: 'console', post_logout_redirect_uri: BACK, state: 'x' })
  assert.equal(nobody.headers['location'], `${BACK}?state=x`)
  const plain = await comes(w.browser(), {})
  assert.match(String(plain.json), /You are logged out/)
  const browser = await w.loggedIn()
  const page = await comes(browser, {})

  const out = await browser.post('/oauth2/end_session', { ...formOf(page, []), answer: 'yes' })

  assert.equal(onFrom(out)?.searchParams.get('state'), 'done')
})

test('attack: no browser is sent to an address that is not registered for leaving, to the letter, and nothing ends', async () => {
  const browser = await w.loggedIn()
  const wrong: readonly Form[] = [
    { client_id: 'console', post_logout_redirect_uri: 'https://evil.example/' },
    { client_id: 'console', post_logout_redirect_uri: `${BACK}/` },
    { client_id: 'console', post_logout_redirect_uri: `${BACK}?a=b` },
    { client_id: 'console', post_logout_redirect_uri: 'https://console.example/callback' },
    { client_id: 'console', post_logout_redirect_uri: 'https://console.example:443/out' },
    { client_id: 'console', post_logout_redirect_uri: 'javascript:alert(1)' },
    { client_id: 'native', post_logout_redirect_uri: BACK },
    { client_id: 'unknown', post_logout_redirect_uri: BACK },
    { post_logout_redirect_uri: BACK },
    { client_id: 'console', post_logout_redirect_uri: BACK, id_token_hint: 'a.b.c' },
    { client_id: 'console', post_logout_redirect_uri: BACK, state: 'x'.repeat(1_001) },
  ]
  for (const form of wrong) {
    const [answer, stranger] = [await comes(browser, form), await comes(w.browser(), form)]
    for (const { status, headers } of [answer, stranger]) {
      assert.deepEqual(
        [status, headers['location'], headers['refresh']],
        [400, undefined, undefined],
        JSON.stringify(form),
      )
    }
  }
  const good = await comes(browser, { client_id: 'console' })
  const bent = { ...formOf(good, ['client_id']), post_logout_redirect_uri: BACK, answer: 'yes' }
  assert.equal((await browser.post('/oauth2/end_session', bent)).status, 400, 'the form is for what was shown')
  assert.equal(await isIn(browser), true)
})

test('attack: another site logs nobody out, by a link, a frame or a form', async () => {
  const browser = await w.loggedIn()
  const form = { client_id: 'console', post_logout_redirect_uri: BACK }
  const page = await comes(browser, form)
  const another = await w.loggedIn()
  const theirs = fieldIn(await comes(another, form), 'form')

  const framed = await browser.get(endAt(form), { headers: { ...FOREIGN, 'sec-fetch-dest': 'iframe' } })
  const sent = await browser.post(
    '/oauth2/end_session',
    { ...form, answer: 'yes', form: fieldIn(page, 'form') },
    {
      headers: { ...FOREIGN, origin: 'https://evil.example' },
    },
  )
  const forged = await browser.post('/oauth2/end_session', { ...form, answer: 'yes', form: theirs })
  const missing = await browser.post('/oauth2/end_session', { ...form, answer: 'yes' })
  await browser.get('/login/out?state=done', { headers: FOREIGN })

  assert.deepEqual([framed.status, sent.status, forged.status, missing.status], [403, 403, 400, 400])
  assert.equal(await isIn(browser), true)
})

test('attack: the way back from a provider leads nowhere but where it was sealed for, and not for ever', async () => {
  const { seal } = w.server.domains.login.needs
  const made = (value: object, place = 'the way back of a logout') =>
    seal.seal(new Secret(JSON.stringify(value)), place).toString('base64url')
  const later = Date.now() + 60_000
  const way = { clientId: 'console', uri: BACK, until: later }
  const good = made(way)
  const at = async (state: string) => {
    const answer = await w
      .browser()
      .get(`/login/out?${new URLSearchParams({ state }).toString()}`, { headers: FOREIGN })
    return answer.headers['location'] ?? answer.status
  }

  assert.equal(await at(good), BACK)
  for (const wrong of [
    made({ ...way, uri: 'https://evil.example/' }),
    made({ ...way, clientId: 'native' }),
    made({ ...way, until: Date.now() - 1 }),
    made(way, 'another place'),
    `${good.slice(0, -2)}AA`,
    Buffer.from(JSON.stringify(way)).toString('base64url'),
    'x'.repeat(7_000),
    BACK,
  ]) {
    assert.equal(await at(wrong), 200, wrong.slice(0, 40))
  }
})
