import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { sql } from 'kysely'
import { claimAccount } from '../../catalog/catalog.ts'
import { known, unknown, type Observation } from '../../connectors/connector.ts'
import type { Identity } from '../../identities/contract.ts'
import { conflict, invalidInput } from '../../kernel/problem.ts'
import { SYSTEM } from '../../ledger/ledger.ts'
import { inventoryWorld } from '../../../test/support/inventory-world.ts'
import { toyPrincipal, toySource } from '../../../test/support/toy-source.ts'
import { objectId } from '../object-id.ts'
import { linkObserved, listLinks, suggestLinks, unlinkObserved } from './links.ts'
import { mergeIdentities, splitIdentities } from './merges.ts'
import { resolveInventory } from './resolve.ts'
import { LinkQuery } from './contract.ts'

const NOTHING = unknown('unsupported')

function credential(
  id: string,
  principal: string | null,
  value: string,
  alg: 'hmac-sha256' | 'ssh-sha256' = 'hmac-sha256',
): Observation {
  const print = alg === 'hmac-sha256' ? { alg, keyId: 'a'.repeat(12), value: value.repeat(64) } : { alg, value }
  return {
    kind: 'credential',
    id: { kind: 'toy-secret', id },
    principal: principal === null ? NOTHING : known({ kind: 'toy', id: principal }),
    type: 'password',
    name: `secret ${id}`,
    state: known('active'),
    createdAt: NOTHING,
    rotatedAt: NOTHING,
    expiresAt: known('never'),
    fingerprints: known([print]),
    scopes: known([]),
    bindings: known([]),
    strength: NOTHING,
    heldBy: NOTHING,
  }
}

/** Two systems: one is the target `toys` as well, where identities claim accounts; the other is only read. */
async function scene(t: Pick<TestContext, 'after'>) {
  const i = await inventoryWorld(t)
  const { w } = i
  const founder = await w.founder()
  const target = await w.target('toys')
  const sources = new Map<string, string>()
  const tell = async (authority: string, observations: readonly Observation[]) => {
    const toy = toySource()
    toy.authority = authority
    toy.scopes.set('all', [observations])
    i.swap(toy.connector)
    const id =
      sources.get(authority) ?? (await i.source(toy.connector, {}, authority === 'toy:home' ? { target: 'toys' } : {}))
    sources.set(authority, id)
    return i.collect(id)
  }
  const claim = async (name: string, identity: Identity) => {
    const { id } = await w.db
      .selectFrom('account')
      .select('id')
      .where('targetId', '=', target.id)
      .where('name', '=', name)
      .executeTakeFirstOrThrow()
    const permit = w.permit('account.claim', founder, { type: 'Account', id })
    await w.run((tx) => claimAccount(tx, w.needs, permit, { identity: identity.name }))
  }
  return {
    i,
    w,
    founder,
    tell,
    claim,
    resolve: () => w.run((tx) => resolveInventory(tx, w.needs, { actor: SYSTEM })),
    links: async () => (await listLinks(w.db, w.clock, LinkQuery.parse({ limit: 200 }))).items,
    idOf: (authority: string, id: string, kind = 'toy') => objectId(authority, { kind, id }),
    rows: async () => [
      await w.db.selectFrom('recordLink').selectAll().orderBy('id').execute(),
      await w.db.selectFrom('identity').selectAll().orderBy('id').execute(),
      await w.db.selectFrom('account').selectAll().orderBy('id').execute(),
    ],
  }
}

