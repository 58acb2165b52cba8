import assert from 'node:assert/strict'
import { test } from 'node:test'
import { asSuperuser, connectAs, movableClock } from '../../../test/support/lease-world.ts'
import { kept, rotationNeeds, STANDING } from '../../../test/support/rotation-world.ts'
import { permitFor } from '../../../test/support/permit.ts'
import { hmacSha256 } from '../../kernel/crypto.ts'
import { transact } from '../../kernel/db.ts'
import { Secret } from '../../kernel/secret.ts'
import { never } from '../lease.fixture.ts'
import { leaseFor } from '../lease-for.ts'
import { handIn } from './configure.ts'
import { keptLogin } from './login.ts'
import { rotationSite } from './rotation.fixture.ts'
import { by, HOOK_KEY, hookServer, turning } from './turns.fixture.ts'

const site = rotationSite()
const { enter, kindsOf, read, settle } = site

async function loginOf(needs: ReturnType<typeof rotationNeeds>, account: { targetId: string; accountId: string }) {
  const login = await keptLogin(site.home.db, needs, account)
  assert.ok(login)
  return login
}

async function known(accountId: string) {
  const rows = site.home.db.selectFrom('credentialConsumer').selectAll().where('accountId', '=', accountId)
  return (await rows.orderBy('id').execute()).map(({ name, origin, seenOn }) => ({ name, origin, seenOn }))
}

test('two logins take turns: both work until the old one is disabled, and the account stands for one or the other', async () => {
  const { needs, clock, account, other } = await turning(site, { soakSeconds: 3_600 })
  const id = await account.start()

  await settle(needs)

  const soaking = await read(id)
  assert.deepEqual([soaking.state, soaking.principal, soaking.nextPrincipal], ['soaking', account.name, other])
  assert.match(soaking.waitsFor ?? '', /^it soaks until /)
  const now = await loginOf(needs, account)
  assert.equal(now.user, other)
  await enter(other, now.secret)
  // Disabled and not gone: its secret is right, and it is not let in.
  await assert.rejects(enter(account.name, new Secret(STANDING)), { code: '28000' })
  clock.ahead(3_700)
  await settle(needs)
  const dead = await read(id)
  assert.equal(dead.state, 'dead')
  await assert.rejects(enter(account.name, new Secret(STANDING)), { code: '28P01' })

  const back = await account.start()
  await settle(needs)
  clock.ahead(3_700)
  await settle(needs)

  assert.equal((await read(back)).state, 'dead')
  const again = await loginOf(needs, account)
  assert.equal(again.user, account.name)
  await enter(account.name, again.secret)
  await assert.rejects(enter(other, now.secret), { code: '28P01' })
})

test('a login that holds rights of its own is not rotated by turns: the other one would lack them', async () => {
  const { needs, account } = await turning(site)
  const admin = await asSuperuser(site.cluster)
  await admin.query(`create table of_${account.name} (); alter table of_${account.name} owner to ${account.name}`)
  const id = await account.start()

  await settle(needs)

  assert.match((await read(id)).lastError ?? '', /holds 1 rights of its own/)
  await enter(account.name, new Secret(STANDING))
  await admin.query(`drop table of_${account.name}`)
  await admin.end()
})

