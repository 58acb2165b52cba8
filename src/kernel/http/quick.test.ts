import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { z } from 'zod'
import { startApi, type Answered, type ApiWorld } from '../../../test/support/api.ts'
import { freshDatabase } from '../../../test/support/database.ts'
import { shown } from '../event.ts'
import { operation } from '../operation.ts'
import { mintPermit } from '../permit.ts'
import { notPermitted } from '../problem.ts'
import { installation, route, type Caller } from './route.ts'

const Question = z.looseObject({ word: z.string().min(1).max(20) })
const askQuickly = operation({
  id: 'item.ask',
  method: 'POST',
  path: '/v1/quick',
  effect: 'read',
  summary: 'Says a word back',
  function: 'pam',
  resource: 'Installation',
  input: Question,
  output: z.object({ said: shown(z.string()), by: shown(z.string()) }),
})

const ALICE: Caller = { id: 'id-of-alice', name: 'alice', kind: 'human', proof: 'token', proofId: 'one' }
const cleanings: (() => unknown)[] = []
let api: ApiWorld
/** How often a plain body was taken as it is, which only the short way does. */
let quickly = 0
let held: string | undefined

before(async () => {
  const { db } = await freshDatabase({ after: (work) => cleanings.push(work as () => unknown) })
  api = await startApi({ after: (work) => cleanings.push(work as () => unknown) }, db, {
    authenticate: async ({ bearer }) => {
      if (bearer?.reveal() === 'breaks') throw new Error('a secret of ours: swordfish')
      return bearer?.reveal() === 'alice' ? ALICE : undefined
    },
    decide: async (caller, action, resource) => {
      if (held === 'refused') throw notPermitted('You may not.', { action, reasons: ['no'], decisionId: 'd' })
      const subject = { type: 'Person', id: caller.id }
      const at = new Date()
      const resourceRef = { type: resource.type, id: resource.id }
      return mintPermit({
        action,
        subject,
        onBehalfOf: [],
        resource: resourceRef,
        policyEpoch: 'e',
        decisionId: 'd',
        evaluatedAt: at,
      })
    },
    hold: (caller, id) => {
      if (held === 'narrowed')
        throw notPermitted(`${caller.name} may not ${id}.`, { action: id, reasons: [], decisionId: 'd' })
    },
    routes: [
      route(askQuickly, {
        resource: async () => installation(),
        run: async ({ input, caller }) => {
          if (input.word === 'break') throw new Error('a secret of ours: swordfish')
          return { said: input.word, by: caller.name }
        },
        quick: {
          plain: (value) => {
            quickly += 1
            const parsed = Question.safeParse(value)
            return parsed.success && parsed.data.word !== 'odd' ? parsed.data : undefined
          },
        },
      }),
    ],
  })
})

after(async () => {
  for (const clean of cleanings.toReversed()) await clean()
})

const PLAIN = { authorization: 'Bearer alice', 'content-type': 'application/json' }
/** Says nothing, but is not of the plainest form. */
const LONG = { 'sec-fetch-site': 'none' }

type Sent = { readonly headers?: Record<string, string | string[]>; readonly body?: string }

function send({ headers = {}, body = '{"word":"hello"}' }: Sent): Promise<Answered> {
  return api.call('POST', '/v1/quick', {
    headers: { ...PLAIN, 'content-length': String(Buffer.byteLength(body)), ...headers },
    body,
  })
}

function comparable({ status, headers, text }: Answered) {
  const { date: _date, 'x-request-id': requestId, ...rest } = headers
  return { status, headers: rest, text: text.replaceAll(String(requestId), 'ID') }
}

