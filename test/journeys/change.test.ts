import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { enrolCast, type Cast } from '../../demo/people.ts'
import {
  applyChange,
  approveChange,
  Change,
  listChanges,
  readChange,
  withdrawChange,
} from '../../src/access/contract.ts'
import { readTarget, registerTarget } from '../../src/catalog/contract.ts'
import type { Client } from '../../src/cli/client.ts'
import { enrolIdentity } from '../../src/identities/contract.ts'
import { cleaningOfFile, site, type Site } from '../support/installation.ts'
import { eventually } from '../support/eventually.ts'
import { reeve, startReeve } from '../support/program.ts'

let on: Site
let cast: Cast
const cleaning = cleaningOfFile()

const SHOP = {
  name: 'shop-db',
  protocol: 'postgres',
  environment: 'production',
  ownerTeam: 'shop',
  settings: { host: '127.0.0.1', port: 5432 },
}

before(async () => {
  on = await site(cleaning)
  cast = await enrolCast(on.server)
  await cast.ada.ask(registerTarget, { input: SHOP })
})
after(() => cleaning.now())

type Said = { readonly status: number; readonly body: Record<string, unknown> }

/** The call as it goes over the wire, with headers of its own. */
function patch(by: Client, body: unknown, headers: Record<string, string | string[]>): Promise<Said> {
  const { address, authority, token } = by.connection
  const sent = { authorization: `Bearer ${token?.reveal() ?? ''}`, 'content-type': 'application/json', ...headers }
  return new Promise((resolve, reject) => {
    const options = { method: 'PATCH', ca: authority, agent: false as const, headers: sent }
    const call = request(new URL('/v1/targets/shop-db', address), options, (answer) => {
      let text = ''
      answer.on('data', (chunk: Buffer) => (text += chunk.toString()))
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body: JSON.parse(text) }))
    })
    call.on('error', reject)
    call.end(JSON.stringify(body))
  })
}

async function environment(): Promise<string> {
  return (await cast.bob.ask(readTarget, { params: { target: 'shop-db' } })).environment
}

/** What Bob asks and Carol, of the same team, approves as she saw it. */
async function approved(input: unknown): Promise<Change> {
  const asked = Change.parse((await patch(cast.bob, input, { 'Reeve-Request-Approval': 'because' })).body)
  const { boundSha256 } = await cast.carol.ask(readChange, { params: { change: asked.id } })
  return cast.carol.ask(approveChange, { params: { change: asked.id }, input: { boundSha256 } })
}

test('a call that others have to approve says so and how to ask, is kept with 202, and runs when it is repeated with the change', async () => {
  const refused = await patch(cast.bob, { environment: 'test' }, {})
  assert.deepEqual([refused.status, refused.body['type']], [403, '/v1/problems/approval-owed'])
  assert.match(String(refused.body['detail']), /1 more of owner\(target\), the team shop; or 1 more of security/)
  assert.match(String(refused.body['detail']), /Reeve-Request-Approval: <reason>/)
  const asked = await patch(cast.bob, { environment: 'test' }, { 'Reeve-Request-Approval': 'f%C3%BCr%20den%20Test' })
  assert.equal(asked.status, 202)
  const { id, state, reason, boundSha256 } = Change.parse(asked.body)
  assert.deepEqual([state, reason], ['pending', 'für den Test'])
  assert.equal(await environment(), 'production')
  const inbox = await cast.carol.ask(listChanges, { query: { view: 'inbox' } })
  assert.ok(inbox.items.some((item) => item.id === id))
  const early = await patch(cast.bob, { environment: 'test' }, { 'Reeve-Change': id })
  assert.deepEqual([early.status, early.body['type']], [409, '/v1/problems/change-not-approved'])
  await cast.carol.ask(approveChange, { params: { change: id }, input: { boundSha256 } })

  const done = await patch(cast.bob, { environment: 'test' }, { 'Reeve-Change': id })

  assert.deepEqual([done.status, done.body['environment']], [200, 'test'])
  const again = await patch(cast.bob, { environment: 'test' }, { 'Reeve-Change': id })
  assert.deepEqual([again.status, again.body['type']], [409, '/v1/problems/change-over'])
  const back = await approved({ environment: 'production' })
  await cast.bob.ask(applyChange, { params: { change: back.id } })
  assert.equal(await environment(), 'production')
})

test('a repeated request with one Idempotency-Key asks once and applies once, and the key of the refusal is not the key of the asking', async () => {
  const input = { environment: 'test' }
  const asking = { 'Reeve-Request-Approval': 'because', 'Idempotency-Key': 'ask-1' }
  const [first, second] = [await patch(cast.bob, input, asking), await patch(cast.bob, input, asking)]
  assert.deepEqual(first, second)
  const plain = await patch(cast.bob, input, { 'Idempotency-Key': 'ask-1', 'Reeve-Request-Approval': 'other why' })
  assert.equal(plain.body['type'], '/v1/problems/idempotency-key-reused')
  await cast.bob.ask(withdrawChange, { params: { change: String(first.body['id']) } })
  const { id } = await approved(input)
  const applying = { 'Reeve-Change': id, 'Idempotency-Key': 'apply-1' }

  const [once, twice] = [await patch(cast.bob, input, applying), await patch(cast.bob, input, applying)]

  assert.deepEqual([once.status, once], [200, twice])
  const back = await approved({ environment: 'production' })
  await cast.bob.ask(applyChange, { params: { change: back.id } })
})

