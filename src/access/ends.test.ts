import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { test, type TestContext } from 'node:test'
import { sql, type KyselyPlugin } from 'kysely'
import { accessWorld, granted, type AccessWorld } from '../../test/support/access-world.ts'
import { cuttable } from '../../test/support/cuttable.ts'
import { addGrant } from '../../test/support/granted.ts'
import { systemClock } from '../kernel/clock.ts'
import { silentLog } from '../kernel/log.ts'
import { CONTROL_LOST_MS, endGrant, endGrantsOf, openEnds, type Ends, type Subscription } from './access.ts'

const WATCHING = { onControlLoss: 'end' } as const

async function listening(t: TestContext): Promise<{ world: AccessWorld; ends: Ends; stop: AbortController }> {
  const world = await accessWorld(t)
  const stop = new AbortController()
  const { db, database, clock } = world
  const ends = await openEnds({ connection: database.server, db, clock, log: silentLog }, stop.signal)
  t.after(() => ends[Symbol.asyncDispose]())
  return { world, ends, stop }
}

function inAnHour(world: AccessWorld): Date {
  return new Date(world.clock.now().getTime() + 3_600_000)
}

async function ending(subscription: Subscription) {
  if (!subscription.ended.aborted) await once(subscription.ended, 'abort')
  return subscription.ending()
}

test('a node hears of an end that any node commits, with its reason', async (t) => {
  const { world, ends } = await listening(t)
  const grantId = granted(await world.ask(world.dave, { actions: ['postgres.read'] }))
  const subscriptions = [1, 2, 3].map(() => ends.subscribe(grantId, { ...WATCHING, expiresAt: inAnHour(world) }))

  await world.run((tx) => endGrant(tx, world.access, { grantId, reason: 'revoked' }))

  for (const each of subscriptions) assert.equal((await ending(each))?.reason, 'revoked')
  assert.equal(ends.size(), 0)
})

test('what the revoker said comes with the end, as one line of 200 characters at most that no terminal obeys', async (t) => {
  const { world, ends } = await listening(t)
  for (const [said, told] of [
    ['left the team', 'left the team'],
    [' left\r\nthe\tteam\u2028now ', 'left the team now'],
    ['\u001b[2Jgone\u202e\u0000', '[2Jgone'],
    ['é'.repeat(500), `${'é'.repeat(199)}…`],
    ['😀'.repeat(300), `${'😀'.repeat(199)}…`],
  ] as const) {
    const grantId = granted(await world.ask(world.dave, { actions: ['postgres.read'] }))
    const elsewhere = randomUUID()
    const watching = { ...WATCHING, expiresAt: inAnHour(world) }
    const [heard, announced] = [ends.subscribe(grantId, watching), ends.subscribe(elsewhere, watching)]

    // Stored as it was said; PostgreSQL holds no NUL, and none comes past the API.
    const comment = said.replaceAll('\u0000', '')
    const ended = await world.run((tx) =>
      endGrant(tx, world.access, { grantId, reason: 'revoked', comment, actor: { id: world.alice.id, kind: 'human' } }),
    )

    assert.ok(ended)
    ends.announceEnd({ ...ended, id: elsewhere })

    assert.equal((await ending(heard))?.comment, told)
    assert.equal(announced.ending()?.comment, told)
  }
})

test('an end that is rolled back is no end, and other grants are left alone', async (t) => {
  const { world, ends } = await listening(t)
  const reading = { actions: ['postgres.read'] }
  const [kept, over] = [granted(await world.ask(world.dave, reading)), granted(await world.ask(world.dave, reading))]
  const [one, other] = [kept, over].map((id) => ends.subscribe(id, { ...WATCHING, expiresAt: inAnHour(world) }))
  assert.ok(one && other)
  const failed = world.run(async (tx) => {
    await endGrant(tx, world.access, { grantId: kept, reason: 'revoked' })
    throw new Error('undone')
  })
  await assert.rejects(failed, /undone/)

  await world.run((tx) => endGrant(tx, world.access, { grantId: over, reason: 'done' }))

  assert.equal((await ending(other))?.reason, 'done')
  assert.equal(one.ended.aborted, false)
})

test('a false word of an end is a hint and nothing more', async (t) => {
  const { world, ends } = await listening(t)
  const reading = { actions: ['postgres.read'] }
  const [live, over] = [granted(await world.ask(world.dave, reading)), granted(await world.ask(world.dave, reading))]
  const watched = ends.subscribe(live, { ...WATCHING, expiresAt: inAnHour(world) })
  const marker = ends.subscribe(over, { ...WATCHING, expiresAt: inAnHour(world) })
  await world.run(async (tx) => {
    await sql`select pg_notify('reeve_end', ${live})`.execute(tx)
    await endGrant(tx, world.access, { grantId: over, reason: 'done' })
  })

  await ending(marker)

  assert.equal(watched.ended.aborted, false)
})

