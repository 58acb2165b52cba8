import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import * as oauth from 'oauth4webapi'
import { activateIdentity, attestOwner, registerIdentity, suspendIdentity } from '../identities/contract.ts'
import { loadConfig } from '../kernel/config.ts'
import { silentLog } from '../kernel/log.ts'
import { createLoginLink, listLoginLinks, retireLoginLink } from '../login/contract.ts'
import { startServer, type RunningServer } from '../server.ts'
import { cleaningOfFile } from '../../test/support/installation.ts'
import { fetchTo } from '../../test/support/login-world.ts'
import {
  dpopProof,
  newTestKey,
  signed,
  startIssuer,
  tokenWorld,
  type Answer,
  type TestIssuer,
  type TestKey,
  type TokenWorld,
} from '../../test/support/token-world.ts'
import { retireTrustRule } from './contract.ts'
import { ACCESS_TOKEN_TYPE, CLIENT_ASSERTION, GRANT_TYPES, JWT_TYPE } from './grants.ts'

const TYP = 'oauth-id-jag+jwt'
const DETAIL = {
  type: 'urn:reeve:access',
  purpose: 'fix',
  targets: ['orders', 'shop'],
  accounts: ['app'],
  actions: ['postgres.read'],
} as const
const cleaning = cleaningOfFile()
let w: TokenWorld
let issuer: TestIssuer
let second: RunningServer
let finished: RunningServer
let key: TestKey
const keys = new Map<string, TestKey>()
const ids = new Map<string, string>()

before(async () => {
  issuer = await startIssuer(cleaning)
  w = await tokenWorld(cleaning, {
    tokens: { resources: ['https://billing.example'], drafts: ['id-jag-04'] },
    login: { providers: [{ name: 'main', issuer: issuer.url, clientId: 'reeve', algorithm: 'ES256' }] },
  })
  key = await newTestKey()
  for (const name of ['frida', 'gustav', 'heidi']) {
    const { id } = await w.ada.ask(registerIdentity, { input: { kind: 'human', name, profile: 'person' } })
    ids.set(name, id)
  }
  for (const [name, sponsor] of [
    ['helper', 'frida'],
    ['other', 'frida'],
    ['gustavs', 'gustav'],
    ['heidis', 'heidi'],
  ] as const) {
    await agent(name, sponsor)
  }
  await w.workload('ci')
  await w.rule('ci', { name: 'ci', issuer: issuer.url, subject: { is: 'frida-at-the-provider' } })
  for (const [identity, more] of WIDE) {
    const rule = { name: 'wide', preset: 'id-jag' as const, issuer: issuer.url, ...more(w.issuer) }
    wide.push(
      await w.rule(identity, rule).then(
        () => 'taken',
        (error: unknown) => slugOf(error),
      ),
    )
  }
  // From here on the founder is not alone any more, and could make no rules by herself.
  for (const name of ['frida', 'gustav', 'heidi']) {
    await w.ada.ask(activateIdentity, { params: { identity: name } })
    const input = { provider: 'main', subject: `${name}-at-the-provider` }
    await w.ada.ask(createLoginLink, { params: { identity: name }, input })
  }
  second = await node('second', ['id-jag-04'])
  finished = await node('finished', [])
})
after(() => cleaning.now())

type Rule = Partial<Parameters<TokenWorld['rule']>[1]>
const WIDE: readonly (readonly [string, (us: string) => Rule])[] = [
  ['ci', () => ({})],
  ['helper', () => ({ subject: { startsWith: 'frida-at-' } })],
  ['helper', () => ({ audience: 'https://other.example' })],
  ['helper', () => ({ issuer: undefined })],
  ['helper', (us) => ({ issuer: us })],
  ['helper', () => ({ claims: [{ claim: 'tenant', value: { is: '*' } }] })],
]
const wide: string[] = []
const slugOf = (error: unknown) =>
  typeof error === 'object' && error !== null && 'slug' in error ? String(error.slug) : String(error)

