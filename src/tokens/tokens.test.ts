import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createLocalJWKSet, decodeJwt, jwtVerify } from 'jose'
import { sql } from 'kysely'
import { eventually } from '../../test/support/eventually.ts'
import { cleaningOfFile } from '../../test/support/installation.ts'
import {
  dpopProof,
  newTestKey,
  signed,
  startIssuer,
  tokenWorld,
  type TestIssuer,
  type TestKey,
  type TokenWorld,
} from '../../test/support/token-world.ts'
import { enrolIdentity, redeemEnrolment, resumeIdentity, suspendIdentity } from '../identities/contract.ts'
import { openAuthority } from '../kernel/ca.ts'
import { systemClock } from '../kernel/clock.ts'
import { readPublicKey } from '../kernel/crypto.ts'
import { newKeyPair } from '../kernel/key-pair.ts'
import { systemRandom } from '../kernel/random.ts'
import { ACCESS_TOKEN_TYPE, CLIENT_ASSERTION, GRANT_TYPES } from './grants.ts'
import { retireTrustRule } from './contract.ts'

const SUBJECT = 'repo:acme/shop:ref:main'
const FORM = { 'content-type': 'application/x-www-form-urlencoded' }
const cleaning = cleaningOfFile()
let w: TokenWorld
let issuer: TestIssuer
let key: TestKey
let adaToken: string

before(async () => {
  w = await tokenWorld(cleaning)
  issuer = await startIssuer(cleaning)
  key = await newTestKey()
  adaToken = w.ada.connection.token?.reveal() ?? ''
  await w.workload('ci')
  await w.rule('ci', { name: 'ci', issuer: issuer.url, subject: { is: SUBJECT } })
})
after(() => cleaning.now())

const ci = (claims: Record<string, unknown> = {}) => issuer.token({ sub: SUBJECT, aud: w.issuer, ...claims })
const bearer = (assertion: string) => ({ grant_type: GRANT_TYPES.bearer, assertion })
const token = async (more: Record<string, string> = {}, dpop = key) => {
  const { status, json } = await w.ask({ ...bearer(await ci()), ...more }, { dpop })
  assert.equal(status, 200, JSON.stringify(json))
  return String(json.access_token)
}
const exchange = (subject_token: string, more: Record<string, string> = {}) => ({
  grant_type: GRANT_TYPES.exchange,
  subject_token,
  subject_token_type: ACCESS_TOKEN_TYPE,
  ...more,
})

/** A client with a key of its own: an identity, and what says so. */
async function client(name: string, more: Parameters<TokenWorld['workload']>[1] = {}) {
  const own = await newTestKey()
  const { x = '', y = '' } = own.jwk
  const id = await w.workload(name, more)
  const rule = await w.rule(name, { name, preset: 'client-key', keys: { keys: [{ kty: 'EC', crv: 'P-256', x, y }] } })
  const proof = async () => ({
    client_assertion_type: CLIENT_ASSERTION,
    client_assertion: await signed(own, { iss: name, sub: name, aud: w.issuer }),
  })
  return { id, rule, own, proof }
}

// oxlint-disable-next-line typescript/no-explicit-any -- a test looks into facts of every shape
async function entries(kind: string): Promise<any[]> {
  const rows = await w.server.ground.db.selectFrom('ledgerEntry').select('leaf').where('kind', '=', kind).execute()
  return rows.map(({ leaf }) => JSON.parse(leaf.toString('utf8')))
}

test('a token of a trusted issuer becomes a token of the mapped identity, bound to the key it came with', async () => {
  const answer = await w.ask(bearer(await ci()), { dpop: key })

  assert.deepEqual([answer.status, answer.json.token_type, answer.json.expires_in], [200, 'DPoP', 900])
  const me = await w.whoami(answer.json.access_token, key)
  assert.deepEqual([me.status, me.json.name], [200, 'ci'])
})

