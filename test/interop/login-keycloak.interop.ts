import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { activateIdentity, registerIdentity } from '../../src/identities/contract.ts'
import { transact } from '../../src/kernel/db.ts'
import { createLoginLink, listLoginSessions } from '../../src/login/contract.ts'
import { openStepUp } from '../../src/login/login.ts'
import { eventually } from '../support/eventually.ts'
import { beginDevice, decide, fieldIn, openBrowser, poll, type Browser } from '../support/login-world.ts'
import { newTestKey, tokenWorld, type Answer, type TokenWorld } from '../support/token-world.ts'
import { freePort } from '../support/free-port.ts'
import { administer, startKeycloak } from './peers/keycloak.ts'

const CLIENT_SECRET = 'the secret of reeve at keycloak'

const realmOf = (w: TokenWorld) => ({
  realm: 'company',
  enabled: true,
  sslRequired: 'none',
  users: [
    {
      username: 'alice',
      email: 'alice@example.org',
      firstName: 'Alice',
      lastName: 'Example',
      emailVerified: true,
      enabled: true,
      credentials: [{ type: 'password', value: 'the password of alice', temporary: false }],
    },
  ],
  clients: [
    {
      clientId: 'reeve',
      secret: CLIENT_SECRET,
      publicClient: false,
      standardFlowEnabled: true,
      redirectUris: [`${w.issuer}/login/callback/keycloak`, `${w.issuer}/login/callback/unpushed`],
      attributes: {
        'pkce.code.challenge.method': 'S256',
        'post.logout.redirect.uris': `${w.issuer}/login/out`,
        'backchannel.logout.url': `${w.issuer}/oauth2/backchannel-logout/keycloak`,
        'backchannel.logout.session.required': 'true',
      },
    },
  ],
})

/** A browser at Keycloak: its cookies there. */
type Sso = Map<string, string>

/** One step at Keycloak, and on as long as it leads nowhere else: its page, or where it sends the browser. */
async function atKeycloak(location: string, sso: Sso, form?: Record<string, string>): Promise<Response> {
  const answer = await fetch(location, {
    redirect: 'manual',
    headers: { cookie: [...sso].map(([name, value]) => `${name}=${value}`).join('; ') },
    ...(form && { method: 'POST', body: new URLSearchParams(form) }),
  })
  for (const each of answer.headers.getSetCookie()) {
    const [name = '', value = ''] = (each.split(';')[0] ?? '').split(/=(.*)/s)
    if (value === '') sso.delete(name)
    else sso.set(name, value)
  }
  const next = answer.headers.get('location')
  return next?.startsWith(new URL(location).origin) === true ? atKeycloak(next, sso) : answer
}

/** Where the form of a page of Keycloak leads. */
async function formOf(page: Response): Promise<string> {
  const text = await page.text()
  const action = /action="([^"]+)"/.exec(text)?.[1]?.replaceAll('&amp;', '&')
  return action ?? assert.fail(`${page.status} ${page.headers.get('location') ?? ''} ${text.slice(0, 2_000)}`)
}

/** Logs in on Keycloak's own page, as a person would. */
async function signIn(location: string, sso: Sso = new Map()): Promise<{ readonly to: URL; readonly sso: Sso }> {
  const page = await atKeycloak(location, sso)
  const back = await atKeycloak(await formOf(page), sso, { username: 'alice', password: 'the password of alice' })
  return { to: new URL(back.headers.get('location') ?? assert.fail(await back.text())), sso }
}

/** The same, and comes back. */
async function throughKeycloak(browser: Browser, start: Answer): Promise<Answer> {
  const { to } = await signIn(String(start.headers['location']))
  return browser.get(`${to.pathname}${to.search}`)
}

/** A step-up of alice's, and where her browser is sent to log in again for it. */
async function stepUp(w: TokenWorld, browser: Browser, personId: string, provider = 'keycloak') {
  const { needs } = w.server.domains.login
  const { id, code } = await transact(needs.db, (tx) =>
    openStepUp(tx, needs, {
      kind: 'call',
      asker: { id: personId, kind: 'human' },
      personId,
      proofId: null,
      operation: 'identity.suspend',
      level: 'mfa',
      nonce: Buffer.alloc(32, 1),
      actSha256: Buffer.alloc(32, 2),
      innerSha256: null,
      lines: ['suspends dave'],
      clientAddress: '192.0.2.7',
      ttlSeconds: 300,
    }),
  )
  const page = await browser.post('/login/step-up/provider', { id, code: code ?? '', provider })
  const location = /href="(http[^"]+)"/.exec(String(page.json))?.[1]?.replaceAll('&amp;', '&')
  const state = async () =>
    (await needs.db.selectFrom('stepUp').select('state').where('id', '=', id).executeTakeFirstOrThrow()).state
  return { location: location ?? assert.fail(String(page.json)), state }
}

