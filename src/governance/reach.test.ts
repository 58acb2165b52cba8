import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accessWorld, granted, type AccessWorld } from '../../test/support/access-world.ts'
import { claimAccount, recordSeen, retireAccount } from '../catalog/catalog.ts'
import { updateTarget } from '../catalog/targets.ts'
import type { Identity } from '../identities/contract.ts'
import { updateIdentity } from '../identities/identities.ts'
import { reachOf } from './reach.ts'
import { sweepReach, tierAfter } from './retier.ts'

const DAY_SECONDS = 86_400

type Seen = Parameters<typeof recordSeen>[3]

/** A reading of a target as the survey keeps it. */
const survey = (w: AccessWorld, targetId: string, seen: Seen) =>
  w.run((tx) =>
    recordSeen(tx, w.needs, targetId, seen, {
      actor: { id: w.alice.id, kind: 'human' },
      resource: { type: 'Target', id: targetId },
      outcome: 'done',
    }),
  )

async function claim(w: AccessWorld, targetId: string, name: string, who: Identity) {
  const { id } = await w.db
    .selectFrom('account')
    .select('id')
    .where('targetId', '=', targetId)
    .where('name', '=', name)
    .executeTakeFirstOrThrow()
  const permit = w.permit('account.claim', w.alice, { type: 'Account', id })
  await w.run((tx) => claimAccount(tx, w.needs, permit, { identity: who.name }))
  return id
}

async function swept(w: AccessWorld, who: Identity): Promise<Identity> {
  while (await sweepReach(w.db, w.access)) {
    // Until nothing is left.
  }
  return w.reload(who)
}

async function retierings(w: AccessWorld, who: Identity) {
  const rows = await w.db
    .selectFrom('ledgerEntry')
    .select('leaf')
    .where('kind', '=', 'identity.retiered')
    .orderBy('id')
    .execute()
  return rows.map(({ leaf }) => JSON.parse(leaf.toString())).filter(({ resource }) => resource.id === who.id)
}

const PLAIN = { name: 'reporting', attributes: { canLogIn: true } }
const needsOf = (w: AccessWorld) => ({ ...w.needs, ...w.access })

test('an identity that holds nothing is inventoried as a person set it, and one that reaches production is in scope', async (t) => {
  const w = await accessWorld(t)
  const job = await w.workload('job', w.alice, { tier: 3 })
  assert.equal((await swept(w, job)).tier, 3)
  assert.deepEqual(await retierings(w, job), [])

  await survey(w, w.orders.id, [PLAIN])
  await claim(w, w.orders.id, 'reporting', job)

  const found = await swept(w, job)
  assert.deepEqual(
    [found.tier, found.tierSet, found.tierReached],
    [1, 3, 1],
    'the stricter one counts, and both are kept',
  )
  const [entry] = await retierings(w, job)
  assert.deepEqual([entry.facts.from, entry.facts.tier, entry.facts.isInScope], [3, 1, true])
  assert.match(
    entry.facts.why.join('\n'),
    /it holds reporting@orders \(production\), which comes to tier 1: it is production/,
  )
})

test('what may be read counts whatever the verb, and outside production too', async (t) => {
  const w = await accessWorld(t)
  const vault = await w.target('vault', { environment: 'staging', sensitivity: 0 })
  const notes = await w.target('notes', { environment: 'development', sensitivity: 3 })
  await w.account(vault, 'reader', { roles: { 'postgres.read': 'readers' } })
  await w.account(notes, 'writer', { roles: { 'postgres.write': 'writers' }, tier: 3 })
  const [keys, editor] = [await w.workload('keys', w.alice), await w.workload('editor', w.alice, { tier: 3 })]
  await claim(w, vault.id, 'reader', keys)
  await claim(w, notes.id, 'writer', editor)
  const now = w.clock.now()

  const [reads, writes] = [await reachOf(w.db, keys.id, now), await reachOf(w.db, editor.id, now)]

  assert.deepEqual([reads.tier, reads.isInScope, reads.reached[0]?.actions], [0, true, ['postgres.read']])
  assert.match(reads.reached[0]?.fact ?? '', /what is read there is of tier 0/)
  assert.deepEqual([writes.tier, writes.isInScope], [2, false])
})