test('a principal is the identity that claims its account, a secret elsewhere is known by its keyed fingerprint, and again changes nothing', async (t) => {
  const s = await scene(t)
  const alice = await s.w.person('alice')
  const job = await s.w.workload('job', alice)
  await s.tell('toy:home', [toyPrincipal('app', { name: 'app' }), credential('own', 'app', '1')])
  await s.tell('toy:vault', [credential('copy', null, '1'), credential('other', null, '2')])
  await s.claim('app', job)

  const first = await s.resolve()
  const rows = await s.rows()
  const second = await s.resolve()

  assert.deepEqual(
    [first, second],
    [
      { made: 2, ended: 0 },
      { made: 0, ended: 0 },
    ],
  )
  assert.deepEqual(await s.rows(), rows)
  assert.deepEqual(
    (await s.links()).map(({ observed, identity, how }) => `${observed} ${identity} ${how}`).toSorted(),
    ['app job native-id', 'secret copy job fingerprint'],
  )
  assert.equal((await s.w.kinds()).filter((kind) => kind === 'inventory.resolved').length, 1)
})

test('attack: two principals with the same name are never one, and a name is a suggestion at most', async (t) => {
  const s = await scene(t)
  const alice = await s.w.person('alice')
  const job = await s.w.workload('job', alice)
  await s.tell('toy:home', [toyPrincipal('1', { name: 'job' })])
  await s.claim('job', job)
  await s.tell('toy:evil', [toyPrincipal('1', { name: 'job', aliases: ['alice', 'job'] })])

  await s.resolve()

  const evil = s.idOf('toy:evil', '1')
  assert.notEqual(evil, s.idOf('toy:home', '1'))
  assert.deepEqual(
    (await s.links()).map(({ observedId }) => observedId),
    [s.idOf('toy:home', '1')],
  )
  assert.deepEqual(
    (await suggestLinks(s.w.db, evil)).map(({ identity, by }) => [identity, by]),
    [
      ['alice', 'same-name'],
      ['job', 'same-name'],
    ],
  )
})

test('attack: a source does not get into an account of another one, neither by its ids nor by a public key', async (t) => {
  const s = await scene(t)
  const alice = await s.w.person('alice')
  const job = await s.w.workload('job', alice)
  await s.tell('toy:home', [toyPrincipal('app', { name: 'app' }), credential('key', 'app', 'SHA256:abc', 'ssh-sha256')])
  await s.claim('app', job)
  const elsewhere = { kind: 'toy', id: 'app', authority: 'toy:home' }
  await s.tell('toy:evil', [
    toyPrincipal('app', { id: elsewhere, name: 'taken over' }),
    toyPrincipal('mine', { name: 'app' }),
    credential('key', 'mine', 'SHA256:abc', 'ssh-sha256'),
  ])

  await s.resolve()

  assert.deepEqual(
    (await s.links()).map(({ observedId, how }) => [observedId, how]),
    [[s.idOf('toy:home', 'app'), 'native-id']],
  )
  const kept = await s.w.db
    .selectFrom('observedPrincipal')
    .select(['name', 'accountId'])
    .where('id', '=', s.idOf('toy:home', 'app'))
    .executeTakeFirstOrThrow()
  assert.deepEqual([kept.name, kept.accountId !== null], ['app', true])
  const mine = s.idOf('toy:evil', 'mine')
  const { accountId } = await s.w.db
    .selectFrom('observedPrincipal')
    .select('accountId')
    .where('id', '=', mine)
    .executeTakeFirstOrThrow()
  assert.equal(accountId, null)
  assert.deepEqual(
    (await suggestLinks(s.w.db, mine)).map(({ identity, by }) => [identity, by]),
    [['job', 'public-fingerprint']],
  )
})

