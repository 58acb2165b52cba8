import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { world, type World } from '../../test/support/world.ts'
import { classificationOf } from '../kernel/event.ts'
import { conflict, invalidInput, nameTaken, notFound } from '../kernel/problem.ts'
import { IdentityQuery, ownerless, RegisterIdentity, type Identity } from './contract.ts'
import {
  activateIdentity,
  eraseIdentity,
  identityEvents,
  listIdentities,
  registerIdentity,
  resumeIdentity,
  retireIdentity,
  suspendExpired,
  suspendIdentity,
  updateIdentity,
} from './identities.ts'
import { prefixQuery } from './record.ts'

const REASON = { reason: 'it is over' }

function register(w: World, by: Identity, input: Parameters<typeof RegisterIdentity.decode>[0]) {
  return w.run((tx) => registerIdentity(tx, w.needs, w.permit('identity.register', by), RegisterIdentity.decode(input)))
}

test('every field of an event is classified, so nothing is lost as a secret by mistake', () => {
  for (const { kind, facts } of identityEvents) {
    for (const [field, schema] of Object.entries(facts.shape)) {
      assert.notEqual(classificationOf(schema), 'secret', `${kind}.${field}`)
    }
  }
})

test('no walk of commands leaves the legal states, and each refusal is a conflict', async (t) => {
  const w = await world(t)
  const founder = await w.founder()
  const verbs = {
    activate: (id: Identity) =>
      w.run((tx) => activateIdentity(tx, w.needs, w.permit('identity.activate', founder, id))),
    suspend: (id: Identity) =>
      w.run((tx) => suspendIdentity(tx, w.needs, w.permit('identity.suspend', founder, id), REASON)),
    resume: (id: Identity) => w.run((tx) => resumeIdentity(tx, w.needs, w.permit('identity.resume', founder, id))),
    retire: (id: Identity) =>
      w.run((tx) => retireIdentity(tx, w.needs, w.permit('identity.retire', founder, id), REASON)),
  }
  const legal: Record<string, Record<string, string>> = {
    registered: { activate: 'active', retire: 'retired' },
    active: { suspend: 'suspended', retire: 'retired' },
    suspended: { resume: 'active', retire: 'retired' },
    retired: {},
  }
  let made = 0

  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom('activate', 'suspend', 'resume', 'retire'), { maxLength: 8 }),
      async (walk) => {
        let now = await register(w, founder, { kind: 'human', name: `p${(made += 1)}`, profile: 'person' })
        for (const verb of walk) {
          const next = legal[now.state]?.[verb]
          if (next === undefined) {
            await assert.rejects(verbs[verb](now), (error) => conflict.is(error))
          } else {
            now = await verbs[verb](now)
            assert.equal(now.state, next)
          }
          assert.equal((await w.reload(now)).state, now.state)
        }
      },
    ),
    { numRuns: 25 },
  )
})

test('a workload without an owner is registered but cannot act', async (t) => {
  const w = await world(t)
  const founder = await w.founder()
  const job = await register(w, founder, { kind: 'workload', name: 'job', profile: 'pipeline' })

  const attempt = w.run((tx) => activateIdentity(tx, w.needs, w.permit('identity.activate', founder, job)))

  await assert.rejects(attempt, (error) => ownerless.is(error))
})

test('an input that does not fit the record is refused as such, and nothing is written', async (t) => {
  const w = await world(t)
  const founder = await w.founder()
  const before = await w.kinds()

  for (const input of [
    { kind: 'agent', name: 'a1', profile: 'agent' },
    { kind: 'human', name: 'h1', profile: 'service' },
    { kind: 'workload', name: 'w1', profile: 'break-glass' },
    { kind: 'workload', name: 'w2', profile: 'service', ownerTeam: 'nobodies' },
    { kind: 'human', name: 'h2', profile: 'person', expiresAt: '2029-01-01T00:00:00Z' },
  ] as const) {
    await assert.rejects(register(w, founder, input), (error) => invalidInput.is(error), input.name)
  }
  await assert.rejects(
    register(w, founder, { kind: 'workload', name: 'w3', profile: 'service', owner: 'ghost' }),
    (error) => notFound.is(error),
  )
  await assert.rejects(register(w, founder, { kind: 'human', name: 'founder', profile: 'person' }), (error) =>
    nameTaken.is(error),
  )
  assert.deepEqual(await w.kinds(), before)
})

