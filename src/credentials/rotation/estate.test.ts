import assert from 'node:assert/strict'
import { test } from 'node:test'
import { asSuperuser, connectAs, movableClock } from '../../../test/support/lease-world.ts'
import { kept, rotationNeeds, STANDING, type Kept } from '../../../test/support/rotation-world.ts'
import { permitFor } from '../../../test/support/permit.ts'
import { openDatabase, transact, type Db } from '../../kernel/db.ts'
import { silentLog } from '../../kernel/log.ts'
import { newId } from '../../kernel/random.ts'
import { Secret } from '../../kernel/secret.ts'
import { SYSTEM } from '../../ledger/ledger.ts'
import { never } from '../lease.fixture.ts'
import { readMany, resumeMany, startMany } from './campaign.ts'
import { rotationDue } from './events.ts'
import { keptLogin } from './login.ts'
import { reportLeak, rotateAfterBreakGlass, rotateAfterLeaver } from './occasions.ts'
import { rotationSite } from './rotation.fixture.ts'
import { copyOfRecord, turning } from './turns.fixture.ts'
import { settleRotations } from './worker.ts'

const site = rotationSite()
const { assertRotated, enter, kindsOf, read, setting, settle } = site
type Needs = ReturnType<typeof rotationNeeds>

/** Something a test makes true in the record, with an entry of its own. */
async function make(
  needs: Needs,
  resourceId: string,
  write: (tx: Parameters<Parameters<typeof transact>[1]>[0], cause: number) => Promise<unknown>,
) {
  await transact(site.home.db, async (tx) => {
    const cause = await needs.ledger.record(tx, {
      event: rotationDue,
      actor: SYSTEM,
      resource: { type: 'Test', id: resourceId },
      outcome: 'done',
      facts: { principal: 'x', isStarted: false },
    })
    await write(tx, cause)
  })
}

function openOf(accountId: string) {
  return site.home.db
    .selectFrom('rotation')
    .select(['id', 'occasion', 'endsSessions', 'soakSeconds'])
    .where('accountId', '=', accountId)
    .where('overAt', 'is', null)
    .execute()
}

test('a leak is rotated at once, without a soak, and what it opened is ended', async () => {
  const { needs, account } = await setting()
  const thief = await connectAs(site.cluster, account.name, new Secret(STANDING))
  const permit = permitFor(
    'credential.report-leak',
    { type: 'Person', id: account.here.personId },
    { type: 'Account', id: account.accountId },
  )

  const { id } = await transact(site.home.db, (tx) => reportLeak(tx, needs, permit, { reason: 'found in a log' }))
  await settle(needs)

  await assertRotated(account, id)
  await assert.rejects(thief.query('select 1'))
})

test('who once held the secret in their hands leaves: it is another one; and not again once it was rotated since', async () => {
  const { needs, clock, account } = await setting()
  const leaver = { identityId: account.here.personId }
  // What registering an account enters: the leaver typed the secret.
  const { accountRegistered } = await import('../../catalog/events.ts')
  await transact(site.home.db, async (tx) => {
    await needs.ledger.record(tx, {
      event: accountRegistered,
      actor: { id: leaver.identityId, kind: 'human' },
      resource: { type: 'Account', id: account.accountId },
      outcome: 'done',
      facts: { targetId: account.targetId, name: account.name, mode: 'static', databases: [], tier: 1, roles: {} },
    })
  })

  assert.equal(await transact(site.home.db, (tx) => rotateAfterLeaver(tx, needs, leaver)), 1)
  const [open] = await openOf(account.accountId)
  assert.equal(open?.occasion, 'owner-left')
  assert.equal(await transact(site.home.db, (tx) => rotateAfterLeaver(tx, needs, leaver)), 0)
  clock.ahead(5)
  await settle(needs)

  await assertRotated(account, open?.id ?? '')
  assert.equal(await transact(site.home.db, (tx) => rotateAfterLeaver(tx, needs, leaver)), 0)
})

