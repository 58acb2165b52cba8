import assert from 'node:assert/strict'
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { sql } from 'kysely'
import { accessWorld, granted, refusalOf, settled, type AccessWorld } from '../../test/support/access-world.ts'
import { eventually } from '../../test/support/eventually.ts'
import { readPublicKey, sha256 } from '../kernel/crypto.ts'
import { Secret } from '../kernel/secret.ts'
import {
  beatGrant,
  beginUse,
  closeUse,
  endGrant,
  issueKey,
  loadGrant,
  proveGrant,
  releaseUse,
  sweepAccess,
  sweepUses,
  useGrant,
} from './access.ts'

const READING = { actions: ['postgres.read'] }

async function reading(t: Parameters<typeof accessWorld>[0], input: Parameters<AccessWorld['ask']>[1] = {}) {
  const world = await accessWorld(t)
  const grantId = granted(await world.ask(world.dave, { ...READING, ...input }))
  return { ...world, grantId }
}

test('a single-use ticket admits once under concurrency', async (t) => {
  const { ticket, use, grantId } = await reading(t, { connections: 50 })
  const shown = await ticket(grantId, true)

  const all = await Promise.all(Array.from({ length: 8 }, () => refusalOf(use(shown))))

  assert.equal(all.filter((each) => each === 'nothing').length, 1)
  assert.deepEqual(new Set(all), new Set(['nothing', 'use-refused used-up']))
})

test('a grant for one use is used once, whichever of its tickets come', async (t) => {
  const { ticket, use, grantId } = await reading(t, { uses: 1 })
  const tickets = [await ticket(grantId), await ticket(grantId), await ticket(grantId)]

  const all = await Promise.all(tickets.map((each) => refusalOf(use(each))))

  assert.equal(all.filter((each) => each === 'nothing').length, 1)
})

test('a ticket is over when it was not used in time, and works on from its first use until the grant ends', async (t) => {
  const { ticket, use, grantId, clock } = await reading(t, { connections: 50 })
  const [early, late] = [await ticket(grantId), await ticket(grantId)]
  await use(early)

  clock.advance(301)

  assert.equal(await refusalOf(use(late)), 'use-refused over')
  assert.equal(await refusalOf(use(early)), 'nothing')
})

test('a ticket that was stolen is worth nothing from another address, and the answer is that of a made-up one', async (t) => {
  const { ticket, use, grantId } = await reading(t)
  const shown = await ticket(grantId)
  await use(shown, '10.0.0.7')

  const stolen = use(shown, '10.6.6.6').catch((error: Error) => error.message)
  const guessed = use({ ...shown, secret: new Secret('rvt_guess') }).catch((error: Error) => error.message)

  assert.equal(await stolen, await guessed)
  assert.equal(await refusalOf(use(shown, '::ffff:10.0.0.7')), 'nothing', 'the same address in its other form')
})

test('a ticket for one account says nothing at another', async (t) => {
  const { ticket, grantId, db, access } = await reading(t)
  const { secret } = await ticket(grantId)
  const at = (targetName: string, accountName: string) =>
    proveGrant(db, access, { proof: { kind: 'ticket', secret }, address: '10.0.0.7', targetName, accountName })

  assert.equal((await at('orders', 'app')).kind, 'proven')
  for (const [target, account] of [
    ['orders', 'admin'],
    ['billing', 'app'],
  ] as const) {
    assert.deepEqual(await at(target, account), await at('no-such', 'no-such'))
  }
})

test('connections are counted: one more than granted is refused, a closed one makes room', async (t) => {
  const { ticket, use, grantId, run, access } = await reading(t, { connections: 2 })
  const shown = await ticket(grantId)
  const [first] = [await use(shown), await use(shown)]
  assert.equal(await refusalOf(use(shown)), 'use-refused too-many')

  await run((tx) => beginUse(tx, access, { useId: first.id }))
  await run((tx) => closeUse(tx, access, { useId: first.id }))

  assert.equal(await refusalOf(use(shown)), 'nothing')
})

