import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { CONFORMANCE, type Bed } from '../../src/connectors/conformance.fixture.ts'
import { mysqlConnector } from '../../src/connectors/mysql/connector.ts'
import { saysEachRight, type Right } from '../support/each-right.ts'
import { cleaningOfFile } from '../support/installation.ts'
import { inventoryWorld } from '../support/inventory-world.ts'
import { startMysql, type Mysql } from './peers/mysql.ts'

// The connector over MySQL itself, whose users stand elsewhere than MariaDB's.
const cleaning = cleaningOfFile()
const [PASSWORD, OTHER, BEFORE] = ['reader-of-the-test', 'billing-of-the-test', 'billing-before-the-test']
const RIGHTS = ['select', 'process', 'show view', 'event', 'trigger', 'show_routine']
let server: Mysql

before(async () => {
  server = await startMysql(cleaning)
  await server.sql(
    'create database shop',
    'create table shop.orders (id int primary key, card text)',
    `create user reader@localhost identified by '${PASSWORD}' require ssl`,
    `create user billing@'%' identified by '${BEFORE}'`,
    `alter user billing@'%' identified by '${OTHER}' retain current password`,
    `create user bare@localhost`,
    `create user ''@localhost`,
    `create user old@'10.%' identified by '${OTHER}' password expire interval 30 day account lock`,
    `create user gone@localhost identified by '${OTHER}' password expire`,
    `create user cert@localhost identified by '${OTHER}' require x509`,
    `create user rsa@localhost identified with sha256_password by '${OTHER}' require ssl`,
    'create user unused@localhost account lock',
    'create role readers, writers',
    'grant readers to writers',
    'grant select on shop.* to readers',
    `grant select (id), update (card) on shop.orders to billing@'%' with grant option`,
    `grant create user, file, role_admin on *.* to billing@'%'`,
    `grant proxy on cert@localhost to billing@'%'`,
    `create definer = billing@'%' procedure shop.refund() sql security definer select 1`,
    `create definer = billing@'%' view shop.cards as select card from shop.orders`,
    'create event shop.nightly on schedule every 1 day do select 1',
  )
})
after(() => cleaning.now())

