import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { enrol } from '../../demo/people.ts'
import { listRequests, readGrant, submitDenial, withdrawRequest } from '../../src/access/contract.ts'
import { suspendIdentity, whoami } from '../../src/identities/contract.ts'
import {
  approvePurpose,
  listAccounts,
  proposePurpose,
  registerAccount,
  registerTarget,
} from '../../src/catalog/contract.ts'
import type { Client } from '../../src/cli/client.ts'
import { writeDenial } from '../../src/policy/policy.ts'
import { authzenWorld, type AuthzenWorld } from '../support/authzen-world.ts'
import { cleaningOfFile } from '../support/installation.ts'

const cleaning = cleaningOfFile()
const PATH = submitDenial.path
let here: AuthzenWorld
let dana: Client
/** Of the team that owns the target. */
let carol: Client

before(async () => {
  here = await authzenWorld(cleaning)
  dana = await enrol(here.server, here.ada, { kind: 'human', name: 'dana', profile: 'person' })
  carol = await enrol(here.server, here.ada, { kind: 'human', name: 'carol', profile: 'person' })
})

after(() => cleaning.now())

const QUESTION = {
  subject: { type: 'user', id: 'dana' },
  action: { name: 'postgres.read' },
  resource: { type: 'account', id: 'app@shop-db' },
  context: { purpose: 'care' },
}

type Submission = Record<string, unknown> & { denial: Record<string, unknown> }

/** What an enforcement point gives the subject of a denial, and what the subject gives back. */
async function denied(question: Record<string, unknown> = QUESTION): Promise<Submission> {
  const { decision, context } = (await here.evaluate(question)).json()
  assert.equal(decision, false)
  const { evaluation_id, evaluated_at, access_request } = context
  const { expires_at, binding_token } = access_request ?? assert.fail('it can be requested')
  return { ...question, denial: { evaluation_id, evaluated_at, expires_at, binding_token } }
}

const errorOf = (slug: string) => `urn:openid:authzen:access-request:error:${slug}`
const mine = async (by: Client) => (await by.ask(listRequests, { query: { view: 'mine' } })).items.map(({ id }) => id)

async function refused(by: Client | undefined, body: unknown): Promise<[number, string]> {
  const answer = await here.ask(by, PATH, body)
  return [answer.status, answer.json().type]
}

test('the subject of a denial asks for it and gets a grant that is bound to the evaluation', async () => {
  const submission = await denied()
  const answer = await here.ask(dana, PATH, {
    ...submission,
    context: { ...QUESTION.context, justification: 'an order is stuck' },
    requested_access: { requested_until: new Date(Date.now() + 600_000).toISOString() },
  })

  assert.equal(answer.status, 201, JSON.stringify(answer.json()))
  const { task, result } = answer.json()
  assert.deepEqual([task.id, task.status], [submission.denial['evaluation_id'], 'approved'])
  const grant = await dana.ask(readGrant, { params: { grant: result.grant.id } })
  assert.deepEqual([grant.subject, grant.actions, grant.purpose], ['dana', ['postgres.read'], 'care'])
  assert.ok(grant.expiresAt.getTime() - grant.startsAt.getTime() <= 600_000)
  const followed = await here.ask(dana, new URL(task.status_endpoint).pathname, undefined)
  assert.deepEqual(followed.json(), answer.json())
})

test('asked twice, at once or later, it is one request, also when it is over', async () => {
  const submission = await denied()
  const before = (await mine(dana)).length
  const answers = await Promise.all([1, 2, 3].map(() => here.ask(dana, PATH, submission)))
  const again = await here.ask(dana, PATH, {
    ...submission,
    requested_access: { requested_until: '2027-01-01T00:00:00Z' },
  })

  for (const answer of [...answers, again]) {
    assert.equal(answer.status, 201, JSON.stringify(answer.json()))
    assert.deepEqual(answer.json(), answers[0]?.json())
  }
  assert.equal((await mine(dana)).length, before + 1)
})

test('what needs approval is pending, and who took it back gets no second one by the same denial', async () => {
  const connection = { host: '127.0.0.1', port: 1, database: 'paper', tls: { mode: 'disable' } }
  await here.ada.ask(registerTarget, {
    input: {
      name: 'paper-db',
      protocol: 'postgres',
      environment: 'production',
      ownerTeam: 'shop',
      settings: connection,
      provisioner: { user: 'p', password: 'p' },
    },
  })
  await here.ada.ask(registerAccount, { params: { target: 'paper-db' }, input: { name: 'app', mode: 'lease' } })
  const resource = { type: 'account', id: 'app@paper-db' }
  const question = { ...QUESTION, action: { name: 'postgres.write' }, resource, context: {} }
  const submission = await denied(question)
  const body = { ...submission, context: { purpose: 'mending', justification: 'an order is stuck' } }
  await here.mallory.ask(proposePurpose, {
    input: {
      name: 'mending',
      statement: 'Mending orders.',
      ownerTeam: 'shop',
      targets: ['paper-db'],
      actions: ['postgres.write'],
      expiresAt: new Date(Date.now() + 86_400_000).toISOString(),
    },
  })
  await carol.ask(approvePurpose, { params: { purpose: 'mending' } })
  const { task } = (await here.ask(dana, PATH, body)).json()
  assert.equal(task.status, 'pending')
  await dana.ask(withdrawRequest, { params: { request: task.id } })

  assert.equal((await here.ask(dana, PATH, body)).json().task.status, 'cancelled')
})

