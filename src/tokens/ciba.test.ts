import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { after, before, test } from 'node:test'
import * as oauth from 'oauth4webapi'
import { enrol, redeem } from '../../demo/people.ts'
import { applyChange, approveChange, Change } from '../access/contract.ts'
import type { Client } from '../cli/client.ts'
import { Enrolment, enrolIdentity, registerIdentity } from '../identities/contract.ts'
import { attestOwner, activateIdentity } from '../identities/contract.ts'
import { listStepUps } from '../login/step-up/contract.ts'
import type { Authenticator } from '../../test/support/authenticator.ts'
import { cleaningOfFile } from '../../test/support/installation.ts'
import { browserOf, confirm, passkeyBy, type Browser } from '../../test/support/passkey-pages.ts'
import {
  dpopProof,
  newTestKey,
  signed,
  tokenWorld,
  type TestKey,
  type TokenWorld,
} from '../../test/support/token-world.ts'
import { eventually } from '../../test/support/eventually.ts'
import { GRANT_TYPES } from './grants.ts'
import { tellAnswered } from './notices.ts'

const PATH = '/oauth2/backchannel_authentication'
const ASSERTION = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
const DETAILS = JSON.stringify([
  { type: 'urn:reeve:access', purpose: 'fix', targets: ['orders'], accounts: ['app'], actions: ['postgres.read'] },
])
const cleaning = cleaningOfFile()
let w: TokenWorld
let ada: Client
let frida: Client
let device: Authenticator
let others: Authenticator
let browser: Browser
let own: TestKey
let told: Told
let wide: string[]
let proofKey: TestKey

before(async () => {
  told = await startTold()
  w = await tokenWorld(cleaning, { teams: { security: { members: ['erin'] }, administrators: { members: ['ada'] } } })
  ada = w.ada
  browser = browserOf(w.server)
  // While the founder is alone nobody could approve whom an issuer proves.
  for (const name of ['frida', 'gustav']) {
    await ada.ask(registerIdentity, { input: { kind: 'human', name, profile: 'person' } })
  }
  const helper = { kind: 'agent', name: 'helper', profile: 'agent', purpose: 'helps', sponsor: 'frida' }
  await ada.ask(registerIdentity, { input: { ...helper, owner: 'ada', ownerTeam: 'administrators' } })
  await ada.ask(attestOwner, { params: { identity: 'helper' } })
  await ada.ask(activateIdentity, { params: { identity: 'helper' } })
  ;[own, proofKey] = [await newTestKey(), await newTestKey()]
  const { x = '', y = '' } = own.jwk
  const keys = { keys: [{ kty: 'EC' as const, crv: 'P-256' as const, x, y, kid: 'one' }] }
  await w.rule('helper', { name: 'helper', preset: 'client-key', keys })
  await ada.ask(registerIdentity, { input: { ...helper, name: 'pinged', owner: 'ada', ownerTeam: 'administrators' } })
  await ada.ask(attestOwner, { params: { identity: 'pinged' } })
  await ada.ask(activateIdentity, { params: { identity: 'pinged' } })
  const slug = (rule: Promise<unknown>) =>
    rule.then(
      () => 'taken',
      (error: unknown) => String(error),
    )
  wide = []
  for (const notifyUrl of ['http://169.254.169.254/latest', 'https://10.0.0.7/told']) {
    wide.push(await slug(w.rule('pinged', { name: 'wide', preset: 'client-key', keys, notifyUrl })))
  }
  const platform = { issuer: told.url, subject: { is: 'somebody-known' }, notifyUrl: told.url }
  wide.push(await slug(w.rule('pinged', { name: 'wide', ...platform })))
  await w.rule('pinged', { name: 'pinged', preset: 'client-key', keys, notifyUrl: `${told.url}/told` })
  const linked = async (name: string) =>
    (await ada.ask(enrolIdentity, { params: { identity: name }, input: {} })).secret
  const fridas = await linked('frida')
  others = await passkeyBy(browser, await linked('gustav'))
  frida = await redeem(w.server, fridas)
  const erin = await enrol(w.server, ada, { kind: 'human', name: 'erin', profile: 'person' })
  const given = { params: { identity: 'frida' }, input: {}, requestApproval: 'they get a passkey' }
  const { id, boundSha256 } = Change.parse(await ada.call(enrolIdentity, given))
  await erin.ask(approveChange, { params: { change: id }, input: { boundSha256 } })
  const { answer } = await ada.ask(applyChange, { params: { change: id } })
  device = await passkeyBy(browser, Enrolment.parse(answer).secret)
})
after(() => cleaning.now())

