import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from 'kysely'
import { inventoryWorld } from '../../test/support/inventory-world.ts'
import { toyPrincipal, toySource } from '../../test/support/toy-source.ts'
import { refreshStatistics } from './statistics.ts'

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
