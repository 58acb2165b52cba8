import assert from 'node:assert/strict'
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
import { GRANT_TYPES } from './grants.ts'

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
let proofKey: TestKey

before(async () => {
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

async function post(path: string, form: Form, key = proofKey) {
  const assertion = await signed(own, { iss: 'helper', sub: 'helper', aud: w.issuer }, { kid: 'one' })
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
  assert.equal(await errors({ client_notification_token: 'x' }), 'invalid_request')
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
