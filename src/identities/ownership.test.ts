import assert from 'node:assert/strict'
import { test } from 'node:test'
import { world, type World } from '../../test/support/world.ts'
import { conflict, invalidInput } from '../kernel/problem.ts'
import { ownAttestation, RegisterIdentity, type Identity } from './contract.ts'
import {
  activateIdentity,
  assignOwner,
  attestOwner,
  isBootstrap,
  loseOwner,
  registerIdentity,
  tiedPeople,
} from './identities.ts'

function registerJob(w: World, by: Identity): Promise<Identity> {
  const input = RegisterIdentity.decode({ kind: 'workload', name: 'job', profile: 'pipeline' })
  return w.run((tx) => registerIdentity(tx, w.needs, w.permit('identity.register', by), input))
}

function assign(w: World, by: Identity, what: Identity, owner: string): Promise<Identity> {
  const input = { ownerTeam: 'payments', owner, evidence: 'wrote the first version' }
  return w.run((tx) => assignOwner(tx, w.needs, w.permit('identity.assign-owner', by, what), input))
}

function attest(w: World, by: Identity, what: Identity): Promise<Identity> {
  return w.run((tx) => attestOwner(tx, w.needs, w.permit('identity.attest-owner', by, what)))
}

test('an owner is suggested with evidence and attested by the person who is named', async (t) => {
  const w = await world(t)
  const founder = await w.founder()
  const alice = await w.person('alice')
  const job = await registerJob(w, founder)

  const suggested = await assign(w, founder, job, 'alice')
  const attested = await attest(w, alice, job)

  assert.equal(suggested.ownerState, 'suggested')
  assert.equal(suggested.ownerProposedBy, founder.id)
  assert.equal(suggested.ownerEvidence, 'wrote the first version')
  assert.equal(attested.ownerState, 'attested')
  assert.equal(attested.ownerId, alice.id)
})

test('attack: who suggests themselves as the owner does not attest it, once there is a second person', async (t) => {
  const w = await world(t)
  const founder = await w.founder()
  await w.person('alice')
  const job = await registerJob(w, founder)
  await assign(w, founder, job, 'founder')

  await assert.rejects(attest(w, founder, job), (error) => ownAttestation.is(error))

  assert.equal((await w.reload(job)).ownerState, 'suggested')
})

test('attack: a person does not attest by a further identity what they suggested by the first', async (t) => {
  const w = await world(t)
  const founder = await w.founder()
  const alice = await w.person('alice')
  const input = RegisterIdentity.decode({ kind: 'human', name: 'founder-2', profile: 'person', owner: 'founder' })
  const further = await w.run((tx) => registerIdentity(tx, w.needs, w.permit('identity.register', alice), input))
  const job = await registerJob(w, founder)
  await assign(w, founder, job, 'founder-2')
  await w.run((tx) => activateIdentity(tx, w.needs, w.permit('identity.activate', alice, further)))

  await assert.rejects(attest(w, further, job), (error) => ownAttestation.is(error))
})

test('attack: nobody attests for the person who is named, not even the founder', async (t) => {
  const w = await world(t)
  const founder = await w.founder()
  const bob = await w.person('bob')
  await w.person('alice')
  const job = await registerJob(w, founder)
  await assign(w, founder, job, 'alice')

  for (const other of [bob, founder]) {
    await assert.rejects(attest(w, other, job), (error) => ownAttestation.is(error))
  }
})

test('while only the founder can act, the founder attests what the founder suggested', async (t) => {
  const w = await world(t)
  const founder = await w.founder()
  const job = await registerJob(w, founder)
  await assign(w, founder, job, 'founder')
  assert.equal(await isBootstrap(w.db), true)

  const attested = await attest(w, founder, job)

  assert.equal(attested.ownerState, 'attested')
  await w.person('alice')
  assert.equal(await isBootstrap(w.db), false)
})

test('a new suggestion takes the attestation away', async (t) => {
  const w = await world(t)
  const founder = await w.founder()
  const alice = await w.person('alice')
  await w.person('bob')
  const job = await w.workload('job', alice)

  const again = await assign(w, founder, job, 'bob')

  assert.equal(again.ownerState, 'suggested')
})

test('only a person who is there answers for something, and nothing answers for itself', async (t) => {
  const w = await world(t)
  const founder = await w.founder()
  const alice = await w.person('alice')
  const job = await w.workload('job', alice)
  const other = await w.workload('other', alice)

  await assert.rejects(assign(w, founder, job, 'other'), (error) => invalidInput.is(error))
  await assert.rejects(assign(w, founder, alice, 'alice'), (error) => invalidInput.is(error))
  await assert.rejects(attest(w, other, job), (error) => conflict.is(error))
})

test('an owner who is lost is told to the hook, and is not lost twice', async (t) => {
  const w = await world(t)
  const founder = await w.founder()
  const alice = await w.person('alice')
  const job = await w.workload('job', alice)
  const lose = () =>
    w.run((tx) => loseOwner(tx, w.needs, w.permit('identity.lose-owner', founder, job), { reason: 'left the team' }))

  const lost = await lose()

  assert.equal(lost.ownerState, 'lost')
  assert.deepEqual(
    w.ended.map((each) => [each.identityId, each.reason]),
    [[job.id, 'owner-lost']],
  )
  await assert.rejects(lose, (error) => conflict.is(error))
})

test('tied to an identity are its owner, sponsor, proposer and every further identity of these people, and nobody else', async (t) => {
  const w = await world(t)
  const founder = await w.founder()
  const alice = await w.person('alice')
  const bob = await w.person('bob')
  const carol = await w.person('carol')
  const bot = await w.agent('bot', alice, { sponsor: bob.id })
  const input = RegisterIdentity.decode({ kind: 'human', name: 'alice-glass', profile: 'break-glass', owner: 'alice' })
  const glass = await w.run((tx) => registerIdentity(tx, w.needs, w.permit('identity.register', founder), input))

  assert.deepEqual(await tiedPeople(w.db, bot.id), new Set([alice.id, bob.id, glass.id]))
  assert.deepEqual(await tiedPeople(w.db, glass.id), new Set([alice.id, glass.id, founder.id]))
  assert.deepEqual(await tiedPeople(w.db, carol.id), new Set([carol.id]))
  const job = await registerJob(w, founder)
  await assign(w, founder, job, 'carol')
  assert.deepEqual(await tiedPeople(w.db, job.id), new Set([carol.id, founder.id]))
})
