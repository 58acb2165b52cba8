import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { cleaningOfFile } from '../../../test/support/installation.ts'
import { loginWorld, type Browser, type LoginWorld } from '../../../test/support/login-world.ts'
import type { Answer } from '../../../test/support/token-world.ts'
import { retireLoginLink, listLoginLinks } from '../contract.ts'
import { transact } from '../../kernel/db.ts'
import { openStepUp } from './ask.ts'
import { stepUpProvenByLogin } from './events.ts'
import { markProven } from './prove.ts'

const MULTI = 'urn:example:two-factors'
const LOGIN_COOKIE = '__Host-reeve-login'
const cleaning = cleaningOfFile()
let w: LoginWorld
let alice = ''

before(async () => {
  w = await loginWorld(cleaning, {}, { stepUpAcrValues: [MULTI] })
  alice = await w.person('alice')
  await w.person('mallory', 'mallory-at-the-provider')
})
after(() => cleaning.now())

type Asked = { readonly id: string; readonly code: string }

/** What a call of hers would put before a person. */
async function asked(level: 'mfa' | 'phishing-resistant' = 'mfa', personId = alice): Promise<Asked> {
  const { needs } = w.server.domains.login
  const { id, code } = await transact(needs.db, (tx) =>
    openStepUp(tx, needs, {
      kind: 'call',
      asker: { id: personId, kind: 'human' },
      personId,
      proofId: null,
      operation: 'identity.suspend',
      level,
      nonce: Buffer.alloc(32, 1),
      actSha256: Buffer.alloc(32, 2),
      innerSha256: null,
      lines: ['suspends dave'],
      clientAddress: '192.0.2.7',
      ttlSeconds: 300,
    }),
  )
  return { id, code: code ?? assert.fail('no code') }
}

const now = () => Math.floor(Date.now() / 1000)
const row = ({ id }: Asked) =>
  w.server.ground.db.selectFrom('stepUp').selectAll().where('id', '=', id).executeTakeFirstOrThrow()

/** Chooses to log in again, and gives the page that leads there. */
const choose = (browser: Browser, step: Asked, provider = 'main') =>
  browser.post('/login/step-up/provider', { id: step.id, code: step.code, provider })

/** Where the page leads. */
function linkIn(answer: Answer): Answer {
  const to = /href="(http[^"]+)"/.exec(String(answer.json))?.[1]?.replaceAll('&amp;', '&')
  return { ...answer, headers: { location: to ?? assert.fail(String(answer.json)) } }
}

/** Logs in again as the provider is bent now. */
async function again(browser: Browser, step: Asked, bend: Partial<LoginWorld['provider']> = {}): Promise<Answer> {
  const kept = { ...w.provider }
  Object.assign(w.provider, { claims: { auth_time: now(), acr: MULTI }, ...bend })
  try {
    return await browser.viaProvider(linkIn(await choose(browser, step)))
  } finally {
    Object.assign(w.provider, kept)
  }
}

test('a person confirms one act by logging in again at the provider, which opens no login', async () => {
  const step = await asked()
  const browser = w.browser()
  const shown = await browser.post('/login/step-up', step)

  const back = await again(browser, step)

  assert.match(String(shown.json), /Logging in again is the weaker way/)
  assert.deepEqual([back.status, back.headers['location']], [303, '/login/step-up/done'])
  assert.equal(browser.cookies.has(LOGIN_COOKIE), false)
  const sent = w.provider.authorized.at(-1)
  assert.deepEqual(
    ['prompt', 'max_age', 'acr_values'].map((name) => sent?.get(name)),
    ['login', '0', MULTI],
  )
  const { state, provenBy, passkeyId, cause } = await row(step)
  assert.deepEqual({ state, provenBy, passkeyId }, { state: 'proven', provenBy: 'login', passkeyId: null })
  const { kind } = await w.server.ground.db
    .selectFrom('ledgerEntry')
    .select('kind')
    .where('id', '=', cause)
    .executeTakeFirstOrThrow()
  assert.equal(kind, 'step-up.proven-by-login')
})

test('attack: a login that is older than the question, without a time, of tomorrow or too weak confirms nothing', async () => {
  const bends = [
    { auth_time: now() - 60, acr: MULTI },
    { auth_time: undefined, acr: MULTI },
    { auth_time: String(now()), acr: MULTI },
    { auth_time: now() + 3_600, acr: MULTI },
    { auth_time: now(), acr: 'urn:example:gold' },
    { auth_time: now(), acr: undefined },
    { auth_time: now(), acr: [MULTI] },
    { auth_time: now(), acr: `${MULTI} and more` },
  ]
  const step = await asked()
  for (const claims of bends) {
    const back = await again(w.browser(), step, { claims })
    assert.ok([400, 403].includes(back.status), JSON.stringify(claims))
    assert.equal((await row(step)).state, 'pending', JSON.stringify(claims))
  }
})

