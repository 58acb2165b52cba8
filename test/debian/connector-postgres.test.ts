import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import pg from 'pg'
import { CONFORMANCE } from '../../src/connectors/conformance.fixture.ts'
import { clientConfig } from '../../src/kernel/db.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { startCluster, type Cluster } from '../support/cluster.ts'
import { saysEachRight } from '../support/each-right.ts'
import { inventoryWorld } from '../support/inventory-world.ts'
import { asSuperuser, postgresBed } from '../support/postgres-source.ts'

// The connector on the PostgreSQL 15 of Debian: no options of memberships, no set_option, another pg_hba_file_rules; and with its pgaudit.

const debian = '/usr/lib/postgresql/15'
const hasDebian = existsSync(join(debian, 'bin'))
const hasAudit = existsSync(join(debian, 'lib/pgaudit.so'))
const LOGGED = {
  logging_collector: 'on',
  log_destination: 'csvlog,jsonlog',
  log_directory: 'log',
  log_filename: 'server.log',
  log_timezone: 'UTC',
  log_connections: 'on',
}
const AUDITED = {
  shared_preload_libraries: 'pgaudit',
  'pgaudit.log': 'read, write, role',
  'pgaudit.log_parameter': 'on',
}
let cluster: Cluster

before(async () => {
  cluster = await startCluster({
    ...(hasDebian && { binFolder: join(debian, 'bin') }),
    settings: { ...LOGGED, ...(hasAudit && AUDITED) },
  })
})
after(() => cluster[Symbol.asyncDispose]())

for (const [story, run] of Object.entries(CONFORMANCE)) {
  test(`conformance on 15: ${story}`, async (t) => run(t, await postgresBed(cluster)))
}

test('each right of the reader is named by what is not seen without it, and by nothing else', async () => {
  const { connector, settings, credential = {} } = await postgresBed(cluster)
  const [shop] = await asSuperuser(cluster, async (client) => {
    const { rows } = await client.query<{ oid: string }>(
      `select oid::text as oid from pg_database where datname = 'shop'`,
    )
    return rows
  })
  const change = (sql: string) => () => asSuperuser(cluster, (client) => client.query(sql))
  const on = (what: string, right: string) => ({
    take: change(`revoke ${right} on ${what} from reeve_reader, public`),
    give: change(`grant ${right} on ${what} to reeve_reader`),
  })
  await change(`grant connect on database shop to reeve_reader`)()

  // Somebody else is connected, of whom the login would not see from where.
  await asSuperuser(cluster, () =>
    saysEachRight({ connector, settings, credential, isForetold: true }, [
      {
        name: 'SELECT on pg_authid',
        ...on('pg_authid', 'select'),
        says: { 'cluster/passwords': ['denied', 'SELECT on pg_catalog.pg_authid'] },
      },
      {
        name: 'SELECT on pg_hba_file_rules',
        ...on('pg_hba_file_rules', 'select'),
        says: { 'cluster/hba': ['denied', 'SELECT on pg_catalog.pg_hba_file_rules'] },
      },
      {
        name: 'EXECUTE on pg_hba_file_rules()',
        ...on('function pg_hba_file_rules()', 'execute'),
        says: { 'cluster/hba': ['denied', 'EXECUTE on pg_catalog.pg_hba_file_rules()'] },
      },
      {
        name: 'pg_read_all_stats',
        take: change('revoke pg_read_all_stats from reeve_reader'),
        give: change('grant pg_read_all_stats to reeve_reader'),
        says: { 'cluster/activity': ['partial', 'pg_read_all_stats'] },
      },
      {
        name: 'CONNECT on shop',
        ...on('database shop', 'connect'),
        says: { [`database/${shop?.oid}`]: ['denied', 'CONNECT on the database'] },
      },
    ]),
  )
})

for (const format of ['csvlog', 'jsonlog'] as const) {
  test(
    `what pgaudit and the server wrote as ${format} is told as uses, without a word of it`,
    { skip: !hasAudit },
    async (t) => {
      const { connector, settings, credential = {}, secrets } = await postgresBed(cluster)
      const user = `audited_${format}`
      const password = new Secret(secrets[1] ?? '')
      await asSuperuser(cluster, async (client) => {
        await client.query(`create role ${user} login password '${password.reveal()}' in role readers`)
        await client.query(`grant connect on database shop to ${user}`)
      })
      await asSuperuser(
        cluster,
        (client) => client.query(`grant usage on schema sales to ${user}; grant all on sales.orders to ${user}`),
        'shop',
      )
      const job = new pg.Client({
        ...clientConfig(cluster.connection(user, password, 'shop')),
        application_name: 'nightly "job",\u001b[31m',
      })
      await job.connect()
      await job.query(`insert into sales.orders values (1, $1)`, ['card-4111xyz\n"of",somebody'])
      await job.query(`select card\n  from sales.orders\n where card like '%"4111xyz"%'`)
      await job.query('delete from sales.orders')
      await assert.rejects(job.query('select * from pg_authid'))
      await job.end()
      const path = join(dirname(cluster.logFile), 'data/log', `server.${format.replace('log', '')}`)
      const i = await inventoryWorld(t)
      const id = await i.source(connector, { ...Object(settings), log: { path, format } }, { credential })

      const report = (await i.collect(id)).scopes.find(({ scope }) => scope === 'cluster/log')

      assert.deepEqual([report?.status, report?.missing], ['complete', []])
      const uses = await i.w.db
        .selectFrom('observedUsage as u')
        .innerJoin('observedPrincipal as p', 'p.id', 'u.subjectId')
        .select(['u.semantics', 'u.privilege', 'u.count'])
        .where('p.name', '=', user)
        .where('u.count', '>', 0)
        .execute()
      assert.deepEqual(
        uses.map(({ semantics, privilege, count }) => [semantics, privilege, count].join(' ')).toSorted(),
        ['auth  1', 'statement DELETE 1', 'statement INSERT 1', 'statement SELECT 1'],
      )
      // No number alone: digests are full of those.
      assert.doesNotMatch((await i.snapshot()).join('\n'), /4111xyz|sales\.orders where/)
    },
  )
}

test('a log in another format than was said is partial, and the want of pgaudit is said', async (t) => {
  const { connector, settings, credential = {} } = await postgresBed(cluster)
  const path = join(dirname(cluster.logFile), 'data/log/server.csv')
  const i = await inventoryWorld(t)
  const id = await i.source(connector, { ...Object(settings), log: { path, format: 'jsonlog' } }, { credential })

  const report = (await i.collect(id)).scopes.find(({ scope }) => scope === 'cluster/log')

  assert.equal(report?.status, 'partial')
  assert.match(report?.missing[0]?.why ?? '', /not as the server writes its jsonlog/)
})