test('attack: who makes an account anew under a name, or beside it, is not the identity that claimed it', async (t) => {
  const s = await scene(t)
  const alice = await s.w.person('alice')
  const job = await s.w.workload('job', alice)
  const other = await s.w.workload('other', alice)
  const app = (id: string, name = 'app') => toyPrincipal(id, { name })
  const linked = async () => (await s.links()).map(({ observedId, identity }) => `${identity} ${observedId}`).toSorted()
  const as = (identity: string, id: string) => `${identity} ${s.idOf('toy:home', id)}`
  await s.tell('toy:home', [app('1')])
  await s.claim('app', job)
  await s.resolve()

  // An application of the same name beside it; then it is renamed and another one takes its name; then it is gone.
  await s.tell('toy:home', [app('1'), app('2')])
  await s.resolve()
  const beside = await linked()
  await s.tell('toy:home', [app('1', 'app-old'), app('2')])
  await s.resolve()
  const renamed = await linked()
  await s.tell('toy:home', [app('2')])
  await s.tell('toy:home', [app('2')])
  await s.resolve()
  const gone = await linked()

  assert.deepEqual([beside, renamed, gone], [[as('job', '1')], [as('job', '1')], []])
  // A person says that it is the same, or claims the account for what it is now.
  await s.w.run((tx) =>
    linkObserved(tx, s.w.needs, s.w.permit('inventory.link', s.founder, { type: 'Identity', id: job.id }), {
      observed: s.idOf('toy:home', '2'),
      reason: 'it was made anew by a migration',
    }),
  )
  await s.resolve()
  assert.deepEqual(await linked(), [as('job', '2')])
  await s.claim('app', other)
  await s.resolve()
  assert.deepEqual(await linked(), [as('other', '2')])
})

test('of two that have one name when it is claimed, nobody says which it is but a person', async (t) => {
  const s = await scene(t)
  const job = await s.w.workload('job', await s.w.person('alice'))
  await s.tell('toy:home', [toyPrincipal('1', { name: 'app' }), toyPrincipal('2', { name: 'app' })])
  await s.claim('app', job)

  assert.deepEqual(await s.resolve(), { made: 0, ended: 0 })
  await s.tell('toy:home', [toyPrincipal('1', { name: 'app' }), toyPrincipal('2', { name: 'robot' })])
  assert.deepEqual(await s.resolve(), { made: 1, ended: 0 })
})

test('a secret that two identities hold is nobody’s by its fingerprint', async (t) => {
  const s = await scene(t)
  const alice = await s.w.person('alice')
  const one = await s.w.workload('one', alice)
  const other = await s.w.workload('other', alice)
  await s.tell('toy:home', [
    toyPrincipal('a', { name: 'a' }),
    toyPrincipal('b', { name: 'b' }),
    credential('ka', 'a', '1'),
    credential('kb', 'b', '1'),
  ])
  await s.tell('toy:vault', [credential('copy', null, '1')])
  await s.claim('a', one)
  await s.resolve()
  assert.equal((await s.links()).length, 3)

  await s.claim('b', other)
  await s.resolve()

  assert.deepEqual(
    (await s.links()).map(({ how }) => how),
    ['native-id', 'native-id'],
  )
})

test('a person links and unlinks; what they took apart is not made again, and a claim is worth more than a word', async (t) => {
  const s = await scene(t)
  const { w, founder } = s
  const alice = await w.person('alice')
  const job = await w.workload('job', alice)
  const other = await w.workload('other', alice)
  await s.tell('toy:home', [toyPrincipal('app', { name: 'app' }), credential('own', 'app', '1')])
  await s.tell('toy:vault', [credential('copy', null, '1'), toyPrincipal('robot')])
  await s.claim('app', job)
  await s.resolve()
  const link = (identity: Identity, observed: string) =>
    w.run((tx) =>
      linkObserved(tx, w.needs, w.permit('inventory.link', founder, { type: 'Identity', id: identity.id }), {
        observed,
        reason: 'looked at it',
      }),
    )
  const unlink = (identity: Identity, observed: string) =>
    w.run((tx) =>
      unlinkObserved(tx, w.needs, w.permit('inventory.unlink', founder, { type: 'Identity', id: identity.id }), {
        observed,
        reason: 'was wrong',
      }),
    )
  const copy = s.idOf('toy:vault', 'copy', 'toy-secret')
  const robot = s.idOf('toy:vault', 'robot')
  const app = s.idOf('toy:home', 'app')

  await assert.rejects(link(other, copy), (error) => conflict.is(error))
  await assert.rejects(unlink(job, app), (error) => conflict.is(error))
  assert.equal((await unlink(job, copy)).state, 'declined')
  assert.deepEqual(await s.resolve(), { made: 0, ended: 0 })
  assert.equal((await link(other, copy)).how, 'attested')
  assert.equal((await link(job, robot)).how, 'attested')
  assert.equal((await unlink(job, robot)).state, 'ended')
  assert.equal((await link(job, robot)).state, 'active')
  await s.resolve()

  assert.deepEqual(
    (await s.links()).map(({ observed, identity, how }) => `${observed} ${identity} ${how}`).toSorted(),
    ['app job native-id', 'secret copy other attested', 'toy robot job attested'],
  )
  const kinds = await w.kinds()
  assert.deepEqual(
    [
      kinds.filter((kind) => kind === 'inventory.linked').length,
      kinds.filter((kind) => kind === 'inventory.unlinked').length,
    ],
    [3, 2],
  )
})

