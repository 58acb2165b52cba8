import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { startApi, type ApiWorld } from '../../../test/support/api.ts'
import { softAuthenticator, type Authenticator, type Told } from '../../../test/support/authenticator.ts'
import { refusalOf } from '../../../test/support/access-world.ts'
import { changeWorld } from '../../../test/support/change-world.ts'
import { accessRoutes, approvalsOfCalls, bindCalls, noTicketVerifier } from '../../access/access.ts'
import type { Identity } from '../../identities/contract.ts'
import { authenticate, enrolIdentity, issueToken, revokeToken, subjectRef } from '../../identities/identities.ts'
import type { PolicyValue } from '../../kernel/entity.ts'
import type { Secret } from '../../kernel/secret.ts'
import { beginEnrolment, finishEnrolment } from '../passkeys/register.ts'
import { transact } from '../../kernel/db.ts'
import { stepUpProvenByLogin } from './events.ts'
import { markProven, proveByPasskey, refuseAct, showAct } from './prove.ts'
import { stepUpRoutes, stepUpsOf } from './routes.ts'

const ORIGIN = 'https://reeve.example'
const BEARER = { proof: 'token', proofId: '00000000-0000-7000-8000-000000000001' } as const
const ASK = {
  target: 'orders',
  account: 'app',
  actions: ['postgres.write'],
  purpose: 'fix',
  reason: 'an order is stuck',
}
const WANTED = { 'reeve-request-step-up': '1' }

type Call = {
  readonly by: string
  readonly method?: string
  readonly path: string
  readonly input?: unknown
  readonly headers?: Record<string, string>
}

