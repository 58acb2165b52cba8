import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { sql } from 'kysely'
import { inventoryWorld } from '../../../test/support/inventory-world.ts'
import { toyPrincipal, toySource } from '../../../test/support/toy-source.ts'
import { claimAccount } from '../../catalog/catalog.ts'
import { known, resource, unknown, type Observation } from '../../connectors/connector.ts'
import { loseOwner, registerIdentity, retireIdentity } from '../../identities/identities.ts'
import { RegisterIdentity, type Identity } from '../../identities/contract.ts'
import { resolveInventory } from '../../inventory/inventory.ts'
import { conflict, invalidInput } from '../../kernel/problem.ts'
import { SYSTEM } from '../../ledger/ledger.ts'
import { attestOwners, declineOwner, listCandidates, toAccept } from './candidates.ts'
import { AttestOwners, CandidateQuery } from './contract.ts'
import { evaluateOwners } from './evaluate.ts'

/** A target whose accounts are claimed by jobs of the same name, told with what each test says of them. */
async function scene(t: Pick<TestContext, 'after'>) {
  const i = await inventoryWorld(t)
  const { w } = i
  const founder = await w.founder()
  const target = await w.target('toys')
  const alice = await w.person('alice')
  const bob = await w.person('bob')
  const job = (name: string) =>
    w.run((tx) =>
      registerIdentity(
        tx,
        w.needs,
        w.permit('identity.register', founder),
        RegisterIdentity.decode({ kind: 'workload', name, profile: 'service' }),
      ),
    )
  const tell = async (observations: readonly Observation[], jobs: readonly Identity[]) => {
    const toy = toySource()
    toy.scopes.set('all', [observations])
    await i.collect(await i.source(toy.connector, {}, { target: 'toys', ownerTeam: 'security' }))
    for (const each of jobs) {
      const { id } = await w.db
        .selectFrom('account')
        .select('id')
        .where('targetId', '=', target.id)
        .where('name', '=', each.name)
        .executeTakeFirstOrThrow()
      await w.run((tx) =>
        claimAccount(tx, w.needs, w.permit('account.claim', founder, { type: 'Account', id }), { identity: each.name }),
      )
    }
    await w.run((tx) => resolveInventory(tx, w.needs, { actor: SYSTEM }))
  }
  const evaluate = () => w.run((tx) => evaluateOwners(tx, w.needs))
  const list = async (more: object = {}) =>
    (await listCandidates(w.db, w.clock, CandidateQuery.parse({ limit: 200, ...more }))).items
  const attest = (who: Identity, input: object) =>
    w.run((tx) => attestOwners(tx, w.needs, w.permit('owner.attest', who), AttestOwners.parse(input)))
  return { i, w, founder, alice, bob, job, tell, evaluate, list, attest }
}

test('evidence names candidates with its weights, the same day again changes nothing, and age takes from it', async (t) => {
  const s = await scene(t)
  const job = await s.job('app')
  await s.tell([toyPrincipal('1', { name: 'app', tags: { Owner: 'alice', team: 'payments' } })], [job])

  const first = await s.evaluate()
  const again = await s.evaluate()
  const fresh = await s.list()
  s.w.clock.advance(365 * 86_400)
  await s.evaluate()
  const old = await s.list()

  assert.equal(first.candidates, 2)
  assert.equal(again.changed, 0)
  // Of the team there are two, so it says 0.45 of each: 1 − 0.1 · 0.55 and 0.45.
  assert.deepEqual(
    fresh.map(({ owner, team, score, evidence }) => [
      owner,
      team,
      score,
      evidence.map(({ rule, weight }) => `${rule} ${weight}`),
    ]),
    [
      ['alice', 'payments', 94, ['tag 0.9', 'tag-team 0.45']],
      ['bob', 'payments', 45, ['tag-team 0.45']],
    ],
  )
  assert.deepEqual(
    old.map(({ owner, score }) => [owner, score]),
    [
      ['alice', 57],
      ['bob', 22],
    ],
  )
})