test('merged and split again, everything is as before but for the entries that say so', async (t) => {
  const s = await scene(t)
  const { w, founder } = s
  const alice = await w.person('alice')
  const [one, other, third] = [
    await w.workload('one', alice),
    await w.workload('other', alice),
    await w.workload('third', alice),
  ]
  await s.tell('toy:home', [toyPrincipal('app', { name: 'app' })])
  await s.claim('app', one)
  await s.resolve()
  const before = await s.rows()
  const merge = (from: Identity, into: Identity) =>
    w.run((tx) =>
      mergeIdentities(tx, w.needs, w.permit('inventory.merge', founder, { type: 'Identity', id: from.id }), {
        into: into.name,
        reason: 'the same job',
      }),
    )
  const split = (of: Identity) =>
    w.run((tx) =>
      splitIdentities(tx, w.needs, w.permit('inventory.split', founder, { type: 'Identity', id: of.id }), {
        reason: 'two after all',
      }),
    )
  const countsAs = async () =>
    (await sql<{ id: string }>`select identity_id as id from linked_identity`.execute(w.db)).rows.map(({ id }) => id)

  await merge(one, other)
  assert.deepEqual(await countsAs(), [other.id])
  await assert.rejects(merge(other, third), (error) => conflict.is(error))
  await assert.rejects(merge(third, one), (error) => conflict.is(error))
  await assert.rejects(merge(one, third), (error) => conflict.is(error))
  await assert.rejects(merge(third, alice), (error) => invalidInput.is(error))
  await assert.rejects(merge(third, third), (error) => invalidInput.is(error))
  await split(one)

  assert.deepEqual(await countsAs(), [one.id])
  assert.deepEqual(await s.rows(), before)
  await assert.rejects(split(one), (error) => conflict.is(error))
  assert.deepEqual((await w.kinds()).slice(-2), ['inventory.merged', 'inventory.split'])
  assert.equal((await merge(other, third)).state, 'active')
})

test('the database holds what no command does: one link at a time, merges of one hop', async (t) => {
  const s = await scene(t)
  const { w } = s
  const alice = await w.person('alice')
  const [one, other, third] = [
    await w.workload('one', alice),
    await w.workload('other', alice),
    await w.workload('third', alice),
  ]
  const merge = (identityId: string, intoId: string) =>
    w.run(async (tx) => {
      const cause = await w.needs.ledger.record(tx, {
        actor: SYSTEM,
        event: (await import('./events.ts')).inventoryResolved,
        resource: { type: 'Identity', id: identityId },
        outcome: 'done',
        facts: { made: 0, ended: 0, byNativeId: 0, byFingerprint: 0 },
      })
      await tx
        .insertInto('identityMerge')
        .values({ id: s.idOf('merge', identityId + intoId), identityId, intoId, madeAt: w.clock.now(), cause })
        .execute()
    })

  await merge(one.id, other.id)

  await assert.rejects(merge(other.id, third.id), /one hop/)
  await assert.rejects(merge(third.id, one.id), /one hop/)
})