/** The real router, with people who have passkeys, and policies that owe a step-up for changing production and for suspending. */
async function stepUpWorld(t: Pick<TestContext, 'after'>) {
  const w = await changeWorld(t, {
    more: async ({ access, db }) =>
      accessRoutes({
        ...access,
        db,
        ends: { announceEnd: () => {} },
        certify: async () => ({ certificate: '', authority: '' }),
        tickets: noTicketVerifier,
      }),
  })
  const { db, clock, access } = w
  await w.setPolicies((shipped) =>
    shipped
      .replace('@id("person-changes-production")', '@id("person-changes-production") @step_up("phishing-resistant")')
      .replace('@id("guardians-stop")', '@id("guardians-stop") @step_up("mfa")')
      .replace('@id("targets-are-loosened")', '@id("targets-are-loosened")'),
  )
  const { random, ledger } = access
  const needs = { db, clock, random, ledger, seal: w.needs.seal, issuer: () => ORIGIN, bindCall: bindCalls(access) }
  const node = (): Promise<ApiWorld> =>
    startApi(t, db, {
      // Agents change production by a bound token only; here theirs counts as one.
      authenticate: async ({ bearer }) => {
        const caller = bearer && (await authenticate(db, clock, bearer))
        return caller?.kind === 'agent' ? { ...caller, proof: 'dpop' } : caller
      },
      decide: (caller, action, resource, context, stepUp) =>
        access.decisions.permit(
          db,
          {
            subject: { ...subjectRef(caller), proof: caller.proof },
            action,
            resource,
            context: context as Record<string, PolicyValue>,
          },
          { reasonGiven: true, ...(stepUp && { stepUp }) },
        ),
      routes: [...w.routes.values(), ...stepUpRoutes(needs)],
      approvals: approvalsOfCalls(w.changes),
      stepUps: stepUpsOf(needs),
    })
  const api = await node()
  const send = async ({ by, method = 'POST', path, input, headers = {} }: Call, at = api) =>
    at.call(method, path, {
      headers: {
        authorization: `Bearer ${by}`,
        ...(input !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(input !== undefined && { body: JSON.stringify(input) }),
    })
  const token = async (who: Identity): Promise<{ id: string; text: string }> => {
    const issuing = { caller: BEARER, input: { label: 'test', ttlSeconds: 3600 } }
    const by = who.kind === 'human' ? who : w.founder
    const issued: { id: string; token: Secret } = await w.run((tx) =>
      issueToken(tx, w.needs, w.permit('token.issue', by, who), issuing),
    )
    return { id: issued.id, text: issued.token.reveal() }
  }
  const passkey = async (who: Identity): Promise<Authenticator> => {
    // A link is decided on what the person held before.
    clock.advance(1)
    const { secret: link } = await w.run((tx) =>
      enrolIdentity(tx, w.needs, w.permit('identity.enrol', w.founder, who), {
        caller: BEARER,
        input: { ttlSeconds: 600 },
      }),
    )
    const secret = link.reveal()
    const device = softAuthenticator(ORIGIN)
    const { ceremony, options } = await beginEnrolment(needs, { secret })
    await finishEnrolment(needs, { secret, ceremony, response: device.create(options), label: 'key' })
    return device
  }
  const asked = async (call: Call): Promise<{ id: string; code: string; lines: string[] }> => {
    const answer = await send({ ...call, headers: { ...call.headers, ...WANTED } })
    assert.equal(answer.status, 202, answer.text)
    return answer.json()
  }
  const prove = async ({ id, code }: { id: string; code: string }, by: Authenticator, told?: Told) => {
    const { options } = await showAct(needs, { id, code })
    return proveByPasskey(needs, { id, code, response: by.get(options, told) })
  }
  const repeat = (call: Call, { id }: { readonly id: string }, at = api) =>
    send({ ...call, headers: { ...call.headers, 'reeve-step-up': id } }, at)
  const slug = (answer: Awaited<ReturnType<typeof send>>) => String(answer.json().type).split('/').pop()
  return { ...w, record: w.needs, needs, node, send, token, passkey, asked, prove, repeat, slug }
}

const request = (by: string, more: Record<string, unknown> = {}): Call => ({
  by,
  path: '/v1/requests',
  input: { ...ASK, ...more },
})

test('what owes a step-up says how to ask for one, and runs once its person signed exactly that', async (t) => {
  const w = await stepUpWorld(t)
  const [{ text: by }, device] = [await w.token(w.alice), await w.passkey(w.alice)]

  const refused = await w.send(request(by))
  const asked = await w.asked(request(by))
  const early = await w.repeat(request(by), asked)
  await w.prove(asked, device)
  const done = await w.repeat(request(by), asked)
  const again = await w.repeat(request(by), asked)

  assert.deepEqual([refused.status, w.slug(refused)], [401, 'insufficient-user-authentication'])
  assert.match(
    String(refused.headers['www-authenticate']),
    /^Bearer error="insufficient_user_authentication".*acr_values="phr phrh", max_age="300"$/,
  )
  for (const line of ['reason: an order is stuck', 'target: orders', 'actions: ["postgres.write"]']) {
    assert.ok(asked.lines.includes(line), asked.lines.join('\n'))
  }
  assert.equal(w.slug(early), 'step-up-not-proven')
  assert.equal(done.status, 201, done.text)
  assert.deepEqual([again.status, w.slug(again)], [409, 'step-up-over'])
  const { stepUp, stepUpId } = await w.db
    .selectFrom('accessRequest')
    .select(['stepUp', 'stepUpId'])
    .executeTakeFirstOrThrow()
  assert.deepEqual([stepUp, stepUpId], ['phishing-resistant', asked.id])
  // The proof stays with the request: who approves it finds nothing owed.
  const { id, boundSha256 } = done.json()
  const { text: bobs } = await w.token(w.bob)
  const approved = await w.send({ by: bobs, path: `/v1/requests/${id}/approve`, input: { boundSha256 } })
  assert.equal(approved.json().state, 'granted', approved.text)
  const kinds = await w.kinds()
  assert.ok(kinds.includes('step-up.asked') && kinds.includes('step-up.proven') && kinds.includes('step-up.used'))
})

test('attack: an act that is swapped after the step-up does not run, and the proof is gone', async (t) => {
  const w = await stepUpWorld(t)
  const [{ text: by }, device] = [await w.token(w.alice), await w.passkey(w.alice)]
  const swaps: Record<string, unknown>[] = [
    { actions: ['postgres.privilege'] },
    { ttlSeconds: 7200 },
    { reason: 'something else' },
  ]

  for (const swap of swaps) {
    const asked = await w.asked(request(by))
    await w.prove(asked, device)
    const swapped = await w.repeat(request(by, swap), asked)
    const honest = await w.repeat(request(by), asked)

    assert.deepEqual([swapped.status, w.slug(swapped)], [409, 'step-up-mismatch'], JSON.stringify(swap))
    assert.equal(w.slug(honest), 'step-up-over')
  }
  const asked = await w.asked(request(by))
  await w.prove(asked, device)
  const elsewhere = await w.repeat({ by, path: `/v1/identities/dave/suspend`, input: { reason: 'why not' } }, asked)
  assert.notEqual(elsewhere.status, 200)
  assert.equal((await w.db.selectFrom('accessRequest').select('id').execute()).length, 0)
})

test('attack: what changed in the record since the person looked is not what they signed', async (t) => {
  const w = await stepUpWorld(t)
  const [{ text: by }, device] = [await w.token(w.alice), await w.passkey(w.alice)]
  const asked = await w.asked(request(by))
  await w.prove(asked, device)
  await w.setPolicies((shipped) =>
    shipped.replace(
      '@id("person-changes-production")',
      '@id("person-changes-production") @step_up("phishing-resistant") @uses("3")',
    ),
  )

  assert.equal(w.slug(await w.repeat(request(by), asked)), 'step-up-mismatch')
})

test('attack: somebody else’s passkey, another site, no verified person, and a signature over another act prove nothing', async (t) => {
  const w = await stepUpWorld(t)
  const [{ text: by }, hers, his] = [await w.token(w.alice), await w.passkey(w.alice), await w.passkey(w.bob)]
  const [first, second] = [await w.asked(request(by)), await w.asked(request(by, { ttlSeconds: 600 }))]
  const { options } = await showAct(w.needs, first)
  const tries: [string, Authenticator, Told][] = [
    ['not-theirs', his, {}],
    ['mismatch', hers, { origin: 'https://evil.test' }],
    ['mismatch', hers, { rpId: 'evil.test' }],
    ['unverified', hers, { isVerified: false }],
    ['mismatch', hers, { challenge: String(options['challenge']) }],
    ['unknown', softAuthenticator(ORIGIN), {}],
  ]

  for (const [code, device, told] of tries) {
    assert.equal(await refusalOf(w.prove(second, device, told)), `passkey-refused ${code}`)
  }
  assert.equal(w.slug(await w.repeat(request(by, { ttlSeconds: 600 }), second)), 'step-up-not-proven')
  const copy = hers.copy()
  await w.prove(first, hers)
  assert.equal(await refusalOf(w.prove(second, copy)), 'passkey-refused copied')
})

test('attack: a link that is handed to somebody else gets their passkey for nothing, and its code is not guessed', async (t) => {
  const w = await stepUpWorld(t)
  const [{ text: mallory }, victims] = [await w.token(w.dave), await w.passkey(w.alice)]
  await w.passkey(w.dave)
  const asked = await w.asked(request(mallory))

  assert.equal(await refusalOf(w.prove(asked, victims)), 'passkey-refused not-theirs')
  for (let at = 0; at < 5; at += 1) {
    assert.equal(await refusalOf(showAct(w.needs, { id: asked.id, code: 'BBBB-BBBB' })), 'step-up-over')
  }
  assert.equal(await refusalOf(showAct(w.needs, asked)), 'step-up-over', 'five wrong codes end it')
})

test('attack: after its session ended, or in another one, a step-up is worth nothing', async (t) => {
  const w = await stepUpWorld(t)
  const device = await w.passkey(w.alice)
  const [one, other, third] = [await w.token(w.alice), await w.token(w.alice), await w.token(w.alice)]
  const revoke = ({ id }: { readonly id: string }) =>
    w.run((tx) => revokeToken(tx, w.record, w.permit('token.revoke', w.alice, { type: 'Token', id })))
  const [asked, late] = [await w.asked(request(one.text)), await w.asked(request(third.text))]
  await w.prove(asked, device)

  assert.equal(w.slug(await w.repeat(request(other.text), asked)), 'step-up-over')
  await revoke(one)
  assert.equal(w.slug(await w.repeat(request(one.text), asked)), 'unauthenticated')
  await revoke(third)
  assert.equal(await refusalOf(w.prove(late, device)), 'step-up-over')
})

test('attack: on two nodes at the same moment a proof is spent once, for one act', async (t) => {
  const w = await stepUpWorld(t)
  const [{ text: by }, device, there] = [await w.token(w.alice), await w.passkey(w.alice), await w.node()]
  const asked = await w.asked(request(by))
  await w.prove(asked, device)

  const answers = await Promise.all([w.repeat(request(by), asked), w.repeat(request(by), asked, there)])

  assert.deepEqual(
    answers.map(({ status }) => status).toSorted((a, b) => a - b),
    [201, 409],
  )
  assert.equal((await w.db.selectFrom('accessRequest').select('id').execute()).length, 1)
})

test('attack: a signature is taken once, and what is too late is too late', async (t) => {
  const w = await stepUpWorld(t)
  const [{ text: by }, device] = [await w.token(w.alice), await w.passkey(w.alice)]
  const [asked, slow] = [await w.asked(request(by)), await w.asked(request(by, { ttlSeconds: 600 }))]
  const { options } = await showAct(w.needs, asked)
  const response = device.get(options)
  const send = () => refusalOf(proveByPasskey(w.needs, { ...asked, response }))

  assert.deepEqual([await send(), await send()], ['nothing', 'step-up-over'])
  await refuseAct(w.needs, slow)
  assert.equal(await refusalOf(w.prove(slow, device)), 'step-up-over')
  w.clock.advance(301)
  assert.equal(w.slug(await w.repeat(request(by), asked)), 'step-up-over')
})

test('an operation of Reeve itself owes one like any other act, and shows what it does', async (t) => {
  const w = await stepUpWorld(t)
  const [{ text: by }, device] = [await w.token(w.carol), await w.passkey(w.carol)]
  const suspend: Call = { by, path: '/v1/identities/dave/suspend', input: { reason: 'left the company' } }

  assert.equal(w.slug(await w.send(suspend)), 'insufficient-user-authentication')
  const asked = await w.asked(suspend)
  assert.ok(asked.lines.includes('on Identity dave') && asked.lines.includes('reason: left the company'))
  await w.prove(asked, device)
  const done = await w.repeat(suspend, asked)

  assert.deepEqual([done.status, done.json().state], [200, 'suspended'])
  const idle = await w.send({ by, path: '/v1/identities/bob/attest-owner', headers: WANTED })
  assert.ok(idle.status >= 400)
})

test('a change that others approved still owes what its own person has to show, and waits for it', async (t) => {
  const w = await stepUpWorld(t)
  await w.setPolicies((shipped) =>
    shipped.replaceAll(
      '@approval("1 of owner(target) or 1 of security")',
      '@approval("1 of owner(target) or 1 of security") @step_up("mfa")',
    ),
  )
  const [{ text: by }, { text: bobs }, device] = [
    await w.token(w.alice),
    await w.token(w.bob),
    await w.passkey(w.alice),
  ]
  const demote: Call = { by, method: 'PATCH', path: '/v1/targets/orders', input: { environment: 'staging' } }
  const kept = (await w.send({ ...demote, headers: { 'reeve-request-approval': 'the%20test' } })).json()
  const approval = await w.send({
    by: bobs,
    path: `/v1/changes/${kept.id}/approve`,
    input: { boundSha256: kept.boundSha256 },
  })
  assert.equal(approval.json().state, 'approved', approval.text)
  const apply: Call = { by, path: `/v1/changes/${kept.id}/apply` }

  const owed = await w.send(apply)
  const asked = await w.asked(apply)
  await w.prove(asked, device)
  const done = await w.repeat(apply, asked)

  assert.deepEqual([owed.status, w.slug(owed)], [401, 'insufficient-user-authentication'])
  assert.ok(asked.lines.includes('environment: "staging"'), asked.lines.join('\n'))
  assert.equal(done.status, 200, done.text)
  assert.equal(done.json().change.state, 'used')
})

test('for an agent its sponsor steps up; for a workload nobody does, and the gate stays shut', async (t) => {
  const w = await stepUpWorld(t)
  const bot = await w.agent('bot', w.alice, { ownerTeam: 'payments' })
  const [{ text: by }, device, his] = [await w.token(bot), await w.passkey(w.alice), await w.passkey(w.bob)]
  const call = request(by, { onBehalfOf: 'alice', ticket: 'CHG-1' })
  const asked = await w.asked(call)

  assert.equal(await refusalOf(w.prove(asked, his)), 'passkey-refused not-theirs')
  await w.prove(asked, device)
  assert.equal((await w.repeat(call, asked)).status, 201)
  await w.setPolicies((shipped) => shipped.replace('@id("anyone-asks")', '@id("anyone-asks") @step_up("mfa")'))
  const job = await w.workload('job', w.alice, { ownerTeam: 'payments' })
  const alone = request((await w.token(job)).text)
  const answers = [await w.send(alone), await w.send({ ...alone, headers: WANTED })]
  assert.deepEqual(answers.map(w.slug), ['insufficient-user-authentication', 'no-person-to-ask'])
})

test('attack: a proof by another login opens what asks for mfa, and not what has come to ask for more', async (t) => {
  const w = await stepUpWorld(t)
  const { text: by } = await w.token(w.carol)
  const suspend = (who: string): Call => ({ by, path: `/v1/identities/${who}/suspend`, input: { reason: 'they left' } })
  const facts = { provider: 'main', issuer: 'https://idp.example', acr: 'two', authenticatedAt: w.clock.now() }
  const prove = (id: string) =>
    transact(w.db, (tx) =>
      markProven(tx, w.needs, id, { provenBy: 'login', passkeyId: null }, ({ level, actSha256 }) => ({
        event: stepUpProvenByLogin,
        facts: { ...facts, stepUpId: id, level, actSha256: actSha256.toString('hex') },
      })),
    )
  const [enough, tooLittle] = [await w.asked(suspend('dave')), await w.asked(suspend('bob'))]
  await prove(enough.id)
  await prove(tooLittle.id)

  const done = await w.repeat(suspend('dave'), enough)
  await w.setPolicies((shipped) =>
    shipped.replace('@id("guardians-stop")', '@id("guardians-stop") @step_up("phishing-resistant")'),
  )
  const refused = await w.repeat(suspend('bob'), tooLittle)

  assert.deepEqual([done.status, done.json().state], [200, 'suspended'], done.text)
  assert.ok(refused.status >= 400)
  const bob = await w.db.selectFrom('identity').select('state').where('name', '=', 'bob').executeTakeFirstOrThrow()
  assert.equal(bob.state, 'active')
})
