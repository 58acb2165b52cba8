import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from 'kysely'
import { inventoryWorld, type InventoryWorld } from '../../../test/support/inventory-world.ts'
import { toyPages, toyPrincipal, toySource, type ToySource } from '../../../test/support/toy-source.ts'
import type { Db } from '../../kernel/db.ts'
import { collectSource } from '../inventory.ts'

const ACT = { actor: { id: '00000000-0000-7000-8000-00000000dead', kind: 'human' } } as const
const signal = () => new AbortController().signal
const told = (of: string, count: number) => [...toyPages(count, 10, (at) => toyPrincipal(`${of}${at}`))]

/** Holds a table as its own until it is let go: whoever writes to it waits. */
async function holding(i: InventoryWorld, table: string) {
  const held = Promise.withResolvers<void>()
  const letGo = Promise.withResolvers<void>()
  const over = i.w.run(async (tx) => {
    await sql`lock table ${sql.table(table)} in share row exclusive mode`.execute(tx)
    held.resolve()
    await letGo.promise
  })
  await held.promise
  return async () => {
    letGo.resolve()
    await over
  }
}

/** Resolves when that page of a scope is asked for. */
function askedFor(toy: ToySource, scope: string, page: number): Promise<void> {
  const asked = Promise.withResolvers<void>()
  toy.onPage = (of, number) => {
    if (of === scope && number === page) asked.resolve()
  }
  return asked.promise
}

test('a page is asked for while the one before is written, and no further one before that is done', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  toy.scopes.set('people', told('p', 40))
  const source = await i.source(toy.connector, {})
  let pages = 0
  const second = Promise.withResolvers<void>()
  let letGo = async () => {}
  toy.onPage = async (_scope, page) => {
    pages = page
    if (page === 1) letGo = await holding(i, 'inventory_told')
    if (page === 2) second.resolve()
  }

  const reading = i.collect(source)
  await second.promise
  await i.count('source')

  assert.equal(pages, 2)
  await letGo()
  const { scopes } = await reading
  assert.deepEqual([scopes[0]?.status, scopes[0]?.items, pages], ['complete', 40, 4])
})

test('a page that cannot be kept ends the wait for the next, and what was kept before it stays', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  toy.scopes.set('people', told('p', 30))
  const source = await i.source(toy.connector, {})
  const kept = Promise.withResolvers<void>()
  const never = Promise.withResolvers<void>()
  toy.onPage = async (_scope, page) => {
    // Once the first is kept somebody else has the reading: the second cannot be kept, and the third never comes.
    if (page === 2) {
      await kept.promise
      await sql`update reading_progress set holder_id = source_id`.execute(i.w.db)
    }
    if (page === 3) await never.promise
  }

  const reading = i.collect(source, { onPage: () => kept.resolve() })

  await assert.rejects(reading, { slug: 'conflict' })
  never.resolve()
  assert.equal(await i.count('source_scope'), 0)
})

test('a scope enters the inventory while the next is read; its reader dies, and it is read once more', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  toy.scopes.set('first', told('p', 10))
  toy.scopes.set('second', told('q', 40))
  const source = await i.source(toy.connector, {})
  const asked = askedFor(toy, 'second', 3)
  const letGo = await holding(i, 'source_scope')
  const second = Promise.withResolvers<void>()
  const onPage = ({ scope, pages }: { scope: string; pages: number }) => {
    if (scope === 'second' && pages === 2) second.resolve()
  }
  const never = Promise.withResolvers<void>()
  const hold = toy.onPage
  toy.onPage = async (scope, page) => {
    await hold(scope, page)
    if (scope === 'second' && page === 3) await never.promise
  }

  // The first cannot enter; the second is read all the same, up to where its reader is stuck for good.
  const dead = i.collect(source, { onPage })
  dead.catch(() => undefined)
  await Promise.all([asked, second.promise])
  i.w.clock.advance(120)
  toy.onPage = () => undefined
  const reading = i.collect(source)
  await askedFor(toy, 'first', 1)
  await letGo()
  const { outcome, scopes } = await reading
  never.resolve()

  await assert.rejects(dead, { slug: 'conflict' })
  assert.deepEqual(
    toy.reads.map(({ scope, cursor }) => [scope, cursor]),
    [
      ['first', undefined],
      ['second', undefined],
      ['second', '2'],
      ['first', undefined],
    ],
  )
  assert.equal(outcome, 'complete')
  assert.deepEqual(
    scopes.map(({ scope, items, added, missing }) => [scope, items, added, missing.length]),
    [
      ['second', 40, 40, 0],
      ['first', 10, 10, 0],
    ],
  )
  assert.deepEqual([await i.count('observed_principal'), await i.count('scope_report')], [50, 2])
  assert.deepEqual([await i.count('staged_page'), await i.count('inventory_told')], [0, 0])
})