test('the old one lives until every known consumer was seen with the new one', async () => {
  const { needs, clock, account } = await turning(site)
  await by(site, needs, account).declare('billing', { applicationName: 'billing' })
  const billing = await connectAs(site.cluster, account.name, new Secret(STANDING))
  await billing.query(`set application_name = 'billing'`)
  const stranger = await connectAs(site.cluster, account.name, new Secret(STANDING))
  await stranger.query(`set application_name = 'a script of somebody'`)
  const id = await account.start()

  await settle(needs)

  const waiting = await read(id)
  assert.equal(waiting.state, 'distributed')
  assert.match(waiting.waitsFor ?? '', /^billing \(payments\), seen-[0-9a-f]{12} was not seen with the new secret$/)
  await enter(account.name, new Secret(STANDING))

  const now = await loginOf(needs, account)
  const moved = await connectAs(site.cluster, now.user, now.secret)
  await moved.query(`set application_name = 'billing'`)
  await billing.end()
  clock.ahead(400)
  await settle(needs)
  assert.match((await read(id)).waitsFor ?? '', /^seen-[0-9a-f]{12} was not seen with the new secret$/)

  const follower = await connectAs(site.cluster, now.user, now.secret)
  await follower.query(`set application_name = 'a script of somebody'`)
  clock.ahead(400)
  await settle(needs)
  assert.equal((await read(id)).waitsFor, '1 sessions are open with the old login')

  await stranger.end()
  clock.ahead(400)
  await settle(needs)
  assert.equal((await read(id)).state, 'dead')
  assert.ok((await known(account.accountId)).every(({ seenOn }) => seenOn === id))
  await moved.end()
  await follower.end()
})

test('attack: one that calls itself like a consumer hides that another still uses the old one: the old one lives on', async () => {
  const { needs, clock, account } = await turning(site)
  await by(site, needs, account).declare('billing', { applicationName: 'billing' })
  await assert.rejects(by(site, needs, account).declare('billing-2', { applicationName: 'billing' }), {
    slug: 'invalid-input',
  })
  await assert.rejects(by(site, needs, account).declare('seen-0123456789ab', { applicationName: 'x' }), {
    slug: 'invalid-input',
  })
  const real = await connectAs(site.cluster, account.name, new Secret(STANDING))
  await real.query(`set application_name = 'billing'`)
  const id = await account.start()
  await settle(needs)
  const now = await loginOf(needs, account)
  const liar = await connectAs(site.cluster, now.user, now.secret)
  await liar.query(`set application_name = 'billing'`)
  clock.ahead(400)

  await settle(needs)

  const open = await read(id)
  assert.deepEqual([open.state, open.waitsFor], ['distributed', '1 sessions are open with the old login'])
  assert.equal((await real.query('select 1 as one')).rows[0].one, 1)
  await real.end()
  await liar.end()
})

test('attack: a session through the gateway takes the name of a consumer: it speaks for nobody', async () => {
  const { needs, clock, account } = await turning(site)
  await by(site, needs, account).declare('billing', { applicationName: 'billing' })
  const grant = await account.here.grant({ account: account.name, mode: 'static' })
  const id = await account.start()
  await settle(needs)
  await useOf(needs, grant.id)
  const now = await loginOf(needs, account)
  const through = await connectAs(site.cluster, now.user, now.secret)
  await through.query(`set application_name = 'billing'`)
  clock.ahead(400)

  await settle(needs)

  assert.match((await read(id)).waitsFor ?? '', /^billing \(payments\) was not seen/)
  await through.end()
})

/** A use of a grant that is open: somebody is connected through a gateway. */
async function useOf(needs: ReturnType<typeof rotationNeeds>, grantId: string): Promise<void> {
  const { db } = site.home
  const { rotationDue } = await import('./events.ts')
  await transact(db, async (tx) => {
    const cause = await needs.ledger.record(tx, {
      event: rotationDue,
      actor: { id: null, kind: 'system' },
      resource: { type: 'Grant', id: grantId },
      outcome: 'done',
      facts: { principal: 'x', isStarted: false },
    })
    const now = needs.clock.now()
    const [proofId, useId, nodeId] = [1, 2, 3].map((n) => grantId.slice(0, -1) + String(n))
    assert.ok(proofId && useId && nodeId)
    await tx
      .insertInto('grantProof')
      .values({
        id: proofId,
        grantId,
        kind: 'ticket',
        sha256: hmacSha256(Buffer.from('x'), grantId),
        isSingleUse: false,
        createdAt: now,
        firstUseBefore: now,
        cause,
      })
      .execute()
    await tx
      .insertInto('grantUse')
      .values({
        id: useId,
        grantId,
        proofId,
        nodeId,
        address: '127.0.0.1',
        state: 'live',
        reservedAt: now,
        begunAt: now,
        cause,
      })
      .execute()
  })
}

