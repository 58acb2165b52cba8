import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inventoryWorld } from '../../../test/support/inventory-world.ts'
import { toyPages, toyPrincipal, toySource } from '../../../test/support/toy-source.ts'
import { Denied, SlowDown } from '../../connectors/connector.ts'
import { Circles } from './circles.ts'

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

test('a source that asks for patience and names no time to come is not asked again at once', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  toy.scopes.set('people', people(5))
  let asked = 0
  toy.onPage = () => {
    asked += 1
    if (asked <= 3) throw new SlowDown(1 - asked)
  }

  const { scopes } = await i.collect(await i.source(toy.connector, {}))

  assert.equal(scopes[0]?.status, 'complete')
  assert.equal(i.waits.length, 3)
  assert.ok(i.waits.every((ms) => ms >= 1_000))
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

test('a long list in which few have anything to tell is read to its end, and its end is not waited for without end', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  const quiet = Array.from({ length: 100 }, () => [])
  toy.scopes.set('people', [...quiet, ...people(2), ...quiet])
  toy.hasCursors = true

  const { scopes } = await i.collect(await i.source(toy.connector, {}))
  const circles = new Circles(async () => 0)
  let pages = 0
  while (!(await circles.hasClosed({ cursor: `${(pages += 1)}`, digest: undefined }))) assert.ok(pages < 100_000)

  assert.deepEqual([scopes[0]?.status, scopes[0]?.items], ['complete', 2])
})

test('attack: a source that tells the same things in ever other pages ends partial, and nothing of it counts twice', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  toy.scopes.set('people', people(20))
  const source = await i.source(toy.connector, {})
  await i.collect(source)
  let told = 0
  toy.scopes.set(
    'people',
    (function* () {
      for (told = 1; ; told += 1) {
        // Each page is another choice of eight.
        const chosen = [0, 1, 2, 3, 4, 5, 6, 7].filter((at) => (((told % 255) + 1) >> at) & 1)
        yield chosen.map((at) => toyPrincipal(`p${at}`))
      }
    })(),
  )

  const { scopes } = await i.collect(source)

  assert.deepEqual([scopes[0]?.status, scopes[0]?.items], ['partial', 8])
  assert.match(scopes[0]?.missing[0]?.why ?? '', /again and again/)
  assert.ok(told <= 512, `${told} pages were read`)
})

test('a thing that is told anew and then as it stands is left as it stands', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  const [first] = toyPages(1, 1, (at) => toyPrincipal(`p${at}`))
  assert.ok(first)
  toy.scopes.set('people', [first])
  const source = await i.source(toy.connector, {})
  await i.collect(source)
  const before = await i.snapshot()
  toy.scopes.set('people', [[toyPrincipal('p0', { name: 'otherwise' })], first])

  const { scopes } = await i.collect(source)

  assert.deepEqual([scopes[0]?.items, scopes[0]?.changed, await i.snapshot()], [1, 0, before])
})

test('a reading whose reader died goes on behind its last page, and its scopes are not read twice', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  toy.scopes.set('first', people(10))
  toy.scopes.set('second', [...toyPages(40, 10, (at) => toyPrincipal(`q${at}`))])
  const source = await i.source(toy.connector, {})
  const never = Promise.withResolvers<void>()
  const stuck = Promise.withResolvers<void>()
  const entered = Promise.withResolvers<void>()
  toy.onPage = (scope, page) => {
    if (scope !== 'second' || page !== 3) return Promise.resolve()
    stuck.resolve()
    return never.promise
  }
  const kept = Promise.withResolvers<void>()
  const dead = i.collect(source, {
    onPage: ({ scope, pages }) => {
      if (scope === 'second' && pages === 2) kept.resolve()
    },
    onScope: () => entered.resolve(),
  })
  dead.catch(() => undefined)
  await Promise.all([stuck.promise, kept.promise, entered.promise])

  await assert.rejects(i.collect(source), { slug: 'conflict' })
  i.w.clock.advance(120)
  toy.onPage = () => undefined
  const { scopes } = await i.collect(source)
  never.resolve()

  await assert.rejects(dead, { slug: 'conflict' })
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
