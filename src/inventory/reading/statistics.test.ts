import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from 'kysely'
import { inventoryWorld } from '../../../test/support/inventory-world.ts'
import { toyPrincipal, toySource } from '../../../test/support/toy-source.ts'
import { emptyStages, refreshStatistics } from './statistics.ts'

test('the database knows how large a table is once a reading filled it, and counts none twice', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  toy.scopes.set('people', [Array.from({ length: 6_000 }, (_, at) => toyPrincipal(`app-${at}`))])
  await i.collect(await i.source(toy.connector, {}))
  const counted = async () => {
    const { rows } = await sql<{ n: number }>`
      select reltuples::int as n from pg_class where oid = 'observed_principal'::regclass`.execute(i.w.db)
    return rows[0]?.n
  }

  await refreshStatistics(i.w.db)

  assert.equal(await counted(), 6_000)
  assert.equal(await refreshStatistics(i.w.db), 0)
})

test('what a reading leaves behind is thrown away at its end, but never while somebody reads, who would lose pages', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  toy.scopes.set('people', [[toyPrincipal('a')], [toyPrincipal('b')]])
  const source = await i.source(toy.connector, {})
  const fill = () =>
    sql`
    insert into staged_page (reading_id, scope_id, kind, place, things, lines)
    select gen_random_uuid(), gen_random_uuid(), 'principal', n, 1, repeat('x', 1000000) from generate_series(1, 20) n`.execute(
      i.w.db,
    )
  const held: boolean[] = []
  toy.onPage = async (_, page) => {
    if (page !== 2) return
    await fill()
    held.push(await emptyStages(i.w.db))
  }

  const { scopes } = await i.collect(source)

  assert.deepEqual(held, [false])
  assert.deepEqual([scopes[0]?.items, await i.count('observed_principal'), await i.count('staged_page')], [2, 2, 0])
  assert.equal(await emptyStages(i.w.db), false)
  await fill()
  assert.equal(await emptyStages(i.w.db), true)
})