test('attack: a tag that lies makes a candidate, and no owner', async (t) => {
  const s = await scene(t)
  const job = await s.job('app')
  await s.tell(
    [
      toyPrincipal('1', {
        name: 'app',
        tags: { owner: 'bob', 'owned-by': 'nobody-there', contact: "alice'; drop table identity; --" },
      }),
    ],
    [job],
  )

  await s.evaluate()

  const { ownerState, ownerId } = await s.w.reload(job)
  assert.deepEqual([ownerState, ownerId], ['none', null])
  assert.deepEqual(
    (await s.list()).map(({ owner }) => owner),
    ['bob'],
  )
  await assert.rejects(s.attest(s.alice, { identities: ['app'] }), (error) => invalidInput.is(error))
  assert.equal((await s.w.reload(job)).ownerState, 'none')
})

test('a person accepts a list as one act, whoever approves it sees every line, and one entry says so', async (t) => {
  const s = await scene(t)
  const jobs = [await s.job('one'), await s.job('two'), await s.job('three')]
  await s.tell(
    [
      toyPrincipal('1', { name: 'one', tags: { owner: 'alice' } }),
      toyPrincipal('2', { name: 'two', tags: { owner: 'alice', team: 'payments' } }),
      toyPrincipal('3', { name: 'three', tags: { owner: 'bob', contact: 'alice@example.com' } }),
    ],
    jobs,
  )
  await s.evaluate()
  const lines = (await toAccept(s.w.db, s.alice.id, AttestOwners.parse({ every: true }))).map(({ line }) => line)

  const owned = await s.attest(s.alice, { every: true })

  assert.deepEqual(lines, [
    'one (workload, production, tier 2): a tag of it names them',
    'two (workload, production, tier 2): a tag of it names them; a tag of it names their team',
  ])
  assert.deepEqual(
    owned
      .toSorted((a, b) => a.name.localeCompare(b.name))
      .map(({ name, ownerId, ownerState, ownerTeam }) => [name, ownerId, ownerState, ownerTeam]),
    [
      ['one', s.alice.id, 'attested', null],
      ['two', s.alice.id, 'attested', 'payments'],
    ],
  )
  assert.equal((await s.w.kinds()).filter((kind) => kind === 'identity.ownership-accepted').length, 1)
  assert.deepEqual(
    (await s.list()).map(({ identity }) => identity),
    ['three', 'three'],
  )
  await assert.rejects(s.attest(s.alice, { identities: ['one'] }), (error) => invalidInput.is(error))
})

test('who declines is not proposed again; a leaver opens what they owned, and is no candidate', async (t) => {
  const s = await scene(t)
  const job = await s.job('app')
  await s.tell([toyPrincipal('1', { name: 'app', tags: { owner: 'alice', contact: 'bob' } })], [job])
  await s.evaluate()
  const decline = (who: Identity) =>
    s.w.run((tx) => declineOwner(tx, s.w.needs, s.w.permit('owner.decline', who), { identity: 'app' }))

  await decline(s.bob)
  await assert.rejects(decline(s.bob), (error) => conflict.is(error))
  await s.evaluate()
  assert.deepEqual(
    (await s.list()).map(({ owner }) => owner),
    ['alice'],
  )
  await s.attest(s.alice, { every: true })
  await s.evaluate()
  assert.deepEqual(await s.list(), [])
  await s.w.run((tx) =>
    loseOwner(tx, s.w.needs, s.w.permit('identity.lose-owner', s.founder, job), { reason: 'moved on' }),
  )
  await s.evaluate()
  assert.deepEqual(
    (await s.list()).map(({ owner }) => owner),
    ['alice'],
  )
  await s.w.run((tx) =>
    retireIdentity(tx, s.w.needs, s.w.permit('identity.retire', s.founder, s.alice), { reason: 'left' }),
  )
  await s.evaluate()

  assert.deepEqual(await s.list(), [])
})

