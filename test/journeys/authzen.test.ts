import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { submitDenial } from '../../src/access/contract.ts'
import type { Client } from '../../src/cli/client.ts'
import { listTokens, resumeIdentity, suspendIdentity, whoami } from '../../src/identities/contract.ts'
import { isOfRecord } from '../../src/policy/authzen/facts.ts'
import { ALL, authzenWorld, READ, USE, type AuthzenWorld } from '../support/authzen-world.ts'
import { cleaningOfFile } from '../support/installation.ts'

const cleaning = cleaningOfFile()
let here: AuthzenWorld

before(async () => {
  here = await authzenWorld(cleaning)
})

after(() => cleaning.now())

test('a registered enforcement point asks, and the answer says which policies and why', async () => {
  const answer = await here.evaluate(READ)

  assert.equal(answer.status, 200)
  assert.equal(answer.json().decision, true)
  assert.deepEqual(answer.json().context.policies, ['documents-are-read'])
})

test('a deny is an answer with reasons, not an error', async () => {
  const answer = await here.evaluate({ ...READ, resource: { ...READ.resource, properties: { secret: true } } })

  assert.equal(answer.status, 200)
  assert.equal(answer.json().decision, false)
  assert.match(answer.json().context.reasons.join(' '), /No policy permits/)
})

test('attack: whoever is not registered as an enforcement point learns nothing of others, a person of that name neither', async () => {
  const [nobody, unlisted, person, admin] = [
    await here.ask(undefined, '/access/v1/evaluation', READ),
    await here.ask(here.other, '/access/v1/evaluation', READ),
    await here.ask(here.mallory, '/access/v1/search/subject', { ...READ, subject: { type: 'user' } }),
    await here.ask(here.ada, '/access/v1/evaluation', READ),
  ]

  assert.deepEqual([nobody.status, unlisted.status, person.status, admin.status], [401, 403, 403, 200])
})

test('what is not a question is a 400, whatever is wrong with it', async () => {
  const { subject, action, resource } = READ
  const wrong: unknown[] = [
    { action, resource },
    { subject, resource },
    { subject, action },
    { subject: { id: 'bob' }, action, resource },
    { subject: { type: 'user' }, action, resource },
    { subject, action: {}, resource },
    { subject, action, resource: { id: 'd1' } },
    { subject, action, resource: { type: 'document' } },
    { subject: 'bob', action, resource },
    { subject, action: { name: 123 }, resource },
    { subject, action, resource, context: 'none' },
    [],
    '{"subject":',
    '',
    '{"subject":{"type":"user","id":"bob","id":"ada"},"action":{"name":"document.read"},"resource":{"type":"document","id":"d1"}}',
  ]
  for (const body of wrong) assert.equal((await here.evaluate(body)).status, 400, JSON.stringify(body))
  assert.equal((await here.evaluate(READ, { 'content-type': 'text/plain' })).status, 400)
})

test('what the standard does not know is ignored, and the request id comes back', async () => {
  const id = 'gw:eu-1/bfe9eb29+7'
  const answer = await here.evaluate({ ...READ, foo: 'bar', future: { nested: true } }, { 'x-request-id': id })

  assert.deepEqual([answer.status, answer.json().decision, answer.headers['x-request-id']], [200, true, id])
})

test('a word of the enforcement point stands for an action of the policies', async () => {
  assert.equal((await here.evaluate({ ...READ, action: { name: 'READ' } })).json().decision, true)
})

test('properties of the action reach the policies', async () => {
  const remove = (soft: unknown) =>
    here.evaluate({ ...READ, action: { name: 'document.delete', properties: { soft } } })

  assert.equal((await remove(true)).json().decision, true)
  for (const soft of [false, 'true', 1, null]) assert.equal((await remove(soft)).json().decision, false)
})

test('attack: properties do not make somebody of the record into somebody else', async () => {
  const register = (id: string, properties = {}) =>
    here.evaluate({
      subject: { type: 'user', id, properties },
      action: { name: 'identity.register' },
      resource: { type: 'installation', id: 'installation' },
    })
  const claims = {
    isFounder: true,
    id: here.server.authority.certificate,
    state: 'active',
    in: ['Team/administrators'],
  }

  assert.equal((await register('ada')).json().decision, true)
  assert.equal((await register('bob', claims)).json().decision, false)
})

