import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { accessWorld, granted, refusalOf, type AccessWorld } from '../../../test/support/access-world.ts'
import type { Identity } from '../../identities/contract.ts'
import { signalUri } from '../../policy/contract.ts'
import { riskOfPending } from '../as-asked.ts'
import { ReceiveSignal, type SignalQuery } from './contract.ts'
import { receiveSignal } from './receive.ts'
import { listSignals, loadSignal } from './records.ts'
import { withdrawSignal } from './withdraw.ts'

const READ = { actions: ['postgres.read'] }
const secondsFrom = ({ clock }: AccessWorld, seconds: number) => new Date(clock.now().getTime() + seconds * 1000)

type Sent = Partial<Record<keyof ReceiveSignal, unknown>>

/** As a sender's own program puts it on the wire. */
async function send(world: AccessWorld, sender: Identity, more: Sent = {}) {
  const input = ReceiveSignal.parse({
    jti: randomUUID(),
    type: 'device-compliance-change',
    about: 'identity',
    subject: 'dave',
    severity: 'high',
    reason: 'the disk of the laptop is not encrypted any more',
    occurredAt: world.clock.now().toISOString(),
    ...more,
  })
  const permit = world.permit('signal.receive', sender, { type: 'Signal', id: 'received' })
  return world.run((tx) => receiveSignal(tx, world.access, permit, { caller: world.caller(sender, 'mtls'), input }))
}

const withdraw = (world: AccessWorld, who: Identity, id: string) =>
  world.run((tx) =>
    withdrawSignal(tx, world.access, world.permit('signal.withdraw', who, { type: 'Signal', id }), {
      reason: 'a mistake',
    }),
  )

async function senders(world: AccessWorld) {
  return [await world.workload('edr', world.alice), await world.workload('siem', world.alice)] as const
}

async function scoreOf(world: AccessWorld, requestId: string): Promise<number> {
  const risk = await riskOfPending(world.db, world.access, requestId)
  assert.ok(risk)
  return risk.score
}

const all: SignalQuery = { limit: 50 }

test('a signal raises the risk of whom it is about, with its fact and source, fades, and is gone when it is over', async (t) => {
  const world = await accessWorld(t)
  const [edr] = await senders(world)
  const { id } = await world.ask(world.dave)
  const before = await scoreOf(world, id)

  const { signal } = await send(world, edr, { expiresAt: secondsFrom(world, 7200).toISOString() })

  const raised = await riskOfPending(world.db, world.access, id)
  const factor = raised?.factors.find(({ name }) => name === 'signals')
  assert.deepEqual([factor?.value, factor?.fact], [0.8, 'edr reported device-compliance-change of dave'])
  assert.match(
    raised?.sentences.join() ?? '',
    /signals: edr reported device-compliance-change of dave \(48; signals of edr\)/,
  )
  assert.equal(signal.uri, signalUri('device-compliance-change'))
  assert.equal(signal.endedGrants, 0)
  world.clock.advance(3600)
  const faded = await scoreOf(world, id)
  world.clock.advance(3600)
  const over = await scoreOf(world, id)
  assert.ok((raised?.score ?? 0) > faded && faded > over, `${raised?.score} ${faded} ${over}`)
  assert.equal(over, before)
})

test('a signal is one row and one entry, also when it is sent again', async (t) => {
  const world = await accessWorld(t)
  const [edr, siem] = await senders(world)
  const same = { jti: 'abc-1', occurredAt: world.clock.now().toISOString() }

  const first = await send(world, edr, same)
  world.clock.advance(60)
  const again = await send(world, edr, { ...same, type: signalUri('device-compliance-change') })
  const others = await send(world, siem, same)

  assert.equal(again.signal.id, first.signal.id)
  assert.notEqual(others.signal.id, first.signal.id, 'a jti is its sender’s')
  assert.equal((await world.kinds()).filter((kind) => kind === 'signal.received').length, 2)
  assert.equal(await refusalOf(send(world, edr, { ...same, severity: 'low' })), 'signal-differs')
  assert.equal(await refusalOf(send(world, edr, { ...same, subject: 'bob' })), 'signal-differs')
})

test('attack: a signal that arrives ten times at once is received once', async (t) => {
  const world = await accessWorld(t, { max: 10 })
  const [edr] = await senders(world)
  const same = { jti: 'abc-1', occurredAt: world.clock.now().toISOString() }

  const received = await Promise.all(Array.from({ length: 10 }, () => send(world, edr, same)))

  assert.equal(new Set(received.map(({ signal }) => signal.id)).size, 1)
  assert.equal((await listSignals(world.db, world.clock.now(), all)).items.length, 1)
})

test('what says that somebody is not who they were ends grants in the same transaction, and only the ones it is about', async (t) => {
  const world = await accessWorld(t)
  const [edr] = await senders(world)
  const mine = granted(await world.ask(world.dave, READ))
  const other = granted(await world.ask(world.dave, READ))
  const bobs = granted(await world.ask(world.bob, READ))
  const proof = await world.ticket(mine)

  const one = await send(world, edr, { type: 'session-revoked', about: 'credential', subject: proof.id })
  assert.deepEqual(world.endedGrants, [{ grantId: mine, reason: 'signal-received' }])
  assert.equal(one.ended[0]?.comment, 'edr reported session-revoked')
  assert.equal(one.signal.identity, 'dave')
  const rest = await send(world, edr, { type: 'account-disabled' })

  assert.deepEqual([one.signal.endedGrants, rest.signal.endedGrants], [1, 1])
  assert.deepEqual(world.endedGrants.at(-1), { grantId: other, reason: 'signal-received' })
  assert.equal(
    world.endedGrants.some(({ grantId }) => grantId === bobs),
    false,
  )
  const onTarget = await send(world, edr, { type: 'credential-compromise', about: 'target', subject: 'orders' })
  assert.equal(onTarget.signal.endedGrants, 1)
  assert.equal(onTarget.signal.target, 'orders')
})