test('every kind of evidence counts: who made it, who uses it, whose team keeps the system', async (t) => {
  const s = await scene(t)
  const job = await s.job('app')
  const maker = toyPrincipal('maker', { name: 'maker' })
  const at = (days: number) => new Date(s.w.clock.now().getTime() - days * 86_400_000)
  const use = (days: number): Observation => ({
    kind: 'usage',
    subject: { kind: 'toy', id: '1' },
    semantics: 'auth',
    at: at(days),
    count: 1,
    from: {},
    actor: known({ kind: 'toy', id: 'maker' }),
  })
  await s.w.person('carol')
  await s.tell(
    [
      toyPrincipal('1', { name: 'app', createdBy: known({ kind: 'toy', id: 'maker' }), createdAt: known(at(0)) }),
      maker,
      use(1),
      use(2),
      use(3),
    ],
    [job],
  )
  const { id } = await s.w.db.selectFrom('account').select('id').where('name', '=', 'maker').executeTakeFirstOrThrow()
  await s.w.run((tx) =>
    claimAccount(tx, s.w.needs, s.w.permit('account.claim', s.founder, { type: 'Account', id }), { identity: 'alice' }),
  )
  await s.w.run((tx) => resolveInventory(tx, s.w.needs, { actor: SYSTEM }))

  await s.evaluate()

  assert.deepEqual(
    (await s.list({ identity: 'app' })).map(({ owner, evidence }) => [owner, evidence.map(({ rule }) => rule)]),
    [
      ['alice', ['creator', 'sole-reader']],
      ['carol', ['system-team']],
    ],
  )
  const { rows } = await sql<{
    n: number
  }>`select count(*)::int as n from identity where owner_state <> 'none'`.execute(s.w.db)
  assert.equal(rows[0]?.n, 0)
})

test('attack: a thing that is called like the namespace names nobody; its labels and the code owners of what uses it do', async (t) => {
  const s = await scene(t)
  const job = await s.job('app')
  const labels = { tags: { owner: 'carol', team: 'security' } }
  await s.w.person('carol')
  const place = (id: string, type: string, more: object): Observation =>
    resource({ id: { kind: 'toy-place', id }, type, name: 'shop', ...more })
  const nothing = unknown('unsupported')
  const told = [
    toyPrincipal('1', { name: 'app', facts: { namespace: 'shop' } }),
    place('fake', 'configmap', labels),
    place('real', 'namespace', { tags: { owner: 'alice', team: 'payments' } }),
    place('code', 'repository', { facts: { codeOwners: ['@shop/payments', 'someone@example.com'] } }),
    {
      kind: 'credential',
      id: { kind: 'toy-secret', id: 'k' },
      principal: known({ kind: 'toy', id: '1' }),
      type: 'password',
      name: 'login',
      state: known('active'),
      createdAt: nothing,
      rotatedAt: nothing,
      expiresAt: nothing,
      fingerprints: known([]),
      scopes: known([]),
      bindings: known([]),
      strength: nothing,
      heldBy: nothing,
    },
    {
      kind: 'reference',
      id: { kind: 'toy-reference', id: 'r' },
      consumer: { kind: 'toy-place', id: 'code' },
      credential: { kind: 'toy-secret', id: 'k' },
      how: 'ci-secret',
      location: 'shop',
      evidence: 'static',
    },
  ] satisfies Observation[]
  await s.tell(told, [job])
  await s.evaluate()
  const named = await s.list({ identity: 'app' })

  const rules = (name: string) => named.find(({ owner }) => owner === name)?.evidence.map(({ rule }) => rule)
  assert.deepEqual(rules('alice'), ['namespace', 'code-owner-team', 'namespace-team'])
  assert.deepEqual(rules('bob'), ['code-owner-team', 'namespace-team'])
  assert.deepEqual(rules('carol'), ['system-team'])
})