test('headers about approval that mean two things, or nothing, are refused', async () => {
  const id = '01890000-0000-7000-8000-000000000000'
  for (const headers of [
    { 'Reeve-Request-Approval': 'because', 'Reeve-Change': id },
    { 'Reeve-Request-Approval': ['because', 'of two'] },
    { 'Reeve-Request-Approval': 'no' },
    { 'Reeve-Request-Approval': '%zz%zz%zz' },
    { 'Reeve-Request-Approval': 'a%0Asecond%20line' },
    { 'Reeve-Change': 'latest' },
  ]) {
    const { status } = await patch(cast.bob, { environment: 'staging' }, headers)
    assert.equal(status, 400, JSON.stringify(headers))
  }
  assert.equal((await patch(cast.bob, { environment: 'staging' }, { 'Reeve-Change': id })).status, 404)
  assert.equal(await environment(), 'production')
})

test('what needs nobody’s approval just runs, whoever it was to be put before', async () => {
  const link = await cast.bob.call(enrolIdentity, {
    params: { identity: 'shop-migrations' },
    input: {},
    requestApproval: 'it has to be new',
  })

  assert.ok(link !== null && typeof link === 'object' && 'secret' in link)
})

test('on the command line: the hint, the asking, the waiting, and the applying by who asked alone', async (t) => {
  const place = (by: Client, name: string) => {
    const { address, authority = '', token } = by.connection
    writeFileSync(join(on.folder, `${name}.token`), token?.reveal() ?? '')
    writeFileSync(join(on.folder, 'ca.pem'), authority)
    const files = { REEVE_TOKEN_FILE: join(on.folder, `${name}.token`), REEVE_CACERT: join(on.folder, 'ca.pem') }
    return { folder: on.folder, env: { PATH: process.env.PATH, HOME: on.folder, REEVE_ADDR: address.href, ...files } }
  }
  const [bob, carol] = [place(cast.bob, 'bob'), place(cast.carol, 'carol')]
  const update = ['target', 'update', 'shop-db', '--environment', 'staging']

  const refused = await reeve(bob, update)
  const asked = await reeve(bob, [...update, '--request-approval', 'für den Test', '-o', 'json'])
  const { id, boundSha256 } = Change.parse(JSON.parse(asked.stdout))
  const early = await reeve(bob, ['change', 'apply', id])
  const taken = await reeve(carol, ['change', 'approve', id, '--bound-sha256', boundSha256])
  const stranger = await reeve(carol, ['change', 'apply', id])
  const applied = await reeve(bob, ['change', 'apply', id, '-o', 'json'])

  assert.equal(refused.code, 4)
  assert.match(refused.stderr, /--request-approval "<why>"/)
  assert.equal(asked.code, 4)
  assert.match(asked.stderr, new RegExp(`reeve change apply ${id}`))
  assert.deepEqual([early.code, taken.code, stranger.code, applied.code], [4, 0, 3, 0], applied.stderr)
  assert.equal(await environment(), 'staging')

  const back = ['target', 'update', 'shop-db', '--environment', 'production', '--request-approval', 'back again']
  const waiting = startReeve(t, bob, [...back, '--wait', '-o', 'json'])
  await waiting.said(/Waiting for/)
  const pending = await eventually(async () => {
    const { items } = await cast.carol.ask(listChanges, { query: { view: 'inbox' } })
    return items.find((item) => item.state === 'pending')
  })
  await cast.carol.ask(approveChange, {
    params: { change: pending.id },
    input: { boundSha256: pending.boundSha256 },
  })
  assert.equal(await waiting.exit, 0, waiting.stderr())
  assert.equal(await environment(), 'production')
  assert.match(waiting.stdout(), /"environment": "production"/)
})

test('the document names the headers, the answer 202 and what may come of them, for each write and for no read', async () => {
  const document = JSON.stringify(await on.nobody.document('/v1/openapi.json'))
  const { paths } = JSON.parse(document)

  assert.deepEqual(paths['/v1/targets/{target}'].patch.responses['202'].content['application/json'].schema, {
    anyOf: [{ $ref: '#/components/schemas/Change' }, { $ref: '#/components/schemas/StepUp' }],
  })
  const names = (verb: string) =>
    paths['/v1/targets/{target}'][verb].parameters.map(({ name }: { name: string }) => name)
  assert.ok(names('patch').includes('Reeve-Change'))
  assert.ok(!names('get').includes('Reeve-Change'))
})
