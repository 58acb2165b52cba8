/**
 * The common story that every connector is run through, over a real source, a real database and the real reconciler. A connector's folder brings a
 * `Bed`; a new connector passes this before it is one.
 */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { inventoryWorld, type InventoryWorld } from '../../test/support/inventory-world.ts'
import { sourceHttpTo } from '../inventory/inventory.ts'
import {
  Denied,
  Observation,
  PAGE_MAX,
  type Connector,
  type OpenSource,
  type Page,
  type ScopeReport,
} from './connector.ts'

export type Bed = {
  readonly connector: Connector
  readonly settings: unknown
  readonly credential?: Record<string, string>
  /** Scopes that this bed must be able to read whole. */
  readonly whole: readonly string[]
  /** One thing disappears at the source; names the scope that told it. */
  readonly lose: () => Promise<string>
  /** A right is taken from the login; names the scopes that are denied from then on. Left out where a source has no rights. */
  readonly deny?: () => Promise<readonly string[]>
  /** Names with controls, escapes, formulas and great length appear at the source; answers how many things of one kind they name. */
  readonly plant?: () => Promise<{ readonly table: string; readonly count: number; readonly like: string }>
  /** Values that must be found nowhere afterwards. */
  readonly secrets: readonly string[]
}

type Stories = Readonly<Record<string, (t: TestContext, bed: Bed) => Promise<void>>>

async function begin(t: TestContext, bed: Bed): Promise<{ i: InventoryWorld; id: string }> {
  const i = await inventoryWorld(t)
  const { credential } = bed
  const id = await i.source(bed.connector, bed.settings, credential && { credential })
  return { i, id }
}

/** Rows of things; uses move on with the world and are left out. */
async function things(i: InventoryWorld): Promise<string[]> {
  return (await i.snapshot()).filter((row) => !/^(observed_usage|usage_window) /.test(row))
}

/** How many things of these scopes nobody misses. */
async function present(i: InventoryWorld, scopes: readonly string[]): Promise<number> {
  const of = `scope_id in (select id from source_scope where scope in (${scopes.map((scope) => `'${scope}'`).join(', ')})) and missed_at is null`
  const tables = ['principal', 'credential', 'resource', 'grant', 'trust', 'reference']
  const counts = await Promise.all(tables.map((table) => i.count(`observed_${table}`, of)))
  return counts.reduce((sum, count) => sum + count, 0)
}

