import assert from 'node:assert/strict'
import { test } from 'node:test'
import { accessWorld, refusalOf, settled, type AccessWorld } from '../../test/support/access-world.ts'
import type { Identity } from '../identities/contract.ts'
import { previewAccess, requestAccess } from './access.ts'
import { RequestAccess } from './contract.ts'
import { checkTicket } from './request.ts'
import type { TicketCheck } from './ticket-verifier.ts'

const ASKED = {
  target: 'orders',
  account: 'app',
  actions: ['postgres.write'],
  purpose: 'fix',
  reason: 'an order is stuck',
}
const instead = (gate: string) => (shipped: string) =>
  shipped.replace('@approval("1 of owner(target)")', `@approval("${gate}")`)
const VERIFIED: TicketCheck = { isVerified: true, by: 'tickets.example', sentence: 'The ticket was verified.' }
const REFUSED: TicketCheck = { ...VERIFIED, isVerified: false, sentence: 'The ticket is not known.' }

function asking(world: AccessWorld, who: Identity) {
  const permit = world.permit('access.request', who, { type: 'Account', id: world.app.id })
  const making = { caller: world.caller(who), input: RequestAccess.parse({ ...ASKED, ticket: 'OPS-7' }) }
  return {
    making,
    ask: async (ticketCheck: TicketCheck | null) =>
      settled(await world.run((tx) => requestAccess(tx, world.access, permit, { ...making, ticketCheck }))),
  }
}

test('a gate of on_call opens for who is on call, and for a colleague of theirs it stays shut', async (t) => {
  const teams = { payments: { members: ['alice', 'bob'], on_call: ['bob'] }, security: { members: ['carol'] } }
  const { dave, alice, bob, ask, approve } = await accessWorld(t, {
    teams,
    policies: instead('1 of on_call(payments)'),
  })
  const request = await ask(dave)
  assert.deepEqual(request.obligations.approval, ['1 of on_call(payments)'])

  const first = await approve(alice, request)
  const second = await approve(bob, request)

  assert.deepEqual([first.state, second.state], ['pending', 'granted'])
})

test('who was on call when they approved counts after their shift; while nobody is, the request is refused and says so', async (t) => {
  const { clock, ...world } = await accessWorld(t, { policies: instead('1 of on_call(payments) and 1 of security') })
  const until = new Date(clock.now().getTime() + 3_600_000).toISOString()
  await world.setTeams({
    payments: { members: ['alice', 'bob'], on_call: [{ person: 'bob', until }] },
    security: { members: ['carol'] },
  })
  const request = await world.ask(world.dave)
  await world.approve(world.bob, request)

  clock.advance(3600)

  assert.equal(await refusalOf(world.ask(world.dave)), 'no-possible-approver')
  const on = { type: 'Account', id: world.app.id }
  const making = { caller: world.caller(world.dave), input: RequestAccess.parse(ASKED) }
  const preview = await previewAccess(world.db, world.access, world.permit('access.preview', world.dave, on), making)
  assert.match(preview.reasons.join(' '), /there would have to be 1 more of on_call\(payments\), who is on call then/)
  assert.equal((await world.approve(world.carol, request)).state, 'granted')
})

test('a verified ticket at a low risk makes the grant at once, and its entries say by what', async (t) => {
  const world = await accessWorld(t, { policies: instead('1 of owner(target) or auto when risk < 90 and ticket') })
  const { ask } = asking(world, world.dave)

  const request = await ask(VERIFIED)

  assert.equal(request.state, 'granted')
  const { leaf } = await world.db
    .selectFrom('ledgerEntry')
    .select('leaf')
    .where('kind', '=', 'access.requested')
    .executeTakeFirstOrThrow()
  assert.deepEqual(JSON.parse(leaf.toString('utf8')).facts.ticketCheck, VERIFIED)
})

test('a ticket that was not verified, and one at too high a risk, wait for people', async (t) => {
  const world = await accessWorld(t, { policies: instead('1 of owner(target) or auto when risk < 90 and ticket') })
  const { ask } = asking(world, world.dave)

  const unverified = await ask(REFUSED)
  const unasked = await ask(null)
  await world.setPolicies(instead('1 of owner(target) or auto when risk < 10 and ticket'))
  const risky = await ask(VERIFIED)

  assert.deepEqual([unverified.state, unasked.state, risky.state], ['pending', 'pending', 'pending'])
  assert.equal((await world.approve(world.alice, risky)).state, 'granted', 'the other way stays open')
})

test('the system of tickets is asked only where its answer could open a gate, and never about no ticket', async (t) => {
  const world = await accessWorld(t)
  const asked: string[] = []
  const tickets = { verify: async (ticket: string) => (asked.push(ticket), VERIFIED) }
  const needs = { ...world.access, tickets }
  const { making } = asking(world, world.dave)

  assert.equal(await checkTicket(world.db, needs, world.app.id, making), null)
  await world.setPolicies(instead('1 of owner(target) or auto when ticket'))
  const none = { ...making, input: RequestAccess.parse(ASKED) }
  assert.equal(await checkTicket(world.db, needs, world.app.id, none), null)
  assert.deepEqual(await checkTicket(world.db, needs, world.app.id, making), VERIFIED)

  assert.deepEqual(asked, ['OPS-7'])
})