test('anybody verifies a token by the published keys, and reads in it whose it is and what it is bound to', async () => {
  const metadata = (await w.send('/.well-known/oauth-authorization-server')).json
  const keys = (await w.send('/.well-known/jwks.json')).json

  const { payload, protectedHeader } = await jwtVerify(await token(), createLocalJWKSet(keys), {
    issuer: w.issuer,
    audience: w.issuer,
    typ: 'at+jwt',
  })

  assert.equal(metadata.issuer, w.issuer)
  assert.equal(metadata.token_endpoint, `${w.issuer}/oauth2/token`)
  assert.equal(protectedHeader.alg, 'ES256')
  assert.deepEqual([payload['client_id'], payload['cnf']], ['ci', { jkt: key.thumbprint }])
  assert.equal(keys.keys.length, 2)
  assert.ok(keys.keys.every((each: object) => !('d' in each)))
  const resource = (await w.send('/.well-known/oauth-protected-resource')).json
  assert.deepEqual([resource.resource, resource.authorization_servers], [w.issuer, [w.issuer]])
})

test('keys move on with an overlap: what the last one signed is good, and can be verified, until it is over', async () => {
  const before = await token()
  const [signing = ''] = kidsOf(before)

  await w.server.domains.tokens.needs.ring.rotate()

  const keys = (await w.send('/.well-known/jwks.json')).json
  assert.equal((await w.whoami(before, key)).status, 200)
  await jwtVerify(before, createLocalJWKSet(keys))
  const since = await token()
  assert.notDeepEqual(kidsOf(since), [signing])
  await jwtVerify(since, createLocalJWKSet(keys))
  const sealed = w.server.ground.db.selectFrom('signingKey').select('sealedKey').where('kid', '=', signing)
  assert.equal((await sealed.executeTakeFirstOrThrow()).sealedKey, null)
  assert.ok((await entries('signing-key.rotated')).some(({ facts }) => facts.previousKid === signing))
})

function kidsOf(jwt: string): string[] {
  return [JSON.parse(Buffer.from(jwt.split('.')[0] ?? '', 'base64url').toString()).kid]
}

test('what is issued, and what is refused to somebody known, is entered with what was shown', async () => {
  const shown = await ci({ jti: 'the-jti-of-this-test' })
  await w.ask(bearer(shown), { dpop: key })
  await w.ask(bearer(shown))

  const issued = (await entries('access-token.issued')).filter(({ facts }) => facts.shownJti === 'the-jti-of-this-test')
  const refused = (await entries('access-token.refused')).filter(
    ({ facts }) => facts.shownJti === 'the-jti-of-this-test',
  )
  assert.deepEqual([issued.length, issued[0].facts.proof, issued[0].facts.audience], [1, 'oidc', w.issuer])
  assert.match(refused[0].facts.error, /^invalid_request: .*bound to a key/)
  const leaves = JSON.stringify([...issued, ...refused])
  assert.ok(!leaves.includes(shown) && !leaves.includes('eyJ'))
})

