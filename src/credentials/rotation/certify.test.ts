import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { permitFor } from '../../../test/support/permit.ts'
import { transact } from '../../kernel/db.ts'
import type { Entity } from '../../kernel/entity.ts'
import { decide, loadPolicySet, openCedarEngine } from '../../policy/policy.ts'
import { newId, systemRandom } from '../../kernel/random.ts'
import { certifiedResource, certifyAccount, listCertifications } from './certify.ts'
import { rotationDue } from './events.ts'
import { rotationSite } from './rotation.fixture.ts'
import { scheduleRotation, startRotation } from './start.ts'

const site = rotationSite()
const POLICIES = join(import.meta.dirname, '../../../policies')
const REASON = 'a test says so'

type Setting = Awaited<ReturnType<typeof site.setting>>

/** A person, or a workload that a person owns. */
async function identity({ clock, needs }: Setting, ownerId?: string): Promise<string> {
  const id = newId(clock, systemRandom)
  const isPerson = ownerId === undefined
  await transact(site.home.db, async (tx) => {
    const cause = await needs.ledger.record(tx, {
      event: rotationDue,
      actor: { id: '00000000-0000-7000-8000-000000000000', kind: 'human' },
      resource: { type: 'Identity', id },
      outcome: 'done',
      facts: { principal: 'x', isStarted: false },
    })
    await tx
      .insertInto('identity')
      .values({
        id,
        kind: isPerson ? 'human' : 'workload',
        name: `i-${id}`,
        profile: isPerson ? 'person' : 'service',
        environment: 'production',
        tier: 2,
        ownerId: ownerId ?? null,
        ownerTeam: isPerson ? null : 'payments',
        ownerState: isPerson ? 'none' : 'attested',
        state: 'active',
        createdAt: clock.now(),
        cause,
      })
      .execute()
  })
  return id
}

/** What the shipped policies say to a person of the owner team who wants to certify the account. */
async function answer({ account, needs }: Setting, personId: string): Promise<string> {
  using engine = openCedarEngine(await loadPolicySet(POLICIES, []))
  const resource = await certifiedResource(site.home.db, needs, account.accountId)
  const attributes = {
    id: personId,
    name: 'p',
    profile: 'person',
    tier: 2,
    state: 'active',
    ownerState: 'none',
    proof: 'token',
    isFounder: false,
  }
  const parents = [{ type: 'Team', id: 'payments' }]
  const subject: Entity = { type: 'Person', id: personId, attributes, parents }
  const context = { channel: 'api', requestKind: 'ordinary', freeze: false, bootstrap: false, reasonGiven: true }
  const decision = decide(
    engine,
    { subject, onBehalfOf: [], action: { name: 'account.certify' }, resource, context },
    { decisionId: 'd', epoch: '1', now: needs.clock.now(), entities: [subject, resource] },
  )
  assert.deepEqual(decision.errors, [])
  return decision.decision ? 'yes' : JSON.stringify(decision)
}

const REFUSED = /who rotates a credential, or gave it, does not certify it/

function starting(setting: Setting, by: string, kind: 'Person' | 'Workload' = 'Person') {
  const { account, needs } = setting
  const permit = permitFor('rotation.start', { type: kind, id: by }, { type: 'Account', id: account.accountId })
  const input = { reason: REASON, endSessions: false }
  return transact(site.home.db, (tx) => startRotation(tx, needs, permit, input))
}

test('attack: who rotated a login certifies it: refused, with the sentence, and not a year later', async () => {
  const setting = await site.setting()
  const [rotator, other] = [await identity(setting), await identity(setting)]
  assert.equal(await answer(setting, rotator), 'yes')
  await starting(setting, rotator)

  assert.match(await answer(setting, rotator), REFUSED)
  assert.equal(await answer(setting, other), 'yes')
  setting.clock.ahead(367 * 86_400)
  assert.equal(await answer(setting, rotator), 'yes')
})

test('attack: a robot of mine rotates, and I certify', async () => {
  const setting = await site.setting()
  const owner = await identity(setting)
  await starting(setting, await identity(setting, owner), 'Workload')

  assert.match(await answer(setting, owner), REFUSED)
})

test('attack: who rotated the provisioner, which can change every login, or set the schedule, certifies', async () => {
  const { db } = site.home
  const setting = await site.setting()
  const [started, scheduled] = [await identity(setting), await identity(setting)]
  const { account, needs } = setting
  const ofTarget = permitFor(
    'rotation.start-provisioner',
    { type: 'Person', id: started },
    { type: 'Target', id: account.targetId },
  )
  await transact(db, (tx) => startRotation(tx, needs, ofTarget, { reason: REASON, endSessions: false }))
  const ofAccount = permitFor(
    'rotation.schedule',
    { type: 'Person', id: scheduled },
    { type: 'Account', id: account.accountId },
  )
  await transact(db, (tx) => scheduleRotation(tx, needs, ofAccount, { everyDays: 30, reason: REASON }))

  assert.match(await answer(setting, started), REFUSED)
  assert.match(await answer(setting, scheduled), REFUSED)
})

test('attack: between the decision and the word somebody rotates: the word is not taken', async () => {
  const setting = await site.setting()
  const { account, needs, clock } = setting
  const person = await identity(setting)
  const permit = permitFor(
    'account.certify',
    { type: 'Person', id: person },
    { type: 'Account', id: account.accountId },
  )
  const goodBefore = new Date(clock.now().getTime() + 86_400_000)
  assert.equal(await answer(setting, person), 'yes')
  await starting(setting, person)

  await assert.rejects(
    transact(site.home.db, (tx) => certifyAccount(tx, needs, permit, { goodBefore, statement: REASON })),
    { slug: 'conflict' },
  )
})

test('a word is kept with who and when, and is not given for longer than a year or for the past', async () => {
  const setting = await site.setting()
  const { account, needs, clock } = setting
  const person = await identity(setting)
  const permit = permitFor(
    'account.certify',
    { type: 'Person', id: person },
    { type: 'Account', id: account.accountId },
  )
  const word = (days: number) =>
    transact(site.home.db, (tx) => {
      const goodBefore = new Date(clock.now().getTime() + days * 86_400_000)
      return certifyAccount(tx, needs, permit, { goodBefore, statement: REASON })
    })

  for (const days of [-1, 0, 400]) await assert.rejects(word(days), { slug: 'invalid-input' })
  const given = await word(365)

  const { items } = await listCertifications(site.home.db, account.accountId, { limit: 10 })
  assert.deepEqual(items, [given])
  assert.deepEqual([given.certifierId, given.accountId], [person, account.accountId])
})
