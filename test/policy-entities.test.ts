import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { catalogRoutes } from '../src/catalog/catalog.ts'
import { identityRoutes, issueToken, registerIdentity } from '../src/identities/identities.ts'
import type { Identity } from '../src/identities/contract.ts'
import { RegisterIdentity } from '../src/identities/contract.ts'
import type { Call, Resource, Route } from '../src/kernel/http/route.ts'
import type { Operation } from '../src/kernel/operation.ts'
import { notFound } from '../src/kernel/problem.ts'
import { decide, loadPolicySet, openCedarEngine } from '../src/policy/policy.ts'
import { isBootstrap, principalEntities, subjectRef } from '../src/identities/identities.ts'
import { readActions } from '../src/policy/policy-set.ts'
import { ACTIONS, world, type World } from './support/world.ts'

const BARE = { proof: 'token', proofId: '00000000-0000-7000-8000-000000000001' } as const
const POLICIES = join(import.meta.dirname, '../policies')

/** A world whose operations are decided by the shipped policies, each about what its own route says it is about. */
async function decidedWorld(t: Parameters<typeof world>[0]) {
  const w = await world(t)
  const routes = new Map<string, Route>(
    [
      ...identityRoutes({ ...w.needs, db: w.db, certify: async () => '' }),
      ...catalogRoutes({ ...w.needs, db: w.db }),
    ].map((route) => [route.operation.id, route]),
  )
  const privileged = ACTIONS.map(({ name, class: kind }) => ({
    name,
    groups: [`privileged.${kind}`],
    resources: ['Target', 'Account'],
  }))
  const engine = openCedarEngine(await loadPolicySet(POLICIES, privileged))
  t.after(() => engine[Symbol.dispose]())
  const resourceOf = async (id: string, who: Identity, params: Record<string, string>): Promise<Resource> => {
    const route = routes.get(id)
    assert.ok(route, id)
    const caller = { id: who.id, name: who.name, kind: who.kind, proof: 'token', proofId: who.id } as const
    return route.resource({ params, query: {}, input: {}, caller } as unknown as Call<Operation>)
  }
  const may = async (id: string, who: Identity, params: Record<string, string> = {}) => {
    const resource = await resourceOf(id, who, params)
    const { type } = resource
    const decision = decide(
      engine,
      {
        subject: subjectRef(who),
        action: { name: id },
        resource: { type, id: resource.id },
        context: {
          channel: 'api',
          requestKind: 'ordinary',
          freeze: false,
          bootstrap: await isBootstrap(w.db),
          reasonGiven: false,
        },
      },
      {
        decisionId: who.id,
        now: w.clock.now(),
        epoch: '1',
        entities: [...(await principalEntities(w.db, w.needs.teams, who.id)), resource],
      },
    )
    assert.deepEqual(decision.errors, [], `${id} on ${type}`)
    return decision.decision
  }
  return { ...w, may, resourceOf, routes }
}

async function peopled(w: World) {
  const founder = await w.founder()
  const alice = await w.person('alice')
  const bob = await w.person('bob')
  const carol = await w.person('carol')
  const dave = await w.person('dave')
  return { founder, alice, bob, carol, dave }
}

test('every operation of identities and catalog has a shipped action that takes the resource its route gives', async (t) => {
  const w = await decidedWorld(t)
  const { founder, alice, bob } = await peopled(w)
  const job = await w.workload('job', alice)
  const target = await w.target('orders')
  const account = await w.account(target, 'app')
  const purpose = await w.purpose('close', { proposer: alice, approver: bob, targets: [target] })
  const token = await w.run((tx) =>
    issueToken(tx, w.needs, w.permit('token.issue', alice, job), {
      caller: BARE,
      input: { label: 'ci', ttlSeconds: 60 },
    }),
  )
  const params = { identity: 'job', target: 'orders', account: account.id, purpose: purpose.id, token: token.id }
  const shipped = new Map((await readActions(join(POLICIES, 'actions.json'))).map((action) => [action.name, action]))

  for (const [id, { operation }] of w.routes) {
    const resource = await w.resourceOf(id, founder, params)
    await w.may(id, founder, params)
    assert.equal(resource.type, operation.resource, id)
    assert.ok(shipped.get(id)?.resources.includes(resource.type), `${id} is shipped for ${resource.type}`)
  }
})

