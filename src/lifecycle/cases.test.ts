import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { lifecycleWorld, type LifecycleWorld } from '../../test/support/lifecycle-world.ts'
import type { Identity } from '../identities/contract.ts'
import { actOf, issueToken, resumeIdentity, suspendExpired, updateIdentity } from '../identities/identities.ts'
import { onReach } from '../kernel/fault.ts'
import { Problem } from '../kernel/problem.ts'
import { ensureCase, holdCaseRow, lockCase, releaseCase, reopen } from './cases.ts'
import { readCase } from './reads.ts'
import { advanceCases } from './steps.ts'
import { sweepDates } from './sweep.ts'

const DAY_SECONDS = 86_400

async function open(w: LifecycleWorld, identity: Identity, soakDays?: number): Promise<string> {
  const act = actOf(w.permit('case.open', w.carol, identity))
  const opening = { identityId: identity.id, reason: 'person', detail: 'nobody needs it', soakDays } as const
  return (await w.run((tx) => ensureCase(tx, w.lifecycle, act, opening))).id
}

async function stateOf(w: LifecycleWorld, id: string): Promise<string> {
  const row = await w.db
    .selectFrom('lifecycleCase')
    .select(['state', 'heldBecause'])
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
  return row.heldBecause === null ? row.state : `${row.state}, held`
}

test('a case stops an identity, soaks, retires it, and closes when all it held is proven dead, with the proofs', async (t) => {
  const w = await lifecycleWorld(t)
  const job = await w.workload('nightly', w.alice)
  const bearer = { caller: { proof: 'token', proofId: job.id }, input: { label: 'ci', ttlSeconds: 3600 } } as const
  await w.run((tx) => issueToken(tx, w.lifecycle, w.permit('token.issue', w.alice, job), bearer))

  const id = await open(w, job, 7)
  await w.carryOn()
  assert.equal(await stateOf(w, id), 'soaking')
  assert.equal((await w.reload(job)).state, 'suspended')
  const soaking = await readCase(w.db, id, w.clock.now())
  assert.deepEqual([soaking.dependencies?.liveTokens, soaking.dependencies?.accounts], [1, []])
  assert.deepEqual(
    soaking.obligations.map(({ kind, isDead }) => [kind, isDead]),
    [['token', false]],
  )

  w.clock.advance(7 * DAY_SECONDS - 1)
  await w.carryOn()
  assert.equal(await stateOf(w, id), 'soaking')
  w.clock.advance(1)
  await w.carryOn()

  assert.equal(await stateOf(w, id), 'closed')
  assert.equal((await w.reload(job)).state, 'retired')
  const { obligations } = await readCase(w.db, id, w.clock.now())
  assert.ok(obligations.every(({ isDead }) => isDead))
  assert.deepEqual(
    (await w.kinds()).filter((kind) => kind.startsWith('case.')),
    ['case.opened', 'case.moved', 'case.moved', 'case.moved', 'case.moved', 'case.closed'],
  )
})

test('a case with something that is not proven dead does not close, and says what', async (t) => {
  const w = await lifecycleWorld(t)
  const job = await w.workload('nightly', w.alice)
  await w.run(async (tx) => {
    const cause = await w.needs.ledger.record(tx, {
      event: (await import('./events.ts')).caseItemClosed,
      actor: { id: null, kind: 'system' },
      resource: { type: 'Account', id: w.app.id },
      outcome: 'done',
      facts: { itemId: w.app.id, evidence: 'a test claims it' },
    })
    await tx.updateTable('account').set({ identityId: job.id, cause }).where('id', '=', w.app.id).execute()
  })

  const id = await open(w, job, 0)
  await w.carryOn()
  assert.equal(await stateOf(w, id), 'checked, held', 'an account that stands elsewhere is for a person to look at')
  const row = await w.run(async (tx) => {
    const seen = await lockCase(tx, id)
    await releaseCase(tx, w.lifecycle, actOf(w.permit('case.advance', w.carol, job)), {
      row: seen,
      reason: 'nobody uses it',
    })
    return seen
  })
  assert.match(row.heldBecause ?? '', /claims orders\/app/)
  await w.carryOn()

  assert.equal(await stateOf(w, id), 'retired')
  const open_ = (await readCase(w.db, id, w.clock.now())).obligations.filter(({ isDead }) => !isDead)
  assert.deepEqual(
    open_.map(({ kind, label }) => [kind, label]),
    [['account', 'orders/app']],
  )
})

test('a process that dies between any two steps leaves a case that the next one carries to its end, each step once', async (t) => {
  const w = await lifecycleWorld(t)
  const job = await w.workload('nightly', w.alice)
  const id = await open(w, job, 0)
  let deaths = 0
  for (let at = 0; (await stateOf(w, id)) !== 'closed'; at += 1) {
    assert.ok(at < 40, 'it comes to an end')
    using dying = onReach((label) => {
      // Its transaction is committed, and nobody knows of it yet; every other step nobody dies.
      if (label !== 'kernel.committed' || at % 2 === 1) return
      deaths += 1
      throw new Error('killed')
    })
    void dying
    await advanceCases(w.db, w.lifecycle).catch(() => 0)
  }

  assert.ok(deaths >= 3)
  assert.deepEqual(
    (await w.kinds()).filter(
      (kind) => kind.startsWith('case.') || kind === 'identity.suspended' || kind === 'identity.retired',
    ),
    [
      'case.opened',
      'identity.suspended',
      'case.moved',
      'case.moved',
      'case.moved',
      'identity.retired',
      'case.moved',
      'case.closed',
    ],
  )
})

