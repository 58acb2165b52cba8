import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inventoryWorld } from '../../test/support/inventory-world.ts'
import { toyPages, toyPrincipal, toySource } from '../../test/support/toy-source.ts'
import { Denied, known, SlowDown, unknown } from '../connectors/connector.ts'

const people = (count: number, size = 10) => [...toyPages(count, size, (at) => toyPrincipal(`p${at}`))]

test('a second reading of the same changes nothing, down to the cause of each row', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  toy.scopes.set('people', people(25))
  const source = await i.source(toy.connector, {})

  const first = await i.collect(source)
  const before = await i.snapshot()
  const second = await i.collect(source)

  assert.deepEqual(
    first.scopes.map(({ status, items, added }) => [status, items, added]),
    [['complete', 25, 25]],
  )
  assert.deepEqual(
    second.scopes.map(({ added, changed, missed, gone }) => [added, changed, missed, gone]),
    [[0, 0, 0, 0]],
  )
  assert.equal(before.length, 25)
  assert.deepEqual(await i.snapshot(), before)
})

test('what is gone upstream is missed after one complete reading, gone after two, and its row stays', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  toy.scopes.set('people', people(12))
  const source = await i.source(toy.connector, {})
  await i.collect(source)

  toy.scopes.set('people', people(11))
  const once = await i.collect(source)
  const afterOnce = await i.count(
    'observed_principal',
    'missed_at is not null and gone_at is null and last_seen_at is not null',
  )
  const twice = await i.collect(source)
  const thrice = await i.collect(source)

  assert.deepEqual(
    [once, twice, thrice].map(({ scopes }) => [scopes[0]?.missed, scopes[0]?.gone]),
    [
      [1, 0],
      [0, 1],
      [0, 0],
    ],
  )
  assert.equal(afterOnce, 1)
  assert.deepEqual(
    [await i.count('observed_principal'), await i.count('observed_principal', 'gone_at is not null')],
    [12, 1],
  )

  toy.scopes.set('people', people(12))
  await i.collect(source)

  assert.equal(
    await i.count('observed_principal', 'missed_at is null and gone_at is null and last_seen_at is null'),
    12,
  )
})

test('nothing is missed after a reading that was partial, denied, cut off or unsupported', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  toy.scopes.set('people', people(30))
  const source = await i.source(toy.connector, {})
  await i.collect(source)
  const before = await i.snapshot()
  const endings: Record<string, () => void> = {
    partial: () => (toy.report = () => ({ status: 'partial', missing: [{ what: 'some', why: 'because' }] })),
    unsupported: () => (toy.report = () => ({ status: 'unsupported', missing: [] })),
    denied: () => {
      toy.onPage = (_scope, page) => {
        if (page === 2) throw new Denied({ what: 'people', why: 'the right was taken away', permission: 'see people' })
      }
    },
    cut: () => {
      toy.onPage = (_scope, page) => {
        if (page === 3) throw new Error('the connection broke')
      }
    },
  }

  for (const [name, begin] of Object.entries(endings)) {
    toy.scopes.set('people', people(29))
    toy.report = () => ({ status: 'complete', missing: [] })
    toy.onPage = () => undefined
    begin()
    const { outcome, scopes } = await i.collect(source)

    assert.equal(outcome, 'partial')
    assert.equal(scopes[0]?.status, name === 'cut' ? 'partial' : name)
    if (name === 'denied') assert.equal(scopes[0]?.missing[0]?.permission, 'see people')
    assert.deepEqual(await i.snapshot(), before, name)
  }
})

test('a source that asks for patience is waited for as long as it says, and read on behind the last page', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  toy.scopes.set('people', people(50))
  let asked = 0
  toy.onPage = (_scope, page) => {
    if (page !== 3 || asked++ > 1) return
    throw new SlowDown(asked === 1 ? 7_000 : undefined)
  }

  const { scopes } = await i.collect(await i.source(toy.connector, {}))

  assert.deepEqual([scopes[0]?.status, scopes[0]?.items], ['complete', 50])
  assert.equal(i.waits[0], 7_000)
  assert.deepEqual(
    toy.reads.map(({ cursor }) => cursor),
    [undefined, '2', '2'],
  )
})

