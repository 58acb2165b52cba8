import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { revokeGrant } from '../../src/access/contract.ts'
import { issueCredential, type HandedCredential } from '../../src/credentials/contract.ts'
import { enterMysql } from '../../src/credentials/mysql/connection.ts'
import { mysqlWriter } from '../../src/credentials/mysql/writer.ts'
import { NotWanted, type Site, type WrittenLease } from '../../src/credentials/writer.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { newId, systemRandom } from '../../src/kernel/random.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { eventually } from '../support/eventually.ts'
import { cleaningOfFile } from '../support/installation.ts'
import { issuedWorld, type IssuedWorld } from '../support/issued-world.ts'
import { startMariadb, type Mariadb } from '../support/mariadb.ts'
import { reeve, type Place } from '../support/program.ts'
import { placeOf } from '../support/proof-of.ts'

// Debian's MariaDB and its own client: what a grant gives logs in there, over TLS, until the grant ends.
const cleaning = cleaningOfFile()
const signal = new AbortController().signal
const PROVISIONER = { user: 'reeve', password: 'provisioner-of-the-test' }
let server: Mariadb
let here: IssuedWorld
let bob: Place

const settings = () => ({ host: 'localhost', port: server.port, ca: server.ca, from: 'localhost' })

before(async () => {
  server = await startMariadb(cleaning)
  await server.sql(`
    create database shop; create table shop.orders (id int primary key, card text); insert into shop.orders values (1, 'x');
    create user reeve@localhost identified by '${PROVISIONER.password}' require ssl;
    grant create user, process, connection admin on *.* to reeve@localhost;
    grant select, update on mysql.* to reeve@localhost;
    create role app_reader with admin reeve@localhost; grant select on shop.* to app_reader;
    create role app_writer with admin reeve@localhost; grant select, insert, update, delete on shop.* to app_writer;
    create role app_schema with admin reeve@localhost; grant all on shop.* to app_schema;
    create role forbidden; grant all on *.* to forbidden;
    create user person@localhost identified by 'a-person'; grant all on *.* to person@localhost`)
  here = await issuedWorld(cleaning)
  const account = (name: string) => ({ name, mode: 'lease' }) as const
  await here.register({
    name: 'shop-db',
    protocol: 'mysql',
    settings: settings(),
    provisioner: PROVISIONER,
    accounts: [
      {
        ...account('app'),
        roles: { 'mysql.read': 'app_reader', 'mysql.write': 'app_writer', 'mysql.schema': 'app_schema' },
      },
      account('forbidden'),
      account('person'),
      account('none'),
      account("x' identified by 'y"),
      account('app_reader` to root'),
    ],
    actions: ['mysql.read', 'mysql.write', 'mysql.schema'],
  })
  bob = placeOf(here.folder, 'bob', here.bob)
})
after(() => cleaning.now())

async function issue(
  actions: readonly string[] = ['mysql.read'],
  account = 'app',
): Promise<HandedCredential & { user: string; password: string }> {
  const grant = await here.grant('shop-db', account, actions, { reason: 'to look at an order' })
  const handed = await here.bob.ask(issueCredential, { params: { grant }, input: {} })
  return { ...handed, user: handed.values['username'] ?? '', password: handed.values['password'] ?? '' }
}
const end = (grant: string) =>
  here.ada
    .ask(revokeGrant, { params: { grant }, input: { reason: 'it was stolen' } })
    .then(() => here.lease(grant, 'dead'))

