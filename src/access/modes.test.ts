import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accessWorld, granted, refusalOf, type AccessWorld } from '../../test/support/access-world.ts'
import { findTarget, modeOf, setTargetMode } from '../catalog/catalog.ts'
import type { Mode } from '../catalog/contract.ts'
import { beginUse, closeUse, keepRefusals, loadRequest } from './access.ts'
import { readFriction } from './friction/read.ts'

async function put(w: AccessWorld, mode: Mode, was: Mode, target = w.orders.id): Promise<void> {
  const permit = w.permit('target.set-mode', w.alice, { type: 'Target', id: target })
  await w.run((tx) => setTargetMode(tx, w.needs, permit, { mode, was, reason: 'it is new here' }))
}

const READS = { actions: ['postgres.read'] }
const FROZEN = { window: () => undefined, isFrozen: () => true }

test('what is owed on a target that does not enforce is recorded and not asked for; one that warns says so', async (t) => {
  const w = await accessWorld(t)
  await put(w, 'observe', 'enforce')

  const observed = await w.ask(w.dave, { uses: 3 })
  await put(w, 'warn', 'observe')
  const warned = await w.ask(w.dave)
  await put(w, 'enforce', 'warn')
  const enforced = await w.ask(w.dave)

  assert.deepEqual([observed.state, warned.state, enforced.state], ['granted', 'granted', 'pending'])
  assert.deepEqual([observed.mode, warned.mode, enforced.mode], ['observe', 'warn', 'enforce'])
  for (const { waived } of [observed, warned])
    assert.match(waived.join(), /^Approval is needed: 1 more of owner\(target\)/)
  assert.deepEqual([enforced.waived, enforced.warnings, observed.warnings], [[], [], []])
  assert.match(warned.warnings.join(), /^This target only warns; it would have been refused: Approval is needed/)
  assert.deepEqual([observed.askedUses, observed.uses], [3, 3])
})

test('uses that the policies cut are said to be cut', async (t) => {
  const w = await accessWorld(t, { policies: (shipped) => shipped.replaceAll('@ttl("1h")', '@ttl("1h")\n@uses("2")') })

  const request = await w.ask(w.dave, { ...READS, uses: 5 })

  assert.deepEqual([request.askedUses, request.uses], [5, 2])
  assert.deepEqual(request.warnings, ['The policies give 2 use(s), not the 5 that were asked for.'])
  assert.deepEqual((await w.ask(w.dave, READS)).warnings, [])
})

test('attack: a mode weakens neither purpose, nor forbids, nor what no policy permits', async (t) => {
  const w = await accessWorld(t)
  await put(w, 'observe', 'enforce')
  const machine = await w.further('second', w.dave)

  assert.equal(await refusalOf(w.ask(w.dave, { actions: ['postgres.schema'] })), 'purpose-does-not-cover')
  w.setCalendar(FROZEN)
  assert.equal(await refusalOf(w.ask(w.dave)), 'not-permitted')
  w.setCalendar({ window: () => undefined, isFrozen: () => false })
  await w.setPolicies((shipped) =>
    shipped.replace(
      '@id("person-changes-production")',
      '@id("nobody") @why("no")\nforbid (principal, action in Reeve::Action::"privileged.change", resource);\n\n@id("person-changes-production")',
    ),
  )
  assert.equal(await refusalOf(w.ask(machine)), 'not-permitted')
})

test('attack: nothing of tier 0 is less than enforced', async (t) => {
  const w = await accessWorld(t)
  const vault = await w.target('vault', { sensitivity: 0 })

  assert.equal(await refusalOf(put(w, 'observe', 'enforce', vault.id)), 'enforces-at-tier-0')
  await put(w, 'observe', 'enforce')
  const root = await w.account(w.orders, 'root', { tier: 0, roles: {} })
  const orders = await findTarget(w.db, 'orders')
  assert.deepEqual([modeOf(orders, root), modeOf(orders, w.app)], ['enforce', 'observe'])
})

test('attack: a step that was decided as tightening never loosens', async (t) => {
  const w = await accessWorld(t)

  assert.equal(await refusalOf(put(w, 'warn', 'observe')), 'conflict')
  assert.equal((await findTarget(w.db, 'orders')).mode, 'enforce')
})

test('attack: a grant that nobody approved is worth nothing once its target enforces', async (t) => {
  const w = await accessWorld(t)
  await put(w, 'observe', 'enforce')
  const grantId = granted(await w.ask(w.dave))
  const ticket = await w.ticket(grantId)
  assert.equal((await w.use(ticket)).terms.mode, 'observe')

  await put(w, 'enforce', 'observe')

  assert.equal(await refusalOf(w.use(ticket)), 'use-refused not-now')
})

test('what goes through beyond the grant is nothing that a policy forbids, and nothing where the target enforces', async (t) => {
  const w = await accessWorld(t)
  const ticket = await w.ticket(granted(await w.ask(w.dave, READS)))
  assert.deepEqual((await w.use(ticket)).terms.through, [])

  await put(w, 'warn', 'enforce')
  assert.deepEqual((await w.use(ticket)).terms.through, ['postgres.privilege', 'postgres.schema', 'postgres.write'])
  w.setCalendar(FROZEN)
  assert.deepEqual((await w.use(ticket)).terms.through, [])
})

test('friction is counted from rows: waiting, what was granted later, what went through, jobs that broke', async (t) => {
  const w = await accessWorld(t)
  const { clock, run, db } = w
  const slow = await w.ask(w.dave)
  clock.advance(600)
  await w.approve(w.alice, slow)
  assert.equal(
    await refusalOf(w.ask(w.carol, { actions: ['postgres.write'], purpose: 'fix', reason: undefined })),
    'obligations-owed',
  )
  clock.advance(60)
  await w.approve(w.alice, await w.ask(w.carol))
  await put(w, 'observe', 'enforce')
  await w.ask(w.dave)
  const use = await w.use(await w.ticket(granted(await w.ask(w.dave, READS))))
  await run((tx) => beginUse(tx, w.access, { useId: use.id }))
  await run(async (tx) => {
    await closeUse(tx, w.access, { useId: use.id })
    const { cause } = await tx.selectFrom('grantUse').select('cause').where('id', '=', use.id).executeTakeFirstOrThrow()
    await keepRefusals(tx, {
      useId: use.id,
      cause,
      counts: [{ action: 'postgres.schema', outcome: 'would-refuse', count: 4 }],
    })
  })
  clock.advance(1)

  const report = await readFriction(db, await findTarget(db, 'orders'), clock.now(), 30)

  const of = (action: string) => report.items.find((item) => item.action === action)
  const write = of('postgres.write')
  assert.deepEqual(
    [write?.asked, write?.waited, write?.longestWait, write?.refused, write?.grantedLater, write?.waived],
    [3, 1, 600, 1, 1, 1],
  )
  assert.deepEqual([of('postgres.schema')?.wouldRefuse, of('postgres.schema')?.jobsBroken], [4, 0])
  assert.equal(report.mode, 'observe')
  assert.match(report.warnings.join('\n'), /registered since/)
  assert.equal((await loadRequest(db, slow.id))?.state, 'granted')
})
