import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  asSuperuser,
  connectAs,
  leaseRoles,
  PROVISIONER,
  PROVISIONER_PASSWORD,
} from '../../../test/support/lease-world.ts'
import { systemClock } from '../../kernel/clock.ts'
import { newId, systemRandom } from '../../kernel/random.ts'
import { Secret } from '../../kernel/secret.ts'
import { leaseSite, never } from '../lease.fixture.ts'
import { leaseFor } from '../lease-for.ts'
import { settleObligations } from '../obligations.ts'
import type { Details, LeaseTerms, WrittenLease } from '../writer.ts'
import { postgresRoleWriter } from './writer.ts'

const at = leaseSite('createrole')
const MAKER = /^reeve_maker_/
const yes = { isWanted: () => Promise.resolve(true), keep: () => Promise.resolve(true) }

/** The writer by itself, at the target of this file. */
function direct() {
  const { host, port } = at.cluster
  const settings = { host, port, database: 'postgres', tls: { mode: 'disable' } }
  const site = {
    target: 'test',
    settings,
    provisioner: { user: PROVISIONER, secret: new Secret(PROVISIONER_PASSWORD) },
  }
  const plan = (more: Partial<LeaseTerms> = {}): WrittenLease => {
    const id = newId(systemClock, systemRandom)
    const validUntil = new Date(systemClock.now().getTime() + 3_600_000)
    const terms = { account: 'app', roles: ['writer'], databases: [], connections: 4, validUntil, ...more }
    const { principal, secret = new Secret('') } = postgresRoleWriter.plan(systemRandom, {
      leaseId: id,
      grantId: id,
      terms,
      settings,
    })
    return { id, principal, secret, terms, details: undefined, issuedAt: null }
  }
  const make = (lease: WrittenLease, making = yes): Promise<Details> =>
    postgresRoleWriter.apply(site, lease, making, never).then(({ details }) => details)
  const end = (lease: WrittenLease, details: Details) =>
    postgresRoleWriter.end(site, { ...lease, details }, never).then(() => postgresRoleWriter.verify(site, lease, never))
  return { plan, make, end }
}

async function told<T extends object>(text: string): Promise<T[]> {
  const admin = await asSuperuser(at.cluster)
  const { rows } = await admin.query<T>(text)
  await admin.end()
  return rows
}

/** Ends whatever connection was kept, with what it knows of the target. */
const cutOff = () =>
  told(`select pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = '${PROVISIONER}'`)

