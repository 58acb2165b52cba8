import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { accessWorld, type AccessWorld } from '../../test/support/access-world.ts'
import { changeWorld } from '../../test/support/change-world.ts'
import { riskOfPending } from './as-asked.ts'
import { listChanges } from './changes/records.ts'
import { ReceiveSignal, RequestQuery, type AccessRequest } from './contract.ts'
import { listRequests } from './read.ts'
import { weighPending } from './reviews.ts'
import { receiveSignal } from './signals/receive.ts'

const inbox = (world: AccessWorld, query: Partial<RequestQuery> = {}) =>
  listRequests(
    world.db,
    { teams: world.access.teams, now: world.clock.now() },
    world.alice,
    RequestQuery.parse({ view: 'inbox', ...query }),
  )
const namesOf = (items: readonly AccessRequest[]) => items.map(({ subject }) => subject)

async function report(world: AccessWorld, subject: string): Promise<void> {
  const edr = await world.workload(`edr-of-${subject}`, world.alice)
  const input = ReceiveSignal.parse({
    jti: randomUUID(),
    type: 'risk-level-change',
    about: 'identity',
    subject,
    severity: 'critical',
    reason: 'seen at two places at once',
    occurredAt: world.clock.now().toISOString(),
  })
  const permit = world.permit('signal.receive', edr, { type: 'Signal', id: 'received' })
  await world.run((tx) => receiveSignal(tx, world.access, permit, { caller: world.caller(edr, 'mtls'), input }))
}

test('an approver finds the worst first, by the one model, and the order follows the risk', async (t) => {
  const world = await accessWorld(t)
  const calm = await world.ask(world.carol)
  world.clock.advance(1)
  const risky = await world.ask(world.dave)
  world.clock.advance(1)
  await report(world, 'dave')
  const newest = await world.ask(world.bob)

  const unweighed = await inbox(world)
  assert.deepEqual(namesOf(unweighed.items), ['bob', 'dave', 'carol'], 'what is not weighed counts in full')
  assert.equal(unweighed.items[0]?.review, null)
  assert.equal(await weighPending(world.db, world.access), 3)

  const { items } = await inbox(world)
  assert.deepEqual(namesOf(items), ['dave', 'bob', 'carol'])
  const [first] = items
  const now = await riskOfPending(world.db, world.access, risky.id)
  assert.ok(first?.review && now)
  const { score, low, high } = first.review
  assert.deepEqual([score, low, high], [now.score, now.low, now.high])
  assert.equal(first.review.factors.find(({ name }) => name === 'signals')?.value, 1)
  assert.deepEqual(namesOf((await inbox(world, { order: 'newest' })).items), ['bob', 'dave', 'carol'])

  await report(world, 'carol')
  assert.equal(await weighPending(world.db, world.access), 0, 'weighed a moment ago')
  world.clock.advance(3600)
  assert.equal(await weighPending(world.db, world.access), 3)
  const later = (await inbox(world)).items
  assert.deepEqual(namesOf(later).toSorted(), ['bob', 'carol', 'dave'])
  assert.equal(namesOf(later)[2], 'bob')
  assert.deepEqual([calm.state, newest.state], ['pending', 'pending'])
})

test('an inbox in order of risk is paged without gaps', async (t) => {
  const world = await accessWorld(t)
  for (const who of [world.carol, world.dave, world.carol, world.dave, world.carol]) {
    await world.ask(who)
    world.clock.advance(1)
  }
  await report(world, 'dave')
  await weighPending(world.db, world.access)
  // One that nobody has weighed yet stands before all others.
  await world.ask(world.carol)

  const seen: AccessRequest[] = []
  let cursor: string | undefined
  do {
    const { items, nextCursor } = await inbox(world, { limit: 2, ...(cursor && { cursor }) })
    seen.push(...items)
    cursor = nextCursor ?? undefined
  } while (cursor)

  assert.deepEqual(namesOf(seen), ['carol', 'dave', 'dave', 'carol', 'carol', 'carol'])
  assert.equal(new Set(seen.map(({ id }) => id)).size, 6)
})

test('calls that others have to approve are in that order too, and Reeve itself is what they touch at worst', async (t) => {
  const w = await changeWorld(t)
  const onTarget = await w.put(w.alice, 'target.update', {
    params: { target: 'orders' },
    input: { environment: 'staging' },
  })
  await w.target('notes', { environment: 'development', sensitivity: 3 })
  const onNotes = await w.put(w.alice, 'target.update', { params: { target: 'notes' }, input: { sensitivity: 2 } })
  assert.equal(await weighPending(w.db, w.access), 2)

  const { items } = await listChanges(w.changes, w.bob, { view: 'inbox', limit: 10 })

  assert.deepEqual(
    items.map(({ id }) => id),
    [onTarget.id, onNotes.id],
  )
  const [worst, least] = items.map(({ review }) => review?.score ?? 0)
  assert.ok((worst ?? 0) > (least ?? 0))
})

test('what is decided is weighed no more', async (t) => {
  const world = await accessWorld(t)
  const request = await world.ask(world.dave)
  await weighPending(world.db, world.access)
  await world.approve(world.alice, request)
  world.clock.advance(3600)

  assert.equal(await weighPending(world.db, world.access), 0)
})