test('attack: the facts of a target are the record’s, whatever is said of it', async () => {
  const claimed = { environment: 'development', ownerTeam: 'security', tier: 3 }
  const retire = (properties: object) =>
    here.evaluate({
      subject: { type: 'user', id: 'mallory' },
      action: { name: 'target.retire' },
      resource: { type: 'target', id: 'shop-db', properties },
    })

  assert.equal((await retire({})).json().decision, false)
  assert.equal((await retire(claimed)).json().decision, false)
})

test('a record of Reeve’s own is asked about by its id, and its facts are the record’s', async () => {
  const tokenOf = async (client: Client, identity: string) =>
    (await client.ask(listTokens, { params: { identity } })).items[0]?.id ?? ''
  const [hers, mine] = [await tokenOf(here.ada, 'ada'), await tokenOf(here.mallory, 'mallory')]
  const revoke = (id: string, properties = {}) =>
    here.evaluate({
      subject: { type: 'user', id: 'mallory' },
      action: { name: 'token.revoke' },
      resource: { type: 'token', id, properties },
    })

  assert.equal((await revoke(mine)).json().decision, true)
  assert.equal((await revoke(hers)).json().decision, false)
  const claimed = { subjectId: (await here.mallory.ask(whoami)).id }
  assert.equal((await revoke(hers, claimed)).json().decision, false)
  assert.deepEqual((await revoke('ghost')).json().context.reasons, ['The resource is not known here.'])
})

test('attack: of no type that Reeve keeps records of does an enforcement point say the facts', () => {
  const text = readFileSync(join(import.meta.dirname, '../../policies/schema.cedarschema'), 'utf8')
  const declared = [...text.matchAll(/^ {2}entity ([\w, ]+?)(?: in | =|;)/gm)].flatMap(([, names = '']) =>
    names.split(', '),
  )

  assert.ok(declared.length > 20)
  assert.deepEqual(
    declared.filter((type) => !isOfRecord(type)),
    [],
  )
})

test('a permit that owes something is given only to who carries it out, and says what', async () => {
  const answer = await here.evaluate(USE)

  assert.equal(answer.json().decision, true, JSON.stringify(answer.json()))
  assert.deepEqual(answer.json().context.obligations, [
    { id: 'record', type: ALL[0], properties: { level: 'meta' } },
    { id: 'max-duration', type: ALL[1], properties: { seconds: 28_800 } },
  ])
})

test('attack: whoever reads the decision alone and carries out nothing gets no permit', async () => {
  for (const supported_obligations of [undefined, [], [ALL[0]], ALL[0], [{ type: ALL[0] }]]) {
    const { decision, context } = (
      await here.evaluate({ ...USE, context: { purpose: 'care', supported_obligations } })
    ).json()
    assert.equal(decision, false)
    assert.ok(context.owed.length > 0)
    assert.deepEqual(context.access_request.request, {
      operation: 'access.request',
      method: 'POST',
      path: '/v1/requests',
      input: { target: 'shop-db', account: 'app', actions: ['postgres.read'], purpose: 'care' },
    })
  }
})

test('attack: what Reeve says itself is not taken from the context', async () => {
  const claims = { approved: true, covers: true, id: 'care' }
  for (const context of [
    { purpose: claims, supported_obligations: ALL },
    { purpose: 'ghost', supported_obligations: ALL },
    { supported_obligations: ALL, bootstrap: true, freeze: false, requestKind: 'break-glass', risk: { score: 0 } },
  ]) {
    assert.equal((await here.evaluate({ ...USE, context })).json().decision, false, JSON.stringify(context))
  }
})

test('attack: a delegation that cannot be followed is not left out', async () => {
  for (const on_behalf_of of ['ada', { type: 'user' }, { type: 'user', id: 'ghost' }, { type: 'document', id: 'd1' }]) {
    const { decision, context } = (await here.evaluate({ ...READ, context: { on_behalf_of } })).json()
    assert.equal(decision, false, JSON.stringify(context))
  }
  const both = await here.evaluate({ ...READ, context: { on_behalf_of: { type: 'user', id: 'ada' } } })
  assert.equal(both.json().decision, true)
})

