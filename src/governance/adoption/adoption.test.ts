import assert from 'node:assert/strict'
import { test } from 'node:test'
import { toyPages, toyPrincipal, toySource } from '../../../test/support/toy-source.ts'
import { claimAccount } from '../../catalog/catalog.ts'
import { known, unknown, type Observation } from '../../connectors/connector.ts'
import type { Identity } from '../../identities/contract.ts'
import { activateIdentity, retireIdentity } from '../../identities/identities.ts'
import { measureInventory } from '../../inventory/measure.ts'
import { conflict, invalidInput, notFound } from '../../kernel/problem.ts'
import { attestOwners } from '../owners/candidates.ts'
import { AttestOwners, AttestServices, ServiceQuery } from '../owners/contract.ts'
import { attestServices, listServices } from '../owners/services.ts'

import { adoptionScene as scene, idOf, service } from './scene.fixture.ts'

const ALL = { every: true } as const

test('what nobody claims becomes an identity that can do nothing, with its class, whom it may belong to, and what was left', async (t) => {
  const s = await scene(t)
  await s.tell('toy:home', [
    [
      service('1', { name: 'Billing Job', tags: { owner: 'alice', 'business-service': 'Billing' } }),
      toyPrincipal('2', { name: 'what is it' }),
      toyPrincipal('3', { name: 'eve', type: 'human' }),
      toyPrincipal('4', { name: 'admins', type: 'group' }),
      service('5', { facts: { isBuiltIn: true } }),
      service('6', { state: known('deleted') }),
      toyPrincipal('7', { type: 'agent' }),
    ],
  ])
  const before = await s.counts()

  const dry = await s.adopt({ ...ALL, dryRun: true })
  const untouched = await s.counts()
  const done = await s.adopt(ALL)
  const again = await s.adopt(ALL)

  assert.deepEqual(untouched, before)
  assert.deepEqual(
    dry.items.map(({ identity, identityId }) => [identity, identityId]),
    done.items.map(({ identity }) => [identity, null]),
  )
  const billing = done.items.find(({ principal }) => principal === 'Billing Job')
  assert.ok(billing)
  assert.match(billing.identity, /^source-1\.billing-job-[0-9a-f]{10}$/)
  const { kind, profile, tier, environment, accounts, owner, businessService } = billing
  assert.deepEqual([kind, profile, tier, environment, accounts], ['workload', 'service', 2, 'production', 1])
  assert.deepEqual([owner?.owner, businessService?.service], ['alice', 'Billing'])
  assert.ok(billing.evidence.includes('kind workload: its source says that it is a program'))
  assert.deepEqual(done.left.map(({ why, count }) => `${why} ${count}`).toSorted(), [
    'built-in 1',
    'deleted 1',
    'kind-unknown 1',
    'person 1',
  ])
  assert.deepEqual([done.items.length, again.items.length, again.left.length], [2, 0, 4])
  const row = await s.w.db.selectFrom('identity').selectAll().where('name', '=', billing.identity).executeTakeFirst()
  assert.deepEqual(
    [row?.state, row?.ownerState, row?.ownerId, row?.businessService, row?.purpose],
    ['discovered', 'none', null, null, null],
  )
  assert.deepEqual(await s.resolve(), { made: 0, ended: 0 })
  const kinds = await s.w.kinds()
  assert.equal(kinds.filter((kind) => kind === 'identity.discovered').length, 2)
  assert.equal(kinds.filter((kind) => kind === 'inventory.adopted').length, 1)
})

test('what could not be seen is said with its count, beside what was adopted', async (t) => {
  const s = await scene(t)
  const toy = toySource()
  toy.scopes.set('seen', [[service('1')]])
  toy.scopes.set('dark', [])
  toy.report = (scope) =>
    scope === 'dark'
      ? { status: 'denied', missing: [{ what: 'service accounts', why: 'no right', permission: 'list' }] }
      : { status: 'complete', missing: [] }
  await s.i.collect(await s.i.source(toy.connector, {}))

  const { items, unseen, coverage } = await s.adopt(ALL)

  assert.deepEqual([items.length, unseen, coverage.isWhole], [1, 1, false])
  assert.equal(coverage.unseen[0]?.what, 'service accounts')
})