async function agent(name: string, sponsor: string): Promise<void> {
  const about = {
    kind: 'agent',
    profile: 'agent',
    purpose: 'helps',
    owner: 'ada',
    ownerTeam: 'administrators',
  } as const
  ids.set(name, (await w.ada.ask(registerIdentity, { input: { ...about, name, sponsor } })).id)
  await w.ada.ask(attestOwner, { params: { identity: name } })
  await w.ada.ask(activateIdentity, { params: { identity: name } })
  const own = await newTestKey()
  keys.set(name, own)
  const { x = '', y = '' } = own.jwk
  const jwks = { keys: [{ kty: 'EC' as const, crv: 'P-256' as const, x, y, kid: 'one' }] }
  await w.rule(name, { name, preset: 'client-key', keys: jwks })
  await w.rule(name, { name: `${name}-jag`, preset: 'id-jag', issuer: issuer.url })
}

async function node(name: string, drafts: 'id-jag-04'[]): Promise<RunningServer> {
  const config = loadConfig({
    env: { REEVE_TOKENS_ISSUER: w.issuer, REEVE_NODE_NAME: name },
    workingFolder: w.folder,
    file: w.config,
  })
  const server = await startServer({ ...config, tokens: { ...config.tokens, drafts } }, silentLog)
  cleaning.after(() => server[Symbol.asyncDispose]())
  return server
}

const now = () => Math.floor(Date.now() / 1000)
type Claims = Readonly<Record<string, unknown>>
const jag = (claims: Claims = {}, header = {}, by?: TestKey) =>
  issuer.token(
    { sub: 'frida-at-the-provider', aud: w.issuer, client_id: 'helper', ...claims },
    { typ: TYP, ...header },
    by,
  )

type Form = Readonly<Record<string, string>>

async function asClient(name: string): Promise<Form> {
  const own = keys.get(name) ?? assert.fail()
  const client_assertion = await signed(own, { iss: name, sub: name, aud: w.issuer }, { kid: 'one' })
  return { client_id: name, client_assertion, client_assertion_type: CLIENT_ASSERTION }
}

async function shows(assertion: string, more: Form = {}, client: string | undefined = 'helper'): Promise<Answer> {
  const form = { grant_type: GRANT_TYPES.bearer, assertion, ...(client && (await asClient(client))), ...more }
  return w.ask(form, { dpop: key })
}

const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())

function refused({ json }: Answer, error: string, what: string): void {
  assert.deepEqual([json.error, 'access_token' in json], [error, false], `${what}: ${JSON.stringify(json)}`)
}

test('what a provider asserts of a person to their agent becomes a short token by which it acts for them', async () => {
  const { status, json } = await shows(await jag())

  assert.equal(status, 200, JSON.stringify(json))
  assert.deepEqual([json.token_type, 'refresh_token' in json, json.expires_in <= 900], ['DPoP', false, true])
  const { sub, act, cnf, aud } = claimsOf(json.access_token)
  assert.deepEqual([sub, act.sub, act.sub_profile], [ids.get('frida'), ids.get('helper'), 'ai_agent'])
  assert.deepEqual([cnf, aud], [{ jkt: key.thumbprint }, w.issuer])
  const me = await w.whoami(json.access_token, key)
  assert.deepEqual([me.status, me.json.name], [200, 'helper'])
})

test('attack: an assertion of another issuer, audience, client, person, time or key is worth nothing', async () => {
  const thief = await newTestKey()
  const wrong: Readonly<Record<string, string>> = {
    'of another audience': await jag({ aud: 'https://other.example' }),
    'of us among others': await jag({ aud: [w.issuer, 'https://other.example'] }),
    'without audience': await jag({ aud: undefined }),
    'for another client': await jag({ client_id: 'other' }),
    'for a client that is a list': await jag({ client_id: ['helper', 'other'] }),
    'for no client': await jag({ client_id: undefined }),
    'of somebody unknown': await jag({ sub: 'mallory-at-the-provider' }),
    'of a person who sponsors another agent': await jag({ sub: 'gustav-at-the-provider' }),
    'of a person by their name here': await jag({ sub: 'frida', email: 'frida@example.org' }),
    'of nobody': await jag({ sub: undefined }),
    'that is over': await jag({ exp: now() - 60 }),
    'not yet good': await jag({ nbf: now() + 120 }),
    'good for a day': await jag({ exp: now() + 86_400 }),
    'without an end': await jag({ exp: undefined }),
    'without an id': await jag({ jti: undefined }),
    'by a key of somebody else': await jag({}, {}, thief),
    'by a key in its header': await jag({}, { jwk: thief.jwk }, thief),
    'of an issuer without a rule': await jag({ iss: 'https://idp.example' }),
    'of this token service itself': await jag({ iss: w.issuer }),
    'that was handed on': await jag({ act: { sub: 'somebody' } }),
    'for another key': await jag({ cnf: { jkt: thief.thumbprint } }),
    'for a key in other words': await jag({ cnf: { 'x5t#S256': 'x' } }),
  }
  for (const [what, assertion] of Object.entries(wrong)) refused(await shows(assertion), 'invalid_grant', what)
  assert.equal((await shows(await jag({ cnf: { jkt: key.thumbprint } }))).status, 200)
})