test('a use whose target never became ready is given back once, and no more', async (t) => {
  const { ticket, use, grantId, run, access, db } = await reading(t, { uses: 1 })
  const shown = await ticket(grantId)
  const { id: useId } = await use(shown)

  const released = await Promise.all([1, 2, 3].map(() => run((tx) => releaseUse(tx, access, { useId }))))

  assert.equal(released.filter(Boolean).length, 1)
  assert.equal((await loadGrant(db, grantId))?.uses, 0)
  assert.equal(await refusalOf(use(shown)), 'nothing')
})

test('one that begins a use and one that gives it back never wait for each other', async (t) => {
  const { ticket, use, grantId, run, access, db } = await reading(t)
  const { id: useId } = await use(await ticket(grantId))
  const [holding, heldLongEnough] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const holder = run(async (tx) => {
    await tx.selectFrom('accessGrant').select('id').where('id', '=', grantId).forUpdate().execute()
    holding.resolve()
    await heldLongEnough.promise
  })
  await holding.promise
  let attempts = 0
  const counted = (move: typeof beginUse) =>
    run((tx) => {
      attempts += 1
      return move(tx, access, { useId })
    })
  /** How many of this database wait for a lock. */
  const waiting = async (wanted: number) => {
    const { rows } = await sql<{ count: number }>`
      select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`.execute(db)
    return rows[0]?.count === wanted ? true : undefined
  }
  const released = counted(releaseUse)
  await eventually(() => waiting(1))
  const begun = counted(beginUse)
  await eventually(() => waiting(2))

  heldLongEnough.resolve()
  await holder
  const both = [await released, await begun]

  // A deadlock would have been run again.
  assert.deepEqual([attempts, both.filter(Boolean).length], [2, 1])
})

test('a grant ends as used up when its last use is closed', async (t) => {
  const { ticket, use, grantId, run, access, db } = await reading(t, { uses: 1 })
  const { id: useId } = await use(await ticket(grantId))
  await run((tx) => beginUse(tx, access, { useId }))

  const ended = await run((tx) => closeUse(tx, access, { useId }))

  assert.equal(ended?.reason, 'used-up')
  assert.equal((await loadGrant(db, grantId))?.endReason, 'used-up')
})

test('a use that was reserved before the end does not begin after it', async (t) => {
  const { ticket, use, grantId, run, access } = await reading(t)
  const { id: useId } = await use(await ticket(grantId))
  await run((tx) => endGrant(tx, access, { grantId, reason: 'revoked' }))

  assert.equal(await run((tx) => beginUse(tx, access, { useId })), false)
})

test('what was proven before the end is refused at its use', async (t) => {
  const { ticket, grantId, run, access, db, clock } = await reading(t)
  const { secret } = await ticket(grantId)
  const asked = {
    proof: { kind: 'ticket', secret } as const,
    address: '10.0.0.7',
    targetName: 'orders',
    accountName: 'app',
  }
  const proven = await proveGrant(db, access, asked)
  assert.ok(proven.kind === 'proven')
  const using = { facts: proven.facts, address: '10.0.0.7', nodeId: randomUUID() }

  await run((tx) => endGrant(tx, access, { grantId, reason: 'revoked' }))

  assert.equal(await refusalOf(run((tx) => useGrant(tx, access, using)).then(settled)), 'use-refused over')
  clock.advance(4000)
  assert.equal((await proveGrant(db, access, asked)).kind, 'refused')
})

test('a policy that came after the grant is asked at its use', async (t) => {
  const { ticket, use, grantId, setPolicies, kinds } = await reading(t)
  const shown = await ticket(grantId)
  await setPolicies((text) =>
    text.replace('@id("person-reads-production")', '@id("person-reads-production") @approval("1 of security")'),
  )

  assert.equal(await refusalOf(use(shown)), 'use-refused not-now')

  assert.equal((await kinds()).at(-1), 'grant.use-refused')
})