test('a session that asked for the login before the turn is let in by the one it is since', async () => {
  const { needs, account, other } = await turning(site)
  const grant = await account.here.grant({ account: account.name, mode: 'static' })
  const lease = await leaseFor(site.home.db, needs, grant, never)
  await account.start()
  await settle(needs)

  await assert.rejects(enter(lease.user, lease.secret))
  const [since] = (await lease.others?.()) ?? []

  assert.equal(since?.user, other)
  await enter(other, since.secret)
  assert.equal((await leaseFor(site.home.db, needs, grant, never)).user, other)
  await account.here.endGrant(grant.id)
})

test('backing out keeps the old one and proves the new one dead; it is refused once the old one is disabled', async () => {
  const { needs, clock, account, other } = await turning(site, { soakSeconds: 3_600 })
  await by(site, needs, account).declare('billing', { applicationName: 'billing' })
  const id = await account.start()
  await settle(needs)
  const given = await loginOf(needs, account)
  assert.equal(given.user, other)

  const asked = await by(site, needs, account).abort(id)
  assert.equal(asked.state, 'aborting')
  assert.equal((await loginOf(needs, account)).user, account.name)
  clock.ahead(400)
  await settle(needs)

  assert.equal((await read(id)).state, 'aborted')
  await enter(account.name, new Secret(STANDING))
  await assert.rejects(enter(other, given.secret), { code: '28P01' })
  await assert.rejects(by(site, needs, account).abort(id), { slug: 'conflict', message: /It is over/ })

  const next = await account.start()
  await settle(needs)
  const open = await connectAs(site.cluster, other, (await loginOf(needs, account)).secret)
  await open.query(`set application_name = 'billing'`)
  clock.ahead(400)
  await settle(needs)
  assert.equal((await read(next)).state, 'soaking')
  await assert.rejects(by(site, needs, account).abort(next), { slug: 'conflict', message: /does not live any more/ })
  await open.end()
})

test('backing out before the target was told anything keeps the old one', async () => {
  const { needs, account } = await site.setting()
  const id = await account.start()
  await site.cluster.stop()
  await settle(needs)
  await site.cluster.restart()
  const asked = await by(site, needs, account).abort(id)

  assert.equal(asked.state, 'aborting')
  await enter(account.name, new Secret(STANDING))
})

test('issued twice and taken up by nobody is an alarm, and security hears of it at once', async () => {
  const { needs, clock, account } = await turning(site)
  await by(site, needs, account).declare('billing', { applicationName: 'billing' })
  const first = await account.start()
  await settle(needs)
  assert.equal((await read(first)).alarmedAt, null)
  await by(site, needs, account).abort(first)
  clock.ahead(400)
  await settle(needs)

  const second = await account.start()
  await settle(needs)

  const { alarmedAt, escalation, state } = await read(second)
  assert.ok(alarmedAt)
  assert.deepEqual([state, escalation], ['distributed', 'security'])
  assert.ok((await kindsOf(second)).includes('rotation.alarm'))
})