const REQUESTS: Readonly<Record<string, Sent>> = {
  'as it should be': {},
  'with a request id': { headers: { 'x-request-id': 'gw:eu-1/7' } },
  'with more than is known': { body: '{"word":"hello","more":{"a":[1,2]}}' },
  'with a charset': { headers: { 'content-type': 'application/json; charset=UTF-8' } },
  'with what only the schema can judge': { body: '{"word":"odd"}' },
  'without what it needs': { body: '{}' },
  'with a word too long': { body: `{"word":"${'x'.repeat(21)}"}` },
  'with no object': { body: '[]' },
  'with something that is no JSON': { body: '{"word":' },
  'with a key twice': { body: '{"word":"a","word":"b"}' },
  'with a key twice, once escaped': { body: '{"word":"a","w\\u006frd":"b"}' },
  'with a key that reaches for a prototype': { body: '{"word":"a","__proto__":{}}' },
  'with a NUL': { body: '{"word":"a\\u0000"}' },
  'with half a character': { body: '{"word":"a\\ud800"}' },
  'nested too deeply': { body: `{"word":"a","x":${'['.repeat(40)}${']'.repeat(40)}}` },
  'as text': { headers: { 'content-type': 'text/plain' } },
  'with a token of nobody': { headers: { authorization: 'Bearer mallory' } },
  'with another scheme': { headers: { authorization: 'Basic alice' } },
  'with two tokens': { headers: { authorization: ['Bearer alice', 'Bearer mallory'] } },
  'with two content types': { headers: { 'content-type': ['application/json', 'text/plain'] } },
  'to a host that we are not': { headers: { host: 'evil.example' } },
  'to a host in another spelling': { headers: { host: 'LOCALHOST:1' } },
  'from a page of another origin': { headers: { origin: 'https://evil.example' } },
  'too large': { body: `{"word":"a","x":"${'x'.repeat(30_000)}"}` },
  'that asks for a step-up': { headers: { 'reeve-request-step-up': '1' } },
  'that names a step-up': { headers: { 'reeve-step-up': '00000000-0000-7000-8000-000000000000' } },
  'that breaks us': { body: '{"word":"break"}' },
  'whose proof breaks us': { headers: { authorization: 'Bearer breaks' } },
}

for (const [name, sent] of Object.entries(REQUESTS)) {
  test(`a request ${name} is answered the same the short way and the long one`, async () => {
    const short = await send(sent)
    const long = await send({ ...sent, headers: { ...sent.headers, ...LONG } })
    assert.deepEqual(comparable(short), comparable(long))
    assert.ok(!short.text.includes('swordfish'))
  })
}

test('plain requests go the short way, and those who ask for anything more do not', async () => {
  quickly = 0
  assert.equal((await send({})).json().said, 'hello')
  assert.equal(quickly, 1)
  const unusual = ['reeve-change', 'reeve-request-approval', 'reeve-step-up', 'reeve-request-step-up']
  const asking = [
    LONG,
    { 'idempotency-key': 'k' },
    { expect: '100-continue' },
    ...unusual.map((name) => ({ [name]: 'x' })),
  ]
  for (const headers of asking) await send({ headers })
  assert.equal(quickly, 1)
})

test('attack: neither a narrowed token nor who is not permitted comes past by the short way', async (t) => {
  t.after(() => (held = undefined))
  for (const why of ['narrowed', 'refused']) {
    held = why
    const [short, long] = [await send({}), await send({ headers: LONG })]
    assert.equal(short.status, 403)
    assert.deepEqual(comparable(short), comparable(long))
  }
})

test('attack: the limits of an address and a caller count both ways as one', async (t) => {
  const { db } = await freshDatabase(t)
  const few = await startApi(t, db, {
    authenticate: async () => ALICE,
    decide: async () => Promise.reject(notPermitted('No.', { action: 'x', reasons: [], decisionId: 'd' })),
    routes: [
      route(askQuickly, {
        resource: async () => installation(),
        run: async () => ({ said: '', by: '' }),
        quick: { plain: () => undefined },
      }),
    ],
    limits: { bodyBytes: 1000, rate: { perSecond: 0.001, burst: 4 } },
  })
  const body = '{"word":"a"}'
  const headers = { ...PLAIN, 'content-length': String(body.length) }
  const statuses: number[] = []
  for (let at = 0; at < 6; at += 1) {
    const more = at % 2 === 0 ? {} : LONG
    statuses.push((await few.call('POST', '/v1/quick', { headers: { ...headers, ...more }, body })).status)
  }
  assert.deepEqual(statuses, [403, 403, 403, 403, 429, 429])
})
