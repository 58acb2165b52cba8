import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from 'kysely'
import { freshDatabase } from '../../test/support/database.ts'
import { observationsOf } from './ledger.ts'

const AT = '2026-11-22T10:00:00.000Z'

function leaf(kind: string, number: number): Buffer {
  const text = JSON.stringify({
    actor: { id: null, kind: 'system' },
    at: AT,
    decision: null,
    facts: { number, filler: 'x'.repeat((number * 37) % 900) },
    kind,
    outcome: 'done',
  })
  const bytes = Buffer.from(text)
  const length = Buffer.alloc(2)
  length.writeUInt16BE(bytes.length)
  return Buffer.concat([length, bytes])
}

test('observations of a kind are read newest first, also from segments of many pieces', async (t) => {
  const { db } = await freshDatabase(t)
  const kinds = ['decision.made', 'operation.done']
  for (const [first, size] of [
    [0, 1500],
    [1500, 2],
    [1502, 700],
  ] as const) {
    const leaves = Array.from({ length: size }, (_, at) => leaf(kinds[(first + at) % 2] ?? '', first + at))
    await sql`insert into ledger_segment (at, node_id, size, bodies)
              values (${AT}::timestamptz, '00000000-0000-7000-8000-000000000001', ${size}, ${Buffer.concat(leaves)})`.execute(
      db,
    )
  }
  const read = await Array.fromAsync(observationsOf(db, 'decision.made', new Date(AT)))
  assert.deepEqual(
    read.map(({ facts }) => facts['number']),
    Array.from({ length: 1101 }, (_, at) => 2200 - 2 * at),
  )
  const later = new Date(Date.parse(AT) + 120_000)
  assert.deepEqual(await Array.fromAsync(observationsOf(db, 'decision.made', later)), [])
})