test('attack: an account that is named like somebody of a team gets neither their name nor their team', async (t) => {
  const s = await scene(t)
  await s.tell('toy:other', [
    [service('1', { name: 'mallory' }), service('2', { name: '../.. ' }), service('3', { name: 'bob' })],
  ])

  const { items } = await s.adopt(ALL)

  // Teams and policies list people by name.
  const told = ['mallory', '../..', 'bob']
  for (const { identity } of items) {
    assert.ok(!told.includes(identity), identity)
    assert.equal(
      (await s.w.db.selectFrom('identity').selectAll().where('name', '=', identity).executeTakeFirst())?.state,
      'discovered',
    )
  }
  assert.equal(items.length, 3)
  assert.ok(items.some(({ identity }) => identity.startsWith('source-1.unnamed-')))
})

test('what somebody claims already is refused by its id, and so is what is not there or does not act', async (t) => {
  const s = await scene(t)
  await s.tell('toy:home', [
    [service('1', { name: 'app' }), service('2'), toyPrincipal('3', { type: 'role' }), toyPrincipal('4')],
  ])
  const job = await s.w.workload('job', s.alice)
  const { id } = await s.w.db.selectFrom('account').select('id').where('name', '=', 'app').executeTakeFirstOrThrow()
  const permit = s.w.permit('account.claim', s.founder, { type: 'Account', id })
  // Claimed, and not linked yet: the worker comes later.
  await s.w.run((tx) => claimAccount(tx, s.w.needs, permit, { identity: job.name }))
  const one = (at: string, more: object = {}) => s.adopt({ principals: [idOf('toy:home', at)], ...more })

  await assert.rejects(one('1'), (error) => conflict.is(error))
  await assert.rejects(one('3'), (error) => conflict.is(error))
  await assert.rejects(one('404'), (error) => notFound.is(error))
  const taken = await one('2')
  await assert.rejects(one('2'), (error) => conflict.is(error))
  const unsure = await one('4')
  const said = await one('4', { kind: 'workload', profile: 'pipeline' })

  assert.equal(taken.items.length, 1)
  assert.deepEqual([unsure.items.length, unsure.left[0]?.why], [0, 'kind-unknown'])
  assert.deepEqual([said.items[0]?.kind, said.items[0]?.profile], ['workload', 'pipeline'])
  assert.ok(said.items[0]?.evidence.includes('kind workload: who adopted it said so'))
})

test('thousands of instances of one definition are one identity, later ones too, and nobody else gets into it', async (t) => {
  const s = await scene(t)
  const made = { instanceOf: { kind: 'toy', id: 'definition' } }
  const pod = (at: number) => service(`pod ${at}`, made)
  await s.tell('toy:other', toyPages(2_000, 1_000, pod))

  const { items } = await s.adopt(ALL)
  await s.tell('toy:other', toyPages(2_001, 1_000, pod))
  const later = await s.resolve()
  await s.tell('toy:evil', [[service('x', { instanceOf: { kind: 'toy', id: 'definition', authority: 'toy:other' } })]])
  const foreign = await s.resolve()
  const theirs = await s.adopt(ALL)

  assert.deepEqual([items.length, items[0]?.instances], [1, 2_000])
  assert.deepEqual(
    [later, foreign],
    [
      { made: 1, ended: 0 },
      { made: 0, ended: 0 },
    ],
  )
  assert.equal(await s.i.count('record_link', `identity_id = '${items[0]?.identityId}' and state = 'active'`), 2_001)
  assert.equal(theirs.items.length, 1)
  assert.notEqual(theirs.items[0]?.identityId, items[0]?.identityId)
})

test('an adoption is taken back whole: the account is nobody’s, nothing is linked, and it can come again', async (t) => {
  const s = await scene(t)
  await s.tell('toy:home', [[service('1', { name: 'app', tags: { owner: 'alice' } })]])
  const first = (await s.adopt(ALL)).items[0]
  assert.ok(first?.identityId)
  const account = () => s.w.db.selectFrom('account').select('identityId').where('name', '=', 'app').executeTakeFirst()
  assert.equal((await account())?.identityId, first.identityId)

  const ended = await s.unadopt({ id: first.identityId })
  const freed = await account()
  const links = await s.i.count('record_link', `state = 'active'`)
  await assert.rejects(s.unadopt({ id: first.identityId }), (error) => conflict.is(error))
  const resolved = await s.resolve()
  const second = (await s.adopt(ALL)).items[0]

  assert.deepEqual([ended.state, freed?.identityId, links], ['retired', null, 0])
  assert.deepEqual(resolved, { made: 0, ended: 0 })
  assert.ok(second?.identityId && second.identity !== first.identity)
})

