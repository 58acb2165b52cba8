import assert from 'node:assert/strict'
import { connect } from 'node:http2'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { Code, ConnectError } from '@connectrpc/connect'
import {
  enrolIdentity,
  listTokens,
  resumeIdentity,
  revokeToken,
  suspendIdentity,
} from '../../src/identities/contract.ts'
import { redeem } from '../../demo/people.ts'
import { authzenWorld, type AuthzenWorld } from '../support/authzen-world.ts'
import { checkClient, type CheckAnswer, type Said } from '../support/envoy-api.ts'
import { cleaningOfFile } from '../support/installation.ts'

const cleaning = cleaningOfFile()
let here: AuthzenWorld
let ask: (said: Said) => Promise<CheckAnswer>

const document = () => ({ type: 'document', id: '{doc}' })
const MESH = {
  enforcementPoint: 'gate',
  port: 0,
  plaintext: true,
  principals: [{ principal: 'spiffe://shop.example/sa/{name}', identity: '{name}' }],
  routes: [
    { hosts: ['shop.example'], methods: ['GET'], path: '/docs/{doc}', action: 'page.view', resource: document() },
    { hosts: ['shop.example'], methods: ['POST'], path: '/docs/{doc}', action: 'page.change', resource: document() },
    { hosts: ['*'], methods: ['GET'], path: '/other', action: 'page.view', resource: { type: 'spaceship', id: 'x' } },
  ],
}
const OTHER = 'spiffe://shop.example/sa/other'

before(async () => {
  here = await authzenWorld(cleaning, { mesh: MESH })
  ask = checkClient(here.server.meshPort, tokenOf(here.gate))
})

after(() => cleaning.now())

function tokenOf(client: { connection: { token?: { reveal(): string } | undefined } }): string {
  return client.connection.token?.reveal() ?? ''
}

function setBy({ ok }: CheckAnswer): Record<string, string> {
  return Object.fromEntries((ok?.headers ?? []).map(({ header }) => [header.key, header.value]))
}

function codeOf(answer: CheckAnswer): number {
  return answer.denied?.status.code ?? (answer.ok ? 200 : 0)
}

test('a workload with a certificate goes on, and the service learns the decision and who it is', async () => {
  const answer = await ask({ path: '/docs/d1?page=2', principal: OTHER })

  assert.equal(codeOf(answer), 200)
  assert.equal(answer.status?.code ?? 0, 0)
  const { 'x-reeve-decision': decision = '', ...rest } = setBy(answer)
  assert.match(decision, /^[0-9a-f-]{36}$/)
  assert.deepEqual(rest, { 'x-reeve-subject': 'other' })
  // 2: over whatever the client had sent by that name.
  assert.deepEqual(
    answer.ok?.headers.map(({ action }) => action),
    [2, 2],
  )
})

test('a person with a token of ours goes on, and the token goes no further', async () => {
  const headers = { authorization: `Bearer ${tokenOf(here.ada)}` }

  for (const raw of [false, true]) {
    const answer = await ask({ path: '/docs/plans', headers, raw })
    assert.equal(setBy(answer)['x-reeve-subject'], 'ada')
    assert.ok(answer.ok?.remove.includes('authorization'))
  }
  const others = { authorization: 'Basic dXNlcjpwYXNz' }
  const kept = await ask({ path: '/docs/d1', principal: OTHER, headers: others })
  assert.equal(kept.ok?.remove.includes('authorization'), false)
})

test('what is denied is a 403 that says why and names the decision', async () => {
  const { denied, status } = await ask({ path: '/docs/plans', principal: OTHER, headers: { 'x-request-id': 'r-1' } })

  assert.deepEqual([denied?.status.code, status?.code], [403, 7])
  const body = JSON.parse(denied?.body ?? '')
  assert.deepEqual([body.type, body.requestId], ['/v1/problems/not-permitted', 'r-1'])
  assert.match(body.facts.reasons.join(' '), /plans-are-for-people/)
  assert.match(body.facts.decisionId, /^[0-9a-f-]{36}$/)
})

test('what is owed denies, and is told', async () => {
  const { denied } = await ask({ method: 'POST', path: '/docs/d1', principal: OTHER })

  assert.equal(denied?.status.code, 403)
  assert.match(JSON.parse(denied?.body ?? '').detail, /Something is owed.*1 more of security/)
})

test('attack: whoever proves nothing is nobody, whatever their headers say', async () => {
  const claims: Said[] = [
    {},
    { principal: 'spiffe://evil.example/sa/other' },
    { principal: 'other' },
    { headers: { 'x-forwarded-client-cert': `URI=${OTHER}`, 'x-reeve-subject': 'ada', 'x-forwarded-user': 'ada' } },
    { headers: { authorization: 'Bearer reeve_token_made-up' } },
    { headers: { authorization: `Bearer ${tokenOf(here.ada)},Bearer x` } },
    { headers: { authorization: `Basic ${tokenOf(here.ada)}` } },
    // A token that is not valid is not made good by a certificate.
    { headers: { authorization: 'Bearer reeve_token_made-up' }, principal: OTHER },
  ]
  for (const said of claims) {
    const { denied } = await ask({ path: '/docs/d1', ...said })
    assert.equal(denied?.status.code, 401, JSON.stringify(said))
    assert.equal(JSON.parse(denied.body).type, '/v1/problems/unauthenticated')
    assert.ok(denied.headers.some(({ header }) => header.key === 'www-authenticate'))
  }
})