test('attack: whoever is not the client it was made for gets nothing by it', async () => {
  refused(await shows(await jag(), {}, 'other'), 'invalid_grant', 'another agent of the same person')
  refused(await shows(await jag(), {}, 'gustavs'), 'invalid_grant', 'an agent of another person')
  const nobody = { grant_type: GRANT_TYPES.bearer, assertion: await jag(), client_id: 'helper' }
  refused(await w.ask(nobody, { dpop: key }), 'invalid_client', 'a name is no proof')
  const unbound = { grant_type: GRANT_TYPES.bearer, assertion: await jag(), ...(await asClient('helper')) }
  refused(await w.ask(unbound), 'invalid_request', 'without a key')
})

test('attack: neither is it taken for a token of the platform, nor such a token for it', async () => {
  for (const typ of [undefined, 'JWT', 'at+jwt', 'oauth-id-jag', 'id-jag+jwt']) {
    const token = await jag({}, { typ })
    refused(await shows(token), 'invalid_grant', `typ ${typ}`)
  }
  // The same provider is also believed of a workload by this very subject.
  const platform = (typ: string | undefined) =>
    issuer
      .token({ sub: 'frida-at-the-provider', aud: w.issuer }, { typ })
      .then((assertion) => w.ask({ grant_type: GRANT_TYPES.bearer, assertion }, { dpop: key }))
  assert.equal((await platform(undefined)).status, 200)
  for (const typ of [TYP, TYP.toUpperCase(), `application/${TYP}`]) {
    refused(await platform(typ), 'invalid_client', typ)
  }
  const exchange = { grant_type: GRANT_TYPES.exchange, subject_token: await jag(), subject_token_type: JWT_TYPE }
  refused(await w.ask({ ...exchange, ...(await asClient('helper')) }, { dpop: key }), 'invalid_grant', 'exchanged')
})

test('attack: it is taken once, on whichever node it is shown', async () => {
  const assertion = await jag()
  const there = async () => {
    const form = { grant_type: GRANT_TYPES.bearer, assertion, ...(await asClient('helper')) }
    const proof = await dpopProof(key, { htm: 'POST', htu: `${w.issuer}/oauth2/token` })
    const headers = { 'content-type': 'application/x-www-form-urlencoded', dpop: proof }
    const body = new URLSearchParams(form).toString()
    return w.send('/oauth2/token', { method: 'POST', body, headers }, second.api.url)
  }

  const answers = await Promise.all([shows(assertion), there(), shows(assertion), there()])

  assert.equal(answers.filter(({ status }) => status === 200).length, 1)
  for (const answer of answers.filter(({ status }) => status !== 200)) refused(answer, 'invalid_grant', 'again')
})

test('attack: what it bounds is bounded: details, places, and what we could not hold is refused', async () => {
  const bounded = () => jag({ authorization_details: [DETAIL] })
  const details = (...each: object[]) => ({ authorization_details: JSON.stringify(each) })
  const billing = 'https://billing.example'

  const whole = await shows(await bounded())
  const narrower = await shows(await bounded(), details({ ...DETAIL, targets: ['orders'] }))
  const wider = await shows(await bounded(), details({ ...DETAIL, actions: ['postgres.admin'] }))
  const unknown = await shows(await jag({ authorization_details: [{ type: 'of-somebody-else' }] }))
  const scoped = await shows(await jag({ scope: 'everything' }))
  const elsewhere = await shows(await jag({ resource: billing }), { resource: w.issuer })
  const nowhere = await shows(await jag({ resource: 'https://unknown.example' }))
  const unread = await shows(await jag({ resource: [7] }))
  const two = await shows(await jag({ resource: [w.issuer, billing] }))
  const there = await shows(await jag({ resource: billing }))

  assert.deepEqual(whole.json.authorization_details, [DETAIL])
  assert.deepEqual(narrower.json.authorization_details, [{ ...DETAIL, targets: ['orders'] }])
  refused(wider, 'invalid_authorization_details', 'wider than asserted')
  refused(unknown, 'invalid_authorization_details', 'details that mean nothing here')
  refused(scoped, 'invalid_scope', 'a scope')
  refused(elsewhere, 'invalid_target', 'another place')
  refused(nowhere, 'invalid_target', 'a place we issue nothing for')
  refused(unread, 'invalid_grant', 'a place that is none')
  refused(two, 'invalid_target', 'one of several has to be named')
  assert.equal(claimsOf(there.json.access_token).aud, billing)
  assert.equal((await w.whoami(there.json.access_token, key)).status, 401, 'it is for the other place alone')
})

