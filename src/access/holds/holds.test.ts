import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { accessWorld, granted, refusalOf } from '../../../test/support/access-world.ts'
import { RegisterIdentity, type Identity } from '../../identities/contract.ts'
import { activateIdentity, registerIdentity } from '../../identities/identities.ts'
import { parseApproval } from '../../policy/policy.ts'
import { onReach } from '../../kernel/fault.ts'
import { beginUse, closeUse, endGrant, sweepAccess } from '../access.ts'
import { abandonUses } from '../use.ts'
import type { HOLD_FAULT_POINTS } from './fault-points.ts'
import { dropHolds, expireHolds, makeHold, useHold } from './hold.ts'
import { listHolds, loadHoldDetail, mustLoadHold } from './records.ts'
import { refuseHold, releaseHold } from './say.ts'

const HELD = `
@id("reads-are-watched")
@why("what destroys is released by the owner team")
@hold("destructive")
permit (principal is Reeve::Person, action in Reeve::Action::"privileged.read", resource)
when { context has purpose && context.purpose.approved && context.purpose.covers };
`

async function heldWorld(t: TestContext) {
  const w = await accessWorld(t, { policies: (shipped) => `${shipped}${HELD}` })
  const grantId = granted(await w.ask(w.dave, { actions: ['postgres.read'], ttlSeconds: 3600 }))
  const ticket = await w.ticket(grantId)
  const session = async () => {
    const use = await w.use(ticket)
    await w.run((tx) => beginUse(tx, w.access, { useId: use.id }))
    return use
  }
  return { ...w, grantId, session, use: await session() }
}

type Held = Awaited<ReturnType<typeof heldWorld>>

const OPERATION = {
  class: 'destructive',
  action: 'postgres.write',
  label: 'DELETE',
  statement: 'delete from orders',
  forSeconds: 300,
} as const

async function hold(w: Held, gate = '1 of owner(target)', useId = w.use.id): Promise<string> {
  const made = await w.run((tx) => makeHold(tx, w.access, { ...OPERATION, useId, gates: [parseApproval(gate)] }))
  return made.kind === 'held' ? made.id : assert.fail(made.sentence)
}

async function release(w: Held, who: Identity, id: string, boundSha256?: string) {
  const bound = boundSha256 ?? (await mustLoadHold(w.db, id)).boundSha256
  const permit = w.permit('hold.release', who, { type: 'Hold', id })
  return w.run((tx) => releaseHold(tx, w.access, permit, { boundSha256: bound }))
}

function refuse(w: Held, who: Identity, id: string) {
  const permit = w.permit('hold.refuse', who, { type: 'Hold', id })
  return w.run((tx) => refuseHold(tx, w.access, permit, { comment: 'not today' }))
}

const spend = (w: Held, id: string) => w.run((tx) => useHold(tx, w.access, id))

test('what a policy holds is owed with the grant, and a released operation is spent once', async (t) => {
  const w = await heldWorld(t)
  assert.deepEqual(
    w.use.terms.holds.map((one) => one.class),
    ['destructive', 'destructive'].slice(0, w.use.terms.holds.length),
  )
  const id = await hold(w)
  assert.equal(await spend(w, id), false)
  const inbox = await listHolds(w.db, { teams: w.access.teams, now: w.clock.now() }, w.alice, {
    view: 'inbox',
    limit: 10,
  })
  assert.deepEqual(
    inbox.items.map((item) => [item.id, item.statement, item.subject]),
    [[id, 'delete from orders', 'dave']],
  )

  assert.equal((await release(w, w.alice, id)).state, 'released')
  const spent = await Promise.all([spend(w, id), spend(w, id)])
  assert.equal(spent.filter(Boolean).length, 1)

  assert.equal((await mustLoadHold(w.db, id)).state, 'used')
  assert.equal(await refusalOf(refuse(w, w.bob, id)), 'hold-over')
})

test('attack: nobody releases what is theirs, what they did not see, or what is not theirs to release', async (t) => {
  const w = await heldWorld(t)
  const id = await hold(w, '2 of owner(target)')
  const other = await w.further('dave-too', w.dave)
  await w.setTeams({
    payments: { members: ['alice', 'bob', 'dave', 'dave-too', 'emergency'] },
    security: { members: ['carol'] },
  })

  for (const who of [w.dave, other]) assert.equal(await refusalOf(release(w, who, id)), 'self-approval')
  assert.equal(await refusalOf(release(w, w.alice, id, '0'.repeat(64))), 'hold-bound-changed')
  assert.equal((await release(w, w.carol, id)).state, 'held')
  assert.equal((await release(w, w.alice, id)).state, 'held')
  assert.equal(await refusalOf(release(w, w.alice, id)), 'already-approved')
  assert.match((await loadHoldDetail(w.db, w.access.teams, id)).missing.join(), /1 more of owner\(target\)/)
  assert.equal(await spend(w, id), false)
  assert.equal((await release(w, w.bob, id)).state, 'released')
  assert.equal(await spend(w, id), true)
})