test('roles that an account is in count, however many steps away, and a circle of them ends', async (t) => {
  const w = await accessWorld(t)
  const lab = await w.target('lab', { environment: 'test', sensitivity: 3 })
  await survey(w, lab.id, [
    { name: 'svc', attributes: { memberOf: ['team'] } },
    { name: 'team', attributes: { memberOf: ['ops', 'svc'] } },
    { name: 'ops', attributes: { memberOf: ['root'], canCreateRole: true } },
    { name: 'root', attributes: { isSuperuser: true, memberOf: ['team'] } },
    { name: 'alone', attributes: {} },
  ])
  const [svc, alone] = [await w.workload('svc', w.alice), await w.workload('alone', w.alice)]
  await claim(w, lab.id, 'svc', svc)
  await claim(w, lab.id, 'alone', alone)
  const now = w.clock.now()

  const reach = await reachOf(w.db, svc.id, now)

  assert.equal(reach.isInScope, true)
  assert.match(reach.reached[0]?.fact ?? '', /it is a superuser there/)
  assert.ok((reach.tier ?? 3) <= 1)
  assert.deepEqual((await reachOf(w.db, alone.id, now)).isInScope, false)
})

test('what was granted lately is reach, and no longer after its time', async (t) => {
  const w = await accessWorld(t)
  granted(await w.ask(w.dave, { actions: ['postgres.read'] }))

  const lately = await reachOf(w.db, w.dave.id, w.clock.now())
  w.clock.advance(91 * DAY_SECONDS)
  const later = await reachOf(w.db, w.dave.id, w.clock.now())

  assert.deepEqual([lately.reached[0]?.by, lately.isInScope, lately.tier], ['grant', true, 1])
  assert.deepEqual([later.reached.length, later.tier], [0, null])
})

test('it is tiered again when its reach changes: at once where that is stricter, looser only when all was looked at', async (t) => {
  const w = await accessWorld(t)
  const lab = await w.target('lab', { environment: 'test', sensitivity: 3 })
  await survey(w, lab.id, [PLAIN])
  const job = await w.workload('job', w.alice, { tier: 3 })
  await claim(w, lab.id, 'reporting', job)
  assert.deepEqual((await swept(w, job)).tierReached, 3)
  const update = (change: Parameters<typeof updateTarget>[3]) =>
    w.run((tx) =>
      updateTarget(tx, needsOf(w), w.permit('target.update', w.alice, { type: 'Target', id: lab.id }), change),
    )

  await update({ environment: 'production', sensitivity: 0 })
  assert.equal((await swept(w, job)).tier, 0)
  await update({ environment: 'test', sensitivity: 3 })
  assert.equal((await swept(w, job)).tier, 0, 'orders was not looked at: what could not be seen is not gone')
  assert.deepEqual((await reachOf(w.db, job.id, w.clock.now())).unseen, ['orders'])

  await survey(w, w.orders.id, [PLAIN])
  await survey(w, lab.id, [PLAIN])
  w.clock.advance(3600)
  const loosened = await swept(w, job)

  assert.deepEqual([loosened.tier, loosened.tierReached], [3, 3])
  const entries = await retierings(w, job)
  assert.deepEqual(
    entries.map(({ facts }) => [facts.from, facts.tier, facts.isComplete]),
    [
      [3, 3, false],
      [3, 0, false],
      [0, 3, true],
    ],
  )
})

test('an account that is gone loosens the tier only when all was looked at, and its identity stays what a person set', async (t) => {
  const w = await accessWorld(t)
  await survey(w, w.orders.id, [PLAIN])
  await w.account(w.orders, 'batch')
  const job = await w.workload('job', w.alice, { tier: 2 })
  const account = await claim(w, w.orders.id, 'batch', job)
  assert.equal((await swept(w, job)).tier, 1)
  const set = (tier: number) =>
    w.run(async (tx) => updateIdentity(tx, w.needs, w.permit('identity.update', w.alice, job), { tier }))
  const looser = await set(3)
  assert.deepEqual([looser.tier, looser.tierSet], [1, 3], 'no person waves away what it reaches')
  const stricter = await set(0)
  assert.deepEqual([stricter.tier, stricter.tierSet], [0, 0])
  await set(2)

  const permit = w.permit('account.retire', w.alice, { type: 'Account', id: account })
  await w.run((tx) => retireAccount(tx, needsOf(w), permit, { reason: 'not needed any more' }))

  const after = await swept(w, job)
  assert.deepEqual([after.tier, after.tierReached], [2, 3])
})

test('without a whole look a tier only ever gets stricter', () => {
  for (const before of [null, 0, 1, 2, 3]) {
    for (const tier of [null, 0, 1, 2, 3]) {
      const partly = tierAfter(before, { tier, isComplete: false })
      assert.ok(before === null || (partly ?? 4) <= before)
      assert.ok(tier === null || (partly ?? 4) <= tier)
      assert.equal(tierAfter(before, { tier, isComplete: true }), before === null ? tier : (tier ?? 3))
    }
  }
})
