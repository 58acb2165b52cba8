import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { after, before, test } from 'node:test'
import { exportSPKI, importJWK } from 'jose'
import { cleaningOfFile } from '../../test/support/installation.ts'
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
import { loadConfig } from '../kernel/config.ts'
import { silentLog } from '../kernel/log.ts'
import { startServer, type RunningServer } from '../server.ts'
import { CLIENT_ASSERTION, GRANT_TYPES } from './grants.ts'

const SUBJECT = 'repo:acme/shop:ref:main'
const cleaning = cleaningOfFile()
let w: TokenWorld
let second: RunningServer
let issuer: TestIssuer
let key: TestKey
let clientKey: TestKey

before(async () => {
  w = await tokenWorld(cleaning)
  const config = loadConfig({
    env: { REEVE_TOKENS_ISSUER: w.issuer, REEVE_NODE_NAME: 'second' },
    workingFolder: w.folder,
    file: w.config,
  })
  second = await startServer(config, silentLog)
  cleaning.after(() => second[Symbol.asyncDispose]())
  issuer = await startIssuer(cleaning)
  key = await newTestKey()
  clientKey = await newTestKey()
  await w.workload('ci')
  await w.workload('other')
  await w.workload('batch')
  await w.rule('ci', { name: 'ci', issuer: issuer.url, subject: { is: SUBJECT } })
  await w.rule('other', { name: 'other', issuer: issuer.url, subject: { startsWith: 'repo:others/shop:' } })
  await w.rule('batch', { name: 'batch', preset: 'client-key', keys: { keys: [publicOf(clientKey)] } })
})
after(() => cleaning.now())

function publicOf({ jwk }: TestKey) {
  const { x, y } = jwk
  assert.ok(x !== undefined && y !== undefined)
  return { kty: 'EC' as const, crv: 'P-256' as const, x, y, kid: 'batch' }
}

const now = () => Math.floor(Date.now() / 1000)
const ci = (claims: Record<string, unknown> = {}, header = {}, by?: TestKey) =>
  issuer.token({ sub: SUBJECT, aud: w.issuer, ...claims }, header, by)
const bearer = (assertion: string) => ({ grant_type: GRANT_TYPES.bearer, assertion })
const shows = (assertion: string) => w.ask(bearer(assertion), { dpop: key })
const assertionOf = (claims: Record<string, unknown> = {}, by = clientKey) =>
  signed(by, { iss: 'batch', sub: 'batch', aud: w.issuer, ...claims }, { kid: 'batch' })
const asClient = (client_assertion: string) => ({
  grant_type: GRANT_TYPES.client,
  client_assertion_type: CLIENT_ASSERTION,
  client_assertion,
})

function refused(answer: Answer, error: string, what = ''): void {
  assert.deepEqual(
    [answer.json.error, 'access_token' in answer.json],
    [error, false],
    what || JSON.stringify(answer.json),
  )
}

test('the token that every attack begins with is good', async () => {
  assert.equal((await shows(await ci())).status, 200)
})

test('attack: a token that is over, not yet, undated or of another clock proves nothing', async () => {
  const wrong = {
    expired: { exp: now() - 60 },
    'not yet valid': { nbf: now() + 120 },
    'made in the future': { iat: now() + 120 },
    'without an end': { exp: undefined },
    'with an end that is no number': { exp: '2030-01-01' },
    'good for a year': { exp: now() + 365 * 86_400 },
  }
  for (const [what, claims] of Object.entries(wrong)) refused(await shows(await ci(claims)), 'invalid_grant', what)
  // RFC 7519 §4.1.4: some leeway for clocks, and no more.
  assert.equal((await shows(await ci({ exp: now() - 10 }))).status, 200)
})