test('who accepts to answer for it makes it registered; what acts is not taken back, and an agent has a sponsor by it', async (t) => {
  const s = await scene(t)
  await s.tell('toy:home', [
    [service('1', { tags: { owner: 'alice' } }), toyPrincipal('2', { type: 'agent', tags: { owner: 'alice' } })],
  ])
  await s.adopt(ALL)

  const owned = await s.w.run((tx) =>
    attestOwners(tx, s.w.needs, s.w.permit('owner.attest', s.alice), AttestOwners.parse(ALL)),
  )
  const job = owned.find(({ kind }) => kind === 'workload')
  assert.ok(job)
  await s.w.run((tx) => activateIdentity(tx, s.w.needs, s.w.permit('identity.activate', s.founder, job)))

  assert.deepEqual(
    owned.map(({ kind, state, ownerState, sponsorId }) => `${kind} ${state} ${ownerState} ${sponsorId}`).toSorted(),
    [`agent registered attested ${s.alice.id}`, 'workload registered attested null'],
  )
  await assert.rejects(s.unadopt(job), (error) => conflict.is(error))
})

test('who answers for it accepts its business service, nobody else does, and a leaver opens it again', async (t) => {
  const s = await scene(t)
  await s.tell('toy:home', [
    [
      service('1', { name: 'one', tags: { owner: 'alice', 'business-service': 'Billing', app: 'billing' } }),
      service('2', { name: 'two', tags: { owner: 'bob', 'business-service': "x'; drop table identity" } }),
    ],
  ])
  await s.adopt(ALL)
  const accept = (who: Identity, input: object = ALL) =>
    s.w.run((tx) =>
      attestServices(tx, s.w.needs, s.w.permit('business-service.attest', who), AttestServices.parse(input)),
    )
  const proposed = async () =>
    (await listServices(s.w.db, s.w.clock, ServiceQuery.parse({ limit: 50 }))).items.map(
      ({ service: of, evidence }) => `${of}: ${evidence.map(({ rule }) => rule).join(' ')}`,
    )
  const share = async () => {
    const { identities } = await measureInventory(s.w.db, s.w.clock)
    const of = identities.find(({ kind }) => kind === 'workload')?.service
    return [of?.yes, of?.no]
  }

  // Nobody answers for it yet.
  await assert.rejects(accept(s.alice), (error) => invalidInput.is(error))
  for (const who of [s.alice, s.bob])
    await s.w.run((tx) => attestOwners(tx, s.w.needs, s.w.permit('owner.attest', who), AttestOwners.parse(ALL)))
  const first = await proposed()
  const others = (await accept(s.bob)).map(({ businessService }) => businessService)
  const accepted = (await accept(s.alice)).map(({ businessService }) => businessService)
  await s.evaluate()
  const closed = [await proposed(), await share()]
  await s.w.run((tx) =>
    retireIdentity(tx, s.w.needs, s.w.permit('identity.retire', s.founder, s.alice), { reason: 'left' }),
  )
  await s.evaluate()
  const again = await s.evaluate()

  assert.deepEqual(first.toSorted(), [
    'Billing: tag-business-service tag-application',
    "x'; drop table identity: tag-business-service",
  ])
  assert.deepEqual([accepted, others], [['Billing'], ["x'; drop table identity"]])
  assert.deepEqual(closed, [[], [2, 0]])
  assert.deepEqual(await proposed(), ['Billing: record tag-business-service tag-application'])
  assert.deepEqual(await share(), [1, 1])
  assert.deepEqual(
    again.map(({ changed }) => changed),
    [0, 0],
  )
})

test('a secret of an identity that turns up on something else is for a person to look at, not adopted in bulk', async (t) => {
  const s = await scene(t)
  const secret = (id: string, principal: string): Observation => ({
    kind: 'credential',
    id: { kind: 'toy-secret', id },
    principal: known({ kind: 'toy', id: principal }),
    type: 'api-key',
    name: id,
    state: known('active'),
    createdAt: unknown('unsupported'),
    rotatedAt: unknown('unsupported'),
    expiresAt: known('never'),
    fingerprints: known([{ alg: 'hmac-sha256', keyId: 'a'.repeat(12), value: '1'.repeat(64) }]),
    scopes: known([]),
    bindings: known([]),
    strength: unknown('unsupported'),
    heldBy: unknown('unsupported'),
  })
  await s.tell('toy:home', [[service('1', { name: 'app' }), secret('own', '1')]])
  await s.adopt(ALL)
  await s.tell('toy:other', [[service('copy'), secret('copied', 'copy')]])
  await s.resolve()

  const bulk = await s.adopt(ALL)
  const named = await s.adopt({ principals: [idOf('toy:other', 'copy')] })

  assert.deepEqual([bulk.items.length, bulk.left[0]?.why], [0, 'shares-a-secret'])
  assert.equal(named.items.length, 1)
})