export const CONFORMANCE: Stories = {
  'what it tells keeps to the contract, each thing in one scope': async (_t, bed) => {
    await over(bed, async (source) => {
      const { authority, scopes: probed } = await source.probe(signal())
      assert.ok(authority.length > 0)
      const told = new Map<string, string>()
      const named: string[] = []
      for await (const { scope } of source.scopes(signal())) {
        named.push(scope)
        assert.ok(
          bed.connector.manifest.reads.some((read) => new RegExp(`^${read.scope.replaceAll('*', '.*')}$`).test(scope)),
          `the manifest does not name ${scope}`,
        )
        await everyPage(source, scope, (page) => {
          assert.ok(page.observations.length <= PAGE_MAX, 'a page is too large')
          for (const observation of page.observations) {
            Observation.parse(observation)
            assert.ok(
              bed.connector.manifest.observes.includes(observation.kind),
              `the manifest does not name ${observation.kind}`,
            )
            if (!('id' in observation)) continue
            const key = `${observation.kind} ${observation.id.kind}/${observation.id.id}`
            assert.equal(told.get(key), undefined, `${key} is told twice`)
            told.set(key, scope)
          }
        })
      }
      assert.equal(new Set(named).size, named.length)
      for (const { scope } of probed) assert.ok(named.includes(scope), `${scope} is probed and not named`)
      for (const scope of bed.whole)
        assert.ok(
          probed.some((each) => each.scope === scope && each.isVisible),
          `${scope} should be visible`,
        )
    })
  },

  'a second reading changes nothing': async (t, bed) => {
    const { i, id } = await begin(t, bed)
    const first = await i.collect(id)
    const before = await things(i)
    const second = await i.collect(id)

    for (const scope of bed.whole)
      assert.equal(first.scopes.find((each) => each.scope === scope)?.status, 'complete', scope)
    assert.ok(before.length > 0)
    assert.deepEqual(await things(i), before)
    for (const { scope, added, changed, missed, gone } of second.scopes)
      assert.deepEqual([scope, added, changed, missed, gone], [scope, 0, 0, 0, 0])
  },

  'what is gone upstream is marked after two readings, and stays': async (t, bed) => {
    const { i, id } = await begin(t, bed)
    await i.collect(id)
    const before = (await things(i)).length
    const scope = await bed.lose()
    const [once, twice] = [await i.collect(id), await i.collect(id)].map(({ scopes }) =>
      scopes.find((each) => each.scope === scope),
    )

    assert.ok(once && once.missed > 0 && once.gone === 0, JSON.stringify(once))
    assert.ok(twice && twice.gone === once.missed && twice.missed === 0, JSON.stringify(twice))
    assert.ok((await things(i)).length >= before)
  },

  'a reading that is cut off in the middle of a page loses nothing, in any scope': async (t, bed) => {
    const { i, id } = await begin(t, bed)
    await i.collect(id)
    const before = await things(i)
    i.swap(interrupted(bed.connector, () => new Error('the line is cut')))
    const { outcome, scopes } = await i.collect(id)

    assert.equal(outcome, 'partial')
    assert.ok(scopes.some(({ status }) => status === 'partial'))
    assert.deepEqual(await things(i), before)
  },

  'a right that is taken away in the middle of a reading is denied, and nothing is lost': async (t, bed) => {
    const { i, id } = await begin(t, bed)
    await i.collect(id)
    const before = await things(i)
    i.swap(
      interrupted(
        bed.connector,
        () => new Denied({ what: 'the rest', why: 'the right is gone', permission: 'to read' }),
      ),
    )
    const { scopes } = await i.collect(id)

    assert.ok(scopes.some(({ status, missing }) => status === 'denied' && missing[0]?.permission === 'to read'))
    assert.deepEqual(await things(i), before)
  },

  'a right that the login loses is said, with what would show it again': async (t, bed) => {
    if (!bed.deny) return
    const { i, id } = await begin(t, bed)
    await i.collect(id)
    const denied = await bed.deny()
    const before = await present(i, denied)
    const { scopes } = await i.collect(id)

    for (const scope of denied) {
      const report = scopes.find((each) => each.scope === scope)
      assert.equal(report?.status, 'denied', scope)
      assert.ok((report?.missing[0]?.permission ?? '').length > 0)
    }
    assert.ok(before > 0)
    assert.equal(await present(i, denied), before)
  },

  'a reading that is cancelled begins again and ends as if it had not been': async (t, bed) => {
    const { i, id } = await begin(t, bed)
    const cancel = new AbortController()
    let pages = 0
    const onPage = () => {
      pages += 1
      if (pages === 2) cancel.abort(new Error('enough'))
    }
    await assert.rejects(i.collect(id, { signal: cancel.signal, onPage }), /enough/)
    const again = await i.collect(id)

    for (const scope of bed.whole)
      assert.equal(again.scopes.find((each) => each.scope === scope)?.status, 'complete', scope)
  },

  'hostile names are kept harmless and apart': async (t, bed) => {
    if (!bed.plant) return
    const { i, id } = await begin(t, bed)
    const { table, count, like } = await bed.plant()
    await i.collect(id)

    assert.equal(await i.count(table, `name like '${like}'`), count)
    for (const row of await i.snapshot()) {
      // oxlint-disable-next-line no-control-regex -- these must not be there
      assert.doesNotMatch(row, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/)
    }
  },

  'no secret is in the inventory, in an entry or in an answer': async (t, bed) => {
    const { i, id } = await begin(t, bed)
    const collected = await i.collect(id)
    const leaves = await i.w.db.selectFrom('ledgerEntry').select('leaf').execute()
    const everywhere = [
      ...(await i.snapshot()),
      JSON.stringify(collected),
      ...leaves.map(({ leaf }) => leaf.toString('utf8')),
    ].join('\n')

    assert.ok(bed.secrets.length > 0)
    for (const secret of bed.secrets) assert.ok(!everywhere.includes(secret), 'a secret was found')
  },
}

function signal(): AbortSignal {
  return new AbortController().signal
}

async function over(bed: Bed, use: (source: OpenSource) => Promise<void>): Promise<void> {
  const { Secret } = await import('../kernel/secret.ts')
  const { systemClock } = await import('../kernel/clock.ts')
  const settings = bed.connector.settings.parse(bed.settings)
  await using source = await bed.connector.open(
    {
      settings,
      credential: bed.credential && new Secret(JSON.stringify(bed.credential)),
      clock: systemClock,
      fingerprint: () => ({ alg: 'hmac-sha256', keyId: '0'.repeat(12), value: '0'.repeat(64) }),
      http: sourceHttpTo(bed.connector.address(settings), systemClock),
      also: (bed.connector.also?.(settings) ?? []).map((address) => sourceHttpTo(address, systemClock)),
      ours: async () => new Set(),
      custody: () => Buffer.of(),
    },
    signal(),
  )
  await use(source)
}

async function everyPage(
  source: OpenSource,
  scope: string,
  look: (page: Page) => void,
): Promise<ScopeReport | undefined> {
  const reading = source.read(scope, {}, signal())
  try {
    for (;;) {
      const next = await reading.next()
      if (next.done) return next.value
      look(next.value)
    }
  } catch (error) {
    if (error instanceof Denied) return undefined
    throw error
  }
}

/** The same connector, but each scope breaks off after half of its first page. */
function interrupted(connector: Connector, error: () => Error): Connector {
  return {
    ...connector,
    async open(given, until) {
      const source = await connector.open(given, until)
      return {
        ...source,
        async *read(scope, since, signal) {
          const reading = source.read(scope, since, signal)
          const first = await reading.next()
          if (first.done) return first.value
          const { observations } = first.value
          yield { observations: observations.slice(0, Math.ceil(observations.length / 2)) }
          await reading.return({ status: 'partial', missing: [] })
          throw error()
        },
        [Symbol.asyncDispose]: () => source[Symbol.asyncDispose](),
      }
    },
  }
}