test('a source that asks for patience for ever is left partial', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  toy.scopes.set('people', people(5))
  toy.onPage = () => {
    throw new SlowDown(600_000)
  }

  const { scopes } = await i.collect(await i.source(toy.connector, {}))

  assert.equal(scopes[0]?.status, 'partial')
  assert.ok(i.waits.length < 5)
})

test('a source whose pages go round in circles ends partial', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  toy.hasCursors = false
  toy.scopes.set(
    'people',
    (function* () {
      for (;;) yield* people(20)
    })(),
  )

  const { scopes } = await i.collect(await i.source(toy.connector, {}))

  assert.deepEqual([scopes[0]?.status, scopes[0]?.items], ['partial', 20])
  assert.match(scopes[0]?.missing[0]?.why ?? '', /again and again/)
})

test('a reading whose reader died goes on behind its last page, and its scopes are not read twice', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  toy.scopes.set('first', people(10))
  toy.scopes.set('second', [...toyPages(40, 10, (at) => toyPrincipal(`q${at}`))])
  const source = await i.source(toy.connector, {})
  const never = Promise.withResolvers<void>()
  const stuck = Promise.withResolvers<void>()
  toy.onPage = (scope, page) => {
    if (scope !== 'second' || page !== 3) return Promise.resolve()
    stuck.resolve()
    return never.promise
  }
  const dead = i.collect(source)
  await stuck.promise

  await assert.rejects(i.collect(source), { slug: 'conflict' })
  i.w.clock.advance(120)
  toy.onPage = () => undefined
  const { scopes } = await i.collect(source)
  never.resolve()

  await assert.rejects(dead, { name: 'TakenOver' })
  assert.deepEqual(
    toy.reads.map(({ scope, cursor }) => [scope, cursor]),
    [
      ['first', undefined],
      ['second', undefined],
      ['second', '2'],
    ],
  )
  assert.deepEqual(
    scopes.map(({ scope, status, items }) => [scope, status, items]),
    [
      ['first', 'complete', 10],
      ['second', 'complete', 40],
    ],
  )
  assert.equal(await i.count('observed_principal'), 50)
})

test('a reading that is cancelled keeps the scopes it had closed and misses nothing', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  toy.scopes.set('first', people(10))
  toy.scopes.set('second', [...toyPages(40, 10, (at) => toyPrincipal(`q${at}`))])
  const source = await i.source(toy.connector, {})
  const cancel = new AbortController()
  toy.onPage = (scope, page) => {
    if (scope === 'second' && page === 2) cancel.abort(new Error('enough'))
  }

  await assert.rejects(i.collect(source, { signal: cancel.signal }), /enough/)

  assert.equal(await i.count('observed_principal'), 10)
  assert.equal(await i.count('source_reading', "outcome = 'cancelled'"), 1)
  assert.deepEqual([await i.count('inventory_stage'), await i.count('reading_progress')], [0, 0])
})

test('an unchanged scope costs nothing: no page, no row', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  toy.scopes.set('people', people(10))
  toy.report = () => ({ status: 'complete', missing: [], validator: 'etag-1' })
  const source = await i.source(toy.connector, {})
  await i.collect(source)
  const before = await i.snapshot()

  toy.report = () => ({ status: 'unchanged', missing: [] })
  toy.scopes.set('people', [])
  const { outcome, scopes } = await i.collect(source)

  assert.deepEqual([outcome, scopes[0]?.status, toy.reads[1]?.validator], ['complete', 'unchanged', 'etag-1'])
  assert.deepEqual(await i.snapshot(), before)
})

test('while something is missed the source is not asked whether anything changed', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  toy.scopes.set('people', people(10))
  toy.report = () => ({ status: 'complete', missing: [], validator: 'etag-1' })
  const source = await i.source(toy.connector, {})
  await i.collect(source)
  toy.scopes.set('people', people(9))
  await i.collect(source)
  await i.collect(source)

  assert.deepEqual(
    toy.reads.map(({ validator }) => validator),
    [undefined, 'etag-1', undefined],
  )
  assert.equal(await i.count('observed_principal', 'gone_at is not null'), 1)
})

