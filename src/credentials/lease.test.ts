import assert from 'node:assert/strict'
import { test } from 'node:test'
import { asSuperuser, connectAs, credentialNeeds, leaseRoles, movableClock } from '../../test/support/lease-world.ts'
import { transact } from '../kernel/db.ts'
import { mintPermit } from '../kernel/permit.ts'
import { newId } from '../kernel/random.ts'
import { Secret } from '../kernel/secret.ts'
import { SYSTEM } from '../ledger/ledger.ts'
import { leaseUnavailable } from './contract.ts'
import { leaseEndTried } from './events.ts'
import { leaseSite, never } from './lease.fixture.ts'
import { leaseFor } from './lease-for.ts'
import { settleObligations } from './obligations.ts'
import { postgresRoleWriter } from './postgres/writer.ts'
import { leaseResource, readLease, retryLease } from './reads.ts'
import { NotWanted } from './writer.ts'

const site = leaseSite('superuser')

const kindsOf = async (grantId: string) => {
  const query = site.home.db.selectFrom('ledgerEntry').select('kind').where('grantId', '=', grantId).orderBy('id')
  return (await query.execute()).map((row) => row.kind)
}

test('a lease logs in as its group and is dead, with evidence, after its grant ended', async () => {
  const { needs, here } = await site.setting()
  const given = await here.grant()

  const lease = await leaseFor(site.home.db, needs, given, never)
  const client = await connectAs(site.cluster, lease.user, lease.secret)
  const { rows } = await client.query('select session_user, current_user')
  await here.endGrant(given.id)
  await settleObligations(site.home.db, needs, never)

  assert.deepEqual(rows, [{ session_user: lease.user, current_user: 'reader' }])
  assert.deepEqual(await leaseRoles(site.cluster), [])
  const row = await site.rowOf(given.id)
  assert.deepEqual([row.state, row.lastError, row.sealedSecret], ['dead', null, null])
  const evidence = Object(row.evidence)
  assert.deepEqual(evidence.absentFrom, ['pg_authid', 'pg_stat_activity'])
  assert.deepEqual(evidence.login, { database: 'postgres', sqlState: '28P01' })
  assert.deepEqual(await kindsOf(given.id), ['lease.announced', 'lease.issued', 'lease.end-tried', 'lease.dead'])
})

test('sessions of one grant that come at once share one lease', async () => {
  const { needs, here } = await site.setting()
  const given = await here.grant()

  const leases = await Promise.all(Array.from({ length: 8 }, () => leaseFor(site.home.db, needs, given, never)))

  assert.equal(new Set(leases.map((lease) => lease.user)).size, 1)
  assert.deepEqual(await kindsOf(given.id), ['lease.announced', 'lease.issued'])
  await here.endGrant(given.id)
  await settleObligations(site.home.db, needs, never)
})

test('a grant that is over has no lease', async () => {
  const { needs, here } = await site.setting()
  const given = await here.grant()
  await here.endGrant(given.id)

  await assert.rejects(leaseFor(site.home.db, needs, given, never), { slug: 'lease-refused' })

  assert.deepEqual(await leaseRoles(site.cluster), [])
})

test('a lease that ends while it is being made is not born after it was proven dead', async () => {
  let dead: Promise<void> | undefined
  const { needs, here } = await site.setting({
    ...postgresRoleWriter,
    apply: async (where, lease, making, signal) => {
      // The end comes and is proven while this process sleeps before its first step.
      await here.endGrant(given.id)
      dead = settleObligations(site.home.db, { ...needs, writers: [postgresRoleWriter] }, never)
      await dead
      return postgresRoleWriter.apply(where, lease, making, signal)
    },
  })
  const given = await here.grant()

  await assert.rejects(leaseFor(site.home.db, needs, given, never), (error) => {
    return leaseUnavailable.is(error) && error.cause instanceof NotWanted
  })

  assert.equal((await site.rowOf(given.id)).state, 'dead')
  assert.deepEqual(await leaseRoles(site.cluster), [])
})

test('while a lease is being made nobody proves it dead', async () => {
  const { needs, here } = await site.setting({
    ...postgresRoleWriter,
    apply: (where, lease, making, signal) => {
      const wantedAndThenEnded = async () => {
        const answer = await making.isWanted()
        await here.endGrant(given.id)
        await settleObligations(site.home.db, { ...needs, writers: [postgresRoleWriter] }, never)
        assert.equal((await site.rowOf(given.id)).state, 'ending')
        return answer
      }
      return postgresRoleWriter.apply(where, lease, { ...making, isWanted: wantedAndThenEnded }, signal)
    },
  })
  const given = await here.grant()

  await assert.rejects(leaseFor(site.home.db, needs, given, never), { slug: 'lease-unavailable' })
  const { user } = { user: (await site.rowOf(given.id)).principal }
  assert.deepEqual(await leaseRoles(site.cluster), [user])
  const later = movableClock()
  later.ahead(90)
  await settleObligations(site.home.db, credentialNeeds(later), never)

  assert.equal((await site.rowOf(given.id)).state, 'dead')
  assert.deepEqual(await leaseRoles(site.cluster), [])
})

test('a standing credential is lent, and its end declares what remains', async () => {
  const { needs, here } = await site.setting()
  const given = await here.grant({ mode: 'static', account: 'legacy' })

  const lease = await leaseFor(site.home.db, needs, given, never)
  const again = await leaseFor(site.home.db, needs, given, never)
  await here.endGrant(given.id)
  await settleObligations(site.home.db, needs, never)

  assert.deepEqual([lease.user, lease.secret.reveal(), again.id], ['legacy', 'standing-password', lease.id])
  const row = await site.rowOf(given.id)
  assert.deepEqual([row.state, row.revocability, row.sealedSecret], ['dead', 'none', null])
  assert.equal(Object(row.evidence).residualLife, 'until it is rotated at the target')
})