test('an evaluation that errs is a deny with its reason', async () => {
  const answer = await here.evaluate({ ...READ, resource: { ...READ.resource, properties: { owner: 'overflow' } } })

  assert.deepEqual([answer.status, answer.json().decision], [200, false])
  assert.match(answer.json().context.reasons.join(' '), /could not be evaluated.*errs/)
})

test('attack: an Idempotency-Key does not keep a permit over the end of the right', async () => {
  const keyed = () => here.evaluate(READ, { 'idempotency-key': 'again' })
  const first = await keyed()
  const who = { params: { identity: 'bob' } }
  await here.ada.ask(suspendIdentity, { ...who, input: { reason: 'left the company' } })

  const second = await keyed()
  await here.ada.ask(resumeIdentity, who)

  assert.deepEqual([first.json().decision, second.json().decision], [true, false])
})

test('many questions at once take what they leave out from above, whole', async () => {
  const secret = { type: 'document', id: 'd2', properties: { secret: true } }
  const answer = await here.ask(here.gate, '/access/v1/evaluations', {
    ...READ,
    evaluations: [
      {},
      { resource: secret },
      { resource: 'd3' },
      { subject: { type: 'user', id: 'ghost' } },
      { action: { name: 'READ' } },
    ],
  })

  assert.equal(answer.status, 200)
  assert.deepEqual(
    answer.json().evaluations.map(({ decision }: { decision: boolean }) => decision),
    [true, false, false, false, true],
  )
  assert.equal(answer.json().evaluations[2].context.error.status, 400)
  assert.equal('decision' in answer.json(), false)
})

test('the answers end with the one that settles it, where that is asked for', async () => {
  const secret = { resource: { type: 'document', id: 'd2', properties: { secret: true } } }
  const asked = async (evaluations_semantic: string, evaluations: object[]) => {
    const answer = await here.ask(here.gate, '/access/v1/evaluations', {
      ...READ,
      evaluations,
      options: { evaluations_semantic },
    })
    return answer.status === 200
      ? answer.json().evaluations.map(({ decision }: { decision: boolean }) => decision)
      : answer.status
  }

  assert.deepEqual(await asked('execute_all', [{}, secret, {}]), [true, false, true])
  assert.deepEqual(await asked('deny_on_first_deny', [{}, secret, {}]), [true, false])
  assert.deepEqual(await asked('deny_on_first_deny', [{}, { resource: {} }, {}]), [true, false])
  assert.deepEqual(await asked('permit_on_first_permit', [secret, {}, {}]), [false, true])
  assert.equal(await asked('some_day', [{}]), 400)
})

test('without a list a batch is one question, and as whole as one', async () => {
  const whole = await here.ask(here.gate, '/access/v1/evaluations', { ...READ, evaluations: [] })
  const { subject: _subject, ...rest } = READ

  assert.equal(whole.json().decision, true)
  assert.equal((await here.ask(here.gate, '/access/v1/evaluations', rest)).status, 400)
})

const WHO = { subject: { type: 'user' }, action: { name: 'document.read' }, resource: READ.resource }

test('a search gives who would be permitted, page by page, and each once', async () => {
  const found: string[] = []
  let token: string | undefined
  for (let pages = 0; pages < 10 && token !== ''; pages += 1) {
    const answer = await here.ask(here.gate, '/access/v1/search/subject', {
      ...WHO,
      page: { limit: 1, ...(token && { token }) },
    })
    assert.equal(answer.status, 200)
    found.push(...answer.json().results.map(({ id }: { id: string }) => id))
    token = answer.json().page.next_token
  }

  assert.equal(token, '')
  assert.deepEqual(found, ['ada', 'bob', 'erin', 'mallory'])
})

test('an id of what is searched is ignored, and what nobody knows gives an empty list', async () => {
  const named = await here.ask(here.gate, '/access/v1/search/subject', { ...WHO, subject: { type: 'user', id: 'ada' } })
  const ship = await here.ask(here.gate, '/access/v1/search/subject', { ...WHO, subject: { type: 'spaceship' } })
  const ghost = { type: 'user', id: 'ghost' }
  const actions = await here.ask(here.gate, '/access/v1/search/action', { subject: ghost, resource: READ.resource })

  assert.equal(named.json().results.length, 4)
  assert.deepEqual([ship.status, ship.json().results], [200, []])
  assert.deepEqual([actions.status, actions.json().results], [200, []])
})

