import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  asSuperuser,
  connectAs,
  furnish,
  movableClock,
  PROVISIONER,
  PROVISIONER_PASSWORD,
} from '../../../test/support/lease-world.ts'
import { startCluster } from '../../../test/support/cluster.ts'
import { kept, rotationNeeds, STANDING } from '../../../test/support/rotation-world.ts'
import { permitFor } from '../../../test/support/permit.ts'
import { transact } from '../../kernel/db.ts'
import { Secret } from '../../kernel/secret.ts'
import { never } from '../lease.fixture.ts'
import { leaseFor } from '../lease-for.ts'
import { siteOf } from '../site.ts'
import { postgresLoginRotator } from '../postgres/rotate.ts'
import { entryAbout, rotationSite } from './rotation.fixture.ts'
import { SecretRefused } from './rotator.ts'
import { scheduleRotation, startRotation } from './start.ts'
import { runRotations } from './worker.ts'

const site = rotationSite()
const { assertRotated, enter, kindsOf, read, setting, settle } = site

test('a login gets another secret, each arrow in the ledger, and the old one is proven dead', async () => {
  const { needs, account } = await setting()
  const id = await account.start()

  await settle(needs)

  await assertRotated(account, id)
  assert.deepEqual(await kindsOf(id), [
    'rotation.planned',
    'rotation.tried',
    'rotation.issued',
    'rotation.verified',
    'rotation.distributed',
    'rotation.adopted',
    'rotation.disabled',
    'rotation.soaking',
    'rotation.revoked',
    'rotation.dead',
  ])
  const { evidence } = await read(id)
  assert.deepEqual(evidence, {
    ...(evidence as object),
    principal: account.name,
    oldSecret: { refusedWith: '28P01' },
    newSecret: { accepted: true },
    openedWithTheOld: 'goes on',
  })
})

test('attack: of two rotations at once one is refused, however they race', async () => {
  const { needs, account } = await setting()

  const both = await Promise.allSettled([account.start(), account.start()])

  const [started] = both.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  const [refused] = both.flatMap((each): unknown[] => (each.status === 'rejected' ? [each.reason] : []))
  assert.ok(started !== undefined && refused instanceof Error && 'slug' in refused)
  assert.equal(refused.slug, 'rotation-open')
  await settle(needs)
  await assertRotated(account, started)
})

test('attack: many workers carry one rotation on, and it ends once with one secret', async () => {
  const { needs, account } = await setting()
  const id = await account.start()
  const workers = Array.from({ length: 6 }, () => settle(needs))
  const elsewhere = movableClock()
  // What these believe to be due is in other hands.
  elsewhere.ahead(3_600)
  workers.push(settle(rotationNeeds(elsewhere)), settle(rotationNeeds(elsewhere)))

  await Promise.all(workers)
  elsewhere.ahead(3_600)
  await settle(rotationNeeds(elsewhere))

  await assertRotated(account, id)
  assert.equal((await kindsOf(id)).filter((kind) => kind === 'rotation.dead').length, 1)
})

test('attack: nothing of a retired target, and no account without a secret of ours, is rotated', async () => {
  const { needs, account } = await setting()
  const { db } = site.home
  const { accountId } = await account.here.grant({ account: 'app', mode: 'lease' })
  const permit = permitFor(
    'rotation.start',
    { type: 'Person', id: account.here.personId },
    { type: 'Account', id: accountId },
  )
  const input = { reason: 'no', endSessions: false }
  await assert.rejects(
    transact(db, (tx) => startRotation(tx, needs, permit, input)),
    { slug: 'not-rotatable' },
  )
  await retire(account.targetId)

  await assert.rejects(account.start(), { slug: 'not-rotatable', message: /the target is retired/i })
  await assert.rejects(account.start({ account: false }), { slug: 'not-rotatable' })
  assert.equal((await account.secret()).reveal(), STANDING)
})

async function retire(targetId: string): Promise<void> {
  const entry = entryAbout({ type: 'Target', id: targetId })
  await transact(site.home.db, async (tx) => {
    const cause = await entry(tx)
    await tx.updateTable('target').set({ state: 'retired', cause }).where('id', '=', targetId).execute()
  })
}

