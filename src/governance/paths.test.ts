import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accessWorld, refusalOf, settled, type AccessWorld } from '../../test/support/access-world.ts'
import { parseCalendar, requestAccess } from '../access/access.ts'
import { RequestAccess } from '../access/contract.ts'
import { updateIdentity } from '../identities/identities.ts'
import type { Identity } from '../identities/contract.ts'
import type { Caller } from '../kernel/http/route.ts'

type Asking = { readonly onBehalfOf?: string }

/** One and the same request: a change of production, for a purpose, under a ticket, with a reason. */
async function ask(world: AccessWorld, who: Identity, proof: Caller['proof'], more: Asking = {}) {
  const input = RequestAccess.parse({
    target: 'orders',
    account: 'app',
    actions: ['postgres.write'],
    purpose: 'fix',
    ticket: 'OPS-7',
    reason: 'an order is stuck',
    ...more,
  })
  const permit = world.permit('access.request', who, { type: 'Account', id: world.app.id })
  const making = { caller: world.caller(who, proof), input }
  return settled(await world.run((tx) => requestAccess(tx, world.access, permit, making)))
}

test('one request under three profiles ends three ways', async (t) => {
  const world = await accessWorld(t)
  world.setCalendar(parseCalendar('windows: {always: {environments: [production]}}'))
  const pipeline = await world.workload('migrator', world.alice, { profile: 'pipeline' })
  const robot = await world.agent('robot', world.bob)

  const person = await ask(world, world.dave, 'mtls')
  const workload = await ask(world, pipeline, 'mtls')
  const agent = await ask(world, robot, 'mtls', { onBehalfOf: 'bob' })

  assert.deepEqual([person.state, person.uses, person.ttlSeconds], ['pending', null, 3600], 'approved by people')
  assert.deepEqual([workload.state, workload.ttlSeconds], ['granted', 1800], 'by its proof, ticket and window')
  assert.deepEqual([agent.state, agent.uses, agent.ttlSeconds], ['pending', 1, 1800], 'held for the owner team, once')
  assert.deepEqual(
    [person, workload, agent].map(({ obligations }) => obligations.approval),
    [['1 of owner(target)'], [], ['1 of owner(target)']],
  )
})

test('a workload that proves nothing is refused the path of workloads, and has no other', async (t) => {
  const world = await accessWorld(t)
  world.setCalendar(parseCalendar('windows: {always: {environments: [production]}}'))
  const pipeline = await world.workload('migrator', world.alice, { profile: 'pipeline' })

  assert.equal(await refusalOf(ask(world, pipeline, 'token')), 'not-permitted')
})

test('a change of traits is entered and kept in one order, each once', async (t) => {
  const world = await accessWorld(t)
  const pipeline = await world.workload('migrator', world.alice, { profile: 'pipeline', traits: ['exposed'] })

  const permit = world.permit('identity.update', world.alice, pipeline)
  const changed = await world.run((tx) =>
    updateIdentity(tx, world.needs, permit, { traits: ['interactive', 'autonomous', 'interactive'] }),
  )

  assert.deepEqual([pipeline.traits, changed.traits], [['exposed'], ['autonomous', 'interactive']])
})