test('who was reported disabled or compromised gets nothing until that is over or withdrawn', async (t) => {
  const world = await accessWorld(t)
  const [edr] = await senders(world)
  const { signal } = await send(world, edr, { type: 'credential-compromise' })

  assert.equal(await refusalOf(world.ask(world.dave, READ)), 'not-permitted')
  assert.equal((await world.ask(world.bob, READ)).state, 'granted')
  await withdraw(world, world.carol, signal.id)
  assert.equal((await world.ask(world.dave, READ)).state, 'granted')

  await send(world, edr, { type: 'credential-compromise', expiresAt: secondsFrom(world, 60).toISOString() })
  assert.equal(await refusalOf(world.ask(world.dave, READ)), 'not-permitted')
  world.clock.advance(60)
  assert.equal((await world.ask(world.dave, READ)).state, 'granted')
})

test('attack: nobody speaks of themselves, nor a machine of the person who answers for it, nor withdraws what is said of them', async (t) => {
  const world = await accessWorld(t)
  const [edr, siem] = await senders(world)

  assert.equal(await refusalOf(send(world, edr, { subject: 'edr' })), 'own-signal')
  assert.equal(await refusalOf(send(world, edr, { subject: 'alice' })), 'own-signal')
  const { signal } = await send(world, siem, { subject: 'carol' })
  assert.equal(await refusalOf(withdraw(world, world.carol, signal.id)), 'own-signal')
  await withdraw(world, siem, signal.id)
  assert.equal(await refusalOf(withdraw(world, siem, signal.id)), 'signal-over')
})

test('attack: a flood stops at a bound for each subject, and somebody unknown is answered the same whatever is named', async (t) => {
  const world = await accessWorld(t)
  const [edr, siem] = await senders(world)
  for (let sent = 0; sent < 50; sent += 1) await send(world, edr, { severity: 'low' })

  assert.equal(await refusalOf(send(world, edr)), 'too-many-signals')
  assert.equal(await refusalOf(send(world, siem)), 'nothing', 'another sender has its own')
  assert.equal(await refusalOf(send(world, edr, { subject: 'bob' })), 'nothing')
  for (const about of ['identity', 'session', 'credential', 'target'] as const) {
    for (const subject of ['nobody-here', randomUUID(), "'; drop table signal; --"]) {
      assert.equal(await refusalOf(send(world, edr, { about, subject })), 'not-found', `${about} ${subject}`)
    }
  }
})

test('attack: a reason that breaks out of its line is not taken, and a time that cannot be is none', async (t) => {
  const world = await accessWorld(t)
  const [edr] = await senders(world)
  for (const reason of ['a\nb: c', 'red \u001b[31m', 'a\u2028b', 'turned \u202e around', '', 'x'.repeat(301)]) {
    await assert.rejects(send(world, edr, { reason }), { name: 'ZodError' }, JSON.stringify(reason))
  }
  for (const type of ['made-up', 'https://schemas.openid.net/secevent/caep/event-type/made-up', 'toString']) {
    await assert.rejects(send(world, edr, { type }), { name: 'ZodError' }, type)
  }
  const at = (seconds: number) => secondsFrom(world, seconds).toISOString()
  assert.equal(await refusalOf(send(world, edr, { occurredAt: at(3600) })), 'invalid-input')
  assert.equal(await refusalOf(send(world, edr, { occurredAt: at(-31 * 86_400) })), 'invalid-input')
  assert.equal(await refusalOf(send(world, edr, { expiresAt: at(-1) })), 'invalid-input')
  assert.equal(await refusalOf(send(world, edr, { expiresAt: at(31 * 86_400) })), 'invalid-input')
})

test('a list is found by whom, what and by whom, and paged without gaps', async (t) => {
  const world = await accessWorld(t)
  const [edr, siem] = await senders(world)
  for (const subject of ['dave', 'bob', 'dave', 'carol', 'dave']) {
    await send(world, edr, { subject })
    world.clock.advance(1)
  }
  const { signal } = await send(world, siem, { about: 'target', subject: 'orders', type: 'risk-level-change' })
  await withdraw(world, siem, signal.id)
  const now = world.clock.now()
  const list = (query: Partial<SignalQuery>) => listSignals(world.db, now, { ...all, ...query })

  assert.equal((await list({ identity: 'dave' })).items.length, 3)
  assert.equal((await list({ sender: 'siem', target: 'orders', type: 'risk-level-change' })).items.length, 1)
  assert.deepEqual(
    [(await list({ isInForce: true })).items.length, (await list({ isInForce: false })).items.length],
    [5, 1],
  )
  const seen: string[] = []
  let cursor: string | undefined
  do {
    const { items, nextCursor } = await list({ limit: 2, ...(cursor && { cursor }) })
    seen.push(...items.map(({ id }) => id))
    cursor = nextCursor ?? undefined
  } while (cursor)
  assert.equal(new Set(seen).size, 6)
  assert.ok((await loadSignal(world.db, signal.id))?.withdrawnAt)
})
