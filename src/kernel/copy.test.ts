import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { sql } from 'kysely'
import { freshDatabase } from '../../test/support/database.ts'
import { copyLine } from './copy.ts'
import { copyInto, openDatabase, transact } from './db.ts'
import { silentLog } from './log.ts'

/** What a text of PostgreSQL can hold. */
const text = () => fc.string({ unit: 'grapheme' }).map((it) => it.replaceAll('\0', ''))

test('whatever is copied is read back as it was', async (t) => {
  const { owner } = await freshDatabase(t)
  await using opened = openDatabase(owner, { max: 1, log: silentLog })
  const { db } = opened
  await sql`create table copied (at bigint, word text, words text[], facts jsonb, seen_at timestamptz, is_so boolean, bytes bytea)`.execute(
    db,
  )
  const columns = ['at', 'word', 'words', 'facts', 'seen_at', 'is_so', 'bytes']
  const row = fc.record({
    word: fc.option(fc.oneof(text(), fc.constantFrom('\\N', '\\.', '\t', '\r\n', 'a\\tb', '{"', '', 'NULL'))),
    words: fc.option(fc.array(fc.oneof(text(), fc.constantFrom('NULL', '', ',', '"', '\\', '{}')))),
    facts: fc.option(fc.dictionary(text(), fc.oneof(text(), fc.boolean(), fc.integer()))),
    seenAt: fc.option(fc.date({ min: new Date(0), max: new Date(4e12), noInvalidDate: true })),
    isSo: fc.option(fc.boolean()),
    bytes: fc.option(fc.uint8Array()),
  })

  await fc.assert(
    fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 20 }), async (rows) => {
      const lines = rows.map(({ word, words, facts, seenAt, isSo, bytes }, at) =>
        copyLine([at, word, words, facts, seenAt, isSo, bytes]),
      )
      const { rows: read } = await transact(db, async (tx) => {
        await sql`delete from copied`.execute(tx)
        await copyInto(tx, { table: 'copied', columns }, lines)
        return sql`select word, words, facts, seen_at, is_so, bytes from copied order by at`.execute(tx)
      })
      const told = rows.map(({ bytes, facts, ...of }) => ({
        ...of,
        facts: facts && { ...facts },
        bytes: bytes && Buffer.from(bytes),
      }))
      assert.deepEqual(read, told)
    }),
    { numRuns: 60 },
  )
})

test('a row that the table refuses undoes its transaction, and the connection goes on', async (t) => {
  const { owner } = await freshDatabase(t)
  await using opened = openDatabase(owner, { max: 1, log: silentLog })
  const { db } = opened
  await sql`create table copied (at bigint primary key)`.execute(db)
  const copy = (lines: string[]) => transact(db, (tx) => copyInto(tx, { table: 'copied', columns: ['at'] }, lines))

  await assert.rejects(copy(['1', '2', 'three']), { code: '22P02' })
  await assert.rejects(copy(['1', '1']), { code: '23505' })
  await copy(['1', '2'])

  const { rows } = await sql`select at from copied order by at`.execute(db)
  assert.deepEqual(rows, [{ at: 1 }, { at: 2 }])
})
