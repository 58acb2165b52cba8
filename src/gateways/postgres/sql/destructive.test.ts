import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAnalyser } from './analyse.ts'

const analyser = await createAnalyser()
const isDestructive = (sql: string) => analyser.analyse(sql).statements.some((statement) => statement.isDestructive)

const DESTROYS = [
  'drop table a',
  'drop index concurrently i',
  'drop schema s cascade',
  'drop role r',
  'drop database d',
  'drop owned by r',
  'truncate a, b',
  'delete from a',
  'delete from a where true',
  'delete from a where 1 = 1',
  'delete from a using b',
  'update a set b = 1',
  "update a set b = 1 where 'x' = 'x'",
  'with gone as (delete from a returning *) select * from gone',
  'explain analyze delete from a',
  'copy (delete from a returning *) to stdout',
  'prepare p as delete from a',
  'begin; select 1; truncate a; commit',
  'alter table a drop column b',
  'alter table a drop constraint c',
  'alter table a detach partition b',
  'alter table a alter column b drop default',
  'alter domain d drop constraint c',
  'alter extension e drop table a',
  'merge into a using b on a.id = b.id when matched then delete',
  "do $$ begin execute 'drop table a'; end $$",
  'call purge()',
  'execute p',
]

const SPARES = [
  'select * from a',
  'insert into a values (1)',
  'delete from a where id = 1',
  'delete from a where exists (select from b where b.id = a.id)',
  'update a set b = 1 where id in (1, 2)',
  'delete from a where current of c',
  'alter table a add column b int',
  'create table a (b int)',
  'merge into a using b on a.id = b.id when matched and a.old then delete',
  "select 'drop table a'",
  'comment on table a is $$truncate a$$',
]

test('what takes something away for good is destructive, wherever it stands in the statement', () => {
  assert.deepEqual(
    DESTROYS.filter((sql) => !isDestructive(sql)),
    [],
  )
})

test('what can be brought back, or names what it takes, is not', () => {
  assert.deepEqual(SPARES.filter(isDestructive), [])
})

test('attack: a shape that was judged before does not lend its verdict to a WHERE that looks at nothing', () => {
  assert.equal(isDestructive('delete from a where b = 1'), false)
  assert.equal(isDestructive('delete from a where 1 = 1'), true)
  assert.equal(isDestructive('delete from a where 2 = 1'), true)
  assert.equal(isDestructive('delete from a where c = 2'), false)
})
