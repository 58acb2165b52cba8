import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accessWorld, granted, refusalOf, type AccessWorld } from '../../test/support/access-world.ts'
import { syncActions } from '../catalog/catalog.ts'
import { beginUse, closeUse, previewAccess } from './access.ts'
import { riskOfPending } from './as-asked.ts'
import { RequestAccess, type RiskShown } from './contract.ts'

const ASKED = { target: 'orders', account: 'app', purpose: 'fix', reason: 'an order is stuck' }

async function preview({ access, app, caller, dave, db, permit }: AccessWorld, actions: string[]) {
  const making = { caller: caller(dave), input: RequestAccess.parse({ ...ASKED, actions }) }
  const on = { type: 'Account', id: app.id }
  return previewAccess(db, access, permit('access.preview', dave, on), making)
}

/** The risk that the last entry of a kind tells of. */
async function toldIn({ db }: AccessWorld, kind: string) {
  const { leaf } = await db
    .selectFrom('ledgerEntry')
    .select('leaf')
    .where('kind', '=', kind)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirstOrThrow()
  const { facts } = JSON.parse(leaf.toString('utf8'))
  return facts.risk
}

const valueOf = (risk: Pick<RiskShown, 'factors'> | null, name: string) =>
  risk?.factors.find((factor) => factor.name === name)?.value

test('whoever asks and whoever approves sees the risk with each fact, and the entry of the request keeps it', async (t) => {
  const world = await accessWorld(t)

  const shown = await preview(world, ['postgres.write'])
  const request = await world.ask(world.dave)
  const approving = await riskOfPending(world.db, world.access, request.id)

  assert.equal(shown.risk.score, shown.risk.high)
  assert.ok(shown.risk.low < shown.risk.high, 'a first use is unknown in more than one way')
  assert.match(shown.risk.sentences.join('\n'), /target-tier: orders is of tier 1 \(21; catalog\)/)
  assert.match(shown.risk.sentences.join('\n'), /binding: dave proved itself by token \(15; the proof\)/)
  assert.match(shown.risk.sentences.join('\n'), /dormancy: not known, so it counts in full \(10\)/)
  assert.deepEqual(approving, shown.risk)
  const told = await toldIn(world, 'access.requested')
  assert.deepEqual([told.score, told.model.sha256], [shown.risk.score, shown.risk.model.sha256])
  assert.equal(told.factors.length, shown.risk.factors.length)
})

test('what was approved stays bound to the same hash while the risk moves on', async (t) => {
  const world = await accessWorld(t)
  const request = await world.ask(world.dave)
  const before = await riskOfPending(world.db, world.access, request.id)
  const reading = granted(await world.ask(world.dave, { actions: ['postgres.read'] }))
  const { id } = await world.use(await world.ticket(reading))
  await world.run((tx) => beginUse(tx, world.access, { useId: id }))
  world.clock.advance(3600)

  const after = await riskOfPending(world.db, world.access, request.id)
  const approved = await world.approve(world.alice, request)

  assert.notDeepEqual(after, before)
  assert.equal(approved.state, 'granted')
  assert.equal(await riskOfPending(world.db, world.access, request.id), null)
})

test('an address is known once a session from it is over, and a new one counts in full', async (t) => {
  const world = await accessWorld(t)
  const { access, ask, dave, run, ticket, use } = world
  const grantId = granted(await ask(dave, { actions: ['postgres.read'] }))

  const first = await use(await ticket(grantId), '10.0.0.7')
  assert.equal(valueOf(await toldIn(world, 'grant.used'), 'network'), null)
  await run((tx) => beginUse(tx, access, { useId: first.id }))
  await use(await ticket(grantId), '10.0.0.7')
  assert.equal(valueOf(await toldIn(world, 'grant.used'), 'network'), null, 'a live session vouches for nothing')
  await run((tx) => closeUse(tx, access, { useId: first.id }))
  await use(await ticket(grantId), '10.0.0.7')
  assert.equal(valueOf(await toldIn(world, 'grant.used'), 'network'), 0)

  await use(await ticket(grantId), '203.0.113.9')

  assert.equal(valueOf(await toldIn(world, 'grant.used'), 'network'), 1)
})

test('a policy that forbids what is too dangerous is asked again at the moment of use', async (t) => {
  const careful = (text: string) =>
    `${text} @id("not-from-anywhere") @why("not from an address it never came from")
     forbid (principal, action in Reeve::Action::"privileged", resource)
     when { context.channel == "gateway" && context has risk && context.risk.low >= 36 };`
  const world = await accessWorld(t, { policies: careful })
  const { access, ask, dave, run, ticket, use } = world
  const grantId = granted(await ask(dave, { actions: ['postgres.read'] }))
  const known = await use(await ticket(grantId), '10.0.0.7')
  await run((tx) => beginUse(tx, access, { useId: known.id }))
  await run((tx) => closeUse(tx, access, { useId: known.id }))

  const elsewhere = await refusalOf(use(await ticket(grantId), '203.0.113.9'))

  assert.equal(elsewhere, 'use-refused not-now')
  assert.equal(valueOf(await toldIn(world, 'grant.use-refused'), 'network'), 1)
  assert.equal(await refusalOf(use(await ticket(grantId), '10.0.0.7')), 'nothing')
})

test('a change at tier 0 by an identity nobody knows yet owes security beside the owner team', async (t) => {
  const world = await accessWorld(t)
  const { dave, db, access, caller, permit } = world
  const vault = await world.target('vault', { sensitivity: 0 })
  const root = await world.account(vault, 'root', { tier: 0 })
  await world.purpose(
    'open',
    { proposer: world.bob, approver: world.alice, targets: [vault] },
    {
      actions: ['postgres.privilege'],
    },
  )
  const privilege = {
    name: 'postgres.privilege',
    protocol: 'postgres',
    class: 'admin',
    tier: 0,
    obligations: {},
  } as const
  await world.run((tx) => syncActions(tx, world.needs.ledger, [{ ...privilege, summary: 'roles and rights' }]))
  const input = RequestAccess.parse({
    ...ASKED,
    target: 'vault',
    account: 'root',
    purpose: 'open',
    actions: ['postgres.privilege'],
  })
  const asking = permit('access.preview', dave, { type: 'Account', id: root.id })

  const worst = await previewAccess(db, access, asking, { caller: caller(dave), input })
  const ordinary = await preview(world, ['postgres.write'])

  assert.ok(worst.risk.score >= 75 && ordinary.risk.score < 75)
  assert.deepEqual(worst.obligations.approval, ['1 of owner(target)', '1 of security'])
  assert.deepEqual(ordinary.obligations.approval, ['1 of owner(target)'])
})