test('attack: headers of ours that a client sends do not reach the service, nor what makes it read another request', async () => {
  const headers = {
    'x-reeve-subject': 'ada',
    'x-reeve-team': 'security',
    'X-Reeve-Anything': '1',
    'x-http-method-override': 'DELETE',
  }
  const answer = await ask({ path: '/docs/d1', principal: OTHER, headers })

  assert.equal(setBy(answer)['x-reeve-subject'], 'other')
  const removed = answer.ok?.remove ?? []
  for (const name of ['x-reeve-team', 'x-reeve-anything', 'x-http-method-override', 'x-original-url']) {
    assert.ok(removed.includes(name), name)
  }
  assert.equal(removed.includes('x-reeve-subject'), false)
})

test('attack: a path that could be read as another is refused, and so is what no route knows', async () => {
  for (const said of [
    { path: '/docs/../docs/d1' },
    { path: '/docs/%2e%2e/docs/d1' },
    { path: '//docs/d1' },
    { path: '/docs/d1%2fx' },
    { path: '/Docs/d1' },
    { path: '/docs/d1;x=1' },
    { path: '/docs' },
    { path: '/docs/d1', method: 'DELETE' },
    { path: '/docs/d1', method: 'get' },
    { path: '/docs/d1', host: 'evil.example' },
    { path: '/other' },
  ]) {
    assert.equal(codeOf(await ask({ principal: OTHER, ...said })), 403, JSON.stringify(said))
  }
})

async function refusalOf(port: number, token: string | undefined): Promise<Code | undefined> {
  return checkClient(
    port,
    token,
  )({ path: '/docs/d1', principal: OTHER }).then(
    () => undefined,
    (error: unknown) => ConnectError.from(error).code,
  )
}

test('attack: only the enforcement point that is named asks here, and it proves itself', async () => {
  const { meshPort } = here.server
  const codes = [undefined, 'reeve_token_made-up', tokenOf(here.other), tokenOf(here.mallory), tokenOf(here.ada)].map(
    (token) => refusalOf(meshPort, token),
  )

  assert.deepEqual(await Promise.all(codes), [
    Code.Unauthenticated,
    Code.Unauthenticated,
    Code.PermissionDenied,
    Code.PermissionDenied,
    Code.PermissionDenied,
  ])
})

test('attack: what is no question ends in an error of gRPC, which proxies turn into a refusal', async () => {
  const session = connect(`http://127.0.0.1:${here.server.meshPort}`)
  const stream = session.request({
    ':method': 'POST',
    ':path': '/envoy.service.auth.v3.Authorization/Check',
    'content-type': 'application/grpc',
    authorization: `Bearer ${tokenOf(here.gate)}`,
  })
  stream.end(Buffer.from([0, 0, 0, 0, 2, 0x0a, 0x7f]))
  const [headers]: unknown[] = await once(stream, 'response')
  stream.resume()
  session.destroy()

  assert.equal(Object(headers)['grpc-status'], '3')
})

test('attack: an enforcement point that is suspended is refused at its next check, and one whose token is revoked', async () => {
  const reading = { path: '/docs/d1', principal: OTHER }
  const codeOfAsk = (by: typeof ask) =>
    by(reading).then(codeOf, (error: unknown) => Code[ConnectError.from(error).code])
  const who = { params: { identity: 'gate' } }
  for (let at = 0; at < 5; at += 1) assert.equal(await codeOfAsk(ask), 200)

  await here.ada.ask(suspendIdentity, { ...who, input: { reason: 'it is looked into' } })
  assert.equal(await codeOfAsk(ask), 'Unauthenticated')
  await here.ada.ask(resumeIdentity, who)
  assert.equal(await codeOfAsk(ask), 200)

  const { secret } = await here.ada.ask(enrolIdentity, { ...who, input: {} })
  const second = await redeem(here.server, secret)
  const bySecond = checkClient(here.server.meshPort, tokenOf(second))
  assert.equal(await codeOfAsk(bySecond), 200)
  const [newest] = (await second.ask(listTokens, who)).items.toSorted((one, other) => (one.id < other.id ? 1 : -1))
  await second.ask(revokeToken, { params: { token: newest?.id ?? '' } })
  assert.equal(await codeOfAsk(bySecond), 'Unauthenticated')
  assert.equal(await codeOfAsk(ask), 200)
})

test('a workload that is suspended goes on no more, from the next request on', async () => {
  const said = { path: '/docs/d1', principal: OTHER }
  assert.equal(codeOf(await ask(said)), 200)
  await here.ada.ask(suspendIdentity, { params: { identity: 'other' }, input: { reason: 'it is looked into' } })
  assert.equal(codeOf(await ask(said)), 403)
  await here.ada.ask(resumeIdentity, { params: { identity: 'other' } })

  assert.equal(codeOf(await ask(said)), 200)
})