test('a client proves itself by its own key, in an assertion or in the handshake, whoever issued its certificate', async (t) => {
  const { own, proof, id } = await client('batch')
  const byAssertion = await w.ask({ grant_type: GRANT_TYPES.client, ...(await proof()) }, { dpop: own })
  assert.equal(byAssertion.status, 200, JSON.stringify(byAssertion.json))

  const folder = mkdtempSync(join(tmpdir(), 'reeve-mtls-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const elsewhere = await openAuthority(join(folder, 'ca'), { clock: systemClock, random: systemRandom })
  const [mine, theirs] = await Promise.all([certified(elsewhere), certified(elsewhere)])
  await w.rule('batch', { name: 'batch-tls', preset: 'client-key', keys: { keys: [mine.jwk] } })
  const form = { grant_type: GRANT_TYPES.client, client_id: 'batch' }
  const byHandshake = await w.ask(form, mine.tls)

  assert.deepEqual([byHandshake.status, byHandshake.json.token_type], [200, 'Bearer'])
  const claims = decodeJwt(byHandshake.json.access_token)
  assert.deepEqual([claims.sub, Object.keys(claims['cnf'] ?? {})], [id, ['x5t#S256']])
  assert.equal((await w.ask(form, theirs.tls)).json.error, 'invalid_client')
  assert.equal((await w.ask({ ...form, client_id: 'ci' }, mine.tls)).json.error, 'invalid_client')
  const held = byHandshake.json.access_token
  assert.equal(
    (await w.whoami(held, undefined, { headers: { authorization: `Bearer ${held}` }, ...mine.tls })).status,
    200,
  )
  assert.equal((await w.whoami(held)).status, 401, 'without the key')
  assert.equal(
    (await w.whoami(held, undefined, { headers: { authorization: `Bearer ${held}` }, ...theirs.tls })).status,
    401,
  )
})

async function certified(authority: Awaited<ReturnType<typeof openAuthority>>) {
  const { publicKey, privateKey } = await newKeyPair()
  const spki = readPublicKey(publicKey)?.spki ?? Buffer.alloc(0)
  const { cert } = await authority.issueClient({ spki, commonName: 'anybody', ttlSeconds: 600 })
  const [x, y] = [spki.subarray(-64, -32), spki.subarray(-32)].map((part) => part.toString('base64url'))
  assert.ok(x && y)
  return { jwk: { kty: 'EC', crv: 'P-256', x, y } as const, tls: { cert, key: privateKey.reveal() } }
}

test('a token is bound unless its rule says otherwise, at tiers 0 and 1 always, and an unbound one is a bearer’s', async () => {
  await w.workload('loose')
  await w.workload('crown', { tier: 0 })
  await w.rule('loose', { name: 'loose', issuer: issuer.url, subject: { is: 'repo:acme/loose' }, isBound: false })
  await w.rule('crown', { name: 'crown', issuer: issuer.url, subject: { is: 'repo:acme/crown' }, isBound: false })
  const of = (sub: string) => issuer.token({ sub, aud: w.issuer })

  const [bound, loose, crown] = [
    await w.ask(bearer(await ci())),
    await w.ask(bearer(await of('repo:acme/loose'))),
    await w.ask(bearer(await of('repo:acme/crown'))),
  ]
  const crowned = await w.ask(bearer(await of('repo:acme/crown')), { dpop: key })

  assert.deepEqual([bound.json.error, crown.json.error, loose.status], ['invalid_request', 'invalid_request', 200])
  assert.deepEqual([loose.json.token_type, crowned.json.token_type, crowned.json.expires_in], ['Bearer', 'DPoP', 300])
  assert.equal((await w.whoami(loose.json.access_token)).json.name, 'loose')
  assert.equal(await proofOf(loose.json.access_token), 'token')

  // A key that is shown later proves who shows it, not who got the token in the first place.
  const laundered = await w.ask(exchange(loose.json.access_token), { dpop: await newTestKey() })
  assert.deepEqual([laundered.status, await proofOf(laundered.json.access_token)], [200, 'token'])
})

async function proofOf(jwt: string): Promise<unknown> {
  const row = w.server.ground.db
    .selectFrom('apiToken')
    .select('proof')
    .where('id', '=', String(decodeJwt(jwt).jti))
  return (await row.executeTakeFirstOrThrow()).proof
}

test('attack: a token for another place is none here, and is not exchanged for one that is', async () => {
  const elsewhere = await token({ resource: 'https://billing.example' })

  assert.equal(decodeJwt(elsewhere).aud, 'https://billing.example')
  assert.equal((await w.whoami(elsewhere, key)).status, 401)
  assert.equal((await w.ask(exchange(elsewhere), { dpop: key })).json.error, 'invalid_grant')
})

test('a narrowed token asks for what it names, only narrows further, and leads nowhere else', async () => {
  const details = (value: unknown) => ({ authorization_details: JSON.stringify(value) })
  const mine = { type: 'urn:reeve:access', targets: ['shop-db'], actions: ['postgres.read'] }
  const narrow = await token(details([mine]))
  const call = async (path: string, method: string, body?: unknown) => {
    const ath = Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from(narrow))).toString('base64url')
    const dpop = await dpopProof(key, { htm: method, htu: `${w.issuer}${path}`, ath })
    const headers = {
      authorization: `DPoP ${narrow}`,
      dpop,
      ...(body !== undefined && { 'content-type': 'application/json' }),
    }
    return w.send(path, { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) })
  }

  assert.equal((await w.whoami(narrow, key)).status, 200)
  assert.equal((await call('/v1/grants', 'GET')).json.type, '/v1/problems/not-permitted')
  assert.equal(
    (await call('/v1/identities/ci/tokens', 'POST', { label: 'wide' })).json.type,
    '/v1/problems/not-permitted',
  )
  const further = await w.ask(exchange(narrow, details([{ ...mine, purpose: 'release' }])), { dpop: key })
  assert.deepEqual([further.status, further.json.authorization_details], [200, [{ ...mine, purpose: 'release' }]])
  const kept = await w.ask(exchange(narrow), { dpop: key })
  assert.deepEqual(kept.json.authorization_details, [mine])
  for (const wider of [
    [{ type: 'urn:reeve:access', targets: ['shop-db', 'other'], actions: ['postgres.read'] }],
    [{ type: 'urn:reeve:access', actions: ['postgres.read'] }],
    [mine, { type: 'urn:reeve:access', targets: ['other'] }],
    [{ type: 'urn:other' }],
    [{ ...mine, more: 1 }],
    [{ type: 'urn:reeve:access' }],
    [],
    'no list',
  ]) {
    const answer = await w.ask(exchange(narrow, details(wider)), { dpop: key })
    assert.equal(answer.json.error, 'invalid_authorization_details', JSON.stringify(wider))
  }
})