test('a hundred ends of one commit are heard by a few looks at the rows', async (t) => {
  const world = await accessWorld(t)
  const { db, database, clock, needs, access, run } = world
  let looks = 0
  const counting: KyselyPlugin = {
    transformQuery({ node }) {
      looks += 1
      return node
    },
    transformResult: async ({ result }) => result,
  }
  await using ends = await openEnds(
    { connection: database.server, db: db.withPlugin(counting), clock, log: silentLog },
    new AbortController().signal,
  )
  const ids: string[] = []
  const first = await addGrant(db, needs.ledger)
  for (let at = 0; at < 100; at += 1) ids.push((await addGrant(db, needs.ledger)).grantId)
  const far = new Date(world.clock.now().getTime() + 3_600_000)
  const watched = ids.map((id) => ends.subscribe(id, { ...WATCHING, expiresAt: far }))
  const kept = ends.subscribe(first.grantId, { ...WATCHING, expiresAt: far })

  await run(async (tx) => {
    for (const grantId of ids) await endGrant(tx, access, { grantId, reason: 'target-retired' })
  })

  const all = await Promise.all(watched.map(ending))
  assert.deepEqual(new Set(all.map((each) => each?.reason)), new Set(['target-retired']))
  assert.equal(kept.ended.aborted, false)
  assert.ok(looks >= 1 && looks <= 10, `${looks} looks`)
})

test('what this node committed is cut without waiting for the word, and a disposed watch stays silent', async (t) => {
  const { world, ends } = await listening(t)
  const grantId = randomUUID()
  const watching = { ...WATCHING, expiresAt: inAnHour(world) }
  const [watched, disposed] = [ends.subscribe(grantId, watching), ends.subscribe(grantId, watching)]
  disposed[Symbol.dispose]()

  ends.announceEnd({ id: grantId, reason: 'revoked', endedAt: world.clock.now(), comment: null })

  assert.equal(watched.ending()?.reason, 'revoked')
  assert.equal(disposed.ended.aborted, false)
})

test('a grant that has run out is over for a node that asks nobody', async (t) => {
  const { world, ends } = await listening(t)

  const late = ends.subscribe(randomUUID(), { ...WATCHING, expiresAt: world.clock.now() })

  assert.equal(late.ending()?.reason, 'expired')
})

test('a deadline runs on this process’s own clock', async (t) => {
  const world = await accessWorld(t)
  const { db, database } = world
  await using ends = await openEnds(
    { connection: database.server, db, clock: systemClock, log: silentLog },
    new AbortController().signal,
  )
  const soon = new Date(systemClock.now().getTime() + 20)

  const subscription = ends.subscribe(randomUUID(), { ...WATCHING, expiresAt: soon })
  // The process's own timers do not keep it alive; the test does.
  const keepAlive = setInterval(() => undefined, 1000)
  t.after(() => clearInterval(keepAlive))

  assert.equal((await ending(subscription))?.reason, 'expired')
})

test('an end that was committed while the stream was broken is found when it is back', async (t) => {
  const { world, ends } = await listening(t)
  const grantId = granted(await world.ask(world.dave, { actions: ['postgres.read'] }))
  const watched = ends.subscribe(grantId, { ...WATCHING, expiresAt: inAnHour(world) })
  const keepAlive = setInterval(() => undefined, 1000)
  t.after(() => clearInterval(keepAlive))

  const cut = await sql`select pg_terminate_backend(pid) from pg_stat_activity
                         where datname = current_database() and query ~* '^(listen|notify) '`.execute(world.db)
  assert.equal(cut.rows.length, 1)
  await world.run((tx) =>
    endGrantsOf(tx, world.access, { identityId: world.dave.id }, { reason: 'identity-suspended' }),
  )

  assert.equal((await ending(watched))?.reason, 'identity-suspended')
})

test('fifteen silent seconds end what may not go on without control, and nothing else', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const world = await accessWorld(t)
  const { db, database, clock } = world
  const { connection, shut, reopen } = await cuttable(t, database.server)
  await using ends = await openEnds({ connection, db, clock, log: silentLog }, new AbortController().signal)
  const reading = { actions: ['postgres.read'] }
  const grantId = granted(await world.ask(world.dave, reading))
  const expiresAt = inAnHour(world)
  const ended = ends.subscribe(grantId, { expiresAt, onControlLoss: 'end' })
  const going = ends.subscribe(grantId, { expiresAt, onControlLoss: 'continue' })
  const silentFor = (ms: number) => {
    clock.advance(ms / 1000)
    t.mock.timers.tick(1_000)
  }

  shut()
  silentFor(CONTROL_LOST_MS - 1)
  assert.equal(ended.ending(), undefined)
  silentFor(1)

  assert.equal(ended.ending()?.reason, 'control-lost')
  assert.equal(going.ended.aborted, false)
  const [late, lateGoing] = [
    ends.subscribe(grantId, { expiresAt, onControlLoss: 'end' }),
    ends.subscribe(grantId, { expiresAt, onControlLoss: 'continue' }),
  ]
  assert.equal(late.ending()?.reason, 'control-lost')
  await world.run((tx) => endGrant(tx, world.access, { grantId, reason: 'revoked' }))
  reopen()
  for (const each of [going, lateGoing]) assert.equal((await ending(each))?.reason, 'revoked')
})

test('a node that stops listening for good ends what it watches as control lost', async (t) => {
  const { world, ends } = await listening(t)
  const watched = ends.subscribe(randomUUID(), { ...WATCHING, expiresAt: inAnHour(world) })

  await ends[Symbol.asyncDispose]()

  assert.equal(watched.ending()?.reason, 'control-lost')
  const after = ends.subscribe(randomUUID(), { ...WATCHING, expiresAt: inAnHour(world) })
  assert.equal(after.ending()?.reason, 'control-lost')
})