test('attack: another person who logs in there confirms nothing, and neither does a stranger', async () => {
  const step = await asked()
  for (const subject of ['mallory-at-the-provider', 'nobody-knows-me']) {
    const back = await again(w.browser(), step, { subject })
    assert.equal(back.status, 403)
    assert.match(String(back.json), /Somebody else logged in there/)
  }
  assert.equal((await row(step)).state, 'pending')
})

test('attack: the answer comes back in another browser, twice, or for a second act, and is worth nothing', async () => {
  const [first, second] = [await asked(), await asked()]
  const [mine, theirs] = [w.browser(), w.browser()]
  const kept = { ...w.provider }
  Object.assign(w.provider, { claims: { auth_time: now(), acr: MULTI } })
  try {
    const link = linkIn(await choose(mine, first))
    const there = await fetch(String(link.headers['location']), { redirect: 'manual' })
    const to = new URL(there.headers.get('location') ?? '')
    // The victim of a link that somebody else made has not this browser's cookie.
    const stolen = await theirs.get(`${to.pathname}${to.search}`)
    const good = await mine.get(`${to.pathname}${to.search}`)
    const replayed = await mine.get(`${to.pathname}${to.search}`)
    // The state of the second act with the code of the first.
    const other = new URL(String(linkIn(await choose(mine, second)).headers['location']))
    const mixed = new URLSearchParams({
      ...Object.fromEntries(to.searchParams),
      state: other.searchParams.get('state') ?? '',
    })
    const crossed = await mine.get(`${to.pathname}?${mixed.toString()}`)

    assert.deepEqual(
      [stolen, good, replayed, crossed].map(({ status }) => status),
      [400, 303, 400, 400],
    )
  } finally {
    Object.assign(w.provider, kept)
  }
  assert.deepEqual([(await row(first)).state, (await row(second)).state], ['proven', 'pending'])
})

test('attack: an ordinary login confirms no act, and the login for an act logs nobody in', async () => {
  const step = await asked()
  const browser = await w.loggedIn()
  const before = browser.cookies.get(LOGIN_COOKIE)

  await choose(browser, step)
  await browser.viaProvider(await browser.get('/login/start/main'))
  assert.equal((await row(step)).state, 'pending')
  const loggedIn = browser.cookies.get(LOGIN_COOKIE)
  await again(browser, step)

  assert.notEqual(before, loggedIn)
  assert.equal(browser.cookies.get(LOGIN_COOKIE), loggedIn)
  assert.equal((await row(step)).state, 'proven')
})

test('attack: what takes a passkey is not confirmed by a login, nor at a provider that does not know the person', async () => {
  const strong = await asked('phishing-resistant')
  const weak = await asked()
  const browser = w.browser()

  const shown = await browser.post('/login/step-up', strong)
  const refused = [
    await choose(browser, strong),
    await choose(browser, weak, 'other'),
    await choose(browser, weak, 'nowhere'),
    await choose(browser, { ...weak, code: 'BBBB-CCCC' }),
  ]

  assert.doesNotMatch(String(shown.json), /log in again/)
  assert.deepEqual(
    refused.map(({ status }) => status),
    [403, 403, 403, 403],
  )
  // Nor does the record hold one, whatever code may be wrong.
  const { needs } = w.server.domains.login
  const stored = transact(needs.db, (tx) =>
    markProven(tx, needs, strong.id, { provenBy: 'login', passkeyId: null }, ({ level, actSha256 }) => ({
      event: stepUpProvenByLogin,
      facts: {
        stepUpId: strong.id,
        level,
        actSha256: actSha256.toString('hex'),
        provider: 'main',
        issuer: w.provider.url,
        acr: MULTI,
        authenticatedAt: new Date(),
      },
    })),
  )
  await assert.rejects(stored, /login_is_the_weaker_proof/)
})

test('attack: a link that is retired while its person is away confirms nothing', async () => {
  const eve = await w.person('eve', 'eve-at-the-provider')
  const step = await asked('mfa', eve)
  const browser = w.browser()
  const kept = { ...w.provider }
  const link = linkIn(await choose(browser, step))
  const { items } = await w.ada.ask(listLoginLinks, { params: { identity: 'eve' } })
  await w.ada.ask(retireLoginLink, { params: { link: items[0]?.id ?? '' }, input: { reason: 'she left' } })
  Object.assign(w.provider, { claims: { auth_time: now(), acr: MULTI }, subject: 'eve-at-the-provider' })
  const back = await browser.viaProvider(link)
  Object.assign(w.provider, kept)

  assert.equal(back.status, 403)
  assert.equal((await row(step)).state, 'pending')
})