test('a scope that is not named any more takes what it told with it, the second time, and only when all were named', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  toy.scopes.set('kept', people(3))
  toy.scopes.set('dropped', [...toyPages(4, 10, (at) => toyPrincipal(`q${at}`))])
  const source = await i.source(toy.connector, {})
  await i.collect(source)
  toy.scopes.delete('dropped')
  const gone = () => i.count('observed_principal', 'gone_at is not null')

  toy.isAll = false
  await i.collect(source)
  await i.collect(source)
  assert.equal(await gone(), 0)
  toy.isAll = true
  await i.collect(source)
  assert.equal(await gone(), 0)
  await i.collect(source)

  assert.equal(await gone(), 4)
  assert.equal(await i.count('source_scope', "state = 'gone'"), 1)
})

test('attack: another system behind the same address is not read, and nothing looks gone', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  toy.scopes.set('people', people(10))
  const source = await i.source(toy.connector, {})
  await i.collect(source)
  const before = await i.snapshot()

  toy.authority = 'toy:2'
  toy.scopes.set('people', [])
  const results = [await i.collect(source), await i.collect(source), await i.collect(source)]

  assert.ok(results.every(({ outcome, problem }) => outcome === 'failed' && /another system/.test(problem ?? '')))
  assert.deepEqual(await i.snapshot(), before)
})

test('one thing belongs to one scope; the other one that tells it says so', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  toy.scopes.set('first', people(5))
  toy.scopes.set('second', [[toyPrincipal('p1', { name: 'seen otherwise' })]])
  const source = await i.source(toy.connector, {})

  const { scopes } = await i.collect(source)
  const before = await i.snapshot()
  await i.collect(source)

  assert.match(scopes[1]?.missing[0]?.why ?? '', /another scope/)
  assert.deepEqual(await i.snapshot(), before)
})

test('uses are counted once each, whatever is read again, and the last known use only moves forward', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  const subject = { kind: 'toy', id: 'p1' }
  const actor = unknown('unsupported')
  const use = (at: string, count?: number) => ({
    kind: 'usage' as const,
    subject,
    semantics: 'auth' as const,
    at: new Date(at),
    actor,
    ...(count !== undefined && { count }),
  })
  const pages = [[use('2029-01-01T10:00:00Z', 2), use('2029-01-01T11:00:00Z', 3)], [use('2029-01-02T10:00:00Z', 1)]]
  toy.feeds.add('log')
  toy.scopes.set('log', pages)
  toy.scopes.set('last', [[use('2029-01-01T09:00:00Z')]])
  const source = await i.source(toy.connector, {})
  let isBroken = true
  toy.onPage = (scope, page) => {
    if (scope !== 'log' || page !== 2 || !isBroken) return
    isBroken = false
    throw new Error('once')
  }

  await i.collect(source)
  await i.collect(source)
  pages.push([use('2029-01-02T12:00:00Z', 5)])
  await i.collect(source)

  const rows = await i.w.db.selectFrom('observedUsage').select(['dayAt', 'count', 'lastAt']).orderBy('dayAt').execute()
  assert.deepEqual(
    rows.map(({ dayAt, count, lastAt }) => [dayAt?.toISOString().slice(0, 10), count, lastAt.toISOString()]),
    [
      ['2029-01-01', 5, '2029-01-01T11:00:00.000Z'],
      ['2029-01-02', 6, '2029-01-02T12:00:00.000Z'],
      [undefined, 0, '2029-01-01T09:00:00.000Z'],
    ],
  )
})