test('an account that was only seen cannot be leased', async () => {
  const { needs, here } = await site.setting()
  const given = await here.grant()
  await transact(site.home.db, async (tx) => {
    const cause = await needs.ledger.record(tx, {
      event: leaseEndTried,
      actor: SYSTEM,
      resource: { type: 'Account', id: given.accountId },
      outcome: 'done',
      facts: { leaseIds: [] },
    })
    await tx.updateTable('account').set({ mode: 'seen', cause }).where('id', '=', given.accountId).execute()
  })

  await assert.rejects(leaseFor(site.home.db, needs, given, never), { slug: 'lease-impossible' })
})

test('a lease is read without its secret, tried again by name, and only while it is ending', async () => {
  const { needs, here } = await site.setting()
  const given = await here.grant()
  const { id } = await leaseFor(site.home.db, needs, given, never)
  const permit = mintPermit({
    action: 'lease.retry',
    subject: { type: 'Person', id: here.personId },
    onBehalfOf: [],
    resource: { type: 'Lease', id },
    policyEpoch: 'test',
    decisionId: newId(needs.clock, needs.random),
    evaluatedAt: needs.clock.now(),
  })

  const read = await readLease(site.home.db, id)
  const resource = await leaseResource(site.home.db, id)
  await assert.rejects(
    transact(site.home.db, (tx) => retryLease(tx, needs, permit)),
    { slug: 'conflict' },
  )
  await here.endGrant(given.id)
  const woken = await transact(site.home.db, (tx) => retryLease(tx, needs, permit))
  await settleObligations(site.home.db, needs, never)

  assert.ok(!('sealedSecret' in read) && !('terms' in read) && !('details' in read))
  assert.equal(resource.attributes.subjectId, here.personId)
  assert.equal(woken.state, 'ending')
  assert.deepEqual(await leaseRoles(site.cluster), [])
})

test('a lease never comes back from ending and never changes whose it is', async () => {
  const { needs, here } = await site.setting()
  const given = await here.grant()
  const { id } = await leaseFor(site.home.db, needs, given, never)
  await here.endGrant(given.id)
  const change = (values: object) =>
    transact(site.home.db, async (tx) => {
      const cause = await needs.ledger.record(tx, {
        event: leaseEndTried,
        actor: SYSTEM,
        resource: { type: 'Lease', id },
        outcome: 'done',
        facts: { leaseIds: [id] },
      })
      await tx
        .updateTable('lease')
        .set({ ...values, cause })
        .where('id', '=', id)
        .execute()
    })

  await assert.rejects(change({ state: 'issued' }), { code: 'RV005' })
  await assert.rejects(change({ principal: 'postgres' }), { code: 'RV005' })
  await assert.rejects(change({ state: 'dead', deadAt: new Date(), sealedSecret: null }), { code: '23514' })
  await settleObligations(site.home.db, needs, never)
})

test('functions and operators that a session planted do not run as the provisioner', async () => {
  const { needs, here } = await site.setting()
  const given = await here.grant({ actions: ['postgres.write'] })
  const lease = await leaseFor(site.home.db, needs, given, never)
  const client = await connectAs(site.cluster, lease.user, lease.secret)
  await client.query('set role none')
  // Better than any operator of the system for two names, which is what a look at the catalogs joins.
  await client.query(`create function public.planted(name, name) returns text language plpgsql as
    $$ begin execute 'alter role reader superuser'; return 'planted'; end $$`)
  await client.query('create operator public.|| (leftarg = name, rightarg = name, function = public.planted)')
  await client.query(`create function public.bait() returns int language sql security definer as 'select 1'`)
  await here.endGrant(given.id)

  await settleObligations(site.home.db, needs, never)

  const admin = await asSuperuser(site.cluster)
  const { rows } = await admin.query(`select rolsuper from pg_roles where rolname = 'reader'`)
  await admin.end()
  assert.deepEqual(rows, [{ rolsuper: false }])
  assert.equal((await site.rowOf(given.id)).state, 'dead')
})

test('a wrong provisioner is said plainly and nothing of the target’s words travels', async () => {
  const { needs, here } = await site.setting()
  const given = await here.grant()
  await transact(site.home.db, async (tx) => {
    const cause = await needs.ledger.record(tx, {
      event: leaseEndTried,
      actor: SYSTEM,
      resource: { type: 'Target', id: here.targetId },
      outcome: 'done',
      facts: { leaseIds: [] },
    })
    const login = new Secret(JSON.stringify({ user: 'nobody', password: 'wrong' }))
    await tx
      .updateTable('target')
      .set({ sealedProvisioner: needs.seal.seal(login, `target.sealed_provisioner:${here.targetId}`), cause })
      .where('id', '=', here.targetId)
      .execute()
  })

  await assert.rejects(leaseFor(site.home.db, needs, given, never), {
    message: 'The target could not issue a credential: the target cannot be entered by its provisioner (28P01).',
  })
})

test('TLS is as strict as its mode says: prefer falls back to plain text, require and verify-full do not', async () => {
  for (const [mode, isMade] of [
    ['disable', true],
    ['allow', true],
    ['prefer', true],
    ['require', false],
    ['verify-full', false],
  ] as const) {
    const { needs, here } = await site.setting(postgresRoleWriter, { tls: { mode } })
    const given = await here.grant()

    const made = await leaseFor(site.home.db, needs, given, never).catch((error: unknown) => error)

    assert.equal(!leaseUnavailable.is(made), isMade, mode)
    await here.endGrant(given.id)
    await settleObligations(site.home.db, needs, never)
  }
})
