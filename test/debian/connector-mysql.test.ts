import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { CONFORMANCE, type Bed } from '../../src/connectors/conformance.fixture.ts'
import { mysqlConnector } from '../../src/connectors/mysql/connector.ts'
import { saidBy, saysEachRight, type Right } from '../support/each-right.ts'
import { cleaningOfFile } from '../support/installation.ts'
import { inventoryWorld } from '../support/inventory-world.ts'
import { startMariadb, type Mariadb } from '../support/mariadb.ts'

// The connector over Debian's MariaDB.
const cleaning = cleaningOfFile()
const [PASSWORD, OTHER] = ['reader-of-the-test', 'billing-of-the-test']
let server: Mariadb

before(async () => {
  server = await startMariadb(cleaning)
  await server.sql(`
    create database shop; create table shop.orders (id int primary key, card text);
    create user reader@localhost identified by '${PASSWORD}' require ssl;
    create user billing@'%' identified by '${OTHER}'; create user empty@localhost; create user ''@localhost;
    create user old@'10.%' identified by '${OTHER}' password expire interval 30 day account lock;
    create user gone@localhost identified by '${OTHER}' password expire;
    create user socket@localhost identified via unix_socket; create user cert@localhost identified by '${OTHER}' require x509;
    create role readers; create role writers; grant readers to writers; grant select on shop.* to readers;
    grant select (id), update (card) on shop.orders to billing@'%' with grant option;
    grant create user, file on *.* to billing@'%';
    create definer = billing@'%' procedure shop.refund() sql security definer select 1;
    create definer = billing@'%' view shop.cards as select card from shop.orders;
    create event shop.nightly on schedule every 1 day do select 1`)
})
after(() => cleaning.now())

async function bed(): Promise<Bed & { credential: Record<string, string> }> {
  await server.sql(`grant select, process, show view, event, trigger on *.* to reader@localhost;
    grant writers to billing@'%' with admin option; set default role writers for billing@'%'`)
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
      await server.sql(`revoke all privileges, grant option from reader@localhost`)
      return ['server/users', 'server/passwords', 'server/roles', 'server/schemas', 'server/grants']
    },
    async plant() {
      const names = ['\u001b[31mred', '=1+1', 'line\nfeed', `quote"d'`, '\u202eltr', 'back`tick', "x'@'y"]
      for (const name of names)
        await server.sql(`create user if not exists \`planted ${name.replaceAll('`', '``')}\`@localhost`)
      return { table: 'observed_principal', count: names.length, like: 'planted %' }
    },
    secrets: [PASSWORD, OTHER, await server.sql(`select password('${OTHER}')`)],
  }
}

for (const [story, run] of Object.entries(CONFORMANCE)) {
  test(`conformance: ${story}`, async (t) => run(t, await bed()))
}

test('users by host, weak proofs, roles, rights and definers are told as they stand', async (t) => {
  const { connector, settings, credential } = await bed()
  const i = await inventoryWorld(t)
  const id = await i.source(connector, settings, { credential })
  await i.collect(id)
  const { db } = i.w
  const logins = await db.selectFrom('observedCredential').selectAll().execute()
  const login = (name: string) => logins.find((each) => each.name === `login of ${name}`)
  const told = (name: string) => [login(name)?.type, login(name)?.state, login(name)?.strength]

  assert.deepEqual(told('empty@localhost'), ['none', 'active', 'weak'])
  assert.deepEqual(told('@localhost'), ['none', 'active', 'weak'])
  assert.deepEqual(told('billing@%'), ['password', 'active', 'deprecated'])
  assert.deepEqual(told('gone@localhost'), ['password', 'expired', 'deprecated'])
  assert.deepEqual(told('old@10.%'), ['password', 'inactive', 'deprecated'])
  assert.deepEqual(told('socket@localhost'), ['password', 'active', 'strong'])
  assert.match(JSON.stringify(login('billing@%')?.strengthWhy), /from everywhere.*without TLS/)
  assert.doesNotMatch(JSON.stringify(login('reader@localhost')?.strengthWhy), /everywhere|TLS/)
  const [old, billing] = [login('old@10.%'), login('billing@%')]
  assert.equal(Number(old?.expiresAt) - Number(old?.rotatedAt), 30 * 86_400_000)
  assert.equal(billing?.neverExpires, true)
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
    'MEMBER grant',
    'DEFINER admin',
    'SELECT grant orders id',
    'UPDATE grant orders card',
  ])
    assert.ok(ofBilling.includes(right), `${right} is not in ${ofBilling.join(', ')}`)
  assert.deepEqual(held('readers'), ['SELECT read'])
  // The server lists what a role has through another one as its own.
  assert.deepEqual(held('writers').toSorted(), ['MEMBER impersonate', 'SELECT read'])
  const [person] = await db.selectFrom('observedPrincipal').selectAll().where('name', '=', 'billing@%').execute()
  assert.deepEqual([Object(person?.facts).defaultRole, Object(person?.facts).isFromEverywhere], ['writers', true])
})

test('a wrong password, a certificate of another authority and one of another name are a problem of the source, and nothing else', async (t) => {
  const { settings } = await bed()
  const i = await inventoryWorld(t)
  const wrong = await i.source(mysqlConnector, settings, { credential: { user: 'reader', password: 'wrong-one' } })
  const untrusted = await i.source(
    mysqlConnector,
    { host: 'localhost', port: server.port },
    { credential: { user: 'reader', password: PASSWORD } },
  )
  const misnamed = await i.source(
    mysqlConnector,
    { ...Object(settings), serverName: 'other.example' },
    { credential: { user: 'reader', password: PASSWORD } },
  )
  const results = [await i.collect(wrong), await i.collect(untrusted), await i.collect(misnamed)]
  assert.deepEqual(
    results.map(({ outcome }) => outcome),
    ['failed', 'failed', 'failed'],
  )
  assert.match(results[0]?.problem ?? '', /ER_ACCESS_DENIED_ERROR/)
  for (const { problem } of results.slice(1)) assert.match(problem ?? '', /HANDSHAKE_SSL_ERROR/)
  assert.ok(!JSON.stringify(results).includes('wrong-one'))
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
  ])
})

test('attack: a login that reads single tables of the server does not see a short list of rights and call it whole', async () => {
  const { connector, settings } = await bed()
  await server.sql(`create user few@localhost identified by '${OTHER}' require ssl;
    grant select on mysql.db to few@localhost; grant select on mysql.procs_priv to few@localhost`)

  const { read } = await saidBy({ connector, settings, credential: { user: 'few', password: OTHER } })

  assert.deepEqual(read['server/grants'], ['denied', 'SELECT on mysql.*'])
  assert.deepEqual(read['server/users'], ['denied', 'SELECT on mysql.*'])
})
