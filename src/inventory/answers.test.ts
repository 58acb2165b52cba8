import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { inventoryWorld } from '../../test/support/inventory-world.ts'
import { toyPages, toyPrincipal, toySource } from '../../test/support/toy-source.ts'
import { classificationOf } from '../kernel/event.ts'
import { coverageOf } from './coverage.ts'
import { inventoryEvents } from './events.ts'
import { csvLine, exportInventory } from './export.ts'
import { listInventory, readInventory } from './lists.ts'
import { measureInventory } from './measure.ts'
import { ExportQuery, InventoryQuery, SourceQuery } from './schemas.ts'
import { listSources } from './sources/source-records.ts'
import { collectDue } from './reading/schedule.ts'

const query = (more: object = {}) => InventoryQuery.parse(more)

test('every field of an event is classified', () => {
  for (const { kind, facts } of inventoryEvents) {
    for (const [field, schema] of Object.entries(facts.shape)) {
      assert.notEqual(classificationOf(schema), 'secret', `${kind}.${field}`)
    }
  }
})

test('an empty list says that nothing is read, not that there is nothing', async (t) => {
  const i = await inventoryWorld(t)

  const { items, coverage } = await listInventory(i.w.db, i.w.clock, 'principal', query())

  assert.deepEqual([items, coverage.isWhole, coverage.unseen[0]?.why], [[], false, 'no source is registered'])
})

test('a list is paged, filtered, and carries what its sources did not show', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  toy.scopes.set('people', [...toyPages(5, 5, (at) => toyPrincipal(`p${at}`))])
  toy.scopes.set('hidden', [])
  toy.report = (scope) =>
    scope === 'hidden'
      ? {
          status: 'denied',
          missing: ['passwords', 'ages'].map((what) => ({ what, why: 'no right', permission: `see ${what}` })),
        }
      : { status: 'complete', missing: [] }
  await i.collect(await i.source(toy.connector, {}))
  const { db, clock } = i.w

  const first = await listInventory(db, clock, 'principal', query({ limit: 2 }))
  const second = await listInventory(db, clock, 'principal', query({ limit: 200, cursor: first.nextCursor }))
  const named = await listInventory(db, clock, 'principal', query({ name: 'toy p3' }))
  const gone = await listInventory(db, clock, 'principal', query({ presence: 'gone' }))

  assert.equal(new Set([...first.items, ...second.items].map(({ id }) => id)).size, 5)
  assert.deepEqual([second.nextCursor, named.items.length, named.items[0]?.name, gone.items], [null, 1, 'toy p3', []])
  assert.deepEqual(first.coverage.scopes, { complete: 1, denied: 1 })
  assert.equal(first.coverage.isWhole, false)
  assert.deepEqual(
    first.coverage.unseen.map(({ scope, status, permission }) => [scope, status, permission]),
    [
      ['hidden', 'denied', 'see passwords'],
      ['hidden', 'denied', 'see ages'],
    ],
  )
  const sources = await listSources(db, clock, SourceQuery.parse({}))
  assert.deepEqual([sources.items.length, sources.coverage], [1, first.coverage])
  const detail = await readInventory(db, clock, 'principal', first.items[0]?.id ?? '')
  assert.deepEqual([detail.presence, detail.unknown['createdAt']], ['present', 'unsupported'])
})

test('a source that fails, or is overdue, is a part of what is not seen', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  toy.scopes.set('people', [[toyPrincipal('p')]])
  const id = await i.source(toy.connector, {})
  await i.collect(id)
  assert.equal((await coverageOf(i.w.db, i.w.clock)).isWhole, true)

  i.w.clock.advance(3 * 86_400)
  const overdue = await coverageOf(i.w.db, i.w.clock)
  toy.authority = 'another'
  await i.collect(id)
  const failed = await coverageOf(i.w.db, i.w.clock)

  assert.deepEqual([overdue.unseen[0]?.status, failed.unseen[0]?.status], ['overdue', 'failed'])
})

test('what is due is read by the schedule, once', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  toy.scopes.set('people', [[toyPrincipal('p')]])
  await i.source(toy.connector, {}, { schedule: 'daily' })
  const due = () => collectDue(i.w.db, i.needs, new AbortController().signal)

  assert.deepEqual([await due(), await due()], [1, 0])
  i.w.clock.advance(86_400)
  assert.equal(await due(), 1)
})

test('attack: a name that a spreadsheet would run is text in an export', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  const names = ['=cmd|"/c calc"!A1', '+1', '-1+1', '@SUM(A1)', 'plain, "quoted"']
  toy.scopes.set('people', [names.map((name, at) => toyPrincipal(`p${at}`, { name }))])
  toy.report = () => ({ status: 'partial', missing: [{ what: '=what', why: 'a line was cut' }] })
  await i.collect(await i.source(toy.connector, {}))

  const csv = await exportInventory(i.w.db, i.w.clock, 'principal', ExportQuery.parse({}))
  const json = await exportInventory(i.w.db, i.w.clock, 'principal', ExportQuery.parse({ format: 'json' }))

  const lines = csv.trimEnd().split('\r\n')
  assert.match(lines[0] ?? '', /not everything/)
  assert.ok(lines.some((line) => line.includes('a line was cut')))
  for (const line of lines) assert.doesNotMatch(line, /(^|",)"[=+\-@]/)
  assert.ok(csv.includes(`"'=cmd|""/c calc""!A1"`) && csv.includes('"plain, ""quoted"""'))
  const [head, ...rest] = json
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  assert.deepEqual([head.coverage.isWhole, rest.length], [false, names.length])
})

test('whatever is in a cell, no cell begins as a formula', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary' }), { minLength: 1 }), (cells) => {
      for (const cell of cells) assert.doesNotMatch(csvLine([cell]), /^"[=+\-@\t\r\n|%]/)
    }),
  )
})

test('of identities is counted what is known, what is not, and nothing is made up for the rest', async (t) => {
  const i = await inventoryWorld(t)
  const founder = await i.w.founder()
  await i.w.workload('billing', founder, { purpose: 'bills go out', expiresAt: '2031-01-01T00:00:00Z' })

  const { identities, all, moved } = await measureInventory(i.w.db, i.w.clock)

  // The founder is the other one: nobody said a purpose of that person.
  assert.deepEqual([all.total, all.purpose, all.fullyVisible.yes], [2, { yes: 1, no: 1, unknown: 0, percent: 50 }, 0])
  const workload = identities.find(({ kind }) => kind === 'workload')
  assert.deepEqual(
    [workload?.total, workload?.owner.percent, workload?.purpose.yes, workload?.temporary.yes, workload?.justified.yes],
    [1, 100, 1, 1, 1],
  )
  assert.deepEqual([workload?.observable, workload?.fullyVisible.yes], [{ yes: 0, no: 0, unknown: 1, percent: 0 }, 0])
  assert.equal(moved, null)
})

test('how much moved is said against the reading of a week ago', async (t) => {
  const i = await inventoryWorld(t)
  const founder = await i.w.founder()
  await i.w.workload('first', founder)
  const toy = toySource()
  toy.scopes.set('people', [[toyPrincipal('p')]])
  await i.collect(await i.source(toy.connector, {}))
  i.w.clock.advance(8 * 86_400)
  await i.w.workload('second', founder, { purpose: 'bills go out' })

  const { moved } = await measureInventory(i.w.db, i.w.clock)

  assert.equal(moved?.['workload.purpose'], 50)
  assert.equal(moved?.['all.purpose'], 33.3)
})