test('when a person is retired, what they owned has no owner and agents they sponsored stop, in the same transaction', async (t) => {
  const w = await world(t)
  const founder = await w.founder()
  const alice = await w.person('alice')
  const bob = await w.person('bob')
  const job = await w.workload('job', alice)
  const bot = await w.agent('bot', bob, { sponsor: alice.id })
  const other = await w.workload('other', bob)

  await w.run((tx) => retireIdentity(tx, w.needs, w.permit('identity.retire', founder, alice), REASON))

  assert.equal((await w.reload(job)).ownerState, 'lost')
  assert.equal((await w.reload(job)).ownerId, alice.id)
  assert.equal((await w.reload(bot)).state, 'suspended')
  assert.equal((await w.reload(other)).ownerState, 'attested')
  const causes = new Set(w.ended.map((each) => each.cause))
  assert.equal(causes.size, 1)
  assert.deepEqual(
    w.ended.map((each) => [each.identityId, each.reason]),
    [
      [alice.id, 'identity-retired'],
      [job.id, 'owner-lost'],
      [bot.id, 'identity-suspended'],
    ],
  )
})

test('when the hook fails, the identity is not suspended either', async (t) => {
  const w = await world(t)
  const founder = await w.founder()
  const alice = await w.person('alice')
  const needs = { ...w.needs, onIdentityEnded: () => Promise.reject(new Error('no grants table')) }

  await assert.rejects(
    w.run((tx) => suspendIdentity(tx, needs, w.permit('identity.suspend', founder, alice), REASON)),
    /no grants table/,
  )

  assert.equal((await w.reload(alice)).state, 'active')
  assert.ok(!(await w.kinds()).includes('identity.suspended'))
})

test('the last person who can act is not stopped, not even by two who stop each other at once', async (t) => {
  const w = await world(t)
  const founder = await w.founder()
  const stop = (by: Identity, whom: Identity) =>
    w.run((tx) => suspendIdentity(tx, w.needs, w.permit('identity.suspend', by, whom), REASON))
  await assert.rejects(stop(founder, founder), (error) => conflict.is(error))
  const alice = await w.person('alice')

  const both = await Promise.allSettled([stop(founder, alice), stop(alice, founder)])

  assert.deepEqual(both.map((each) => each.status).sort(), ['fulfilled', 'rejected'])
})

test('an identity past its end is suspended by the sweep, once, and is not resumed before it has a later end', async (t) => {
  const w = await world(t)
  const founder = await w.founder()
  const guest = await w.person('guest', { expiresAt: '2030-01-02T00:00:00Z' })
  assert.equal(await suspendExpired(w.db, w.needs), 0)
  w.clock.advance(86_400)

  const swept = await Promise.all([suspendExpired(w.db, w.needs), suspendExpired(w.db, w.needs)])

  assert.equal(swept[0] + swept[1], 1)
  assert.equal((await w.reload(guest)).state, 'suspended')
  assert.deepEqual(w.ended, [{ identityId: guest.id, reason: 'identity-suspended', cause: w.ended[0]?.cause }])
  const resume = () => w.run((tx) => resumeIdentity(tx, w.needs, w.permit('identity.resume', founder, guest)))
  await assert.rejects(resume, (error) => conflict.is(error))
  const later = { expiresAt: new Date('2031-01-01T00:00:00Z') }
  await w.run((tx) => updateIdentity(tx, w.needs, w.permit('identity.update', founder, guest), later))
  assert.equal((await resume()).state, 'active')
})