test('oauth4webapi redeems one, and a draft that is not turned on is neither offered nor taken', async () => {
  const options = { [oauth.customFetch]: fetchTo(w) }
  const at = new URL(w.issuer)
  const as = await oauth.processDiscoveryResponse(
    at,
    await oauth.discoveryRequest(at, { ...options, algorithm: 'oauth2' }),
  )
  const profiles = ['urn:ietf:params:oauth:grant-profile:id-jag']
  assert.deepEqual(as['authorization_grant_profiles_supported'], profiles)
  const client: oauth.Client = { client_id: 'helper' }
  const auth = oauth.PrivateKeyJwt({ key: (keys.get('helper') ?? assert.fail()).privateKey, kid: 'one' })
  const DPoP = oauth.DPoP(client, await oauth.generateKeyPair('ES256'))
  const form = { assertion: await jag() }
  const answer = await oauth.genericTokenEndpointRequest(as, client, auth, GRANT_TYPES.bearer, form, {
    ...options,
    DPoP,
  })
  const issued = await oauth.processGenericTokenEndpointResponse(as, client, answer)
  assert.equal(claimsOf(issued.access_token).act.sub, ids.get('helper'))

  const metadata = await w.send('/.well-known/oauth-authorization-server', {}, finished.api.url)
  const body = new URLSearchParams({
    grant_type: GRANT_TYPES.bearer,
    assertion: await jag(),
    ...(await asClient('helper')),
  }).toString()
  const headers = { 'content-type': 'application/x-www-form-urlencoded' }
  const there = await w.send('/oauth2/token', { method: 'POST', body, headers }, finished.api.url)
  assert.equal('authorization_grant_profiles_supported' in metadata.json, false)
  refused(there, 'invalid_grant', 'not turned on')
})

test('attack: a rule for it pins an agent, its provider and us, and nothing wider', () => {
  const expected = [...Array.from({ length: 5 }, () => 'invalid-input'), 'rule-too-wide']
  assert.deepEqual(wide, expected)
})

test('attack: a token by it does not outlive the link of its person, the rule, or the person', async () => {
  const issuedTo = async (client: string, sub: string) => {
    const { json } = await shows(await jag({ client_id: client, sub: `${sub}-at-the-provider` }), {}, client)
    assert.equal((await w.whoami(json.access_token, key)).status, 200, JSON.stringify(json))
    return String(json.access_token)
  }
  const [byLink, byRule, byPerson] = [
    await issuedTo('gustavs', 'gustav'),
    await issuedTo('other', 'frida'),
    await issuedTo('heidis', 'heidi'),
  ]
  const form = { grant_type: GRANT_TYPES.exchange, subject_token: byLink, subject_token_type: ACCESS_TOKEN_TYPE }
  const child = await w.ask(form, { dpop: key })
  assert.equal(child.status, 200, JSON.stringify(child.json))
  const { items } = await w.ada.ask(listLoginLinks, { params: { identity: 'gustav' } })

  await w.ada.ask(retireLoginLink, { params: { link: items[0]?.id ?? '' }, input: { reason: 'another provider' } })
  await w.ada.ask(retireTrustRule, { params: { rule: 'other-jag' }, input: { reason: 'over' } })
  await w.ada.ask(suspendIdentity, { params: { identity: 'heidi' }, input: { reason: 'left' } })

  for (const token of [byLink, child.json.access_token, byRule, byPerson]) {
    assert.equal((await w.whoami(token, key)).status, 401)
  }
  const late = await jag({ client_id: 'gustavs', sub: 'gustav-at-the-provider' })
  refused(await shows(late, {}, 'gustavs'), 'invalid_grant', 'nobody is linked any more')
})
