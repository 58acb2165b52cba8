import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { startCluster, type Cluster } from '../../../test/support/cluster.ts'
import { freshDatabase, type TestDatabase } from '../../../test/support/database.ts'
import { sqlState, transact } from '../../kernel/db.ts'
import { mintPermit } from '../../kernel/permit.ts'
import { Secret } from '../../kernel/secret.ts'
import { leaseFor } from '../lease-for.ts'
import { settleObligations } from '../obligations.ts'
import { retryLease } from '../reads.ts'
import type { LeaseGrant } from '../terms.ts'
import {
  asSuperuser,
  closers,
  connectAs,
  credentialNeeds,
  furnish,
  leaseRoles,
  movableClock,
  PROVISIONER,
  world,
  type World,
} from '../../../test/support/lease-world.ts'

const never = new AbortController().signal
const OLD = '/usr/lib/postgresql/15/bin'

for (const version of [18, 15]) {
  for (const provisioner of ['superuser', 'createrole'] as const) {
    const skip = version === 15 && !existsSync(OLD) ? 'PostgreSQL 15 is not installed' : false
    describe(`on PostgreSQL ${version} with a ${provisioner} provisioner`, { skip }, () => suite(version, provisioner))
  }
}

function suite(version: number, provisioner: 'superuser' | 'createrole'): void {
  const closing = closers()
  const needs = credentialNeeds(movableClock())
  let cluster: Cluster
  let home: TestDatabase
  let here: World

  before(async () => {
    const binFolder = version === 15 ? { binFolder: OLD } : {}
    cluster = await startCluster({ ...binFolder, settings: { max_prepared_transactions: '4' } })
    closing.after(() => cluster[Symbol.asyncDispose]())
    await furnish(cluster, provisioner)
    home = await freshDatabase(closing)
    here = await world(home.db, needs, cluster)
  })
  after(() => closing.close())

  const lease = async (actions = ['postgres.write'], databases: string[] = []) => {
    const grant = await here.grant({ actions, account: `app-${actions.join()}-${databases.join()}`, databases })
    return { grant, ...(await leaseFor(home.db, needs, grant, never)) }
  }
  const end = async (grant: LeaseGrant) => {
    await here.endGrant(grant.id)
    await settleObligations(home.db, needs, never)
    return rowOf(grant)
  }
  const rowOf = (grant: LeaseGrant) =>
    home.db.selectFrom('lease').selectAll().where('grantId', '=', grant.id).executeTakeFirstOrThrow()
  const retry = async (leaseId: string) => {
    const permit = mintPermit({
      action: 'lease.retry',
      subject: { type: 'Person', id: here.personId },
      onBehalfOf: [],
      resource: { type: 'Lease', id: leaseId },
      policyEpoch: 'test',
      decisionId: 'test',
      evaluatedAt: needs.clock.now(),
    })
    await transact(home.db, (tx) => retryLease(tx, needs, permit))
    await settleObligations(home.db, needs, never)
  }
  const assertDead = async (row: Awaited<ReturnType<typeof end>>) => {
    assert.deepEqual({ state: row.state, lastError: row.lastError }, { state: 'dead', lastError: null })
    assert.ok(!(await leaseRoles(cluster)).includes(row.principal))
  }
  const residue = async (grant: LeaseGrant): Promise<string[]> => {
    const entries = await home.db
      .selectFrom('ledgerEntry')
      .select('leaf')
      .where('grantId', '=', grant.id)
      .where('kind', '=', 'lease.residue')
      .execute()
    return entries.flatMap((entry) => JSON.parse(entry.leaf.toString('utf8')).facts.appeared)
  }

  test('a lease can do what its strongest group can and no more', async () => {
    const { grant, user, secret } = await lease(['postgres.read', 'postgres.write'])

    const client = await connectAs(cluster, user, secret)
    const { rows } = await client.query('select session_user, current_user')
    await client.query('insert into app.item values (1)')
    await assert.rejects(client.query('drop table app.item'), { code: '42501' })
    await client.query('set role none')
    await assert.rejects(client.query('select * from app.item'), { code: '42501' })
    await assert.rejects(client.query('create role mallory'), { code: '42501' })
    const admin = await asSuperuser(cluster)
    const { rows: role } = await admin.query(
      `select rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, rolinherit, rolconnlimit,
              rolvaliduntil, left(rolpassword, 16) as verifier from pg_authid where rolname = $1`,
      [user],
    )
    await admin.end()
    const row = await end(grant)

    assert.deepEqual(rows, [{ session_user: user, current_user: 'writer' }])
    assert.match(user, /^reeve_[0-9a-f]{16}$/)
    assert.deepEqual(role, [
      {
        rolsuper: false,
        rolcreaterole: false,
        rolcreatedb: false,
        rolreplication: false,
        rolbypassrls: false,
        rolinherit: false,
        rolconnlimit: 12,
        rolvaliduntil: grant.expiresAt,
        verifier: 'SCRAM-SHA-256$1:',
      },
    ])
    await assertDead(row)
  })

  test('what a session makes is born owned by the group', async () => {
    const { grant, user, secret } = await lease()

    const client = await connectAs(cluster, user, secret)
    await client.query('create table app.born (id int)')
    const { rows } = await client.query(`select tableowner from pg_tables where tablename = 'born'`)
    const row = await end(grant)

    assert.deepEqual(rows, [{ tableowner: 'writer' }])
    await assertDead(row)
  })

  test('what a lease owns itself, in several databases and of every kind, goes to its group', async () => {
    const { grant, user, secret } = await lease()

    for (const database of ['orders', 'stock']) {
      const client = await connectAs(cluster, user, secret, database)
      await client.query(`set role none`)
      await client.query(`create table public.mine (id int); create view public.sight as select 1 as one;
        create function public.f() returns int language sql as 'select 1';
        create type public.mood as enum ('good');
        create sequence public.counter;
        alter default privileges grant select on tables to public;
        grant select on public.mine to reader;
        create temp table passing (id int)`)
      await client.query('select lo_create(0)')
    }
    const row = await end(grant)

    await assertDead(row)
    const admin = await asSuperuser(cluster, 'stock')
    const { rows } = await admin.query(`select tableowner from pg_tables where tablename = 'mine'
      union select rolname from pg_largeobject_metadata l join pg_roles r on r.oid = l.lomowner
      union select rolname from pg_proc p join pg_roles r on r.oid = p.proowner where proname = 'f'`)
    await admin.query('drop owned by writer')
    await admin.end()
    assert.deepEqual(rows, [{ tableowner: 'writer' }])
  })

  test('a role that changed its own password is shut out all the same', async () => {
    const { grant, user, secret } = await lease()
    const client = await connectAs(cluster, user, secret)
    await client.query('set role none')
    await client.query(`alter role current_user password 'chosen'`)
    const chosen = await connectAs(cluster, user, new Secret('chosen'))

    const row = await end(grant)

    await assertDead(row)
    await assert.rejects(chosen.query('select 1'))
    await assert.rejects(connectAs(cluster, user, new Secret('chosen')), (error) => sqlState(error) === '28P01')
  })

  test('a lease cannot become another by SET ROLE or SET SESSION AUTHORIZATION, nor pass its group on', async () => {
    const { grant, user, secret } = await lease()
    const client = await connectAs(cluster, user, secret)

    await assert.rejects(client.query('set session authorization postgres'), { code: '42501' })
    await assert.rejects(client.query('set role postgres'), { code: '42501' })
    await assert.rejects(client.query('set role chief'), { code: '42501' })
    await client.query('set role none')
    await assert.rejects(client.query('alter role current_user valid until infinity'))
    await assert.rejects(client.query(`alter role ${user} rename to harmless`), { code: '0A000' })
    await assert.rejects(client.query(`grant writer to reader`))
    await assertDead(await end(grant))
  })

  test('sessions end with their lease: open cursors, advisory locks, running statements, and those that reconnect', async () => {
    const { grant, user, secret } = await lease()
    const holders = await Promise.all(
      ['orders', 'stock', 'orders'].map((database) => connectAs(cluster, user, secret, database)),
    )
    await holders[0]?.query('begin; declare c cursor for select generate_series(1, 1000000); fetch 1 from c')
    await holders[1]?.query('select pg_advisory_lock(42)')
    const running = assert.rejects(holders[2]?.query('select pg_sleep(3600)') ?? Promise.resolve())
    const over = new AbortController()
    const entered = Promise.withResolvers<void>()
    const again = (async () => {
      while (!over.signal.aborted) {
        const client = await connectAs(cluster, user, secret).catch(() => undefined)
        if (client) entered.resolve()
      }
    })()
    await entered.promise

    const row = await end(grant)
    over.abort()
    await again
    await running

    await assertDead(row)
    const admin = await asSuperuser(cluster)
    const { rows } = await admin.query(`select 1 from pg_stat_activity where usesysid = $1`, [Object(row.details).oid])
    await admin.end()
    assert.deepEqual(rows, [])
  })

  test('a prepared transaction of the lease keeps the obligation open until somebody ends it', async () => {
    const { grant, user, secret } = await lease()
    const client = await connectAs(cluster, user, secret)
    await client.query('set role none')
    await client.query('begin; create table public.held (id int)')
    await client.query(`prepare transaction 'left-over'`)

    const open = await end(grant)
    const admin = await asSuperuser(cluster, 'orders')
    await admin.query(`rollback prepared 'left-over'`)
    await admin.end()
    await assert.rejects(connectAs(cluster, user, secret))
    await retry(open.id)

    assert.equal(open.state, 'ending')
    assert.match(open.lastError ?? '', /1 prepared transaction\(s\), one in database orders/)
    await assertDead(await rowOf(grant))
  })

  test('roles, memberships, functions with their owner’s rights and triggers that a lease left are found', async () => {
    const { grant, user, secret } = await lease(['postgres.admin'])
    const client = await connectAs(cluster, user, secret)
    await client.query(`create role sleeper_${provisioner} login password 'x'`)
    await client.query(`grant sleeper_${provisioner} to ${version === 15 ? 'reader' : 'reader with set true'}`)
    await client.query(`create function app.door() returns int language sql security definer as 'select 1'`)
    await client.query(`create table app.watched (id int)`)
    await client.query(`create function app.f() returns trigger language plpgsql as 'begin return new; end'`)
    await client.query(`create trigger spy before insert on app.watched for each row execute function app.f()`)

    const row = await end(grant)

    await assertDead(row)
    const found = await residue(grant)
    for (const expected of [
      `role in cluster: sleeper_${provisioner}`,
      `membership in cluster: sleeper_${provisioner} to reader`,
      'security-definer function in orders: app.door',
      'trigger in orders: spy on app.watched',
    ]) {
      assert.ok(found.includes(expected), `${expected} is among ${found.join('; ')}`)
    }
    assert.ok(!found.some((line) => line.includes(user)))
  })

  test('a lease that was granted to another role, and given rights by its group, is dropped with both', async () => {
    const { grant, user, secret } = await lease()
    const client = await connectAs(cluster, user, secret)
    await client.query(`create table app.shared (id int); grant all on app.shared to ${user}`)
    const admin = await asSuperuser(cluster, 'orders')
    await admin.query(`create role bystander_${provisioner}; grant ${user} to bystander_${provisioner}`)
    await admin.end()

    await assertDead(await end(grant))
  })

  test('rights that a stranger gave to a lease go where the provisioner may take them, else it is locked and stays open', async () => {
    const { grant, user, secret } = await lease()
    const admin = await asSuperuser(cluster, 'orders')
    await admin.query(`grant all on app.item to ${user}; grant create on database stock to ${user}`)

    const row = await end(grant)

    await assert.rejects(connectAs(cluster, user, secret))
    if (provisioner === 'superuser') await assertDead(row)
    else {
      assert.deepEqual(
        [row.state, row.lastError],
        ['ending', 'dropping the role failed (2BP01: others gave it rights)'],
      )
      await admin.query(`revoke all on app.item from ${user}; revoke create on database stock from ${user}`)
      await retry(row.id)
      await assertDead(await rowOf(grant))
    }
    await admin.end()
  })

  test('a lease enters a database that is shut to the public, if the provisioner may let it in', async () => {
    const admin = await asSuperuser(cluster)
    await admin.query('create database vault')
    await admin.query('revoke connect on database vault from public')
    if (provisioner === 'createrole') {
      await assert.rejects(lease(['postgres.read'], ['vault']), { slug: 'lease-unavailable' })
      await admin.query(`grant connect on database vault to ${PROVISIONER}`)
      await assert.rejects(lease(['postgres.read'], ['vault']), /cannot let it connect to database vault/)
      await admin.query(`grant connect on database vault to ${PROVISIONER} with grant option`)
    }
    const { grant, user, secret } = await lease(['postgres.read'], ['vault'])

    const client = await connectAs(cluster, user, secret, 'vault')
    const { rows } = await client.query('select current_user')
    const row = await end(grant)
    const { rows: acl } = await admin.query(`select datacl::text from pg_database where datname = 'vault'`)
    await admin.end()

    assert.deepEqual(rows, [{ current_user: 'reader' }])
    await assertDead(row)
    assert.ok(!/reeve_[0-9a-f]{16}/.test(acl[0].datacl))
  })

  test('a renamed lease is found by its oid, and a decoy that took its name is ended too', async () => {
    const { grant, user, secret } = await lease()
    const admin = await asSuperuser(cluster)
    await admin.query(`alter role ${user} rename to hidden_${provisioner}`)
    if (provisioner === 'superuser') await admin.query(`create role ${user} login password 'decoy'`)

    const row = await end(grant)
    const { rows } = await admin.query(`select rolname from pg_roles where rolname = 'hidden_${provisioner}'`)
    await admin.end()

    await assertDead(row)
    assert.deepEqual(rows, [])
    await assert.rejects(connectAs(cluster, `hidden_${provisioner}`, secret), (error) => sqlState(error) === '28P01')
  })

  test('a database that vanished with what the lease owned there does not keep it alive', async () => {
    const admin = await asSuperuser(cluster)
    await admin.query(`create database passing_${provisioner}`)
    const { grant, user, secret } = await lease()
    await admin.query(`grant create on database passing_${provisioner} to ${user}`)
    const client = await connectAs(cluster, user, secret, `passing_${provisioner}`)
    await client.query('set role none; create schema mine')
    await client.end()
    await admin.query(`drop database passing_${provisioner} with (force)`)
    await admin.end()

    await assertDead(await end(grant))
  })

  test('a lease that somebody dropped already counts as ended', async () => {
    const { grant, user } = await lease()
    const admin = await asSuperuser(cluster)
    await admin.query(`drop role ${user}`)
    await admin.end()

    await assertDead(await end(grant))
  })
}
