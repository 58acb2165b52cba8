import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from 'kysely'
import pg from 'pg'
import { freshDatabase, type TestDatabase } from '../../test/support/database.ts'
import {
  allPlaced,
  openTestLedger,
  openTestSequencer,
  outsideFile,
  rawClient,
  seen,
  verified,
} from '../../test/support/ledger.ts'
import { transact } from '../kernel/db.ts'
import { silentLog } from '../kernel/log.ts'
import { settle } from './settle.ts'

test('the server’s role can neither change nor remove what is in the ledger', async (t) => {
  const { database } = await filled(t)
  const attacker = await rawClient(t, database.server)

  for (const attack of [
    `update ledger_entry set leaf = 'x'`,
    `delete from ledger_entry`,
    `truncate ledger_entry cascade`,
    `update ledger_segment set bodies = 'x'`,
    `delete from ledger_segment`,
    `truncate ledger_segment cascade`,
    `delete from ledger_entry_1`,
    `delete from ledger_leaf`,
    `update ledger_leaf set first_position = first_position + 1`,
    `delete from ledger_checkpoint`,
    `update ledger_checkpoint set note = 'x'`,
    `update ledger_log set verifier_key = 'x'`,
    `insert into ledger_pending (source, id) values ('entry', 1)`,
    `alter table ledger_entry disable trigger all`,
    `set session_replication_role = replica`,
  ]) {
    await assert.rejects(attacker.query(attack), { code: '42501' }, attack)
  }
})

test('even the owner is stopped by the triggers, as long as they are on', async (t) => {
  const { database } = await filled(t)
  const owner = await rawClient(t, database.owner)

  for (const attack of [
    `update ledger_entry set leaf = 'x'`,
    `delete from ledger_entry`,
    `truncate ledger_entry cascade`,
    `update ledger_segment set bodies = 'x'`,
    `delete from ledger_segment`,
    `truncate ledger_segment cascade`,
  ]) {
    await assert.rejects(owner.query(attack), { code: 'RV001' }, attack)
  }
})

test('a change without an entry of its own transaction is refused, and no transaction can be forged', async (t) => {
  const database = await freshDatabase(t)
  const { ledger } = await openTestLedger(t, database)
  const owner = await rawClient(t, database.owner)
  const server = pg.escapeIdentifier(database.server.user)
  await owner.query(`create table held (id integer primary key, cause bigint not null references ledger_entry)`)
  await owner.query(`select hold_cause('held')`)
  await owner.query(`grant select, insert, update, delete on held to ${server}`)
  const old = await transact(database.db, (tx) => ledger.record(tx, seen('cause')))
  const refused = { code: 'RV002' }

  await transact(database.db, async (tx) => {
    const cause = await ledger.record(tx, seen('cause'))
    await sql`insert into held values (1, ${cause})`.execute(tx)
  })
  await assert.rejects(sql`insert into held values (2, ${old})`.execute(database.db), refused)
  await assert.rejects(sql`update held set cause = ${old}`.execute(database.db), refused)
  await assert.rejects(sql`update held set id = 3`.execute(database.db), refused)
  await assert.rejects(sql`delete from held`.execute(database.db), { code: 'RV001' })
  // An entry that claims to be of a transaction to come.
  const { rows } = await sql<{ id: number; own: boolean; xid: string }>`
    insert into ledger_entry (xid, at, kind, leaf)
    select (pg_current_xact_id()::text::bigint + 1)::text::xid8, now(), 'forged.entry', 'x'
    returning id, xid, xid = pg_current_xact_id() as own`.execute(database.db)
  assert.equal(rows[0]?.own, true)
  await assert.rejects(sql`insert into held values (4, ${rows[0]?.id})`.execute(database.db), refused)
  assert.deepEqual((await owner.query('select id from held')).rows, [{ id: 1 }])
})

test('a temporary table cannot stand in for the ledger before the triggers', async (t) => {
  const { database } = await filled(t)
  const attacker = await rawClient(t, database.server)
  const owner = await rawClient(t, database.owner)
  const server = pg.escapeIdentifier(database.server.user)
  await owner.query(`create table held (id integer primary key, cause bigint not null references ledger_entry)`)
  await owner.query(`select hold_cause('held')`)
  await owner.query(`grant select, insert, update on held to ${server}`)

  await attacker.query(
    `create temporary table ledger_entry as select id, pg_current_xact_id() as xid from ledger_entry`,
  )
  await attacker.query('begin')
  await attacker.query('update ledger_entry set xid = pg_current_xact_id()')

  await assert.rejects(attacker.query('insert into held select 1, min(id) from public.ledger_entry'), { code: 'RV002' })
})