test('roles that are asked for at the same time are made in one transaction, and each fails by itself', async () => {
  const { plan, make, end } = direct()
  const good = Array.from({ length: 5 }, () => plan())

  const all = good.map((lease) => make(lease))
  const together = await Promise.all(all)
  const lone = plan({ roles: ['no such group'] })
  const late = plan()
  const [noGroup, notWanted, ...others] = await Promise.allSettled([
    make(lone),
    make(late, { ...yes, isWanted: () => Promise.resolve(false) }),
    ...Array.from({ length: 3 }, () => plan()).map(async (lease) => ({ lease, details: await make(lease) })),
  ])

  assert.equal(new Set(together.map(({ since }) => since)).size, 1, 'one transaction of the target')
  assert.ok(noGroup.status === 'rejected')
  assert.match(String(noGroup.reason), /letting it act as no such group failed \(42704/)
  assert.ok(notWanted.status === 'rejected')
  assert.match(String(notWanted.reason), /NotWanted/)
  const roles = await leaseRoles(at.cluster)
  assert.ok(!roles.includes(lone.principal) && !roles.includes(late.principal))
  const made = others.map((each) => {
    assert.ok(each.status === 'fulfilled')
    return each.value
  })
  for (const { lease } of made) await (await connectAs(at.cluster, lease.principal, lease.secret)).end()
  for (const [index, lease] of good.entries()) made.push({ lease, details: together[index] ?? {} })
  for (const { lease, details } of made) assert.equal((await end(lease, details)).kind, 'dead')
})

test('a connection that was kept and has broken since is opened anew', async () => {
  const { plan, make, end } = direct()
  const first = plan()
  const details = await make(first)
  await cutOff()

  const second = plan()
  const again = await make(second)

  assert.equal((await end(first, details)).kind, 'dead')
  assert.equal((await end(second, again)).kind, 'dead')
})

/** So many roles as leases are called, administered by the provisioner itself. */
async function crowd(): Promise<string[]> {
  const names = Array.from({ length: 192 }, () => `reeve_${systemRandom.bytes(8).toString('hex')}`)
  const client = await connectAs(at.cluster, PROVISIONER, new Secret(PROVISIONER_PASSWORD), 'postgres')
  await client.query(names.map((name) => `create role ${name}`).join(';'))
  await client.end()
  await cutOff()
  return names
}

test('beside many leases further ones are made as a maker, and end alone and together without a trace', async () => {
  const names = await crowd()
  const { needs, here } = await at.setting()
  const leases = []
  for (let index = 0; index < 6; index += 1) {
    const given = await here.grant({ actions: [index === 1 ? 'postgres.admin' : 'postgres.write'] })
    leases.push({ given, ...(await leaseFor(at.home.db, needs, given, never)) })
  }
  const [first, admin, owner, idle] = leases
  assert.ok(first && admin && owner && idle)

  const owns = await connectAs(at.cluster, owner.user, owner.secret, 'postgres')
  await owns.query('set role none; select lo_create(0)')
  const held = await connectAs(at.cluster, idle.user, idle.secret)
  // Attack: a lease of the group that makes roles neither becomes a maker nor takes it away from us.
  const chief = await connectAs(at.cluster, admin.user, admin.secret)
  const [{ maker } = { maker: '' }] = await told<{ maker: string }>(
    `select a.rolname as maker from pg_auth_members m join pg_roles a on a.oid = m.member
      where m.roleid = '${admin.user}'::regrole`,
  )
  assert.match(maker, MAKER)
  for (const attack of [
    `set role ${maker}`,
    `drop role ${maker}`,
    `alter role ${maker} login`,
    `grant ${maker} to chief`,
  ]) {
    await assert.rejects(chief.query(attack), { code: '42501' }, attack)
  }
  for (const { given } of leases) await here.endGrant(given.id)
  await settleObligations(at.home.db, needs, never)

  const rows = await at.home.db.selectFrom('lease').selectAll().where('targetId', '=', here.targetId).execute()
  assert.ok(rows.every(({ state }) => state === 'dead'))
  assert.ok(
    rows.some(({ evidence }) => JSON.stringify(evidence).includes('"together":5')),
    'the first ends alone, the others together',
  )
  assert.ok(rows.every(({ evidence }) => JSON.stringify(evidence).includes('"residue":0')))
  for (const client of [owns, held, chief]) await assert.rejects(client.query('select 1'))
  const roles = await leaseRoles(at.cluster)
  assert.deepEqual(roles.toSorted(), names.toSorted())
  assert.deepEqual(await makersThere(), [], 'makers go with the last lease that they made')
})

const makersThere = () =>
  told<{ rolname: string; rolcanlogin: boolean; rolsuper: boolean }>(
    `select rolname, rolcanlogin, rolsuper from pg_roles where rolname ~ '^reeve_maker_'`,
  )

test('makers go while others are used, and no lease is left to a maker that went', async () => {
  const { plan, make, end } = direct()
  const stays = plan()
  const staying = await make(stays)
  const rounds = Array.from({ length: 4 }, async () => {
    for (let round = 0; round < 6; round += 1) {
      const lease = plan()
      assert.equal((await end(lease, await make(lease))).kind, 'dead')
    }
  })
  await Promise.all(rounds)

  const left = await makersThere()
  assert.equal(left.length, 1, 'the one that has a lease stays')
  assert.ok(left.every(({ rolcanlogin, rolsuper }) => !rolcanlogin && !rolsuper))
  assert.equal((await end(stays, staying)).kind, 'dead')
  assert.deepEqual(await makersThere(), [])
})

test('a maker that somebody gave something stays, and its leases end', async () => {
  const { plan, make, end } = direct()
  const lease = plan()
  const details = await make(lease)
  const [{ rolname } = { rolname: '' }] = await makersThere()
  await told(`create table given (id int); grant select on given to "${rolname}"`)

  assert.equal((await end(lease, details)).kind, 'dead')

  assert.deepEqual(
    (await makersThere()).map((maker) => maker.rolname),
    [rolname],
  )
  await told('drop table given')
  const next = plan()
  assert.equal((await end(next, await make(next))).kind, 'dead')
  assert.deepEqual(await makersThere(), [])
})

test('attack: a role that somebody else gave the name of a maker is not acted as', async () => {
  const makers = Array.from({ length: 64 }, (_, which) => String(which).padStart(2, '0'))
  const { plan, make, end } = direct()
  const first = plan()
  const made = await make(first)
  const prefix = (await makersThere())[0]?.rolname.slice(0, -2) ?? ''
  assert.match(prefix, /^reeve_maker_/)
  const known = new Set((await told<{ name: string }>('select rolname as name from pg_roles')).map(({ name }) => name))
  // Whoever may make roles can make one of that name, and even let the provisioner act as it and administer it.
  const theirs = makers.map((which) => prefix + which).filter((name) => !known.has(name))
  await told(`create role rival login createrole password 'rival'`)
  const rival = await connectAs(at.cluster, 'rival', new Secret('rival'), 'postgres')
  await rival.query(
    theirs.map((name) => `create role ${name} createrole; grant ${name} to ${PROVISIONER} with admin true`).join(';'),
  )
  await rival.end()

  const leases = Array.from({ length: 12 }, () => plan())
  const details = []
  for (const lease of leases) details.push(await make(lease))

  const members = await told<{ member: string }>(
    `select distinct m.member::regrole::text as member from pg_auth_members m
      where m.roleid in (${leases.map(({ principal }) => `'${principal}'::regrole`).join(', ')})`,
  )
  assert.ok(members.every(({ member }) => !theirs.includes(member)))
  for (const [index, lease] of leases.entries()) assert.equal((await end(lease, details[index] ?? {})).kind, 'dead')
  assert.equal((await end(first, made)).kind, 'dead')
  const still = new Set((await makersThere()).map(({ rolname }) => rolname))
  assert.ok(
    theirs.every((name) => still.has(name)),
    'what is not ours is left alone',
  )
})