test('break-glass was used on a login that stands: it is another one afterwards; ordinary use changes nothing', async () => {
  const { needs, account } = await setting()
  const grant = await account.here.grant({ account: account.name, mode: 'static' })
  const after = () => transact(site.home.db, (tx) => rotateAfterBreakGlass(tx, needs, { grantId: grant.id }))
  await make(needs, grant.id, async (tx, cause) => {
    const now = needs.clock.now()
    const [proofId, useId, nodeId] = [newId(needs.clock, needs.random), newId(needs.clock, needs.random), grant.id]
    const proof = {
      id: proofId,
      grantId: grant.id,
      kind: 'ticket',
      sha256: Buffer.from(grant.id),
      isSingleUse: false,
    } as const
    await tx
      .insertInto('grantProof')
      .values({ ...proof, createdAt: now, firstUseBefore: now, cause })
      .execute()
    const use = { id: useId, grantId: grant.id, proofId, nodeId, address: '127.0.0.1', state: 'reserved' } as const
    await tx
      .insertInto('grantUse')
      .values({ ...use, reservedAt: now, cause })
      .execute()
  })
  assert.equal(await after(), false)
  await make(needs, account.here.personId, async (tx, cause) => {
    await tx
      .updateTable('identity')
      .set({ profile: 'break-glass', cause })
      .where('id', '=', account.here.personId)
      .execute()
  })

  assert.equal(await after(), true)

  const [open] = await openOf(account.accountId)
  assert.equal(open?.occasion, 'break-glass')
  await settle(needs)
  await assertRotated(account, open?.id ?? '')
})

test('a login older than its class may be is rotated by itself; one with a schedule of its own waits for that', async () => {
  const { needs, clock, account } = await setting()
  const { accountRegistered } = await import('../../catalog/events.ts')
  await transact(site.home.db, async (tx) => {
    const cause = await needs.ledger.record(tx, {
      event: accountRegistered,
      actor: SYSTEM,
      resource: { type: 'Account', id: account.accountId },
      outcome: 'done',
      facts: { targetId: account.targetId, name: account.name, mode: 'static', databases: [], tier: 1, roles: {} },
    })
    await tx
      .updateTable('account')
      .set({ identityId: account.here.personId, cause })
      .where('id', '=', account.accountId)
      .execute()
  })
  const asked: unknown[] = []
  const mostDaysOf = (about: { profile: string; tier: number }) => {
    asked.push(about)
    return 30
  }
  const held = { ...needs, mostDaysOf }
  clock.ahead(29 * 86_400)
  await settle(held)
  assert.deepEqual(await openOf(account.accountId), [])
  assert.ok(asked.length > 0)
  assert.deepEqual(asked[0], { profile: 'person', tier: 1 })

  clock.ahead(2 * 86_400)
  await settle(held)

  const rows = site.home.db.selectFrom('rotation').select(['id', 'occasion']).where('accountId', '=', account.accountId)
  const [rotated, ...more] = await rows.execute()
  assert.deepEqual([rotated?.occasion, more.length], ['age', 0])
  await assertRotated(account, rotated?.id ?? '')
})

/** Many logins of one target, of tiers and with a reader each that connects for every read by what Reeve gives out at that moment. */
async function estate(many: number) {
  const clock = movableClock()
  const needs = rotationNeeds(clock)
  const first = await kept(site.home.db, needs, site.cluster, {
    name: `estate_${newId(clock, needs.random).slice(-6)}`,
  })
  const admin = await asSuperuser(site.cluster)
  const accounts: { id: string; name: string; tier: number }[] = []
  for (let at = 0; at < many; at += 1) {
    const name = `${first.name}_${at}`
    await admin.query(`create role "${name}" login password '${STANDING}'`)
    await admin.query(`grant "${name}" to reeve_provisioner with admin true`)
    const { accountId } = await first.here.grant({ account: name, mode: 'static' })
    const tier = at % 3
    await make(needs, accountId, async (tx, cause) => {
      await tx.updateTable('account').set({ tier, cause }).where('id', '=', accountId).execute()
    })
    accounts.push({ id: accountId, name, tier })
  }
  await admin.end()
  const { name: target } = await site.home.db
    .selectFrom('target')
    .select('name')
    .where('id', '=', first.targetId)
    .executeTakeFirstOrThrow()
  const permit = permitFor(
    'rotation.start-many',
    { type: 'Person', id: first.here.personId },
    { type: 'Installation', id: 'installation' },
  )
  const order = (more: { perTarget?: number; mostFailures?: number; target?: undefined; vendor?: string }) =>
    transact(site.home.db, (tx) =>
      startMany(tx, needs, permit, {
        target,
        endSessions: false,
        perTarget: 2,
        mostFailures: 0,
        reason: 'the vendor was breached',
        ...more,
      }),
    )
  return { clock, needs, first, accounts, order, target }
}

