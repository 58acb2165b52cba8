import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'
import pg from 'pg'
import { asSuperuser } from '../../../test/support/lease-world.ts'
import { STANDING } from '../../../test/support/rotation-world.ts'
import { clientConfig, sqlState, transact } from '../../kernel/db.ts'
import { Secret } from '../../kernel/secret.ts'
import { never } from '../lease.fixture.ts'
import { leaseFor } from '../lease-for.ts'
import { settleObligations } from '../obligations.ts'
import { postgresLoginRotator } from '../postgres/rotate.ts'
import { ROTATION_FAULT_POINTS } from './fault-points.ts'
import { keepSecret } from './login.ts'
import { countObligations, listObligations } from './obligations.ts'
import { countRotations } from './reads.ts'
import { entryAbout, rotationSite } from './rotation.fixture.ts'
import { by, HOOK_KEY, hookServer, turning } from './turns.fixture.ts'

const site = rotationSite()
const { assertRotated, enter, kindsOf, read, setting, settle } = site

test('a target that is down leaves it open, whatever the arrow, until it is back', async () => {
  const { clock, needs, account } = await setting()
  const id = await account.start()
  await site.cluster.stop()
  try {
    await settle(needs)
    const open = await read(id)
    assert.deepEqual([open.state, open.lastError], ['planned', 'the target cannot be reached (ECONNREFUSED)'])
    assert.deepEqual(await countRotations(site.home.db), { none: 1, owner: 0, security: 0 })
    clock.ahead(20 * 60)
    await settle(needs)
    assert.deepEqual(await countRotations(site.home.db), { none: 0, owner: 1, security: 0 })
  } finally {
    await site.cluster.restart()
  }
  clock.ahead(600)

  await settle(needs)

  await assertRotated(account, id)
})

for (const arrow of ['verify', 'adopt', 'bury'] as const) {
  test(`a target that came back from a backup with the old secret is told the new one again: before ${arrow}`, async () => {
    const { clock, needs, account } = await setting()
    const id = await account.start()
    const stopping = { verify: 'rotation.issued', adopt: 'rotation.verified', bury: 'rotation.revoked' }[arrow]
    assert.equal(await dieAt(stopping), 'SIGKILL')
    const admin = await asSuperuser(site.cluster)
    await admin.query(`alter role ${account.name} password '${STANDING}'`)
    await admin.end()
    clock.ahead(90)

    await settle(needs)

    await assertRotated(account, id)
    assert.ok((await kindsOf(id)).includes('rotation.reissued'))
  })
}

test('attack: a target that trusts without a secret proves nothing dead', async () => {
  const { clock, needs, account } = await setting()
  const trusting = { ...postgresLoginRotator, tryLogin: async () => ({ isAccepted: true }) as const }
  const id = await account.start()

  // It was told before it trusted.
  assert.equal(await dieAt('rotation.revoked'), 'SIGKILL')
  clock.ahead(90)
  await settle({ ...needs, rotators: [trusting] })

  const open = await read(id)
  assert.deepEqual([open.state, open.evidence], ['revoked', null])
  assert.match(open.lastError ?? '', /the old secret still opens the target/)
  clock.ahead(600)
  await settle(needs)
  await assertRotated(account, id)
})

test('a login that somebody gave meanwhile is not overwritten, and is believed once it works', async () => {
  const { clock, needs, account } = await setting()
  const id = await account.start()
  assert.equal(await dieAt('rotation.verified'), 'SIGKILL')
  const given = new Secret('given-by-hand')
  const entry = entryAbout({ type: 'Account', id: account.accountId })
  await transact(site.home.db, async (tx) => {
    await keepSecret(tx, needs, account, { user: account.name, secret: given, cause: await entry(tx) })
  })
  clock.ahead(90)

  await settle(needs)
  assert.match((await read(id)).lastError ?? '', /replaced meanwhile, and the target refuses/)
  const admin = await asSuperuser(site.cluster)
  await admin.query(`alter role ${account.name} password 'given-by-hand'`)
  await admin.end()
  clock.ahead(600)
  await settle(needs)

  assert.equal((await read(id)).state, 'superseded')
  assert.equal((await account.secret()).reveal(), 'given-by-hand')
  await enter(account.name, given)
})