type Form = Record<string, string>

/** Where a client is told: an address on loopback that answers as a test says. */
type Told = {
  readonly url: string
  readonly heard: {
    readonly method: string
    readonly path: string
    readonly authorization: string
    readonly body: string
  }[]
  /** Statuses of the next answers; 204 when there are no more. */
  statuses: number[]
}

async function startTold(): Promise<Told> {
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => (body += chunk.toString()))
    request.on('end', () => {
      const { method = '', url: path = '', headers } = request
      answering.heard.push({ method, path, authorization: headers.authorization ?? '', body })
      response.writeHead(answering.statuses.shift() ?? 204, { location: `${answering.url}/elsewhere` }).end()
    })
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  cleaning.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const answering: Told = { url: `http://127.0.0.1:${port}`, heard: [], statuses: [] }
  return answering
}

async function post(path: string, form: Form, key = proofKey) {
  const { client_id: id = 'helper' } = form
  const assertion = await signed(own, { iss: id, sub: id, aud: w.issuer }, { kid: 'one' })
  const proof = await dpopProof(key, { htm: 'POST', htu: `${w.issuer}${path}` })
  const all = { client_id: 'helper', client_assertion: assertion, client_assertion_type: ASSERTION, ...form }
  return w.send(path, {
    method: 'POST',
    body: new URLSearchParams(all).toString(),
    headers: { 'content-type': 'application/x-www-form-urlencoded', dpop: proof },
  })
}

const ask = (more: Form = {}) =>
  post(PATH, { scope: 'openid', login_hint: 'frida', authorization_details: DETAILS, ...more })
const poll = (id: string, key?: TestKey) =>
  post('/oauth2/token', { grant_type: GRANT_TYPES.backchannel, auth_req_id: id }, key)
const waiting = async () => (await frida.ask(listStepUps)).items

test('an agent asks its sponsor, who sees what it is for on another device, and gets a token for that and no more', async () => {
  const asked = await ask({ binding_message: 'deploy 4711' })
  assert.equal(asked.status, 200, JSON.stringify(asked.json))
  const { auth_req_id: id, expires_in: seconds, interval } = asked.json
  const [found] = await waiting()
  assert.ok(found?.code)

  const early = await poll(id)
  const fast = await poll(id)
  await confirm(browser, { id: found.id, code: found.code }, device)
  await unhurried(id)
  const stolen = await poll(id, await newTestKey())
  const got = await poll(id)
  await unhurried(id)
  const again = await poll(id)

  assert.deepEqual([seconds, interval], [300, 5])
  assert.ok(found.lines.includes('it says: deploy 4711'), found.lines.join('\n'))
  assert.ok(found.lines.some((line) => line.includes('postgres.read') && line.includes('orders')))
  assert.deepEqual([early.json.error, fast.json.error], ['authorization_pending', 'slow_down'])
  assert.equal(stolen.json.error, 'invalid_grant', 'the id is worth nothing without the key it was asked with')
  assert.equal(got.status, 200, JSON.stringify(got.json))
  assert.deepEqual(got.json.authorization_details, JSON.parse(DETAILS))
  const claims = JSON.parse(Buffer.from(got.json.access_token.split('.')[1], 'base64url').toString())
  assert.ok(claims.act.sub !== claims.sub)
  assert.equal(again.json.error, 'invalid_grant', 'one answer is one token')
})