test('two workers on the same case take each step once', async (t) => {
  const w = await lifecycleWorld(t)
  const ids = [await open(w, await w.workload('one', w.alice), 0), await open(w, await w.workload('two', w.alice), 0)]
  for (let at = 0; at < 12; at += 1)
    await Promise.all([
      advanceCases(w.db, w.lifecycle),
      advanceCases(w.db, w.lifecycle),
      advanceCases(w.db, w.lifecycle),
    ])

  for (const id of ids) assert.equal(await stateOf(w, id), 'closed')
  const kinds = await w.kinds()
  assert.equal(kinds.filter((kind) => kind === 'identity.retired').length, 2)
  assert.equal(kinds.filter((kind) => kind === 'case.moved').length, 8)
})

test('no order of steps, holds, releases, returns and days retires what was held, nor brings back what was retired', async (t) => {
  const w = await lifecycleWorld(t)
  let made = 0
  const act = (who = w.carol) => actOf(w.permit('case.hold', who, w.alice))
  const moves = {
    step: () => advanceCases(w.db, w.lifecycle).then(() => {}),
    day: async () => w.clock.advance(DAY_SECONDS),
    hold: (id: string) =>
      w.run(async (tx) =>
        holdCaseRow(tx, w.lifecycle, act(), { row: await lockCase(tx, id), because: 'wait a little' }),
      ),
    release: (id: string) =>
      w.run(async (tx) => releaseCase(tx, w.lifecycle, act(), { row: await lockCase(tx, id), reason: 'go on then' })),
    reopen: (id: string) =>
      w.run(async (tx) => reopen(tx, w.lifecycle, act(), { row: await lockCase(tx, id), reason: 'it is needed' })),
    resume: (_id: string, job: Identity) =>
      w.run((tx) => resumeIdentity(tx, w.lifecycle, w.permit('identity.resume', w.carol, job))).then(() => {}),
  }
  const names = Object.keys(moves) as (keyof typeof moves)[]
  await fc.assert(
    fc.asyncProperty(fc.array(fc.constantFrom(...names), { minLength: 3, maxLength: 14 }), async (steps) => {
      const job = await w.workload(`job-${(made += 1)}`, w.alice)
      const id = await open(w, job, 1)
      for (const name of steps) {
        const before = await stateOf(w, id)
        const was = (await w.reload(job)).state
        try {
          await moves[name](id, job)
        } catch (error) {
          assert.ok(error instanceof Problem, String(error))
        }
        const [now, is] = [await stateOf(w, id), (await w.reload(job)).state]
        if (before.endsWith(', held') && name === 'step') assert.equal(now, before)
        if (was === 'retired') assert.equal(is, 'retired')
        if (now === 'reopened') assert.ok(is === 'active' || is === 'suspended')
        if (name === 'step' && is === 'active') assert.match(now, /held$|^reopened$/)
        if (now === 'retired' || now === 'closed') assert.equal(is, 'retired')
      }
    }),
    { numRuns: 25 },
  )
})

test('whoever lets an identity act again during a soak has kept it: its case is over', async (t) => {
  const w = await lifecycleWorld(t)
  const job = await w.workload('nightly', w.alice)
  const id = await open(w, job)
  await w.carryOn()
  await w.run((tx) => resumeIdentity(tx, w.lifecycle, w.permit('identity.resume', w.carol, job)))
  w.clock.advance(15 * DAY_SECONDS)
  await w.carryOn()

  assert.equal(await stateOf(w, id), 'reopened')
  assert.equal((await w.reload(job)).state, 'active')
})

test('what expired is stopped and gets a case; what should have been reviewed is attested no more', async (t) => {
  const w = await lifecycleWorld(t)
  const job = await w.workload('nightly', w.alice)
  const other = await w.workload('weekly', w.alice)
  const at = (days: number) => new Date(w.clock.now().getTime() + days * DAY_SECONDS * 1000)
  await w.run((tx) => updateIdentity(tx, w.lifecycle, w.permit('identity.update', w.carol, job), { expiresAt: at(1) }))
  await w.run((tx) => updateIdentity(tx, w.lifecycle, w.permit('identity.update', w.carol, other), { reviewBy: at(1) }))
  await sweepDates(w.db, w.lifecycle)
  assert.equal((await w.reload(other)).ownerState, 'attested')
  w.clock.advance(DAY_SECONDS)

  await suspendExpired(w.db, w.lifecycle)
  await sweepDates(w.db, w.lifecycle)
  await w.carryOn()

  const cases = await w.db.selectFrom('lifecycleCase').select(['identityId', 'reason', 'state']).execute()
  assert.deepEqual(cases, [{ identityId: job.id, reason: 'expired', state: 'soaking' }])
  const after = await w.reload(other)
  assert.deepEqual([after.ownerState, after.ownerEvidence], ['suggested', 'attested before its review was due'])
  assert.equal(await sweepDates(w.db, w.lifecycle), 0, 'and only once')
})