test('attack: a token for somebody else, or of somebody else, proves nothing', async () => {
  const wrong = {
    'of another audience': { aud: 'https://other.example' },
    'without audience': { aud: undefined },
    'of an audience that begins like ours': { aud: `${w.issuer}.evil.example` },
    'of a subject that begins like it': { sub: `${SUBJECT}-evil` },
    'of a subject in other letters': { sub: SUBJECT.toUpperCase() },
    'without subject': { sub: undefined },
    'of a subject with a newline': { sub: `${SUBJECT}\n` },
    'of a subject that is a list': { sub: [SUBJECT] },
    'with a subject behind a look-alike letter': { sub: SUBJECT.replace('a', 'а') },
    'of an issuer with a slash': { iss: `${issuer.url}/` },
    'of no issuer': { iss: undefined },
    'of this token service itself': { iss: w.issuer },
    'of a beginning that is followed by blanks': { sub: 'repo:others/shop:x y' },
  }
  for (const [what, claims] of Object.entries(wrong)) refused(await shows(await ci(claims)), 'invalid_grant', what)
})

test('attack: the token does not choose how or by which key it is verified', async (t) => {
  const evil = await startIssuer(t)
  const good = await ci()
  const [head = '', body = '', signature = ''] = good.split('.')
  const b64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const pem = await exportSPKI(await imported(issuer.key))
  const hmac = (secret: string) => {
    const input = `${b64({ alg: 'HS256', kid: 'one' })}.${body}`
    return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`
  }
  const jwk = { ...evil.key.jwk, kid: 'one' }
  const wrong = {
    'alg none': `${b64({ alg: 'none' })}.${body}.`,
    'alg None with a signature': `${b64({ alg: 'None', kid: 'one' })}.${body}.${signature}`,
    'HS256 with the public key as PEM': hmac(pem),
    'HS256 with the public key as JWK': hmac(JSON.stringify(issuer.keys[0])),
    'another algorithm over the same key': `${b64({ alg: 'ES384', kid: 'one' })}.${body}.${signature}`,
    'an unknown kid': await ci({}, { kid: 'two' }),
    'no kid': await ci({}, { kid: undefined }),
    'a key in the header': await ci({}, { jwk }, evil.key),
    'a place of keys in the header': await ci({}, { jku: `${evil.url}/keys` }, evil.key),
    'a certificate in the header': await ci({}, { x5u: `${evil.url}/cert`, x5c: ['AAAA'] }, evil.key),
    'a critical extension': `${b64({ alg: 'ES256', kid: 'one', crit: ['b64'], b64: true })}.${body}.${signature}`,
    'another signature': `${head}.${body}.${Buffer.alloc(64, 1).toString('base64url')}`,
    'a signature of zeros': `${head}.${body}.${Buffer.alloc(64).toString('base64url')}`,
    'no signature': `${head}.${body}.`,
    'two parts': `${head}.${body}`,
    'an encrypted one': `${head}.a.b.c.d`,
    'no JSON': 'a.b.c',
    'far too long': `${head}.${'A'.repeat(20_000)}.${signature}`,
  }
  for (const [what, token] of Object.entries(wrong)) refused(await shows(token), 'invalid_grant', what)
  assert.deepEqual(evil.asked, [])
})

async function imported({ jwk }: TestKey) {
  const made = await importJWK(jwk, 'ES256', { extractable: true })
  assert.ok(!(made instanceof Uint8Array))
  return made
}

test('attack: an issuer that is down, huge, silent about a key or in the hands of another proves nothing', async (t) => {
  const theirs = await startIssuer(t)
  await w.workload('far')
  await w.rule('far', { name: 'far', issuer: theirs.url, subject: { is: 'far-away-subject' } })
  const token = () => theirs.token({ sub: 'far-away-subject', aud: w.issuer })
  const thief = await newTestKey()

  theirs.isDown = true
  refused(await shows(await token()), 'temporarily_unavailable')
  assert.equal((await shows(await token())).status, 503)

  const fakes = ['{"keys":[', JSON.stringify({ keys: Array.from({ length: 5_000 }, () => theirs.keys[0]) }), '[]']
  for (const [at, body] of fakes.entries()) {
    const other = await startIssuer(t)
    const name = `far${at}`
    await w.workload(name)
    await w.rule(name, { name, issuer: other.url, subject: { is: 'far-away-subject' } })
    other.body = body
    refused(
      await shows(await other.token({ sub: 'far-away-subject', aud: w.issuer })),
      'temporarily_unavailable',
      body.slice(0, 20),
    )
  }
  // A key of the set that is symmetric, private or too short verifies nothing.
  const weak = await startIssuer(t)
  weak.keys = [{ kty: 'oct', k: Buffer.alloc(32, 7).toString('base64url'), kid: 'one' }]
  await w.workload('weak')
  await w.rule('weak', { name: 'weak', issuer: weak.url, subject: { is: 'far-away-subject' } })
  refused(await shows(await weak.token({ sub: 'far-away-subject', aud: w.issuer })), 'invalid_grant')
  refused(await shows(await weak.token({ sub: 'far-away-subject', aud: w.issuer }, {}, thief)), 'invalid_grant')
})

test('a key that an issuer adds is looked for once, and its change is entered', async (t) => {
  const theirs = await startIssuer(t)
  await w.workload('rotating')
  await w.rule('rotating', { name: 'rotating', issuer: theirs.url, subject: { is: 'rotating-subject' } })
  const claims = { sub: 'rotating-subject', aud: w.issuer }
  assert.equal((await shows(await theirs.token(claims))).status, 200)
  const asked = theirs.asked.length

  for (let at = 0; at < 5; at += 1)
    refused(await shows(await theirs.token(claims, { kid: `made-up-${at}` })), 'invalid_grant')

  // Whoever makes keys up does not set the pace at which the issuer is asked.
  assert.equal(theirs.asked.length, asked)
  const seen = await entries('issuer.keys-seen')
  assert.ok(seen.some(({ facts }) => facts.issuer === theirs.url && facts.appeared[0].startsWith('one#')))
})

// oxlint-disable-next-line typescript/no-explicit-any -- a test looks into facts of every shape
async function entries(kind: string): Promise<{ facts: any }[]> {
  const rows = await w.server.ground.db.selectFrom('ledgerEntry').select('leaf').where('kind', '=', kind).execute()
  return rows.map(({ leaf }) => JSON.parse(leaf.toString('utf8')))
}

test('attack: an assertion of a client is taken once, on whichever node', async () => {
  const assertion = await assertionOf()
  const body = new URLSearchParams(asClient(assertion)).toString()
  const at = async (url: string) =>
    w.send(
      '/oauth2/token',
      {
        method: 'POST',
        body,
        headers: {
          'content-type': 'application/x-www-form-urlencoded',
          dpop: await dpopProof(key, { htm: 'POST', htu: `${w.issuer}/oauth2/token` }),
        },
      },
      url,
    )

  const answers = await Promise.all([
    at(w.server.api.url),
    at(second.api.url),
    at(w.server.api.url),
    at(second.api.url),
  ])

  assert.deepEqual(
    answers.map(({ status }) => status).sort((a, b) => a - b),
    [200, 400, 400, 400],
  )
})

test('attack: an assertion for another place, by another key or for another client proves no client', async () => {
  const wrong = {
    'for the endpoint instead of the issuer': assertionOf({ aud: `${w.issuer}/oauth2/token` }),
    'for two audiences': assertionOf({ aud: [w.issuer, 'https://other.example'] }),
    'by another key': assertionOf({}, key),
    'of another subject': assertionOf({ sub: 'ci' }),
    'of another issuer': assertionOf({ iss: 'ci' }),
    'without jti': assertionOf({ jti: undefined }),
    'with an endless jti': assertionOf({ jti: 'x'.repeat(2_000) }),
    'good for two hours': assertionOf({ exp: now() + 7_200 }),
    'over already': assertionOf({ exp: now() - 60 }),
  }
  for (const [what, assertion] of Object.entries(wrong)) {
    const answer = await w.ask(asClient(await assertion), { dpop: key })
    refused(answer, 'invalid_client', what)
    assert.equal(answer.status, 401)
  }
  const other = await w.ask({ ...asClient(await assertionOf()), client_id: 'ci' }, { dpop: key })
  refused(other, 'invalid_client', 'client_id of another')
})

test('attack: what is for one grant is nothing in another', async () => {
  const assertion = await assertionOf()
  refused(await shows(assertion), 'invalid_grant', 'a client assertion as a token')
  refused(await w.ask(asClient(await ci()), { dpop: key }), 'invalid_client', 'a token as client assertion')
  refused(await w.ask({ ...asClient(assertion), assertion: await ci() }, { dpop: key }), 'invalid_request')
  refused(await w.ask({ ...bearer(await ci()), subject_token: await ci() }, { dpop: key }), 'invalid_request')
  refused(await w.ask({ grant_type: 'password', username: 'ada' }), 'unsupported_grant_type')
  refused(await w.ask({ grant_type: 'refresh_token', refresh_token: 'x' }), 'unsupported_grant_type')
  refused(await w.ask({ grant_type: GRANT_TYPES.code, code: 'x' }), 'invalid_client', 'a code of no client')
  refused(await w.ask({ grant_type: GRANT_TYPES.device, code: 'x' }), 'invalid_request', 'a code of another kind')
  refused(await w.ask({ ...asClient(await assertionOf()), grant_type: GRANT_TYPES.code, code: 'x' }), 'invalid_client')
  refused(await w.ask({}), 'invalid_request')
  refused(await w.ask({ grant_type: GRANT_TYPES.client }, { dpop: key }), 'invalid_client')
  refused(await w.ask({ ...bearer(await ci()), scope: 'admin' }, { dpop: key }), 'invalid_scope')
  refused(await w.ask({ ...bearer(await ci()), resource: 'https://evil.example' }, { dpop: key }), 'invalid_target')
  refused(await w.ask({ ...bearer(await ci()), client_secret: 'x' }, { dpop: key }), 'invalid_client')
})

test('attack: a token of one rule is nothing for the identity of another', async () => {
  const answer = await w.ask({ ...bearer(await ci()), client_id: 'other' }, { dpop: key })

  refused(answer, 'invalid_grant')
})

test('attack: a form that two readers could read differently is refused', async () => {
  const token = await ci()
  const send = (body: string, type = 'application/x-www-form-urlencoded') =>
    w.send('/oauth2/token', { method: 'POST', body, headers: { 'content-type': type } })
  const form = new URLSearchParams(bearer(token)).toString()
  const wrong = {
    'a parameter twice': await send(`${form}&assertion=${token}`),
    'a grant type twice': await send(`${form}&grant_type=${encodeURIComponent(GRANT_TYPES.client)}`),
    JSON: await send(JSON.stringify(bearer(token)), 'application/json'),
    'no type': await send(form, 'text/plain'),
    'a NUL': await send(`${form}&client_id=ci%00`),
    'bytes that are no text': await send(`${form}&client_id=%ff%fe`),
    'a hundred parameters': await send(`${form}&${Array.from({ length: 100 }, (_, at) => `p${at}=1`).join('&')}`),
  }
  for (const [what, answer] of Object.entries(wrong)) refused(answer, 'invalid_request', what)
  assert.equal((await send(`assertion=${'A'.repeat(70_000)}`)).status, 413)
})

test('attack: a DPoP proof is for one request, now, by its own key, once', async () => {
  const htu = `${w.issuer}/oauth2/token`
  const good = { htm: 'POST', htu }
  const [head = '', body = ''] = (await dpopProof(key, good)).split('.')
  const other = await newTestKey()
  const wrong = {
    'for another method': await dpopProof(key, { ...good, htm: 'GET' }),
    'for another address': await dpopProof(key, { ...good, htu: `${w.issuer}/oauth2/revoke` }),
    'for another host': await dpopProof(key, { ...good, htu: 'https://evil.example/oauth2/token' }),
    'of an hour ago': await dpopProof(key, { ...good, iat: now() - 3_600 }),
    'of the future': await dpopProof(key, { ...good, iat: now() + 300 }),
    'without a time': await dpopProof(key, { ...good, iat: undefined }),
    'without an id': await dpopProof(key, { ...good, jti: undefined }),
    'of another type': await dpopProof(key, good, { typ: 'JWT' }),
    'with the key of somebody else': await dpopProof(key, good, { jwk: other.jwk }),
    'without a key': await dpopProof(key, good, { jwk: undefined }),
    'without a signature': `${head}.${body}.`,
    'two at once': [await dpopProof(key, good), await dpopProof(key, good)],
    'far too long': 'a'.repeat(10_000),
  }
  for (const [what, dpop] of Object.entries(wrong)) {
    const answer = await w.ask(bearer(await ci()), { headers: { dpop } })
    if (what === 'two at once') assert.equal(answer.status, 400)
    else refused(answer, 'invalid_dpop_proof', what)
  }
  const once = await dpopProof(key, good)
  assert.equal((await w.ask(bearer(await ci()), { headers: { dpop: once } })).status, 200)
  refused(await w.ask(bearer(await ci()), { headers: { dpop: once } }), 'invalid_grant', 'a second time')
})

test('attack: a stolen token is nothing without its key, and its proof is for one call, once, on whichever node', async () => {
  const { access_token: token } = (await shows(await ci())).json
  const thief = await newTestKey()
  const ath = Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from(token))).toString('base64url')
  const htu = `${w.issuer}/v1/whoami`
  const call = (headers: Record<string, string>, url = w.server.api.url) => w.send('/v1/whoami', { headers }, url)
  const authorization = `DPoP ${token}`

  assert.equal((await w.whoami(token, key)).status, 200)
  assert.equal((await w.whoami(token)).status, 401, 'as a bearer')
  assert.equal((await w.whoami(token, thief)).status, 401, 'with another key')
  assert.equal((await call({ authorization })).status, 401, 'without a proof')
  const wrong = {
    'for another method': { htm: 'POST', htu, ath },
    'for another address': { htm: 'GET', htu: `${w.issuer}/v1/identities`, ath },
    'for another token': { htm: 'GET', htu, ath: 'A'.repeat(43) },
    'for no token': { htm: 'GET', htu },
  }
  for (const [what, claims] of Object.entries(wrong)) {
    assert.equal((await call({ authorization, dpop: await dpopProof(key, claims) })).status, 401, what)
  }
  const dpop = await dpopProof(key, { htm: 'GET', htu, ath })
  const both = await Promise.all([call({ authorization, dpop }), call({ authorization, dpop }, second.api.url)])
  assert.deepEqual(
    both.map(({ status }) => status).sort((a, b) => a - b),
    [200, 401],
  )
  const bare = await call({})
  assert.match(String(bare.headers['www-authenticate']), /resource_metadata=".*oauth-protected-resource".*DPoP algs=/)
})

test('attack: an address that leads inside is no issuer, nor where its keys are', async () => {
  for (const [at, url] of ['https://169.254.169.254/', 'https://10.0.0.1', 'https://[::1]', 'file:///etc'].entries()) {
    const rule = { name: `inner${at}`, issuer: url, subject: { is: 'somebody-inside' } }
    await assert.rejects(w.rule('ci', rule), { slug: 'invalid-input' }, url)
    await assert.rejects(
      w.rule('ci', { ...rule, issuer: 'https://issuer.example', keysUrl: url }),
      { slug: 'invalid-input' },
      url,
    )
  }
})

test('attack: nobody but the founder of an empty installation lets an issuer in alone', async () => {
  const token = (await shows(await ci())).json.access_token
  const ath = Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from(token))).toString('base64url')
  const path = '/v1/identities/ci/trust-rules'
  const dpop = await dpopProof(key, { htm: 'POST', htu: `${w.issuer}${path}`, ath })
  const body = JSON.stringify({ name: 'mine', issuer: 'https://evil.example', subject: { is: 'evil-subject' } })
  const headers = { authorization: `DPoP ${token}`, dpop, 'content-type': 'application/json' }

  const answer = await w.send(path, { method: 'POST', body, headers })

  assert.equal(answer.status, 404)
})