test('attack: no secret stands in a row, an entry or the log in clear', async () => {
  const { needs, account } = await setting()
  const said: string[] = []
  const note = (...words: unknown[]) =>
    void said.push(words.map((word) => `${String(word)} ${JSON.stringify(word)}`).join(' '))
  const loud = { ...needs, log: { ...needs.log, info: note, warn: note, error: note, debug: note } }
  const made: string[] = []
  const watching = {
    ...postgresLoginRotator,
    make: (random: typeof needs.random) => {
      const secret = postgresLoginRotator.make(random)
      made.push(secret.reveal())
      return secret
    },
  }
  const id = await transact(site.home.db, (tx) =>
    startRotation(
      tx,
      { ...loud, rotators: [watching] },
      permitFor(
        'rotation.start',
        { type: 'Person', id: account.here.personId },
        { type: 'Account', id: account.accountId },
      ),
      { reason: 'a test says so', endSessions: false },
    ),
  )
  const during = await site.home.db.selectFrom('rotation').selectAll().where('id', '=', id.id).execute()
  await settle(loud)

  const rows = await site.home.db.selectFrom('rotation').selectAll().execute()
  const entries = await site.home.db.selectFrom('ledgerEntry').select('leaf').execute()
  const texts = [
    ...[...during, ...rows].flatMap((row) =>
      Object.values(row).map((value) => (Buffer.isBuffer(value) ? value.toString('latin1') : JSON.stringify(value))),
    ),
    ...entries.map((entry) => entry.leaf.toString('utf8')),
    ...said,
    JSON.stringify(id),
  ]
  assert.equal(made.length, 1)
  for (const secret of [STANDING, ...made]) assert.ok(!texts.some((text) => text.includes(secret)))
  assert.equal((await account.secret()).reveal(), made[0])
})

test('what is open with the old secret goes on, or is ended where that was asked for', async () => {
  for (const endSessions of [false, true]) {
    const { needs, account } = await setting()
    const open = await connectAs(site.cluster, account.name, await account.secret())
    const id = await account.start({ endSessions })

    await settle(needs)

    await assertRotated(account, id)
    if (endSessions) await assert.rejects(open.query('select 1'))
    else {
      assert.equal((await open.query('select 1 as one')).rows[0].one, 1)
      await open.end()
    }
    assert.equal(JSON.stringify((await read(id)).evidence).includes('"sessions":1'), endSessions)
  }
})

test('a session that asked for the secret before the cut is let in by what it is since', async () => {
  const { needs, account } = await setting()
  const grant = await account.here.grant({ account: account.name, mode: 'static' })
  const lease = await leaseFor(site.home.db, needs, grant, never)
  await account.start()
  await settle(needs)

  await assert.rejects(enter(lease.user, lease.secret), { code: '28P01' })
  const [since] = (await lease.others?.()) ?? []

  assert.ok(since)
  await enter(since.user, since.secret)
  await account.here.endGrant(grant.id)
})

test('the provisioner itself is rotated, and whoever read its login before the cut still gets in', async () => {
  const { needs, account } = await setting()
  const before = await siteOf(site.home.db, needs.seal, account.targetId)
  const id = await account.start({ account: false })

  await settle(needs)
  try {
    assert.equal((await read(id)).state, 'dead')
    await assert.rejects(enter(PROVISIONER, new Secret(PROVISIONER_PASSWORD)), { code: '28P01' })
    await enter(PROVISIONER, (await siteOf(site.home.db, needs.seal, account.targetId)).provisioner.secret)
    const [since] = (await before.provisioner.others?.()) ?? []
    assert.ok(since)
    // Works through a login that was read before.
    await postgresLoginRotator.change(
      { target: 'x', settings: before.settings, databases: [] },
      {
        user: account.name,
        secret: new Secret('another-one'),
        actors: [before.provisioner],
        isWanted: async () => true,
      },
      never,
    )
    await enter(account.name, new Secret('another-one'))
  } finally {
    const admin = await asSuperuser(site.cluster)
    await admin.query(`alter role ${PROVISIONER} password '${PROVISIONER_PASSWORD}'`)
    await admin.end()
  }
})

test('where nobody may change the secret it stays planned with a sentence, and nothing is lost', async () => {
  const { clock, needs } = await setting()
  // A superuser is not the provisioner's to alter, and what is sealed is out of date.
  const account = await kept(site.home.db, needs, site.cluster, { superuser: true, password: 'changed-by-hand' })
  const id = await account.start()

  await settle(needs)

  const open = await read(id)
  assert.deepEqual(
    [open.state, open.lastError, open.attempts],
    ['planned', 'changing the secret failed (42501: the provisioner lacks a right)', 1],
  )
  assert.equal((await account.secret()).reveal(), STANDING)
  await enter(account.name, new Secret('changed-by-hand'))
  clock.ahead(5 * 3_600)
  await settle(needs)
  assert.equal((await read(id)).escalation, 'security')
  const admin = await asSuperuser(site.cluster)
  await admin.query(`alter role ${account.name} nosuperuser; grant ${account.name} to ${PROVISIONER} with admin true`)
  await admin.end()
  clock.ahead(3_600)
  await settle(needs)
  await assertRotated(account, id)
})

test('what the provisioner may not, the login does for itself', async () => {
  const { needs } = await setting()
  const account = await kept(site.home.db, needs, site.cluster, { superuser: true })
  const id = await account.start()

  await settle(needs)

  await assertRotated(account, id)
})