test('windows of observation join where they touch, and keep their gaps', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  const window = (from: string, to: string, gaps: [string, string][] = []) => ({
    kind: 'usage-window' as const,
    semantics: 'auth' as const,
    sees: 'every-use' as const,
    from: new Date(from),
    to: new Date(to),
    gaps: gaps.map(([a, b]): [Date, Date] => [new Date(a), new Date(b)]),
  })
  const pages = [[window('2029-01-01', '2029-01-10', [['2029-01-03', '2029-01-04']])]]
  toy.feeds.add('log')
  toy.scopes.set('log', pages)
  const source = await i.source(toy.connector, {})
  await i.collect(source)
  pages.push([window('2029-01-10', '2029-01-20')])
  await i.collect(source)
  const covers = (from: string, to: string) => i.count('usage_window', `seen @> tstzrange('${from}Z', '${to}Z')`)

  assert.equal(await i.count('usage_window'), 1)
  assert.equal(await covers('2029-01-04 00:00', '2029-01-20 00:00'), 1)
  assert.equal(await covers('2029-01-01 00:00', '2029-01-20 00:00'), 0)
})

test('hostile values are kept harmless and apart, and what breaks the contract makes the scope partial', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  const names = [
    '\u001b]0;owned\u0007root',
    '=HYPERLINK("http://x")',
    'a\u0000b',
    '\ud800 lone',
    `${'n'.repeat(1_000_000)}1`,
    `${'n'.repeat(1_000_000)}2`,
  ]
  toy.scopes.set('people', [
    names.map((name, at) => toyPrincipal(`${name}${at}`, { name, tags: { [name.slice(0, 50)]: name } })),
  ])
  toy.scopes.set('broken', [[{ ...toyPrincipal('x'), id: { kind: 'NOT A KIND', id: 'x' } }, toyPrincipal('ok')]])

  const { scopes } = await i.collect(await i.source(toy.connector, {}))

  const rows = await i.w.db.selectFrom('observedPrincipal').select(['name', 'nativeId', 'tags']).execute()
  assert.equal(rows.length, names.length + 1)
  assert.equal(new Set(rows.map(({ name }) => name)).size, names.length + 1)
  for (const row of rows) {
    // oxlint-disable-next-line no-control-regex -- these must not be there
    assert.doesNotMatch(`${row.name}${row.nativeId}${JSON.stringify(row.tags)}`, /[\u0000-\u001f\u007f]/)
    assert.ok(row.name.length <= 300 && row.nativeId.length <= 1000)
  }
  assert.deepEqual(
    scopes.map(({ scope, status }) => [scope, status]),
    [
      ['people', 'complete'],
      ['broken', 'partial'],
    ],
  )
})

test('a field that is not known says why, and is not the same as one that is known to be nothing', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  toy.scopes.set('people', [[toyPrincipal('p', { createdAt: unknown('denied'), environment: known('production') })]])

  await i.collect(await i.source(toy.connector, {}))

  const row = await i.w.db
    .selectFrom('observedPrincipal')
    .select(['createdAt', 'environment', 'unknown'])
    .executeTakeFirstOrThrow()
  assert.deepEqual(row, {
    createdAt: null,
    environment: 'production',
    unknown: { createdAt: 'denied', createdBy: 'unsupported' },
  })
})

test('a hundred thousand things are read with a bounded number of pages in memory, and read again without a change', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  const total = 100_000
  let held = 0
  let most = 0
  const registry = new FinalizationRegistry(() => (held -= 1))
  const pages = () => ({
    *[Symbol.iterator]() {
      for (const page of toyPages(total, 2_000, (at) => toyPrincipal(`p${at}`))) {
        held += 1
        registry.register(page, undefined)
        yield page
      }
    },
  })
  toy.scopes.set('people', pages())
  toy.onPage = async () => {
    // What nobody holds any more is told by the collector of garbage, in a turn of its own.
    globalThis.gc?.()
    await new Promise((resolve) => setImmediate(resolve))
    most = Math.max(most, held)
  }
  const source = await i.source(toy.connector, {})

  const first = await i.collect(source)
  const second = await i.collect(source)

  assert.deepEqual([first.scopes[0]?.added, first.scopes[0]?.items], [total, total])
  assert.deepEqual([second.scopes[0]?.changed, second.scopes[0]?.missed], [0, 0])
  assert.equal(await i.count('observed_principal'), total)
  if (globalThis.gc) assert.ok(most <= 4, `${most} pages were held at once`)
})