test('moving an identity to another environment undoes the attestation of its owner', async (t) => {
  const w = await world(t)
  await w.founder()
  const alice = await w.person('alice')
  const bob = await w.person('bob')
  const job = await w.workload('job', alice, { environment: 'staging' })

  const moved = await w.run((tx) =>
    updateIdentity(tx, w.needs, w.permit('identity.update', bob, job), { environment: 'production' }),
  )

  assert.equal(moved.ownerState, 'suggested')
  assert.equal(moved.ownerProposedBy, bob.id)
  assert.equal(moved.version, job.version + 1)
})

test('an erased person is nobody any more, while the entries about them keep their bytes', async (t) => {
  const w = await world(t)
  const founder = await w.founder()
  const alice = await w.person('alice', { displayName: 'Alice Example' })
  const erase = () =>
    w.run((tx) => eraseIdentity(tx, w.needs, w.permit('identity.erase', founder, alice), { reason: 'asked for it' }))
  await assert.rejects(erase, (error) => conflict.is(error))
  await w.run((tx) => retireIdentity(tx, w.needs, w.permit('identity.retire', founder, alice), REASON))
  const leaves = () =>
    w.db.selectFrom('ledgerEntry').select('leaf').where('resourceId', '=', alice.id).orderBy('id').execute()
  const before = await leaves()

  const erased = await erase()

  assert.equal(erased.displayName, null)
  const key = await w.db
    .selectFrom('subjectKey')
    .selectAll()
    .where('subjectId', '=', alice.id)
    .executeTakeFirstOrThrow()
  assert.equal(key.sealedKey, null)
  assert.deepEqual((await leaves()).slice(0, before.length), before)
  assert.ok(before.every(({ leaf }) => !leaf.includes('Alice Example')))
  const query = IdentityQuery.parse({ q: 'Example' })
  assert.deepEqual((await listIdentities(w.db, query)).items, [])
})

test('the list is found by beginnings of words, filtered and paged without gaps', async (t) => {
  const w = await world(t)
  await w.founder()
  const alice = await w.person('alice', { displayName: 'Alice Example' })
  await w.workload('payments-orchestrator', alice, { purpose: 'moves money' })
  await w.workload('billing', alice, { environment: 'staging' })
  const names = async (query: Parameters<typeof IdentityQuery.parse>[0]) =>
    (await listIdentities(w.db, IdentityQuery.parse(query))).items.map((each) => each.name)

  assert.deepEqual(await names({ q: 'pay orch' }), ['payments-orchestrator'])
  assert.deepEqual(await names({ q: 'money' }), ['payments-orchestrator'])
  assert.deepEqual(await names({ q: 'EXAMP' }), ['alice'])
  assert.deepEqual(await names({ q: '!!!' }), [])
  assert.deepEqual(await names({ kind: 'workload', environment: 'staging' }), ['billing'])
  assert.deepEqual(await names({ ownerState: 'attested', ownerTeam: 'payments' }), ['billing', 'payments-orchestrator'])
  const paged: string[] = []
  let cursor: string | undefined
  do {
    const page = await listIdentities(w.db, IdentityQuery.parse({ limit: 1, cursor }))
    paged.push(...page.items.map((each) => each.name))
    cursor = page.nextCursor ?? undefined
  } while (cursor !== undefined)
  assert.deepEqual(paged, ['alice', 'billing', 'founder', 'payments-orchestrator'])
})

test('nothing typed into a search is an operator or breaks the query', async (t) => {
  const w = await world(t)

  await fc.assert(
    fc.asyncProperty(fc.string({ minLength: 1, maxLength: 60, unit: 'binary' }), async (typed) => {
      assert.ok(!/[^\p{L}\p{N}':*& ]/u.test(prefixQuery(typed)))
      await listIdentities(w.db, { q: typed, limit: 5 })
    }),
    { numRuns: 60 },
  )
})