test('a target that refuses a secret by its own rules is given another, and knows the old one meanwhile', async () => {
  const { needs, account } = await setting()
  let refusals = 0
  const strict = {
    ...postgresLoginRotator,
    change: async (...given: Parameters<typeof postgresLoginRotator.change>) => {
      if (refusals === 2) return postgresLoginRotator.change(...given)
      refusals += 1
      await enter(account.name, new Secret(STANDING))
      throw new SecretRefused('the target’s own rules refuse it')
    },
  }
  const id = await account.start()

  await settle({ ...needs, rotators: [strict] })

  await assertRotated(account, id)
  assert.equal((await kindsOf(id)).filter((kind) => kind === 'rotation.regenerated').length, 2)
})

test('a login that is due is rotated by itself, again and again', async () => {
  const { clock, needs, account } = await setting()
  const permit = permitFor(
    'rotation.schedule',
    { type: 'Person', id: account.here.personId },
    { type: 'Account', id: account.accountId },
  )
  const { db } = site.home
  await transact(db, (tx) => scheduleRotation(tx, needs, permit, { everyDays: 30, reason: 'a test says so' }))
  const rotations = () =>
    db.selectFrom('rotation').selectAll().where('accountId', '=', account.accountId).orderBy('id').execute()

  clock.ahead(29 * 86_400)
  await settle(needs)
  assert.equal((await rotations()).length, 0)
  for (const count of [1, 2]) {
    clock.ahead(31 * 86_400)
    await settle(needs)
    const all = await rotations()
    assert.deepEqual(
      all.map((row) => [row.state, row.startedById]),
      Array.from({ length: count }, () => ['dead', null]),
    )
  }
  await transact(db, (tx) => scheduleRotation(tx, needs, permit, { everyDays: null, reason: 'a test says so' }))
  clock.ahead(365 * 86_400)
  await settle(needs)
  assert.equal((await rotations()).length, 2)
})

test('the schedule of what is retired is over, and a rotation that is under way when its target retires comes to its end', async () => {
  const { clock, needs, account } = await setting()
  const person = { type: 'Person', id: account.here.personId }
  const permit = permitFor('rotation.schedule', person, { type: 'Account', id: account.accountId })
  const { db } = site.home
  await transact(db, (tx) => scheduleRotation(tx, needs, permit, { everyDays: 1, reason: 'a test says so' }))
  const id = await account.start()
  await retire(account.targetId)
  clock.ahead(2 * 86_400)

  await settle(needs)

  await assertRotated(account, id)
  const schedules = await db
    .selectFrom('rotationSchedule')
    .selectAll()
    .where('accountId', '=', account.accountId)
    .execute()
  assert.deepEqual(
    schedules.map((row) => [row.everyDays, row.dueAt]),
    [[null, null]],
  )
})

test('attack: a password rule of the target, real: a secret that is the name of the login is refused, and another is made', async () => {
  await using strict = await startCluster({ settings: { shared_preload_libraries: 'passwordcheck' } })
  await furnish(strict, 'createrole')
  const { needs } = await setting()
  const first = Buffer.alloc(32, 65)
  const account = await kept(site.home.db, needs, strict, { name: first.toString('base64url'), password: STANDING })
  let made = 0
  const unlucky = {
    ...postgresLoginRotator,
    make: (random: typeof needs.random) => {
      made += 1
      return made === 1 ? new Secret(account.name) : postgresLoginRotator.make(random)
    },
  }
  const permit = permitFor(
    'rotation.start',
    { type: 'Person', id: account.here.personId },
    { type: 'Account', id: account.accountId },
  )
  const unluckily = { ...needs, rotators: [unlucky] }
  const { id } = await transact(site.home.db, (tx) =>
    startRotation(tx, unluckily, permit, { reason: 'a test says so', endSessions: false }),
  )

  await settle(unluckily)

  const { state, lastError } = await read(id)
  assert.deepEqual([state, lastError, made], ['dead', null, 2])
  await (await connectAs(strict, account.name, await account.secret())).end()
})

test('the worker carries rotations on by itself and stops when it is told to', async () => {
  const { needs, account } = await setting()
  const dead = Promise.withResolvers<void>()
  const ledger: typeof needs.ledger = {
    ...needs.ledger,
    record: async (tx, fact) => {
      const cause = await needs.ledger.record(tx, fact)
      if (fact.event.kind === 'rotation.dead') dead.resolve()
      return cause
    },
  }
  const worker = runRotations(site.home.db, { ...needs, ledger })
  const id = await account.start()
  worker.wake()

  await dead.promise
  await worker[Symbol.asyncDispose]()

  await assertRotated(account, id)
})
