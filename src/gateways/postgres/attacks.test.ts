import assert from 'node:assert/strict'
import type pg from 'pg'
import { attack, reads, changes, HALF, BEYOND, unnamed, round } from '../../../test/support/gateway-attack.ts'
import { spoken, told, until } from '../../../test/support/gateway.ts'
import * as encode from './wire/encode.ts'

attack('a refused statement in a transaction does not let COMMIT keep the first half', async ({ bed, balances }) => {
  const client = await bed.client(changes)

  await client.query('begin')
  await client.query(HALF)
  await assert.rejects(client.query(BEYOND), { code: '42501' })
  const { command } = await client.query('commit')

  assert.equal(command, 'ROLLBACK')
  assert.deepEqual(await balances(), [100])
})

attack('the same holds for statements with parameters', async ({ bed, balances }) => {
  const client = await bed.client(changes)

  await client.query('begin')
  await client.query('update public.accounts set balance = $1', [0])
  await assert.rejects(client.query({ text: BEYOND, name: 'beyond', values: [] }), { code: '42501' })
  const { command } = await client.query('commit')

  assert.equal(command, 'ROLLBACK')
  assert.deepEqual(await balances(), [100])
})

attack('the same holds in one pipeline, before and behind a Sync', async ({ bed, balances }) => {
  const raw = await bed.raw(changes)

  const together = await round(raw, ...unnamed(HALF), ...unnamed(BEYOND), ...unnamed('commit'), encode.sync())
  const explicit = [...unnamed('begin'), ...unnamed(HALF), encode.sync(), ...unnamed(BEYOND), encode.sync()]
  raw.send(...explicit, ...unnamed('commit'), encode.sync())
  const answers = [spoken(await raw.next('Z')), spoken(await raw.next('Z')), spoken(await raw.next('Z'))]

  assert.equal(together, '1 2 C E(42501) Z')
  assert.deepEqual(answers, ['1 2 C 1 2 C Z', 'E(42501) Z', '1 2 C Z'])
  assert.deepEqual(await balances(), [100])
})

attack('a text of several statements is refused whole when one of them is', async ({ bed, balances }) => {
  const client = await bed.client(changes)

  await assert.rejects(client.query(`${HALF}; ${BEYOND}`), { code: '42501' })
  await assert.rejects(client.query(`begin; ${HALF}; commit; ${BEYOND}`), { code: '42501' })

  assert.deepEqual(await balances(), [100])
})

attack('a refusal says what to request, and is recorded as ours', async ({ bed }) => {
  const client = await bed.client(reads)

  await assert.rejects(client.query(HALF), {
    message: 'The grant does not cover postgres.write. Request it for orders.',
  })

  // The operation is over at ReadyForQuery, the driver tells of an error before it.
  await until(() => client.seen.operations.length > 0)
  assert.deepEqual(told(client.seen.operations), ['UPDATE refused 42501'])
  assert.equal(client.seen.operations[0]?.action, 'postgres.write')
  assert.equal(client.seen.operations[0]?.statement, 'update public.accounts set balance = $1')
})

attack('blocks, calls and what hides a write are not reads', async ({ bed, balances }) => {
  const client = await bed.client(reads)
  const tries = [
    `do $$ begin ${HALF}; end $$`,
    `prepare p as ${HALF}`,
    'execute p',
    `with x as (${HALF} returning *) select * from x`,
    `explain analyze ${HALF}`,
    'select * from public.accounts for update',
    'call anything()',
    `select query_to_xml('${HALF}', true, true, '')`,
    'create temp table t as select 1',
    'select 1 into x',
    `copy (${HALF} returning 1) to stdout`,
    'copy public.accounts from stdin',
    `copy public.accounts to program 'cat'`,
    'lock public.accounts',
    'vacuum',
    `select lo_import('/etc/passwd')`,
    `select pg_read_file('/etc/passwd')`,
    'select pg_terminate_backend(1)',
    'select somebodys_function()',
    `select nextval('s')`,
  ]

  for (const sql of tries) {
    await assert.rejects(client.query(sql), { code: '42501' }, sql)
    await assert.rejects(
      client.query({ text: sql, values: [], name: `n${tries.indexOf(sql)}` }),
      { code: '42501' },
      sql,
    )
  }

  assert.deepEqual(await balances(), [100])
})