test('a user of the grant reads what its role reads, only over TLS, and is unknown once the grant is revoked', async () => {
  const handed = await issue()
  const { user, password } = handed
  const select = () => server.as(user, password, 'select card from shop.orders')

  assert.match(user, /^reeve_[0-9a-v]{26}$/)
  assert.deepEqual([handed.kind, handed.revocability, handed.about['tls']], ['mysql-user', 'immediate', 'verified'])
  assert.equal(await select(), 'x')
  await assert.rejects(server.as(user, password, 'insert into shop.orders values (2, 2)'), /denied/)
  await assert.rejects(server.as(user, password, 'select 1', ['--skip-ssl']), /Access denied/)
  assert.ok(!server.generalLog().includes(password), 'the log of the server has the password')

  const lease = await end(handed.grantId)

  assert.deepEqual(Object(lease.evidence).login, { errno: 1045 })
  await assert.rejects(select(), /Access denied/)
  assert.equal(await server.sql(`select count(*) from mysql.global_priv where user = '${user}'`), '0')
  assert.equal(await server.sql(`select count(*) from mysql.roles_mapping where user = '${user}'`), '0')
})

test('reeve run gives the real client its login by an option file, and no other login gets through', async () => {
  const withOther = { ...bob, env: { ...bob.env, MYSQL_PWD: 'of-somebody-else', PATH: process.env['PATH'] } }
  const args = ['run', '--on', 'shop-db:app', '--for', 'use-shop-db', '--action', 'mysql.read', '--reason', 'to look']
  const { code, stdout, stderr } = await reeve(withOther, [
    ...args,
    '--',
    'mariadb',
    '--batch',
    '--skip-column-names',
    '-e',
    "select substring_index(current_user(), '_', 1), current_role(), (select card from shop.orders)",
  ])

  assert.equal(code, 0, stderr)
  assert.equal(stdout.trim(), 'reeve\tapp_reader\tx')
})

test('attack: an open connection, a changed password, a routine left behind and a twin at another host outlive nothing', async () => {
  const { user, password, grantId } = await issue(['mysql.schema'])
  await server.as(user, password, `create procedure shop.later() sql security definer select card from shop.orders`)
  const args = ['--no-defaults', '-h', 'localhost', '--protocol=tcp', '-P', String(server.port), '-u', user, '--ssl']
  const open = spawn('mariadb', [...args, `-p${password}`, '-e', 'select sleep(600)'], { stdio: 'ignore' })
  cleaning.after(() => open.kill('SIGKILL'))
  const gone = once(open, 'exit')
  const connections = () => server.sql(`select count(*) from information_schema.processlist where user = '${user}'`)
  await eventually(async () => ((await connections()) === '1' ? true : undefined))
  await server.as(user, password, `set password = password('known-to-the-thief')`)
  await server.sql(`create user '${user}'@'%' identified by 'twin-of-the-thief'`)

  await end(grantId)

  const [code] = await gone
  assert.notEqual(code, 0)
  assert.equal(await connections(), '0')
  for (const stolen of [password, 'known-to-the-thief', 'twin-of-the-thief'])
    await assert.rejects(server.as(user, stolen, 'select 1'), /Access denied/)
  await assert.rejects(server.sql('call shop.later()'), /definer/i)
  await server.sql('drop procedure shop.later')
})

test('attack: names that would be more than a role, and roles that we may not give, make nobody', async () => {
  const users = () => server.sql(`select count(*) from mysql.global_priv where user like 'reeve\\_%'`)
  const before = await users()

  for (const account of ["x' identified by 'y", 'app_reader` to root', 'none'])
    await assert.rejects(issue(['mysql.read'], account), /is not the name of a role/)
  await assert.rejects(issue(['mysql.read'], 'forbidden'), /letting it act as forbidden failed/)
  await assert.rejects(issue(['mysql.read'], 'person'), /letting it act as person failed/)

  // What was begun is taken back.
  await eventually(async () => ((await users()) === before ? true : undefined))
})

function lone(roles: readonly string[] = ['app_reader']): { site: Site; lease: WrittenLease } {
  const id = newId(systemClock, systemRandom)
  const validUntil = new Date(Date.now() + 600_000)
  const terms = { account: 'app', roles, databases: [], validUntil, connections: 1 }
  const planned = mysqlWriter.plan(systemRandom, { leaseId: id, grantId: id, terms, settings: settings() })
  const { user, password } = PROVISIONER
  return {
    site: { target: 'shop-db', settings: settings(), provisioner: { user, secret: new Secret(password) } },
    lease: { id, principal: planned.principal, secret: planned.secret!, terms, details: undefined, issuedAt: null },
  }
}
const making = (isWanted: () => Promise<boolean>) => ({ isWanted, keep: async () => true })