test('administrators register, others do not, and everybody reads', async (t) => {
  const w = await decidedWorld(t)
  const { founder, dave } = await peopled(w)

  assert.equal(await w.may('identity.register', founder), true)
  assert.equal(await w.may('identity.register', dave), false)
  assert.equal(await w.may('target.register', dave), false)
  assert.equal(await w.may('identity.list', dave), true)
  assert.equal(await w.may('identity.whoami', dave), true)
})

test('the suggested owner attests and nobody else', async (t) => {
  const w = await decidedWorld(t)
  const { founder, alice, bob } = await peopled(w)
  const input = RegisterIdentity.decode({ kind: 'workload', name: 'job', profile: 'pipeline', owner: 'alice' })
  await w.run((tx) => registerIdentity(tx, w.needs, w.permit('identity.register', founder), input))

  assert.equal(await w.may('identity.attest-owner', alice, { identity: 'job' }), true)
  assert.equal(await w.may('identity.attest-owner', bob, { identity: 'job' }), false)
  assert.equal(await w.may('identity.attest-owner', founder, { identity: 'job' }), false)
})

test('a purpose is approved by another of the team that owns its target', async (t) => {
  const w = await decidedWorld(t)
  const { alice, bob, carol, dave } = await peopled(w)
  const target = await w.target('orders')
  await w.purpose('close', { proposer: alice, approver: bob, targets: [target] })
  const on = { purpose: 'close' }

  assert.equal(await w.may('purpose.approve', bob, on), true)
  assert.equal(await w.may('purpose.approve', alice, on), false)
  assert.equal(await w.may('purpose.approve', dave, on), false)
  assert.equal(await w.may('purpose.end', bob, on), true, 'its owner team')
  assert.equal(await w.may('purpose.end', carol, on), true, 'security')
  assert.equal(await w.may('purpose.end', dave, on), false)
})

test('a token is revoked by its identity, its owner team and security; to strangers it is unknown', async (t) => {
  const w = await decidedWorld(t)
  const { alice, bob, carol, dave } = await peopled(w)
  const job = await w.workload('job', alice)
  const other = await w.workload('other', alice)
  const { id } = await w.run((tx) =>
    issueToken(tx, w.needs, w.permit('token.issue', alice, job), {
      caller: BARE,
      input: { label: 'ci', ttlSeconds: 60 },
    }),
  )

  for (const who of [job, alice, bob, carol])
    assert.equal(await w.may('token.revoke', who, { token: id }), true, who.name)
  for (const who of [dave, other]) {
    await assert.rejects(w.may('token.revoke', who, { token: id }), (error) => notFound.is(error))
    await assert.rejects(w.may('token.list', who, { identity: 'job' }), (error) => notFound.is(error))
  }
})

test('attack: a workload learns nothing of other identities, not even which names exist', async (t) => {
  const w = await decidedWorld(t)
  const { alice } = await peopled(w)
  const job = await w.workload('job', alice)

  assert.equal(await w.may('identity.read', job, { identity: 'job' }), true)
  assert.equal(await w.may('identity.list', job), false)
  for (const identity of ['alice', alice.id, 'ghost']) {
    await assert.rejects(w.may('identity.read', job, { identity }), (error) => notFound.is(error))
  }
})

test('a second credential for a person is not the administrators’ to give alone', async (t) => {
  const w = await decidedWorld(t)
  const { founder, alice } = await peopled(w)
  const resource = await w.resourceOf('identity.enrol', founder, { identity: 'alice' })
  assert.equal(resource.attributes.enrolled, false)

  await w.run((tx) =>
    issueToken(tx, w.needs, w.permit('token.issue', alice, alice), {
      caller: BARE,
      input: { label: 'own', ttlSeconds: 60 },
    }),
  )

  const after = await w.resourceOf('identity.enrol', founder, { identity: 'alice' })
  assert.equal(after.attributes.enrolled, true)
})