test('a search of resources finds accounts of the catalog, and one of actions what is permitted on one', async () => {
  const { subject, action, context } = USE
  const accounts = await here.ask(here.gate, '/access/v1/search/resource', {
    subject,
    action,
    context,
    resource: { type: 'account' },
  })
  const actions = await here.ask(here.gate, '/access/v1/search/action', { subject, context, resource: USE.resource })

  assert.deepEqual(accounts.json().results, [{ type: 'account', id: 'app@shop-db' }])
  assert.ok(actions.json().results.some(({ name }: { name: string }) => name === 'postgres.read'))
  assert.ok(!actions.json().results.some(({ name }: { name: string }) => name === 'postgres.privilege'))
})

test('attack: the token of a page is of no use for another question or another enforcement point', async () => {
  const first = await here.ask(here.gate, '/access/v1/search/subject', { ...WHO, page: { limit: 1 } })
  const token = first.json().page.next_token
  const page = { limit: 1, token }

  const [changed, forged, stranger, wider] = [
    await here.ask(here.gate, '/access/v1/search/subject', { ...WHO, action: { name: 'document.delete' }, page }),
    await here.ask(here.gate, '/access/v1/search/subject', { ...WHO, page: { token: `${token.slice(0, -4)}AAAA` } }),
    await here.ask(here.ada, '/access/v1/search/subject', { ...WHO, page }),
    await here.ask(here.gate, '/access/v1/search/subject', { ...WHO, page: { limit: 50, token } }),
  ]

  for (const answer of [changed, forged, stranger, wider]) assert.equal(answer.status, 400)
})

test('the metadata names this node as its caller reached it, and needs no proof', async () => {
  const answer = await here.ask(undefined, '/.well-known/authzen-configuration', undefined)
  const origin = here.nobody.connection.address.origin

  assert.equal(answer.status, 200)
  assert.equal(answer.json().policy_decision_point, origin)
  assert.equal(answer.json().access_evaluation_endpoint, `${origin}/access/v1/evaluation`)
  assert.deepEqual(answer.json().supported_obligations, ALL)
  assert.equal(answer.json().access_request_endpoint, `${origin}${submitDenial.path}`)
  assert.deepEqual(answer.json().capabilities, ['urn:openid:authzen:capability:access-request'])
})

test('attack: the metadata is not made for a name that this node does not have', async () => {
  const answer = await here.ask(undefined, '/.well-known/authzen-configuration', undefined, { host: 'evil.example' })

  assert.equal(answer.status, 421)
})

const word = fc.oneof(
  fc.constantFrom('user', 'document', 'account', 'installation', 'identity', 'document.read', 'bob', 'ada', 'toString'),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom('\u0000', '\ud800', '../..', "'; drop table identity; --", '${x}', 'x'.repeat(600)),
)
const named = fc.oneof(
  fc.record(
    { type: word, id: word, name: word, properties: fc.dictionary(word, fc.jsonValue()) },
    { requiredKeys: [] },
  ),
  fc.jsonValue(),
)
const body = fc.record(
  {
    subject: named,
    action: named,
    resource: named,
    context: fc.oneof(
      fc.dictionary(fc.constantFrom('purpose', 'ticket', 'now', 'risk', 'on_behalf_of'), fc.jsonValue()),
      fc.jsonValue(),
    ),
    evaluations: fc.oneof(
      fc.array(fc.record({ resource: named }, { requiredKeys: [] }), { maxLength: 3 }),
      fc.jsonValue(),
    ),
    page: fc.oneof(fc.record({ token: word, limit: fc.integer() }, { requiredKeys: [] }), fc.jsonValue()),
    options: fc.jsonValue(),
  },
  { requiredKeys: [] },
)

test('attack: a hostile body is answered or refused, and breaks nothing', async () => {
  const paths = ['evaluation', 'evaluations', 'search/subject', 'search/resource', 'search/action']
  const property = fc.asyncProperty(fc.constantFrom(...paths), body, async (path, hostile) => {
    const { status } = await here.ask(here.gate, `/access/v1/${path}`, hostile)
    assert.ok(status === 200 || status === 400, `${status}`)
  })

  await fc.assert(property, { numRuns: 400 })
})