test('attack: an agent asks nobody but its sponsor, in no words that mislead, and for nothing that it does not say', async () => {
  const errors = async (more: Form) => (await ask(more)).json.error
  assert.equal(await errors({ login_hint: 'gustav' }), 'unknown_user_id')
  assert.equal(await errors({ login_hint: 'nobody-at-all' }), 'unknown_user_id')
  assert.equal(await errors({ binding_message: 'all is well\u202e' }), 'invalid_binding_message')
  assert.equal(await errors({ authorization_details: '[]' }), 'invalid_authorization_details')
  assert.equal(await errors({ scope: 'openid profile' }), 'invalid_scope')
  assert.equal((await waiting()).length, 0)
})

test('attack: somebody else’s passkey answers nothing, and what the person refuses is no token', async () => {
  const { auth_req_id: id } = (await ask()).json
  const [found] = await waiting()
  assert.ok(found?.code)

  const wrong = await confirm(browser, { id: found.id, code: found.code }, others)
  await browser.post('/login/step-up/refuse', { id: found.id, code: found.code })

  assert.equal(wrong.status, 403)
  assert.equal((await poll(id)).json.error, 'access_denied')
})

const PINGED = { client_id: 'pinged', client_notification_token: 'a-word-of-the-client-that-is-long' }
const heardOf = (id: string) => told.heard.filter(({ body }) => body.includes(id))
const noticeOf = async (id: string) =>
  w.database.db
    .selectFrom('backchannelRequest')
    .select(['sealedNotice', 'noticeTries'])
    .where('authReqSha256', '=', Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from(id))))
    .executeTakeFirstOrThrow()

test('a client with an address is told once that its person answered, and fetches the answer by its key', async () => {
  const { auth_req_id: id } = (await ask(PINGED)).json
  const [found] = await waiting()
  assert.ok(found?.code)
  assert.deepEqual(heardOf(id), [], 'nobody answered yet')
  told.statuses = [500, 302, 200]

  await confirm(browser, { id: found.id, code: found.code }, device)
  await eventually(async () => ((await noticeOf(id)).sealedNotice === null ? true : undefined))

  const heard = heardOf(id)
  assert.equal(heard.length, 3, 'until it took it')
  assert.ok(
    heard.every(({ path, method }) => path === '/told' && method === 'POST'),
    'no redirect is followed',
  )
  const [{ authorization, body } = assert.fail()] = heard
  assert.equal(authorization, `Bearer ${PINGED.client_notification_token}`)
  assert.deepEqual(JSON.parse(body), { auth_req_id: id })
  const form = { grant_type: GRANT_TYPES.backchannel, auth_req_id: id, client_id: 'pinged' }
  assert.equal((await post('/oauth2/token', form, await newTestKey())).json.error, 'invalid_grant', 'whoever heard it')
  assert.equal((await post('/oauth2/token', { ...form, client_id: 'helper' })).json.error, 'invalid_grant')
  assert.equal((await post('/oauth2/token', form)).status, 200)
})

test('a client is told of a refusal as well, and by one node only', async () => {
  const { auth_req_id: id } = (await ask(PINGED)).json
  const [found] = await waiting()
  assert.ok(found?.code)
  await browser.post('/login/step-up/refuse', { id: found.id, code: found.code })
  const { needs } = w.server.domains.tokens

  await Promise.all(Array.from({ length: 5 }, () => tellAnswered(needs, AbortSignal.timeout(10_000))))
  await eventually(async () => ((await noticeOf(id)).sealedNotice === null ? true : undefined))

  assert.equal(heardOf(id).length, 1)
})

