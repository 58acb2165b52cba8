import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { accessWorld, refusalOf, settled, type AccessWorld } from '../../test/support/access-world.ts'
import { parseCalendar, requestAccess } from '../access/access.ts'
import { RequestAccess } from '../access/contract.ts'
import { issueToken, updateIdentity } from '../identities/identities.ts'
import type { Identity } from '../identities/contract.ts'
import type { Caller } from '../kernel/http/route.ts'
import { riskOfPending } from '../access/as-asked.ts'
import { readStandard } from './standard.ts'
import { standingBy } from './standing.ts'

const shipped = await readStandard(join(import.meta.dirname, '..', '..', 'policies', 'standard.json'))

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

test('the standard decides: tier 0 is not for who holds a token that works when copied, and what it misses is a finding', async (t) => {
  const world = await accessWorld(t, { standing: standingBy(shipped) })
  const vault = await world.target('vault', { sensitivity: 0 })
  const root = await world.account(vault, 'root', { tier: 0, roles: { 'postgres.read': 'readers' } })
  await world.purpose('open', { proposer: world.bob, approver: world.alice, targets: [vault] })
  const asking = (actions: readonly string[]) => {
    const input = RequestAccess.parse({
      target: 'vault',
      account: 'root',
      actions: [...actions],
      purpose: 'open',
      reason: 'a key is due',
    })
    const permit = world.permit('access.request', world.dave, { type: 'Account', id: root.id })
    return world.run((tx) =>
      requestAccess(tx, world.access, permit, { caller: world.caller(world.dave, 'mtls'), input }),
    )
  }
  assert.equal(settled(await asking(['postgres.read'])).state, 'granted')
  const before = await riskOfPending(world.db, world.access, (await world.ask(world.dave)).id)

  const issuing = { caller: world.caller(world.dave), input: { label: 'laptop', ttlSeconds: 3600 } }
  await world.run((tx) => issueToken(tx, world.needs, world.permit('token.issue', world.dave, world.dave), issuing))

  const refused = await asking(['postgres.read'])
  assert.equal(refused.kind, 'refused')
  assert.match(refused.kind === 'refused' ? refused.problem.message : '', /credential that works when copied/)
  const after = await riskOfPending(world.db, world.access, (await world.ask(world.dave)).id)
  const findings = (risk: typeof after) => risk?.factors.find(({ name }) => name === 'findings')
  assert.match(findings(before)?.fact ?? '', /^1 finding\(s\) on dave are open \(owner-team\)$/)
  assert.match(findings(after)?.fact ?? '', /^2 finding\(s\) on dave are open \(credential-bound, owner-team\)$/)
  assert.equal(findings(after)?.source, `standard ${shipped.version} (${shipped.sha256.slice(0, 12)})`)
  assert.ok((findings(after)?.value ?? 0) > (findings(before)?.value ?? 1))
})
