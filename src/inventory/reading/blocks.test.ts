import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { sql } from 'kysely'
import { inventoryWorld } from '../../../test/support/inventory-world.ts'
import { toyPrincipal, toySource, type ToySource } from '../../../test/support/toy-source.ts'
import { credential, type Observation } from '../../connectors/connector.ts'
import { blocksOf } from './blocks.ts'
import type { ToldObject } from '../rows.ts'

const MOST = 60
const NONE: ReadonlyMap<string, number> = new Map()

/** One reading: which things are told, in which version each, in which order, in pages of what size, and how it ends. */
const reading = fc.record({
  // Few, so that most blocks are told again as they were.
  others: fc.array(fc.record({ at: fc.nat(MOST - 1), version: fc.constantFrom(1, undefined) }), { maxLength: 3 }),
  isReversed: fc.constantFrom(false, false, false, true),
  again: fc.array(fc.record({ at: fc.nat(MOST - 1), version: fc.nat(1) }), { maxLength: 1 }),
  other: fc.constantFrom(undefined, undefined, 7),
  pageSize: fc.constantFrom(9, 25, 1_000),
  status: fc.constantFrom('complete', 'complete', 'complete', 'partial', 'denied', 'unchanged'),
})

type Told = typeof reading extends fc.Arbitrary<infer T> ? T : never

const ALL: Told = { others: [], isReversed: false, again: [], other: undefined, pageSize: 25, status: 'complete' }
const otherwise = (more: Partial<Told>): Told => ({ ...ALL, others: [{ at: 30, version: 1 }], ...more })
/** What a block of before would hide, each followed by all as it was. */
const HIDDEN: Told[] = [
  otherwise({ status: 'partial' }),
  otherwise({}),
  otherwise({ others: [{ at: 30, version: undefined }] }),
  { ...ALL, again: [{ at: 30, version: 1 }] },
  { ...ALL, again: [{ at: 30, version: 1 }], status: 'partial' },
]

function tell(toy: ToySource, { others, isReversed, again, other, pageSize, status }: Told) {
  const thing = (at: number, version: number) => toyPrincipal(`p${at}`, { name: `name ${version}` })
  const versions = Array.from({ length: MOST }, (): number | undefined => 0)
  for (const { at, version } of others) versions[at] = version
  const told = versions.flatMap((version, at) => (version === undefined ? [] : [thing(at, version)]))
  if (isReversed) told.reverse()
  told.push(...again.map(({ at, version }) => thing(at, version)))
  const pages: Observation[][] = []
  for (let at = 0; at < told.length; at += pageSize) pages.push(told.slice(at, at + pageSize))
  toy.scopes.set('people', pages)
  // Another scope that tells the same thing: the first that did has it.
  toy.scopes.set('others', other === undefined ? [] : [[thing(other, 1)]])
  toy.report = (scope) => ({ status: scope === 'people' ? status : 'complete', missing: [] })
}

test('what blocks pass over changes nothing: every reading comes to what it would without them', async (t) => {
  const i = await inventoryWorld(t)
  let runs = 0
  let stood = 0

  await fc.assert(
    fc.asyncProperty(fc.array(reading, { minLength: 2, maxLength: 6 }), async (readings) => {
      runs += 1
      const toys = ['with', 'without'].map((name) => {
        const toy = toySource()
        toy.authority = `toy:${name}:${runs}`
        const manifest = { ...toy.connector.manifest, id: name }
        return { name, toy, connector: { ...toy.connector, manifest } }
      })
      const sources = new Map<string, string>()
      for (const { name, connector } of toys) sources.set(name, await i.source(connector, {}))
      for (const told of readings) {
        const seen = []
        for (const { name, toy, connector } of toys) {
          i.swap(connector)
          tell(toy, told)
          const source = sources.get(name) ?? ''
          // As after a crash of the database: everything is looked at.
          const ofSource = sql`scope_id in (select id from source_scope where source_id = ${source})`
          if (name === 'without') await sql`delete from inventory_block where ${ofSource}`.execute(i.w.db)
          else stood += (await sql`select from inventory_block where ${ofSource}`.execute(i.w.db)).rows.length
          const { outcome, scopes } = await i.collect(source)
          const { rows } = await sql`
            select p.native_id, p.name, p.missed_at is not null as missed, p.gone_at is not null as gone, c.scope
              from observed_principal p join source_scope c on c.id = p.scope_id where c.source_id = ${source}
             order by p.native_id`.execute(i.w.db)
          seen.push({ outcome, scopes, rows })
        }
        assert.deepEqual(seen[0], seen[1])
      }
    }),
    { numRuns: 12, examples: HIDDEN.map((hidden): [Told[]] => [[ALL, hidden, ALL]]) },
  )
  assert.ok(stood > 10, `${stood} blocks stood before a reading`)
})

test('a thing that comes, goes or changes is in one block, and all others stay as they are', () => {
  const things = Array.from({ length: 2_000 }, (_, at) => toyPrincipal(`p${at}`)) as ToldObject[]
  const digests = (told: readonly ToldObject[]) => new Set(blocksOf(told, 0, NONE).blocks.map(({ digest }) => digest))
  const before = digests(things)

  const changes = {
    inserted: things.toSpliced(700, 0, toyPrincipal('new') as ToldObject),
    'left out': things.toSpliced(700, 1),
    changed: things.with(700, toyPrincipal('p700', { name: 'otherwise' }) as ToldObject),
  }

  assert.ok(before.size > 60 && before.size < 250, `${before.size} blocks`)
  for (const [name, told] of Object.entries(changes)) {
    const others = [...digests(told)].filter((digest) => !before.has(digest))
    assert.ok(others.length >= 1 && others.length <= 2, `${name}: ${others.length} blocks are others`)
  }
})

test('attack: what has no text or no id breaks no block and is refused', () => {
  const bad: unknown[] = [
    { kind: 'principal' },
    { kind: 'principal', id: { kind: 'toy', id: 7n } },
    { kind: 'grant', id: null },
  ]
  const circular = { ...toyPrincipal('p1'), facts: {} as Record<string, unknown> }
  circular.facts['itself'] = circular
  const told = [toyPrincipal('p0'), ...bad, circular, toyPrincipal('p2')] as ToldObject[]

  const { blocks, refused } = blocksOf(told, 0, NONE)

  assert.equal(refused, 4)
  assert.deepEqual(
    blocks.flatMap((block) => (block.number === undefined ? block.things : []).map(({ told: { id } }) => id.id)),
    ['p0', 'p2'],
  )
})

test('attack: where things of two kinds have one id, the one that goes does not take the other with it', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  const account = toyPrincipal('p1')
  const secret = credential({ id: { kind: 'toy', id: 'p1' }, type: 'token', name: 'of p1' })
  const filler = Array.from({ length: 40 }, (_, at) => toyPrincipal(`filler ${at}`))
  toy.scopes.set('people', [[account, ...filler], [secret]])
  const source = await i.source(toy.connector, {})
  await i.collect(source)
  await i.collect(source)
  toy.scopes.set('people', [filler, [secret]])

  await i.collect(source)
  await i.collect(source)

  assert.equal(await i.count('observed_credential', 'missed_at is null'), 1)
})