async function readers(db: Db, needs: Needs, first: Kept, accounts: readonly { id: string }[], signal: AbortSignal) {
  const failed: string[] = []
  let done = 0
  const once = async (accountId: string) => {
    const login = await keptLogin(db, needs, { targetId: first.targetId, accountId })
    assert.ok(login)
    try {
      const client = await connectAs(site.cluster, login.user, login.secret)
      await client.query('select 1')
      await client.end()
      done += 1
    } catch (error) {
      // In the cut itself: whoever was refused asks what it is since, as gateways do.
      const { otherLogins } = await import('./login.ts')
      for (const other of await otherLogins(db, needs, { targetId: first.targetId, accountId }, login.secret)) {
        try {
          await enter(other.user, other.secret)
          done += 1
          return
        } catch {
          continue
        }
      }
      failed.push(String(error))
    }
  }
  const reading = accounts.map(async ({ id }) => {
    while (!signal.aborted) await once(id)
  })
  return { failed, reading: Promise.all(reading), done: () => done }
}

test('many at once: what reaches most goes first, no more at once than was said, and no reader fails', async () => {
  const { clock, needs, first, accounts, order } = await estate(6)
  const stop = new AbortController()
  const live = await readers(site.home.db, needs, first, accounts.slice(0, 3), stop.signal)

  const { id, logins } = await order({})
  assert.equal(logins, 7)
  // Of a vendor: what their identities claim, and nothing else.
  await make(needs, first.accountId, async (tx, cause) => {
    const { personId } = first.here
    await tx.updateTable('identity').set({ vendor: first.name, cause }).where('id', '=', personId).execute()
    await tx.updateTable('account').set({ identityId: personId, cause }).where('id', '=', first.accountId).execute()
  })
  const ofVendor = await order({ target: undefined, vendor: first.name })
  assert.equal(ofVendor.logins, 1)
  for (let at = 0; at < 30 && (await readMany(site.home.db, id)).state === 'running'; at += 1) {
    await settle(needs)
    clock.ahead(2)
  }
  stop.abort()
  await live.reading

  const over = await readMany(site.home.db, id)
  assert.deepEqual([over.state, over.dead, over.failing, over.started], ['over', 7, 0, 7])
  assert.deepEqual(live.failed, [])
  assert.ok(live.done() > 0)
  const tasks = await site.home.db
    .selectFrom('rotationTask')
    .innerJoin('account', 'account.id', 'rotationTask.accountId')
    .select(['account.tier', 'rotationTask.place'])
    .where('campaignId', '=', id)
    .orderBy('place')
    .execute()
  assert.deepEqual(
    tasks.map(({ tier }) => tier),
    tasks.map(({ tier }) => tier).toSorted((a, b) => a - b),
  )
  for (const { name } of accounts) await assert.rejects(enter(name, new Secret(STANDING)), { code: '28P01' })
})