async function bed(): Promise<Bed & { credential: Record<string, string> }> {
  await server.sql(
    `grant ${RIGHTS.join(', ')} on *.* to reader@localhost`,
    `grant writers to billing@'%' with admin option`,
    `set default role writers to billing@'%'`,
  )
  const hashes = await server.sql(
    `select concat(authentication_string, coalesce(user_attributes->>'$.additional_password', '')) as hash from mysql.user where user = 'billing'`,
  )
  return {
    connector: mysqlConnector,
    settings: { host: 'localhost', port: server.port, ca: server.ca },
    credential: { user: 'reader', password: PASSWORD },
    whole: ['users', 'passwords', 'roles', 'schemas', 'grants', 'definers', 'activity'].map(
      (scope) => `server/${scope}`,
    ),
    async lose() {
      await server.sql(`revoke writers from billing@'%'`)
      return 'server/roles'
    },
    async deny() {
      await server.sql('revoke all privileges, grant option from reader@localhost')
      return ['server/users', 'server/passwords', 'server/roles', 'server/schemas', 'server/grants']
    },
    async plant() {
      const names = ['\u001b[31mred', '=1+1', 'line\nfeed', `quote"d'`, '\u202eltr', 'back`tick', "x'@'y"]
      for (const name of names)
        await server.sql(`create user if not exists \`planted ${name.replaceAll('`', '``')}\`@localhost`)
      return { table: 'observed_principal', count: names.length, like: 'planted %' }
    },
    secrets: [PASSWORD, OTHER, BEFORE, String(hashes[0]?.['hash'])],
  }
}

for (const [story, run] of Object.entries(CONFORMANCE)) {
  test(`conformance: ${story}`, async (t) => run(t, await bed()))
}

test('users by host, weak proofs, secrets of before, roles, proxies, rights and definers are told as they stand', async (t) => {
  const { connector, settings, credential } = await bed()
  const i = await inventoryWorld(t)
  const id = await i.source(connector, settings, { credential })
  await i.collect(id)
  const { db } = i.w
  const logins = await db.selectFrom('observedCredential').selectAll().execute()
  const login = (name: string) => logins.find((each) => each.name === `login of ${name}`)
  const told = (name: string) => [login(name)?.type, login(name)?.state, login(name)?.strength]

  assert.deepEqual(told('bare@localhost'), ['none', 'active', 'weak'])
  assert.deepEqual(told('@localhost'), ['none', 'active', 'weak'])
  assert.deepEqual(told('billing@%'), ['password', 'active', 'strong'])
  assert.deepEqual(told('rsa@localhost'), ['password', 'active', 'deprecated'])
  assert.deepEqual(told('gone@localhost'), ['password', 'expired', 'strong'])
  assert.deepEqual(told('old@10.%'), ['password', 'inactive', 'strong'])
  assert.equal(login('readers@%'), undefined, 'a role has no login')
  assert.match(
    JSON.stringify(login('billing@%')?.strengthWhy),
    /the secret before it still works.*from everywhere.*without TLS/,
  )
  assert.doesNotMatch(JSON.stringify(login('reader@localhost')?.strengthWhy), /before|everywhere|TLS/)
  const old = login('old@10.%')
  assert.equal(Number(old?.expiresAt) - Number(old?.rotatedAt), 30 * 86_400_000)
  assert.deepEqual(login('cert@localhost')?.bindings, ['host', 'mtls'])
  const grants = await db
    .selectFrom('observedGrant as g')
    .innerJoin('observedPrincipal as p', 'p.id', 'g.principalId')
    .select(['p.name', 'g.privilege', 'g.level', 'g.facts'])
    .execute()
  const held = (name: string) =>
    grants
      .filter((grant) => grant.name === name)
      .map(({ privilege, level, facts }) => {
        const { of = null, column = null } = Object(facts)
        return [privilege, level, of, column].join(' ').trim()
      })
  const ofBilling = held('billing@%')
  for (const right of [
    'CREATE USER admin',
    'FILE admin',
    'ROLE_ADMIN admin',
    'MEMBER grant',
    'PROXY impersonate',
    'DEFINER admin',
    'SELECT grant orders id',
    'UPDATE grant orders card',
  ])
    assert.ok(ofBilling.includes(right), `${right} is not in ${ofBilling.join(', ')}`)
  assert.deepEqual(held('readers'), ['SELECT read'])
  assert.deepEqual(held('writers'), ['MEMBER impersonate'])
  const people = await db.selectFrom('observedPrincipal').selectAll().execute()
  const person = (name: string) => people.find((each) => each.name === name)
  assert.deepEqual(
    [Object(person('billing@%')?.facts).defaultRole, Object(person('billing@%')?.facts).isFromEverywhere],
    ['writers', true],
  )
  assert.deepEqual([person('readers')?.type, person('unused@localhost')?.type], ['role', 'account'])
})

test('each right of the reader is named by what is not seen without it, and by nothing else', async () => {
  const reader = { ...(await bed()), isForetold: true }
  const right = (name: string, says: Right['says']) => ({
    name,
    take: () => server.sql(`revoke ${name} on *.* from reader@localhost`),
    give: () => server.sql(`grant ${name} on *.* to reader@localhost`),
    says,
  })
  const tables = ['users', 'passwords', 'roles', 'schemas', 'grants', 'activity'].map(
    (scope) => [`server/${scope}`, ['denied', 'SELECT on mysql.*']] as const,
  )

  await saysEachRight(reader, [
    right('select', { ...Object.fromEntries(tables), 'server/definers': ['partial', 'SELECT on *.*'] }),
    right('process', { 'server/activity': ['denied', 'PROCESS'] }),
    right('show view', { 'server/definers': ['partial', 'SHOW VIEW on *.*'] }),
    right('event', { 'server/definers': ['partial', 'EVENT on *.*'] }),
    right('trigger', { 'server/definers': ['partial', 'TRIGGER on *.*'] }),
    right('show_routine', { 'server/definers': ['partial', 'SHOW_ROUTINE on *.*'] }),
  ])
})

test('a wrong password is a problem of the source, and nothing else', async (t) => {
  const { settings } = await bed()
  const i = await inventoryWorld(t)
  const wrong = await i.source(mysqlConnector, settings, { credential: { user: 'reader', password: 'wrong-one' } })

  const { outcome, problem } = await i.collect(wrong)

  assert.equal(outcome, 'failed')
  assert.match(problem ?? '', /ER_ACCESS_DENIED_ERROR/)
  assert.ok(!problem?.includes('wrong-one'))
})
