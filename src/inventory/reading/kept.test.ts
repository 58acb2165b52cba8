import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inventoryWorld } from '../../../test/support/inventory-world.ts'
import { toyPages, toyPrincipal, toySource } from '../../../test/support/toy-source.ts'
import { credential, known, unknown, type Observation } from '../../connectors/connector.ts'

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
  const pages: Observation[][] = [
    [use('2029-01-01T10:00:00Z', 2), use('2029-01-01T11:00:00Z', 3)],
    [use('2029-01-02T10:00:00Z', 1)],
  ]
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
  const pages: Observation[][] = [[window('2029-01-01', '2029-01-10', [['2029-01-03', '2029-01-04']])]]
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
  toy.scopes.set('broken', [[toyPrincipal('x', { id: { kind: 'NOT A KIND', id: 'x' } }), toyPrincipal('ok')]])

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

test('attack: times that no calendar here can write hide nothing: ends beyond it are none, others are unknown', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  const [late, ancient, zero] = [new Date(8.64e15), new Date(-8.64e15), new Date('0000-06-01T00:00:00Z')]
  const login = (id: string, at: Date): Observation =>
    credential({ id: { kind: 'toy', id }, type: 'password', name: id, createdAt: known(at), expiresAt: known(at) })
  const use = (at: Date): Observation => ({
    kind: 'usage',
    subject: { kind: 'toy', id: 'late' },
    semantics: 'auth',
    at,
    actor: unknown('unsupported'),
  })
  toy.scopes.set('things', [
    [login('late', late), login('ancient', ancient), login('zero', zero), use(late), use(ancient), use(zero)],
  ])
  const { scopes } = await i.collect(await i.source(toy.connector, {}))

  const rows = await i.w.db
    .selectFrom('observedCredential')
    .select(['name', 'createdAt', 'expiresAt', 'neverExpires'])
    .orderBy('name')
    .execute()
  assert.deepEqual(
    rows.map(({ name, createdAt, expiresAt, neverExpires }) => [name, createdAt, expiresAt, neverExpires]),
    [
      ['ancient', null, null, false],
      ['late', null, null, true],
      ['zero', null, null, false],
    ],
  )
  assert.deepEqual(
    scopes.map(({ status, missing }) => [status, missing.map(({ what }) => what)]),
    [['partial', ['2 observations', 'the time of 1 uses']]],
  )
})