attack('strings are read as the gateway reads them, whatever door is tried', async ({ bed }) => {
  const client = await bed.client()
  const tries = [
    'set standard_conforming_strings = off',
    'set local standard_conforming_strings to 0',
    `set "Standard_Conforming_Strings" = 'no'`,
    `select set_config('standard_conforming_strings', 'off', false)`,
    `select pg_catalog.set_config('standard_' || 'conforming_strings', 'off', false)`,
    `update pg_settings set setting = 'off' where name = 'standard_conforming_strings'`,
    `set client_encoding = 'SJIS'`,
    `set names 'BIG5'`,
  ]

  for (const sql of tries) await assert.rejects(client.query(sql), { code: '42501' }, sql)
  await assert.rejects(bed.client({}, { options: '-c standard_conforming_strings=off' }), { code: '22023' })
  await assert.rejects(bed.raw({}, { standard_conforming_strings: 'off' }), /22023/)
  await assert.rejects(bed.raw({}, { client_encoding: 'SJIS' }), /22023/)

  const { rows } = await client.query(`select current_setting('standard_conforming_strings') as s, '\\' as backslash`)
  assert.deepEqual(rows, [{ s: 'on', backslash: '\\' }])
})

attack('a session ends when the server says that strings are read otherwise', async ({ bed }) => {
  const client = await bed.client()
  await client.query(`create or replace function lease.flip() returns void language plpgsql as
    $$ begin execute 'set standard_conforming_strings = ' || 'off'; end $$`)

  await client.query('select lease.flip()').catch(() => undefined)

  await until(() => client.errors.length > 0)
  await until(() => client.seen.ending !== undefined)
  assert.equal(client.seen.ending?.reason, 'parser-unsafe')
  await assert.rejects(client.query('select 1'))
})

attack('who one is cannot be changed without the privilege', async ({ bed }) => {
  const client = await bed.client({ actions: ['postgres.read', 'postgres.write', 'postgres.schema'] })
  const tries = [
    'set role boss',
    'set local role boss',
    'reset role',
    'set session authorization other',
    'reset session authorization',
    `select set_config('role', 'boss', false)`,
    `alter role lease password 'x'`,
    'alter user current_user valid until $$infinity$$',
    'grant boss to other',
    `prepare transaction 'x'`,
  ]

  for (const sql of tries) await assert.rejects(client.query(sql), { code: '42501' }, sql)
  await assert.rejects(bed.raw(reads, { role: 'boss' }), /42501/)
  await assert.rejects(bed.raw(reads, { options: '-c role=boss' }), /42501/)

  const { rows } = await client.query('select current_user as who')
  assert.deepEqual(rows, [{ who: 'lease' }])
})

attack('what is never brokered is refused under every grant', async ({ bed }) => {
  const client = await bed.client()

  await client.query('begin')
  await assert.rejects(client.query(`prepare transaction 'x'`), { code: '42501' })
  await client.query('rollback')

  const raw = await bed.raw()
  const call = encode.frame('F', encode.int32(1598), Buffer.from([0, 0, 0, 0, 0, 0]))
  assert.equal(await round(raw, call), 'E(0A000) Z')
  assert.equal(await round(raw, encode.query('select 1')), 'T D C Z')
})

attack('an unreadable text never reaches the server', async ({ bed }) => {
  const client = await bed.client()

  const failed = (await client.query('selec 1').catch((error: Error) => error)) as pg.DatabaseError
  await assert.rejects(client.query(`select ${'('.repeat(100_000)}1${')'.repeat(100_000)}`), { code: /54001|42601/ })

  assert.equal(failed.code, '42601')
  assert.equal(failed.position, '1')
  assert.deepEqual((await client.query('select 1 as n')).rows, [{ n: 1 }])
})

attack('deferred constraints fail at the Sync, and the record says so', async ({ bed }) => {
  const client = await bed.client()
  await client.query('create temp table d (n int unique deferrable initially deferred)')

  await assert.rejects(client.query('insert into d select 1 from generate_series(1, $1)', [2]), { code: '23505' })
  await client.query('select 1')

  assert.deepEqual(told(client.seen.operations), [
    'CREATE TABLE done',
    'INSERT done',
    'SYNC failed 23505',
    'SELECT done',
  ])
})

attack('a password in a statement is not in what is recorded', async ({ bed }) => {
  const client = await bed.client()

  await client.query("create role hunter password 'hunter2'").catch(() => undefined)
  await client.query('select $1::text as password', ['hunter2'])

  assert.doesNotMatch(JSON.stringify(client.seen.operations), /hunter2/)
})

attack('an account of some databases does not enter the others', async ({ bed }) => {
  const client = bed.client({ databases: ['orders'] })

  await assert.rejects(client, (error: Error & { code?: string }) => {
    assert.equal(error.code, '3D000')
    assert.match(error.message, /works in: orders/)
    return true
  })
  await until(() => bed.plane.seen[0]?.isReleased === true)
  assert.equal(bed.plane.seen[0]?.hasBegun, false)
})