test('a hook is told without the secret, signed, and its answer is distribution and not adoption', async (t) => {
  const hook = await hookServer(t)
  const clock = movableClock()
  const needs = rotationNeeds(clock)
  const account = await kept(site.home.db, needs, site.cluster, { name: 'hooked' })
  await account.configure({ strategy: 'restart-hook', hookUrl: hook.url, hookKey: HOOK_KEY })
  await by(site, needs, account).declare('legacy', { applicationName: 'legacy' })
  hook.answer = () => '00'.repeat(32)
  const id = await account.start()

  await settle(needs)
  const forged = await read(id)
  assert.deepEqual([forged.state, forged.toldAt], ['distributed', null])
  assert.equal(forged.waitsFor, 'the answer of the hook is not signed with its key')

  hook.answer = () => undefined
  clock.ahead(400)
  await settle(needs)
  const told = await read(id)
  assert.ok(told.toldAt)
  assert.deepEqual([told.state, told.adoptedAt], ['distributed', null])
  assert.match(told.waitsFor ?? '', /^legacy \(payments\) was not seen/)
  const secret = await account.secret()
  for (const { body, signature } of hook.heard) {
    assert.ok(!body.includes(secret.reveal()) && !body.includes(STANDING))
    assert.equal(signature, `sha256=${hmacSha256(Buffer.from(HOOK_KEY), body).toString('hex')}`)
  }

  const restarted = await connectAs(site.cluster, account.name, secret)
  await restarted.query(`set application_name = 'legacy'`)
  await settleLater()
  assert.equal((await read(id)).state, 'dead')
  await restarted.end()

  async function settleLater() {
    // The clock of the test is ahead of the target's: what connected there just now is younger than the change all the same.
    for (let at = 0; at < 5 && (await read(id)).state !== 'dead'; at += 1) {
      clock.ahead(400)
      await settle(needs)
    }
  }
})

test('by hand: the task has an owner and a deadline, and is closed by the proof of the server alone', async () => {
  const clock = movableClock()
  const needs = rotationNeeds(clock)
  const account = await kept(site.home.db, needs, site.cluster, { name: 'by_hand' })
  const way = { instructions: 'ask the vendor', ownerTeam: 'payments', deadlineDays: 3 }
  await account.configure({ strategy: 'by-hand', ...way })
  const id = await account.start()
  const hand = (password: string) =>
    transact(site.home.db, (tx) =>
      handIn(
        tx,
        needs,
        permitFor('rotation.hand-in', { type: 'Person', id: account.here.personId }, { type: 'Rotation', id }),
        { password },
      ),
    )

  await settle(needs)
  const task = await read(id)
  assert.deepEqual([task.state, task.escalation], ['planned', 'none'])
  assert.match(task.waitsFor ?? '', /^payments has to set another secret at the target and hand it in: ask the vendor$/)
  clock.ahead(3 * 86_400 + 1_000)
  await settle(needs)
  assert.equal((await read(id)).escalation, 'owner')

  // Attacks: the old one handed in again, and one that was never set.
  await assert.rejects(hand(STANDING), { slug: 'invalid-input' })
  await hand('only-said-so')
  await settle(needs)
  assert.equal((await read(id)).state, 'planned')
  await enter(account.name, new Secret(STANDING))

  const admin = await asSuperuser(site.cluster)
  await admin.query(`alter role by_hand password 'really-set'`)
  await admin.end()
  await hand('really-set')
  await settle(needs)
  const dead = await read(id)
  assert.equal(dead.state, 'dead')
  assert.equal((await account.secret()).reveal(), 'really-set')
})

test('a way that the target or the record cannot keep is refused, with why', async () => {
  const { account } = await site.setting()

  const refused = [
    { strategy: 'retain-old' },
    { strategy: 'dual-slot' },
    { strategy: 'alternating' },
    { strategy: 'alternating', alternate: account.name },
    { strategy: 'cut-over', alternate: 'other' },
    { strategy: 'restart-hook', hookUrl: 'https://127.0.0.1/x', hookKey: HOOK_KEY },
    { strategy: 'restart-hook', hookUrl: 'https://hooks.example/x' },
    { strategy: 'by-hand', instructions: 'x', ownerTeam: 'payments' },
  ] as const
  for (const way of refused) await assert.rejects(account.configure(way), { slug: 'invalid-input' })
})

test('attack: one whose copy would be cut off in one moment is not rotated so', async () => {
  const { needs, account } = await site.setting()
  await by(site, needs, account).declare('billing', { applicationName: 'billing' })

  await assert.rejects(account.start(), { slug: 'not-rotatable', message: /billing holds a copy/ })
  await account.configure({ strategy: 'broker-only' })
  await assert.rejects(account.start(), { slug: 'not-rotatable' })
  await enter(account.name, new Secret(STANDING))
})