test('an agent acts for its sponsor when both are proven, and for nobody else', async () => {
  const agent = { kind: 'agent', profile: 'agent', sponsor: 'ada' } as const
  const { id, proof, own } = await client('helper', agent)
  const next = await client('second-helper', agent)
  const ada = await w.send('/v1/whoami', { headers: { authorization: `Bearer ${adaToken}` } })

  const first = await w.ask({ ...exchange(adaToken), ...(await proof()) }, { dpop: own })
  assert.equal(first.status, 200, JSON.stringify(first.json))
  const handed = await w.ask({ ...exchange(first.json.access_token), ...(await next.proof()) }, { dpop: own })

  const claims = decodeJwt(first.json.access_token)
  assert.deepEqual([claims.sub, claims['act']], [ada.json.id, { iss: w.issuer, sub: id, sub_profile: 'ai_agent' }])
  assert.equal((await w.whoami(first.json.access_token, own)).json.name, 'helper')
  assert.equal(handed.status, 200, JSON.stringify(handed.json))
  assert.deepEqual(decodeJwt(handed.json.access_token)['act'], {
    iss: w.issuer,
    sub: next.id,
    sub_profile: 'ai_agent',
    act: { iss: w.issuer, sub: id },
  })
  // A workload is nobody's agent, a token of a workload hands on no task of a person, and nobody acts unproven.
  const ciToken = await token()
  const workload = await client('no-agent')
  const wrong = {
    'a workload for a person': await w.ask({ ...exchange(adaToken), ...(await workload.proof()) }, { dpop: key }),
    'an agent for a workload': await w.ask({ ...exchange(ciToken), ...(await proof()) }, { dpop: key }),
    'an actor that is only named': await w.ask(
      exchange(adaToken, { client_id: 'helper', actor_token: 'helper', actor_token_type: ACCESS_TOKEN_TYPE }),
      { dpop: own },
    ),
    'a token of a person that is none': await w.ask(
      { ...exchange('reeve_token_made-up'), ...(await proof()) },
      { dpop: own },
    ),
  }
  for (const [what, answer] of Object.entries(wrong)) assert.equal(answer.json.error, 'invalid_grant', what)

  await w.ada.ask(suspendIdentity, { params: { identity: 'helper' }, input: { reason: 'it went astray' } })
  assert.equal((await w.whoami(handed.json.access_token, own)).status, 401, 'who acted before is stopped')
})

test('attack: a bound token of a person is not handed on by who does not hold its key', async () => {
  const { secret } = await w.ada.ask(enrolIdentity, { params: { identity: 'ci' }, input: {} })
  const pair = await newKeyPair()
  const { token: held } = await w.ada.ask(redeemEnrolment, { input: { secret, publicKey: pair.publicKey } })
  const bound = await token()

  assert.equal((await w.ask(exchange(held), { dpop: key })).json.error, 'invalid_grant')
  assert.equal((await w.ask(exchange(bound), { dpop: await newTestKey() })).json.error, 'invalid_grant')
  assert.equal((await w.ask(exchange(bound))).json.error, 'invalid_grant')
  assert.equal((await w.ask(exchange(bound), { dpop: key })).status, 200)
})