test('a scope that could not enter the inventory ends the reading, whatever is read meanwhile', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  toy.scopes.set('first', told('p', 10))
  toy.scopes.set('second', told('q', 10))
  const source = await i.source(toy.connector, {})
  const never = Promise.withResolvers<void>()
  toy.onPage = (scope) => (scope === 'second' ? never.promise : undefined)
  const ledger = {
    ...i.needs.ledger,
    record: (...[tx, fact]: Parameters<typeof i.needs.ledger.record>) =>
      fact.event.kind === 'source.scope-read' ? Promise.reject(new Error('no entry')) : i.needs.ledger.record(tx, fact),
  }

  const { outcome, scopes } = await collectSource(i.w.db, { ...i.needs, ledger }, source, ACT, { signal: signal() })
  never.resolve()

  assert.deepEqual([outcome, scopes, await i.count('observed_principal')], ['failed', [], 0])
})

/** The database as a node sees it that dies at its nth transaction: before it, or when it is committed and before it is told so. */
function dyingAt(db: Db, last: number, isAfter: boolean) {
  const died = Promise.withResolvers<void>()
  const buried = Promise.withResolvers<never>()
  buried.promise.catch(() => undefined)
  let begun = 0
  const proxy = new Proxy(db, {
    get(of, name) {
      // What is one statement goes to the database by itself, and the dead send none.
      if (name === 'getExecutor' && begun >= last)
        return () => ({ ...bound(of.getExecutor()), executeQuery: () => buried.promise })
      if (name !== 'transaction') {
        const value: unknown = Reflect.get(of, name, of)
        return typeof value === 'function' ? value.bind(of) : value
      }
      return () => ({
        execute: async (write: Parameters<ReturnType<Db['transaction']>['execute']>[0]) => {
          begun += 1
          const at = begun
          if (at < last || (at === last && isAfter)) {
            const written = await of.transaction().execute(write)
            if (at < last) return written
          }
          died.resolve()
          return buried.promise
        },
      })
    },
  })
  return { db: proxy, died: died.promise, bury: () => buried.reject(new Error('it is dead')) }
}

function bound(executor: ReturnType<Db['getExecutor']>) {
  const { adapter } = executor
  return {
    adapter,
    transformQuery: executor.transformQuery.bind(executor),
    compileQuery: executor.compileQuery.bind(executor),
  }
}

test('attack: a node that dies between any two transactions loses nothing, doubles nothing and takes nothing for gone', async (t) => {
  const i = await inventoryWorld(t)
  let runs = 0
  let deaths = 0

  for (const isAfter of [false, true]) {
    for (let last = 2; ; last += 1) {
      runs += 1
      const toy = toySource()
      toy.authority = `toy:${runs}`
      const connector = { ...toy.connector, manifest: { ...toy.connector.manifest, id: `toy-${runs}` } }
      const source = await i.source(connector, {})
      const state = async () => {
        const { rows } = await sql<{ row: string }>`
          select concat_ws(' ', c.scope, p.native_id, p.name, case when p.missed_at is not null then 'missed' end,
                           case when p.gone_at is not null then 'gone' end) as row
            from observed_principal p join source_scope c on c.id = p.scope_id where c.source_id = ${source}
           order by c.scope, length(p.native_id), p.native_id`.execute(i.w.db)
        return rows.map(({ row }) => row)
      }
      const read = async () => {
        const dying = dyingAt(i.w.db, last, isAfter)
        const reading = collectSource(dying.db, i.needs, source, ACT, { signal: signal() })
        const isDead = await Promise.race([reading.then(() => false), dying.died.then(() => true)])
        if (!isDead) return false
        deaths += 1
        // It may have died when there was nothing left to do.
        if ((await i.count('reading_progress')) > 0) {
          i.w.clock.advance(120)
          await i.collect(source)
        }
        dying.bury()
        await assert.rejects(reading)
        return true
      }
      toy.scopes.set('first', told('p', 20))
      toy.scopes.set('second', told('q', 20))
      toy.scopes.set('third', told('r', 10))
      const died = await read()
      const all = (of: string, count: number, scope: string) =>
        Array.from({ length: count }, (_, at) => `${scope} ${of}${at} toy ${of}${at}`)
      const before = [...all('p', 20, 'first'), ...all('q', 20, 'second'), ...all('r', 10, 'third')]
      assert.deepEqual(await state(), before, `death ${last}, ${isAfter}`)

      // One is renamed, one is not told any more.
      toy.scopes.set('first', [
        told('p', 10)[0] ?? [],
        [toyPrincipal('p10', { name: 'anew' }), ...(told('p', 20)[1] ?? []).slice(1)],
      ])
      toy.scopes.set('second', [told('q', 10)[0] ?? [], (told('q', 20)[1] ?? []).slice(0, 9)])
      await read()
      const otherwise: Record<string, string> = {
        'first p10 toy p10': 'first p10 anew',
        'second q19 toy q19': 'second q19 toy q19 missed',
      }
      const after = before.map((row) => otherwise[row] ?? row)
      assert.deepEqual(await state(), after, `death ${last}, ${isAfter}, second reading`)
      if (!died) break
    }
  }

  assert.ok(deaths > 30, `${deaths} deaths`)
})
