import assert from 'node:assert/strict'
import { test } from 'node:test'
import pg from 'pg'
import { freshDatabase } from '../../test/support/database.ts'
import { eventually } from '../../test/support/eventually.ts'
import { clientConfig } from './db.ts'
import { migrate, migrationNames, refuseOwner, schemaState } from './migrate.ts'

test('migrating again changes nothing', async (t) => {
  const { owner, server } = await freshDatabase(t)

  const again = await migrate(owner, server.user)

  assert.deepEqual(again.applied, [])
  assert.deepEqual(await schemaState(server), { found: again.version, wanted: again.version })
})

test('a migration that was edited after it had been applied is refused', async (t) => {
  const { owner, server } = await freshDatabase(t)
  await run(owner, `update schema_checksum set sha256 = 'other' where name = '0001_ledger'`)

  await assert.rejects(migrate(owner, server.user), /0001_ledger was edited/)
})

test('a database of a newer release is refused', async (t) => {
  const { owner, server } = await freshDatabase(t)
  await run(owner, `insert into schema_checksum values ('9999_later', 'x')`)

  await assert.rejects(migrate(owner, server.user), /9999_later, which this release does not know/)
})

test('the role the server runs as owns nothing and cannot remove or rewrite an entry', async (t) => {
  const { server } = await freshDatabase(t)

  for (const attack of [
    'delete from ledger_entry',
    'truncate ledger_entry cascade',
    'update ledger_entry set leaf = leaf',
    'delete from access_grant',
    'alter table ledger_entry disable trigger all',
    'drop table ledger_entry cascade',
    'create table mine ()',
    `insert into ledger_pending values (1, 'entry')`,
  ]) {
    await assert.rejects(run(server, attack), { code: '42501' }, attack)
  }
})

test('a node does not run as the owner of the schema or as a superuser', async (t) => {
  const { owner, server } = await freshDatabase(t)

  await assert.rejects(refuseOwner(owner), /owns Reeve's tables or is a superuser/)
  await refuseOwner(server)
})

test('a connection that is lost in the middle is said in a sentence, and migrating again works', async (t) => {
  const { owner, server } = await freshDatabase(t)
  const holder = new pg.Client(clientConfig(owner))
  await holder.connect()
  await holder.query('begin; lock table schema_checksum in access exclusive mode')
  const isSaid = assert.rejects(
    migrate(owner, server.user),
    /the connection to the database was lost while its schema was being migrated/,
  )
  const waits = `select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
  const cut = `select pg_terminate_backend(pid) from (${waits}) waiting`

  // Each look by a connection of its own: inside a transaction the same is seen again and again.
  await eventually(async () => ((await rowsOf(owner, cut)).length > 0 ? true : undefined))
  await isSaid
  await holder.end()

  assert.deepEqual((await migrate(owner, server.user)).applied, [])
})

async function run(connection: Parameters<typeof clientConfig>[0], statement: string): Promise<void> {
  await rowsOf(connection, statement)
}

async function rowsOf(connection: Parameters<typeof clientConfig>[0], statement: string): Promise<unknown[]> {
  const client = new pg.Client(clientConfig(connection))
  await client.connect()
  try {
    return (await client.query(statement)).rows
  } finally {
    await client.end()
  }
}

test('a file that is named like no migration is said, not left out', () => {
  assert.deepEqual(migrationNames(['server-rights.sql', '0002_b.sql', '0001_a-b.sql', 'README.md']), [
    '0001_a-b.sql',
    '0002_b.sql',
  ])
  assert.throws(() => migrationNames(['0001_a_b.sql']), /0001_a_b\.sql: a migration is named like/)
})