/** Carries what is due on in another process, and says by what it died. */
async function dieAt(point: string, ahead = 0): Promise<string | null> {
  const database = { ...site.home.server, password: site.home.server.password.reveal() }
  const script = join(import.meta.dirname, '../../../test/support/rotation-crash.ts')
  const child = spawn(process.execPath, [script, JSON.stringify({ database, point, ahead })], { stdio: 'inherit' })
  const [, killedBy] = await once(child, 'exit')
  return killedBy
}

/** Points of a hook, of backing out, and of keys that a target makes, which a rotation that is just cut over does not come to. */
const ELSEWHERE = ['rotation.slot-made', 'rotation.told', 'rotation.undone-upstream', 'rotation.aborted']
const ORDINARY = ROTATION_FAULT_POINTS.filter((point) => !ELSEWHERE.includes(point))

for (const point of ORDINARY) {
  test(`a process killed at ${point} leaves a login that works, and another one brings the rotation to its end`, async () => {
    const { clock, needs, account } = await setting()
    const id = await account.start()

    assert.equal(await dieAt(point), 'SIGKILL')

    const grant = await account.here.grant({ account: account.name, mode: 'static' })
    const lease = await leaseFor(site.home.db, needs, grant, never)
    await firstThatOpens([lease, ...((await lease.others?.()) ?? [])])
    await account.here.endGrant(grant.id)
    clock.ahead(90)
    await settle(needs)
    await assertRotated(account, id)
  })
}

for (const point of ORDINARY) {
  test(`killed at ${point} while two logins take turns: one that works is known at any time, and it comes to its end`, async () => {
    const { clock, needs, account, other } = await turning(site)
    const id = await account.start()

    assert.equal(await dieAt(point), 'SIGKILL')

    const grant = await account.here.grant({ account: account.name, mode: 'static' })
    const lease = await leaseFor(site.home.db, needs, grant, never)
    await firstThatOpens([lease, ...((await lease.others?.()) ?? [])])
    await account.here.endGrant(grant.id)
    clock.ahead(90)
    await settle(needs)
    const { state, lastError } = await read(id)
    assert.deepEqual([state, lastError], ['dead', null])
    await enter(other, await account.secret())
    await assert.rejects(enter(account.name, new Secret(STANDING)), { code: '28P01' })
  })
}

for (const point of ['rotation.undone-upstream', 'rotation.aborted'] as const) {
  test(`killed at ${point} while it backs out: the old one works, and the new one is proven dead`, async () => {
    const { clock, needs, account, other } = await turning(site)
    await by(site, needs, account).declare('billing', { applicationName: 'billing' })
    const id = await account.start()
    await settle(needs)
    const given = await account.secret()
    await enter(other, given)
    await by(site, needs, account).abort(id)

    assert.equal(await dieAt(point, 90), 'SIGKILL')

    await enter(account.name, await account.secret())
    clock.ahead(400)
    await settle(needs)
    assert.equal((await read(id)).state, 'aborted')
    assert.equal((await account.secret()).reveal(), STANDING)
    await assert.rejects(enter(other, given), { code: '28P01' })
  })
}

test('killed right after its hook answered: it is not told twice, and waits for those who hold a copy', async (t) => {
  const hook = await hookServer(t)
  const { clock, needs, account } = await setting()
  await account.configure({ strategy: 'restart-hook', hookUrl: hook.url, hookKey: HOOK_KEY })
  await by(site, needs, account).declare('legacy', { applicationName: 'legacy' })
  const id = await account.start()

  assert.equal(await dieAt('rotation.told'), 'SIGKILL')
  clock.ahead(90)
  await settle(needs)

  const open = await read(id)
  assert.deepEqual([open.state, hook.heard.length], ['distributed', 1])
  assert.match(open.waitsFor ?? '', /^legacy/)
})

test('too late to back out: the target knows the new secret only, so the rotation goes on to its end', async () => {
  const { clock, needs, account } = await setting()
  const id = await account.start()
  // It told the target, and died before it could say so.
  assert.equal(await dieAt('rotation.changed-upstream'), 'SIGKILL')
  assert.equal((await by(site, needs, account).abort(id)).state, 'aborting')
  clock.ahead(400)

  await settle(needs)

  await assertRotated(account, id)
  assert.ok((await kindsOf(id)).includes('rotation.not-aborted'))
})