test('attack: a grant that ended between plan and apply makes nobody, and none is born behind its proven death', async () => {
  const { site, lease } = lone()
  const users = () => server.sql(`select count(*) from mysql.global_priv where user = '${lease.principal}'`)
  await assert.rejects(
    mysqlWriter.apply(
      site,
      lease,
      making(async () => false),
      signal,
    ),
    NotWanted,
  )
  assert.equal(await users(), '0')
  const busy = await new Promise<unknown>((resolve) => {
    void mysqlWriter
      .apply(
        site,
        lease,
        making(async () => {
          // While it is being made nobody ends it: who tries is told that it is busy.
          resolve(await mysqlWriter.end(site, lease, signal).catch((error: unknown) => error))
          return false
        }),
        signal,
      )
      .catch(() => undefined)
  })
  assert.equal(Object(busy).name, 'LeaseBusy')
  await mysqlWriter.end(site, lease, signal)
  assert.equal((await mysqlWriter.verify(site, lease, signal)).kind, 'dead')
})

test('each step may run again: what was half made or half ended is ended', async () => {
  const { site, lease } = lone()
  assert.equal((await mysqlWriter.verify(site, lease, signal)).kind, 'dead')
  await mysqlWriter.apply(
    site,
    lease,
    making(async () => true),
    signal,
  )
  assert.deepEqual(await mysqlWriter.verify(site, lease, signal), { kind: 'alive', why: 'the user is still there' })
  await mysqlWriter.end(site, lease, signal)
  await mysqlWriter.end(site, lease, signal)
  const proof = await mysqlWriter.verify(site, lease, signal)
  assert.equal(proof.kind, 'dead')
})

test('attack: a server that takes everybody is no proof of death', async () => {
  const { site, lease } = lone()
  const { password } = JSON.parse(lease.secret.reveal())
  await server.sql(`create user ''@localhost identified by '${password}'`)
  try {
    assert.deepEqual(await mysqlWriter.verify(site, lease, signal), {
      kind: 'alive',
      why: 'its login is still accepted',
    })
  } finally {
    await server.sql(`drop user ''@localhost`)
  }
})

test('a provisioner that cannot see all connections ends nobody and says so', async () => {
  await server.sql(`create user blind@localhost identified by 'blind-one' require ssl; grant create user on *.* to blind@localhost;
    grant select on mysql.* to blind@localhost`)
  const { site, lease } = lone()
  const blind = { ...site, provisioner: { user: 'blind', secret: new Secret('blind-one') } }

  await assert.rejects(mysqlWriter.end(blind, lease, signal), /looking who is connected failed .*lacks a right/)
  await assert.rejects(mysqlWriter.verify(blind, lease, signal), /looking who is connected failed/)
})

test('attack: a server whose certificate is of another name or authority learns no login', async () => {
  const { user, password } = PROVISIONER
  const provisioner = { user, secret: new Secret(password) }
  const address = { host: 'localhost', port: server.port, plaintext: false, ca: server.ca, serverName: undefined }
  await using upstream = await enterMysql(address, provisioner, signal)
  const [row] = await upstream.query('looking', `show status like 'Ssl_version'`)
  assert.match(String(row?.['Value']), /^TLSv1\.[23]$/)

  for (const wrong of [
    { serverName: 'other.example' },
    { host: '127.0.0.1', serverName: 'other.example' },
    { ca: undefined },
  ])
    await assert.rejects(enterMysql({ ...address, ...wrong }, provisioner, signal), { name: 'TargetDown' })
  await using again = await enterMysql({ ...address, host: '127.0.0.1', serverName: 'localhost' }, provisioner, signal)
  assert.equal((await again.query('looking', 'select 1 as one')).length, 1)
})