test('many at once stop when more fail than may, what was not begun stays as it is, and a person lets it go on', async () => {
  const { clock, needs, first, accounts, order } = await estate(5)
  const admin = await asSuperuser(site.cluster)
  // Two of them nobody may change: not the provisioner, and they not themselves.
  const broken = accounts.filter(({ tier }) => tier === 0)
  for (const { name } of broken)
    await admin.query(`alter role "${name}" password 'somebody-changed-it'; revoke "${name}" from reeve_provisioner`)
  const { id } = await order({ perTarget: 1, mostFailures: 0 })
  for (let at = 0; at < 12; at += 1) {
    await settle(needs)
    clock.ahead(200)
  }

  const stopped = await readMany(site.home.db, id)
  assert.deepEqual([stopped.state, stopped.started, stopped.failing], ['stopped', 1, 1])
  const untouched = accounts.filter(({ tier }) => tier === 2)
  for (const { name } of untouched) await enter(name, new Secret(STANDING))

  for (const { name } of broken) await admin.query(`grant "${name}" to reeve_provisioner with admin true`)
  await admin.end()
  const permit = permitFor(
    'rotation.resume-many',
    { type: 'Person', id: first.here.personId },
    { type: 'Installation', id: 'installation' },
  )
  await transact(site.home.db, (tx) =>
    resumeMany(tx, needs, permit, id, { mostFailures: 3, reason: 'the rights are given back' }),
  )
  for (let at = 0; at < 30 && (await readMany(site.home.db, id)).state === 'running'; at += 1) {
    clock.ahead(400)
    await settle(needs)
  }
  const over = await readMany(site.home.db, id)
  assert.deepEqual([over.state, over.dead], ['over', 6])
})

test('attack: a copy of the record from before is put back: what lives now is not ended', async () => {
  const { needs, clock, account, other } = await turning(site, { soakSeconds: 600 })
  const old = await account.start()
  await settle(needs)
  assert.equal((await read(old)).state, 'soaking')
  // The copy is made here, in the middle of a rotation that is about to end the first login for good.
  const copy = await copyOfRecord(site.home)
  clock.ahead(700)
  await settle(needs)
  assert.equal((await read(old)).state, 'dead')
  const second = await account.start()
  await settle(needs)
  clock.ahead(700)
  await settle(needs)
  assert.equal((await read(second)).state, 'dead')
  const living = await keptLogin(site.home.db, needs, account)
  assert.ok(living)
  assert.equal(living.user, account.name)
  await enter(living.user, living.secret)

  const opened = openDatabase(copy, { max: 2, log: silentLog })
  try {
    await settleRotations(opened.db, needs, never)

    await enter(living.user, living.secret)
    const rows = opened.db.selectFrom('rotation').select(['state', 'lastError', 'escalation', 'evidence'])
    const fenced = await rows.where('id', '=', old).executeTakeFirstOrThrow()
    assert.deepEqual([fenced.state, fenced.escalation], ['superseded', 'security'])
    assert.match(fenced.lastError ?? '', /this record was restored; nothing was ended/)
    // Nothing of it begins by itself from here on.
    assert.equal(
      await transact(opened.db, (tx) => rotateAfterLeaver(tx, needs, { identityId: account.here.personId })),
      0,
    )
    await assert.rejects(enter(other, new Secret('x')), { code: '28P01' })
  } finally {
    await opened[Symbol.asyncDispose]()
  }
})

test('attack: a name for a target of which Reeve keeps nothing, or no name at all, starts nothing', async () => {
  const { needs, account } = await setting()
  const permit = permitFor(
    'rotation.start-many',
    { type: 'Person', id: account.here.personId },
    { type: 'Installation', id: 'installation' },
  )
  const base = { endSessions: false, perTarget: 1, mostFailures: 0, reason: 'x' }
  for (const filter of [
    {},
    { target: 'nowhere' },
    { ownerTeam: 'nobody' },
    { host: '203.0.113.9' },
    { vendor: 'nobody' },
  ]) {
    await assert.rejects(
      transact(site.home.db, (tx) => startMany(tx, needs, permit, { ...base, ...filter })),
      { slug: 'invalid-input' },
    )
  }
  assert.deepEqual(await kindsOf(account.accountId), [])
})