test('attack: backing out where the one secret was changed already is refused', async () => {
  const { needs, account } = await setting()
  const id = await account.start()
  assert.equal(await dieAt('rotation.issued'), 'SIGKILL')

  await assert.rejects(by(site, needs, account).abort(id), { slug: 'conflict', message: /does not live any more/ })
})

test('a target that is down for an hour: each arrow is left as it is, nothing is forgotten, and all come to their end', async () => {
  const settings = await Promise.all([turning(site), turning(site), turning(site)])
  const [first] = settings
  assert.ok(first)
  const { clock, needs } = first
  const ids = await Promise.all(settings.map(({ account }) => account.start()))
  const before = await listObligations(site.home.db, needs, { limit: 100 })
  const mine = (list: typeof before) => list.items.filter(({ id }) => ids.includes(id))
  assert.equal(mine(before).length, 3)
  await site.cluster.stop()
  try {
    for (let minute = 0; minute < 60; minute += 6) {
      await settle(needs)
      clock.ahead(360)
    }
    const during = mine(await listObligations(site.home.db, needs, { limit: 100 }))
    assert.equal(during.length, 3)
    for (const each of during) {
      assert.ok(each.ageSeconds >= 3_500 && each.nextTryAt !== null && each.attempts > 1)
      assert.deepEqual([each.ownerTeam, each.escalation], ['payments', 'owner'])
    }
    assert.equal((await countObligations(site.home.db, needs))['quarter-hour'] >= 3, true)
  } finally {
    await site.cluster.restart()
  }
  clock.ahead(600)
  await settle(needs)

  for (const id of ids) assert.equal((await read(id)).state, 'dead')
  assert.equal(mine(await listObligations(site.home.db, needs, { limit: 100 })).length, 0)
})

/** Nobody comes into the database of the record, and who is in is out. */
async function outage(isOut: boolean): Promise<void> {
  const { server, owner } = site.home
  const admin = new pg.Client({ ...clientConfig(owner), database: 'postgres' })
  await admin.connect()
  try {
    await admin.query(`alter database "${server.database}" with allow_connections ${!isOut}`)
    if (isOut)
      await admin.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [server.database])
  } finally {
    await admin.end()
  }
}

test('the database of the record is out for an hour: no rotation and no lease that was to end is forgotten', async () => {
  const { clock, needs, account } = await turning(site)
  const other = await turning(site)
  const id = await account.start()
  const half = await other.account.start()
  assert.equal(await dieAt('rotation.distributed'), 'SIGKILL')
  const grant = await account.here.grant()
  const lease = await leaseFor(site.home.db, needs, grant, never)
  await account.here.endGrant(grant.id)

  await outage(true)
  try {
    for (let minute = 0; minute < 60; minute += 12) {
      await assert.rejects(settle(needs))
      await assert.rejects(settleObligations(site.home.db, needs, never))
      clock.ahead(720)
    }
  } finally {
    await outage(false)
  }
  // Nobody was told anything meanwhile; both logins and the lease are as they were.
  const open = await listObligations(site.home.db, needs, { limit: 100 })
  for (const each of [id, half]) assert.ok(open.items.some((one) => one.id === each))
  await enter(lease.user, lease.secret)
  await settle(needs)
  await settleObligations(site.home.db, needs, never)

  for (const each of [id, half]) assert.equal((await read(each)).state, 'dead')
  await assert.rejects(enter(lease.user, lease.secret), { code: '28P01' })
  const rows = await site.home.db.selectFrom('lease').select('state').where('grantId', '=', grant.id).execute()
  assert.deepEqual(rows, [{ state: 'dead' }])
})

async function firstThatOpens(logins: readonly { user: string; secret: Secret }[]): Promise<void> {
  for (const { user, secret } of logins) {
    try {
      return await enter(user, secret)
    } catch (error) {
      assert.ok(['28P01', '28000'].includes(sqlState(error) ?? ''))
    }
  }
  assert.fail('no secret that is known opens the target')
}