test('attack: a release does not outlive its time, its session or its grant', async (t) => {
  const w = await heldWorld(t)
  const late = await hold(w)
  await release(w, w.alice, late)
  w.clock.advance(300)
  assert.equal(await spend(w, late), false)
  await sweepAccess(w.db, w.access)
  assert.equal((await mustLoadHold(w.db, late)).state, 'expired')

  const left = await hold(w)
  await release(w, w.alice, left)
  await w.run((tx) => closeUse(tx, w.access, { useId: w.use.id }))
  assert.deepEqual([await spend(w, left), (await mustLoadHold(w.db, left)).state], [false, 'dropped'])

  const next = await w.session()
  const over = await hold(w, '1 of owner(target)', next.id)
  await release(w, w.alice, over)
  await w.run((tx) => endGrant(tx, w.access, { grantId: w.grantId, reason: 'revoked' }))
  assert.deepEqual([await spend(w, over), (await mustLoadHold(w.db, over)).state], [false, 'dropped'])
  assert.equal(await refusalOf(release(w, w.bob, over)), 'hold-over')
  const made = await w.run((tx) =>
    makeHold(tx, w.access, { ...OPERATION, useId: next.id, gates: [parseApproval('dba')] }),
  )
  assert.equal(made.kind, 'refused')
})

test('what nobody could release, or look at whole, is not held but refused', async (t) => {
  const w = await heldWorld(t)
  const holding = { ...OPERATION, useId: w.use.id }

  const nobody = await w.run((tx) =>
    makeHold(tx, w.access, { ...holding, gates: [parseApproval('3 of owner(target)')] }),
  )
  const long = { ...holding, statement: 'x'.repeat(20_001), gates: [parseApproval('1 of owner(target)')] }
  const tooLong = await w.run((tx) => makeHold(tx, w.access, long))

  assert.match(nobody.kind === 'refused' ? nobody.sentence : '', /there would have to be 1 more of owner\(target\)/)
  assert.match(tooLong.kind === 'refused' ? tooLong.sentence : '', /20000 characters/)
})

test('no interleaving of release, refuse, expire, end, drop and use spends what was not released, or spends it twice', async (t) => {
  const w = await heldWorld(t)
  const steps = ['release', 'refuse', 'use', 'use', 'drop', 'expire', 'end'] as const
  let ended = false
  await fc.assert(
    fc.asyncProperty(
      fc.shuffledSubarray([...steps].slice(0, 6), { minLength: 2 }),
      fc.boolean(),
      async (order, isAtOnce) => {
        const id = await hold(w)
        let used = 0
        const act = async (step: (typeof steps)[number]) => {
          if (step === 'release') await release(w, w.alice, id).catch(() => undefined)
          if (step === 'refuse') await refuse(w, w.bob, id).catch(() => undefined)
          if (step === 'use' && (await spend(w, id))) used += 1
          if (step === 'drop') await w.run((tx) => dropHolds(tx, w.access, { id }, 'taken back'))
          if (step === 'expire') await w.run((tx) => expireHolds(tx, w.access))
        }
        if (isAtOnce) await Promise.all(order.map(act))
        else for (const step of order) await act(step)
        await w.run((tx) => dropHolds(tx, w.access, { id }, 'over'))

        const { state } = await mustLoadHold(w.db, id)
        assert.equal(used, state === 'used' ? 1 : 0, order.join(' '))
        const stops = order.filter((step) => step === 'refuse' || step === 'drop' || step === 'release')
        if (!isAtOnce && stops[0] !== 'release') assert.equal(used, 0, order.join(' '))
        if (!order.includes('release')) assert.equal(used, 0)
      },
    ),
    { numRuns: 30 },
  )
  const last = await hold(w)
  await release(w, w.alice, last)
  const both = await Promise.allSettled([
    spend(w, last),
    w
      .run((tx) => endGrant(tx, w.access, { grantId: w.grantId, reason: 'revoked' }))
      .then(() => {
        ended = true
      }),
  ])
  assert.ok(ended && both.length === 2)
  const { state } = await mustLoadHold(w.db, last)
  assert.ok(state === 'used' || state === 'dropped', state)
  assert.equal(await spend(w, last), false)
})

test('attack: the word of an identity for emergencies counts as nobody’s, of requests and of what is held', async (t) => {
  const w = await heldWorld(t)
  await w.setTeams({ payments: { members: ['alice', 'emergency'] }, security: { members: ['carol'] } })
  const input = RegisterIdentity.decode({ kind: 'human', name: 'emergency', profile: 'break-glass' })
  const made = await w.run((tx) => registerIdentity(tx, w.needs, w.permit('identity.register', w.alice), input))
  const emergency = await w.run((tx) => activateIdentity(tx, w.needs, w.permit('identity.activate', w.alice, made)))

  const request = await w.approve(emergency, await w.ask(w.dave))
  const held = await release(w, emergency, await hold(w))

  assert.deepEqual([request.state, held.state], ['pending', 'held'])
  assert.equal((await w.approve(w.alice, request)).state, 'granted')
})

test('attack: a process that dies at any step leaves nothing that is released', async (t) => {
  const w = await heldWorld(t)
  const dying = async (point: (typeof HOLD_FAULT_POINTS)[number], step: () => Promise<unknown>) => {
    using _fault = onReach((label) => {
      if (label === point) throw new Error('killed')
    })
    await assert.rejects(step(), /killed/)
  }
  const states = async () =>
    (await w.db.selectFrom('heldOperation').select('state').execute()).map(({ state }) => state)

  await dying('hold.made', () => hold(w))
  assert.deepEqual(await states(), [])
  const id = await hold(w)
  await dying('hold.released', () => release(w, w.alice, id))
  assert.deepEqual([await spend(w, id), await states()], [false, ['held']])
  await release(w, w.alice, id)
  await dying('hold.used', () => spend(w, id))
  assert.deepEqual(await states(), ['released'])

  // The node is dead, and its uses are given up for it.
  const { nodeId } = await w.db.selectFrom('grantUse').select('nodeId').executeTakeFirstOrThrow()
  await w.run((tx) => abandonUses(tx, w.access, nodeId))
  assert.deepEqual([await spend(w, id), await states()], [false, ['dropped']])
})