test('attack: an enforcement point does not ask for somebody, nor does anybody else, a denial in hand or not', async () => {
  const submission = await denied()
  const before = (await mine(dana)).length

  assert.deepEqual(await refused(undefined, submission), [401, '/v1/problems/unauthenticated'])
  for (const by of [here.gate, here.other, here.mallory, here.ada]) {
    assert.deepEqual(await refused(by, submission), [400, errorOf('invalid_denial_binding')])
    const claimed = { ...submission, client: { id: 'gate', actor: { id: 'dana', type: 'user' } } }
    assert.deepEqual(await refused(by, claimed), [400, errorOf('invalid_denial_binding')])
  }
  assert.equal((await mine(dana)).length, before)
})

test('attack: a reference that is made up, changed, or given back with another question is refused', async () => {
  const submission = await denied()
  const { denial } = submission
  const token = String(denial['binding_token'])
  const flipped = Buffer.from(token, 'base64url')
  flipped[flipped.length - 1] = (flipped.at(-1) ?? 0) ^ 1
  const other = await denied({ ...QUESTION, action: { name: 'postgres.write' } })
  const wrong: unknown[] = [
    { ...submission, denial: undefined },
    { ...submission, denial: { ...denial, binding_token: undefined } },
    { ...submission, denial: { ...denial, binding_token: 'eyJhbGciOiJub25lIn0.e30.' } },
    { ...submission, denial: { ...denial, binding_token: flipped.toString('base64url') } },
    { ...submission, denial: { ...denial, evaluation_id: '0199b1b0-0000-7000-8000-000000000001' } },
    { ...submission, denial: { ...denial, expires_at: '2036-01-01T00:00:00.000Z' } },
    { ...submission, denial: other.denial },
    { ...submission, action: { name: 'postgres.privilege' } },
    { ...submission, action: { ...QUESTION.action, properties: { soft: true } } },
    { ...submission, resource: { ...QUESTION.resource, id: 'postgres@shop-db' } },
    { ...submission, subject: { type: 'user', id: 'ada' } },
    { ...submission, context: { purpose: 'mending' } },
    { ...submission, context: {} },
    { ...submission, context: { ...QUESTION.context, on_behalf_of: { type: 'user', id: 'ada' } } },
  ]
  const before = (await mine(dana)).length

  for (const body of wrong) {
    assert.deepEqual(await refused(dana, body), [400, errorOf('invalid_denial_binding')], JSON.stringify(body))
  }
  assert.equal((await mine(dana)).length, before)
})

test('attack: a denial is not asked for after its time', async () => {
  const submission = await denied()
  const expiresAt = new Date(Date.now() - 1000).toISOString()
  const { id: subjectId } = await dana.ask(whoami)
  const sealed = {
    evaluationId: String(submission.denial['evaluation_id']),
    expiresAt,
    subjectId,
    onBehalfOfId: null,
    accountId: (await dana.ask(listAccounts, { params: { target: 'shop-db' } })).items[0]?.id ?? '',
    action: 'postgres.read',
  }
  const token = writeDenial(here.server.ground.seal, sealed, QUESTION)
  const late = { ...submission, denial: { expires_at: expiresAt, binding_token: token } }

  assert.deepEqual(await refused(dana, late), [410, errorOf('expired_denial')])
})

test('attack: what the policies forbid to ask for is not had by the detour over a denial', async () => {
  const submission = await denied({ ...QUESTION, context: {} })
  const uncovered = await refused(dana, { ...submission, context: { purpose: 'elsewhere' } })
  const without = await refused(dana, submission)
  const eve = await enrol(here.server, here.ada, { kind: 'human', name: 'eve', profile: 'person' })
  const hers = await denied({ ...QUESTION, subject: { type: 'user', id: 'eve' } })
  await here.ada.ask(suspendIdentity, { params: { identity: 'eve' }, input: { reason: 'left the company' } })

  assert.deepEqual(uncovered, [404, '/v1/problems/not-found'])
  assert.deepEqual(without, [400, '/v1/problems/invalid-input'])
  assert.deepEqual(await refused(eve, hers), [401, '/v1/problems/unauthenticated'])
})

test('anything but one account is answered as not requestable, in a sentence', async () => {
  const submission = await denied()
  const { resource: _resource, ...bundle } = submission
  const bodies = [
    { ...submission, resource: { type: 'target', id: 'shop-db' } },
    { ...submission, resource: { type: 'document', id: 'd1' } },
    { ...submission, resource: { type: 'spaceship', id: 'd1' } },
    { ...bundle, items: [{ resource: QUESTION.resource, action: QUESTION.action }] },
    { ...submission, callback: { endpoint: 'http://169.254.169.254/', events: [] } },
    { ...submission, requested_access: { emergency: true } },
  ]
  for (const body of bodies) {
    const answer = await here.ask(dana, PATH, body)
    assert.deepEqual([answer.status, answer.json().type], [400, errorOf('not_requestable')])
    assert.ok(answer.json().detail.length > 10)
  }
  const document = { ...QUESTION, resource: { type: 'document', id: 'd1', properties: { secret: true } } }
  const answer = await here.evaluate({ ...document, action: { name: 'document.read' } })
  assert.deepEqual([answer.json().decision, answer.json().context.access_request], [false, undefined])
})

test('attack: a task is followed by who may read the request, and by nobody else', async () => {
  const { task } = (await here.ask(dana, PATH, await denied())).json()
  const path = `${PATH}/${task.id}`

  assert.equal((await here.ask(here.other, path, undefined)).status, 403)
  assert.equal((await here.ask(here.gate, path, undefined)).status, 403)
  assert.equal((await here.ask(undefined, path, undefined)).status, 401)
  const unknown = await here.ask(dana, `${PATH}/0199b1b0-0000-7000-8000-000000000001`, undefined)
  assert.deepEqual([unknown.status, unknown.json().type], [404, errorOf('unknown_task')])
})