test('a token ends with its rule, its identity and the token it was exchanged for, at once', async () => {
  const ended = await client('ended')
  const get = async () => {
    const { json } = await w.ask({ grant_type: GRANT_TYPES.client, ...(await ended.proof()) }, { dpop: key })
    return String(json.access_token)
  }
  const parent = await get()
  const child = (await w.ask(exchange(parent), { dpop: key })).json.access_token
  const revoke = async (held: string) =>
    w.send('/oauth2/revoke', {
      method: 'POST',
      headers: FORM,
      body: new URLSearchParams({ token: held, ...(await ended.proof()) }).toString(),
    })
  assert.equal((await w.whoami(child, key)).status, 200)

  assert.equal((await revoke(parent)).status, 200)
  assert.equal((await w.whoami(child, key)).status, 401, 'with what it was exchanged for')
  assert.equal((await revoke('made-up')).status, 200)

  const suspended = await get()
  await w.ada.ask(suspendIdentity, { params: { identity: 'ended' }, input: { reason: 'looked at closely' } })
  const meanwhile = await w.ask({ grant_type: GRANT_TYPES.client, ...(await ended.proof()) }, { dpop: key })
  assert.equal(meanwhile.json.error, 'invalid_grant')
  await w.ada.ask(resumeIdentity, { params: { identity: 'ended' } })
  assert.equal((await w.whoami(suspended, key)).status, 401, 'also once it may act again')

  const last = await get()
  await w.ada.ask(retireTrustRule, { params: { rule: 'ended' }, input: { reason: 'the client is gone' } })
  assert.equal((await w.whoami(last, key)).status, 401, 'with its rule')
  const after = await w.ask({ grant_type: GRANT_TYPES.client, ...(await ended.proof()) }, { dpop: key })
  assert.equal(after.json.error, 'invalid_client')
})

test('attack: what ends while a token waits to be issued is found, though the statement that looks began before', async () => {
  const hasty = await client('hasty')
  const ask = async () => w.ask({ grant_type: GRANT_TYPES.client, ...(await hasty.proof()) }, { dpop: key })
  const parent = String((await ask()).json.access_token)
  const both = async () => {
    const { rows } = await sql<{ count: number }>`select count(*)::int as count from pg_stat_activity
       where wait_event_type = 'Lock' and query like '%materialized%'`.execute(w.server.ground.db)
    return rows[0]?.count === 2 || undefined
  }
  const asked = await w.server.ground.db.transaction().execute(async (tx) => {
    await sql`select from identity where id = ${hasty.id} for no key update`.execute(tx)
    const answers = [w.ask(exchange(parent), { dpop: key }), ask()]
    await eventually(both)
    const body = new URLSearchParams({ token: parent, ...(await hasty.proof()) }).toString()
    assert.equal((await w.send('/oauth2/revoke', { method: 'POST', headers: FORM, body })).status, 200)
    await w.ada.ask(retireTrustRule, { params: { rule: 'hasty' }, input: { reason: 'the client is gone' } })
    return { answers }
  })

  const errors = (await Promise.all(asked.answers)).map(({ json }) => json.error)
  assert.deepEqual(errors, ['invalid_grant', 'invalid_grant'])
})

test('what a token is good for is told to its identity and to enforcement points, and to nobody else', async () => {
  const [proxy, stranger] = [await client('proxy'), await client('stranger')]
  const held = await token()
  const look = async (who: typeof proxy, what: string) =>
    w.send('/oauth2/introspect', {
      method: 'POST',
      headers: FORM,
      body: new URLSearchParams({ token: what, ...(await who.proof()) }).toString(),
    })

  const told = (await look(proxy, held)).json
  assert.deepEqual(
    [told.active, told.client_id, told.token_type, told.cnf, told.aud],
    [true, 'ci', 'DPoP', { jkt: key.thumbprint }, w.issuer],
  )
  assert.deepEqual((await look(stranger, held)).json, { active: false })
  assert.deepEqual((await look(proxy, `${held.slice(0, -2)}AA`)).json, { active: false })
  assert.equal(
    (await w.send('/oauth2/introspect', { method: 'POST', headers: FORM, body: `token=${held}` })).status,
    401,
  )
  const own = await w.send('/oauth2/introspect', {
    method: 'POST',
    headers: { ...FORM, authorization: `Bearer ${adaToken}` },
    body: `token=${adaToken}`,
  })
  assert.deepEqual([own.json.active, own.json.username], [true, 'ada'])
})