test('attack: nobody has Reeve call an address that no rule names, an inner one, or with a word that can be guessed', async () => {
  const errors = async (more: Form) => (await ask(more)).json.error
  const { client_notification_token: token } = PINGED
  assert.equal(await errors({ client_notification_token: token }), 'invalid_request', 'a client that polls')
  assert.equal(await errors({ client_id: 'pinged' }), 'invalid_request', 'without a word of its own')
  for (const weak of ['short', 'a'.repeat(1_025), `${token}\r\nx-evil: 1`, 'with a blank in its middle']) {
    assert.equal(await errors({ ...PINGED, client_notification_token: weak }), 'invalid_request', weak)
  }
  assert.equal((await waiting()).length, 0)
  assert.equal(wide.length, 3)
  for (const said of wide) assert.match(said, /notifyUrl/)
})

test('attack: an answer is told to nobody where the rule of the client names no address any more', async () => {
  const { auth_req_id: id } = (await ask(PINGED)).json
  const { db } = w.database
  const { needs } = w.server.domains.tokens
  const stale = await db.selectFrom('trustRule').select('id').where('name', '=', 'helper').executeTakeFirstOrThrow()
  const [found] = await waiting()
  assert.ok(found?.code)
  await db
    .updateTable('backchannelRequest')
    .set({ noticeRuleId: stale.id })
    .where('sealedNotice', 'is not', null)
    .execute()

  await browser.post('/login/step-up/refuse', { id: found.id, code: found.code })
  await tellAnswered(needs, AbortSignal.timeout(10_000))

  assert.deepEqual(heardOf(id), [])
})

test('oauth4webapi asks and polls by what the metadata say', async () => {
  const fetchOverTls = async (
    url: string | URL,
    { method = 'GET', headers = {}, body }: { method?: string; headers?: object; body?: unknown },
  ): Promise<Response> => {
    const answer = await w.send(new URL(String(url)).pathname, {
      method,
      headers: Object.fromEntries(new Headers(Object.entries(headers))),
      ...(body instanceof URLSearchParams && { body: body.toString() }),
    })
    return new Response(JSON.stringify(answer.json), {
      status: answer.status,
      headers: { 'content-type': 'application/json' },
    })
  }
  const options = { [oauth.customFetch]: fetchOverTls }
  const as = await oauth.processDiscoveryResponse(
    new URL(w.issuer),
    await oauth.discoveryRequest(new URL(w.issuer), { ...options, algorithm: 'oauth2' }),
  )
  const client: oauth.Client = { client_id: 'helper' }
  const auth = oauth.PrivateKeyJwt({ key: own.privateKey, kid: 'one' })
  const pair = await oauth.generateKeyPair('ES256')
  const DPoP = oauth.DPoP(client, pair)
  const wanted = new URLSearchParams({ scope: 'openid', login_hint: 'frida', authorization_details: DETAILS })
  const proof = await dpopProof(proofKey, { htm: 'POST', htu: `${w.issuer}${PATH}` })
  const begun = await oauth.processBackchannelAuthenticationResponse(
    as,
    client,
    await oauth.backchannelAuthenticationRequest(as, client, auth, wanted, { ...options, headers: { dpop: proof } }),
  )
  const [found] = await waiting()
  assert.ok(found?.code)
  await confirm(browser, { id: found.id, code: found.code }, device)

  const other = await oauth.backchannelAuthenticationGrantRequest(as, client, auth, begun.auth_req_id, {
    ...options,
    DPoP,
  })

  // The proof of its own is of another key than the question came with: its id alone is worth nothing.
  await assert.rejects(oauth.processBackchannelAuthenticationGrantResponse(as, client, other), /invalid_grant|error/)
  assert.equal((await poll(begun.auth_req_id)).status, 200)
})

/** As if the client had waited for the interval: what is too fast is held against the row. */
async function unhurried(id: string): Promise<void> {
  const authReqSha256 = Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from(id)))
  const { db } = w.database
  await db
    .updateTable('backchannelRequest')
    .set({ polledAt: null })
    .where('authReqSha256', '=', authReqSha256)
    .execute()
}