test('the server’s role fills the queue by no function of the owner, and says of no migration that it ran', async (t) => {
  const { database } = await filled(t)
  const attacker = await rawClient(t, database.server)

  await attacker.query('create temporary table bait (id bigint)')
  for (const attack of [
    `create trigger fill after insert on bait for each row execute function ledger_enqueue('entry')`,
    `create trigger fill after insert on bait referencing new table as fresh for each statement execute function ledger_enqueue_all('entry')`,
    // Past the triggers of the whole table it would never be placed in the tree.
    `insert into ledger_entry_1 (xid, at, kind, leaf) values ('0', now(), 'forged.entry', 'x')`,
    `insert into ledger_segment_1 (at, node_id, size, bodies) values (now(), gen_random_uuid(), 1, 'x')`,
    `insert into schema_checksum (name, sha256) values ('0099_forged', 'x')`,
  ]) {
    await assert.rejects(attacker.query(attack), { code: '42501' }, attack)
  }
  // Partitions ahead of need, which this role may ask for, are made once however often it asks.
  await attacker.query('select ledger_extend()')
  assert.equal((await attacker.query('select ledger_extend() as made')).rows[0]?.made, 0)
})

test('an entry that the owner of the database edited is named by the verifier', async (t) => {
  const { database } = await filled(t)

  await asDba(
    t,
    database,
    `update ledger_entry set leaf = convert_to(replace(convert_from(leaf, 'UTF8'), '"count":1', '"count":7'), 'UTF8')
      where convert_from(leaf, 'UTF8') like '%"count":1,%'`,
  )
  const { report } = await verified(database.db)

  const position = await database.db.selectFrom('ledgerLeaf').select('firstPosition').where('entryId', '=', 2).execute()
  const [finding] = report.findings
  assert.equal(report.ok, false)
  assert.deepEqual([finding?.from, finding?.to], [position[0]?.firstPosition, position[0]?.firstPosition])
})

test('entries and observations that the owner of the database removed are missed by the verifier', async (t) => {
  for (const attack of [
    'delete from ledger_entry where id = 2',
    'delete from ledger_segment where id = (select min(id) from ledger_segment)',
    'delete from ledger_leaf where entry_id = 2',
    'delete from ledger_leaf; delete from ledger_checkpoint where size < (select max(size) from ledger_checkpoint)',
  ]) {
    const { database } = await filled(t)

    await asDba(t, database, attack)
    const { report } = await verified(database.db)

    assert.equal(report.ok, false, attack)
  }
})

test('truncation to an older, truly signed state is found with a checkpoint kept from before', async (t) => {
  const { database } = await filled(t)
  const kept = await database.db
    .selectFrom('ledgerCheckpoint')
    .select('note')
    .orderBy('size', 'desc')
    .limit(1)
    .execute()
  const { db } = database

  await asDba(
    t,
    database,
    `delete from ledger_checkpoint where size > (select min(size) from ledger_checkpoint);
     delete from ledger_leaf where first_position >= (select max(size) from ledger_checkpoint)`,
  )
  const alone = await verified(db)
  const compared = await verified(db, { checkpoints: kept.map(({ note }) => note) })

  assert.equal(alone.report.ok, true)
  assert.ok(alone.report.notChecked.some((what) => what.startsWith('truncation')))
  assert.ok(compared.report.findings.some(({ kind }) => kind === 'truncated'))
})

test('what somebody took out of the queue is back in it after the next start', async (t) => {
  const database = await freshDatabase(t)
  const { ledger } = await openTestLedger(t, database)
  await transact(database.db, (tx) => ledger.record(tx, seen('cause', 1)))
  await ledger.observe(seen('seen', 2))
  await database.db.deleteFrom('ledgerPending').execute()

  const requeued = await settle(database.db, silentLog)
  const again = await settle(database.db, silentLog)

  openTestSequencer(t, database.server, outsideFile(t))
  await allPlaced(database.db)
  assert.deepEqual([requeued, again], [2, 0])
  assert.equal((await verified(database.db)).leaves.length, 2)
})

/** A ledger of three causes and some observations, signed in at least two rounds. */
async function filled(t: Parameters<typeof freshDatabase>[0]): Promise<{ database: TestDatabase }> {
  const database = await freshDatabase(t)
  const { ledger, close } = await openTestLedger(t, database)
  const sequencer = openTestSequencer(t, database.server, outsideFile(t))
  for (let count = 0; count < 3; count++) {
    await transact(database.db, (tx) => ledger.record(tx, seen('cause', count)))
    await Promise.all([ledger.observe(seen('seen', count)), ledger.observe(seen('seen', 10 + count))])
    await allPlaced(database.db)
  }
  await Promise.all([close(), sequencer[Symbol.asyncDispose]()])
  assert.equal((await verified(database.db)).report.ok, true)
  return { database }
}

/** Somebody who owns the database and turns its triggers and foreign keys off. */
async function asDba(t: Parameters<typeof freshDatabase>[0], database: TestDatabase, attack: string): Promise<void> {
  const dba = await rawClient(t, database.owner)
  await dba.query('set session_replication_role = replica')
  await dba.query(attack)
}