test('Keycloak logs a person in, who lets the command line in; a logout there ends both', async (t) => {
  const port = await freePort()
  const issuer = `http://127.0.0.1:${port}/realms/company`
  const w = await tokenWorld(t, {
    login: {
      providers: [
        {
          name: 'keycloak',
          title: 'Keycloak',
          issuer,
          clientId: 'reeve',
          clientSecret: CLIENT_SECRET,
          stepUpAcrValues: ['1'],
        },
        // The same, asked by the browser alone: there is something that it can leave out.
        {
          name: 'unpushed',
          title: 'Keycloak, without pushing',
          issuer,
          clientId: 'reeve',
          clientSecret: CLIENT_SECRET,
          stepUpAcrValues: ['1'],
          isPushed: false,
        },
      ],
    },
  })
  const down = await openBrowser(w).get('/login/start/keycloak')
  assert.equal(down.status, 503, 'before it is up')
  const url = await startKeycloak(t, { port, authority: w.server.authority.certificate })
  await administer(url, '/realms', realmOf(w))
  const users = z
    .array(z.object({ id: z.string() }))
    .parse(await administer(url, '/realms/company/users?username=alice'))
  const subject = users[0]?.id ?? ''
  const input = { kind: 'human', name: 'alice', profile: 'person', environment: 'production', tier: 1 } as const
  const { id: alice } = await w.ada.ask(registerIdentity, { input })
  await w.ada.ask(activateIdentity, { params: { identity: 'alice' } })

  const stranger = openBrowser(w)
  const unknown = await throughKeycloak(stranger, await stranger.get('/login/start/keycloak'))
  assert.equal(unknown.status, 403, String(unknown.json))
  assert.match(String(unknown.json), new RegExp(`--provider keycloak --subject ${subject}`))
  await w.ada.ask(createLoginLink, { params: { identity: 'alice' }, input: { provider: 'keycloak', subject } })

  const browser = openBrowser(w)
  const pushed = new URL(String((await browser.get('/login/start/keycloak')).headers['location']))
  assert.deepEqual([...pushed.searchParams.keys()].toSorted(), ['client_id', 'request_uri'], 'Keycloak takes pushes')
  const back = await throughKeycloak(browser, await browser.get('/login/start/keycloak?to=/device'))
  assert.deepEqual([back.status, back.headers['location']], [303, '/device'], String(back.json))
  const key = await newTestKey()
  const begun = await beginDevice(w, key)
  await decide(browser, begun.json.user_code, 'yes')
  const issued = await poll(w, { key, ...begun.json })
  assert.equal((await w.whoami(issued.json.access_token, key)).json.name, 'alice')
  const { items } = await w.ada.ask(listLoginSessions, { params: { identity: 'alice' } })
  const [first] = items
  assert.ok(first?.acr != null && first.authenticatedAt <= first.createdAt, JSON.stringify(items))

  // Whoever is logged in there goes through unasked; for an act they are asked again.
  const plain = await browser.get('/login/start/keycloak?to=/device')
  const { sso } = await signIn(String(plain.headers['location']))
  const unasked = await atKeycloak(String((await browser.get('/login/start/keycloak')).headers['location']), sso)
  assert.match(unasked.headers.get('location') ?? '', /\/login\/callback\/keycloak\?.*code=/)
  const step = await stepUp(w, browser, alice)
  const again = await signIn(step.location, sso)
  const confirmed = await browser.get(`${again.to.pathname}${again.to.search}`)
  assert.equal(confirmed.headers['location'], '/login/step-up/done', String(confirmed.json))
  assert.equal(await step.state(), 'proven')
  // Attack: the browser leaves out that it was to be asked again, and comes back with the login that it had.
  const skipped = await stepUp(w, browser, alice, 'unpushed')
  const without = new URL(skipped.location)
  for (const name of ['prompt', 'max_age', 'acr_values']) without.searchParams.delete(name)
  const silent = await atKeycloak(without.href, sso)
  const from = new URL(silent.headers.get('location') ?? assert.fail(await silent.text()))
  assert.equal((await browser.get(`${from.pathname}${from.search}`)).status, 403)
  assert.equal(await skipped.state(), 'pending')

  await administer(url, `/realms/company/users/${subject}/logout`, {})

  await eventually(async () => ((await w.whoami(issued.json.access_token, key)).status === 401 ? true : undefined))
  assert.match(String((await browser.get('/login')).json), /Log in to Reeve/)
  const after = await w.ada.ask(listLoginSessions, { params: { identity: 'alice' } })
  assert.deepEqual([...new Set(after.items.map(({ endReason }) => endReason))], ['provider-logout'])

  // A logout here is one there: whoever comes next in that browser is asked who they are.
  const leaver = openBrowser(w)
  const login = async () => String((await leaver.get('/login/start/keycloak')).headers['location'])
  const fresh = await signIn(await login())
  await leaver.get(`${fresh.to.pathname}${fresh.to.search}`)
  const out = await leaver.post('/login/out', { form: fieldIn(await leaver.get('/login'), 'form') })
  const there = /^0;url=(.+)$/.exec(String(out.headers['refresh']))?.[1] ?? assert.fail(JSON.stringify(out.headers))
  const left = await atKeycloak(there, fresh.sso)
  assert.equal(left.headers.get('location'), `${w.issuer}/login/out?state=done`, await left.text())
  assert.match(await formOf(await atKeycloak(await login(), fresh.sso)), /\/login-actions\/authenticate\?/)
})