test('a key is bound by its hash, is used from anywhere, and only with the grant it was issued for', async (t) => {
  const { grantId, run, access, permit, dave, db } = await reading(t)
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const key = readPublicKey(publicKey.export({ type: 'spki', format: 'pem' }).toString())
  assert.equal(key?.algorithm, 'p-256')
  const spkiSha256 = sha256(key.spki)
  const on = { type: 'Grant', id: grantId }
  await run((tx) =>
    issueKey(tx, access, permit('key.issue', dave, on), { proof: 'token', spkiSha256, isSingleUse: false }),
  )
  const from = async (address: string, hash: Buffer) => {
    const asked = {
      proof: { kind: 'key', spkiSha256: hash } as const,
      address,
      targetName: 'orders',
      accountName: 'app',
    }
    const proven = await proveGrant(db, access, asked)
    if (proven.kind === 'refused') return proven.refusal.code
    const using = { facts: proven.facts, address, nodeId: randomUUID() }
    return refusalOf(run((tx) => useGrant(tx, access, using)).then(settled))
  }

  assert.equal(await from('10.0.0.7', spkiSha256), 'nothing')
  assert.equal(await from('10.0.0.8', spkiSha256), 'nothing')
  assert.equal(await from('10.0.0.8', sha256('another')), 'unknown')
})

test('a grant that is kept alive ends fifteen seconds after the last heartbeat, by whichever node sweeps', async (t) => {
  const { grantId, run, access, permit, dave, db, clock } = await reading(t, { isKeptAlive: true })
  const beat = () => run((tx) => beatGrant(tx, access, permit('grant.heartbeat', dave, { type: 'Grant', id: grantId })))
  clock.advance(14)
  await beat()
  clock.advance(15)
  assert.deepEqual((await sweepAccess(db, access)).ended, [])
  clock.advance(1)

  const swept = await Promise.all([sweepAccess(db, access), sweepAccess(db, access)])

  assert.deepEqual(
    swept.flatMap(({ ended }) => ended.map((end) => end.reason)),
    ['heartbeat-missed'],
  )
  assert.equal(await refusalOf(beat()), 'grant-over')
})

test('the sweep ends what ran out and expires what nobody decided, once', async (t) => {
  const { grantId, ask, dave, access, db, clock, kinds } = await reading(t)
  await ask(dave, { actions: ['postgres.write'] })
  clock.advance(9 * 3600)

  const first = await sweepAccess(db, access)
  const second = await sweepAccess(db, access)

  assert.deepEqual([first.expiredRequests, first.ended.map((end) => end.id)], [1, [grantId]])
  assert.deepEqual([second.expiredRequests, second.ended], [0, []])
  assert.deepEqual((await kinds()).slice(-2), ['access.expired', 'grant.ended'])
})

async function openUses(db: AccessWorld['db']): Promise<string[]> {
  const rows = await db.selectFrom('grantUse').select('id').where('state', 'in', ['reserved', 'live']).execute()
  return rows.map((row) => row.id).sort()
}

test('the uses of a dead node are given back or closed, and those of a live one stay', async (t) => {
  const { ticket, use, grantId, run, access, db, clock } = await reading(t, { uses: 2, connections: 2 })
  const shown = await ticket(grantId)
  const [reserved, live] = [await use(shown), await use(shown)]
  await run((tx) => beginUse(tx, access, { useId: live.id }))
  const { nodeId } = await db.selectFrom('grantUse').select('nodeId').executeTakeFirstOrThrow()
  const startedAt = clock.now()
  const node = {
    id: nodeId,
    name: 'dead',
    version: '0',
    roles: [],
    startedAt,
    heartbeatAt: startedAt,
    clockOffsetMs: 0,
  }
  await run((tx) => tx.insertInto('node').values(node).execute())
  await sweepUses(db, access, randomUUID())
  assert.deepEqual(await openUses(db), [reserved.id, live.id].sort())

  clock.advance(16)
  await sweepUses(db, access, randomUUID())

  const states = await db.selectFrom('grantUse').select(['id', 'state']).execute()
  assert.deepEqual(
    new Map(states.map((row) => [row.id, row.state])),
    new Map([
      [reserved.id, 'released'],
      [live.id, 'closed'],
    ]),
  )
  assert.equal((await loadGrant(db, grantId))?.uses, 1)
})

test('a grant that is recorded less than the policies now ask for carries no further use', async (t) => {
  const world = await accessWorld(t, { policies: (text) => text.replaceAll('@record("full")', '@record("meta")') })
  const grantId = granted(await world.ask(world.dave, READING))
  const shown = await world.ticket(grantId)
  assert.equal(await refusalOf(world.use(shown)), 'nothing')

  await world.setPolicies((text) => text)

  assert.equal(await refusalOf(world.use(shown)), 'use-refused not-now')
})
