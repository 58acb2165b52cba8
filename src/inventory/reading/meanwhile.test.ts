import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { inventoryWorld } from '../../../test/support/inventory-world.ts'
import { toyPages, toyPrincipal, toySource } from '../../../test/support/toy-source.ts'
import { conflict } from '../../kernel/problem.ts'
import { UpdateSource } from '../contract.ts'
import { collectDue } from './schedule.ts'
import { loadSource } from '../sources/source-records.ts'
import { retireSource, updateSource } from '../sources/sources.ts'

const people = (count: number) => [...toyPages(count, 10, (at) => toyPrincipal(`p${at}`))]

/** A source in which something may happen in the middle of a reading: behind its first page. */
async function scene(t: Pick<TestContext, 'after'>) {
  const i = await inventoryWorld(t)
  const toy = toySource()
  toy.scopes.set('people', people(30))
  const id = await i.source(toy.connector, {})
  const somebody = { id: '00000000-0000-7000-8000-00000000dead', kind: 'human' } as const
  const on = { type: 'Source', id }
  const meanwhile = (what: () => Promise<unknown>) => {
    toy.onPage = async (_scope, page) => {
      if (page !== 2) return
      toy.onPage = () => undefined
      await what()
    }
  }
  return {
    i,
    toy,
    id,
    meanwhile,
    update: (input: object) =>
      i.w.run((tx) => updateSource(tx, i.needs, i.w.permit('source.update', somebody, on), UpdateSource.parse(input))),
    retire: () => i.w.run((tx) => retireSource(tx, i.needs, i.w.permit('source.retire', somebody, on))),
  }
}

test('a source that is changed while it is read is read again when the change says so', async (t) => {
  const s = await scene(t)
  await s.update({ schedule: 'never' })
  s.meanwhile(() => s.update({ schedule: 'daily' }))

  await s.i.collect(s.id)
  const changed = await loadSource(s.i.w.db, s.id)
  const read = await collectDue(s.i.w.db, s.i.needs, new AbortController().signal)

  assert.deepEqual([changed.schedule, changed.nextReadAt], ['daily', s.i.w.clock.now()])
  assert.equal(read, 1)
  assert.deepEqual((await loadSource(s.i.w.db, s.id)).nextReadAt, new Date(s.i.w.clock.now().getTime() + 86_400_000))
})

test('a source that is retired while it is read keeps nothing of that, and gives up what it told to whoever reads the system next', async (t) => {
  const s = await scene(t)
  s.meanwhile(s.retire)

  await assert.rejects(s.i.collect(s.id), (error) => conflict.is(error))

  const { state, nextReadAt } = await loadSource(s.i.w.db, s.id)
  assert.deepEqual([state, nextReadAt], ['retired', null])
  assert.equal(await s.i.count('source_scope', "state = 'active'"), 0)
  assert.equal(await s.i.count('source_reading', 'ended_at is null'), 0)
  assert.deepEqual([await s.i.count('reading_progress'), await s.i.count('staged_page')], [0, 0])
  const next = await s.i.collect(await s.i.source(s.toy.connector, {}))
  assert.deepEqual([next.outcome, next.scopes[0]?.missing, next.scopes[0]?.added], ['complete', [], 30])
  const twin = await s.i.collect(await s.i.source(s.toy.connector, {}))
  assert.deepEqual([twin.outcome, twin.problem], ['failed', 'this system is read already, as the source source-2'])
})

test('what is retired is not read', async (t) => {
  const s = await scene(t)
  await s.retire()

  await assert.rejects(s.i.collect(s.id), (error) => conflict.is(error))

  assert.deepEqual([s.toy.reads.length, await s.i.count('source_reading')], [0, 0])
})

test('attack: a reader that was taken over ends nothing of the reading that goes on', async (t) => {
  const s = await scene(t)
  await s.i.collect(s.id)
  s.toy.scopes.set('people', [...toyPages(30, 10, (at) => toyPrincipal(`p${at}`, { name: `renamed ${at}` }))])
  const [stuck, kept, reached, on] = Array.from({ length: 4 }, () => Promise.withResolvers<void>())
  assert.ok(stuck && kept && reached && on)
  const never = Promise.withResolvers<void>()
  s.toy.onPage = (_scope, page) => {
    if (page !== 2) return undefined
    stuck.resolve()
    return never.promise
  }
  const stop = new AbortController()
  const first = s.i.collect(s.id, { signal: stop.signal, onPage: () => kept.resolve() })
  first.catch(() => undefined)
  await Promise.all([stuck.promise, kept.promise])

  s.i.w.clock.advance(120)
  s.toy.onPage = (_scope, page) => {
    if (page !== 3) return undefined
    reached.resolve()
    return on.promise
  }
  const second = s.i.collect(s.id)
  await reached.promise
  stop.abort(new Error('this node stops'))
  await assert.rejects(first)
  on.resolve()
  const { outcome, scopes } = await second

  assert.deepEqual([outcome, scopes[0]?.status, scopes[0]?.items, scopes[0]?.missed], ['complete', 'complete', 30, 0])
  assert.equal(await s.i.count('observed_principal', "name like 'renamed%' and missed_at is null"), 30)
  assert.equal(await s.i.count('source_reading', "outcome = 'complete'"), 2)
  never.resolve()
})

test('attack: what a reader that died had refused is not taken for gone by whoever goes on', async (t) => {
  const s = await scene(t)
  await s.i.collect(s.id)
  const all = people(30)
  const [broken, ...rest] = all[0] ?? []
  assert.ok(broken)
  s.toy.scopes.set('people', [[{ ...broken, type: 'no such type' } as never, ...rest], ...all.slice(1)])
  const [stuck, kept] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const never = Promise.withResolvers<void>()
  s.toy.onPage = (_scope, page) => {
    if (page !== 2) return undefined
    stuck.resolve()
    return never.promise
  }
  const dead = s.i.collect(s.id, { onPage: () => kept.resolve() })
  dead.catch(() => undefined)
  await Promise.all([stuck.promise, kept.promise])

  s.i.w.clock.advance(120)
  s.toy.onPage = () => undefined
  const { outcome, scopes } = await s.i.collect(s.id)
  never.resolve()
  await assert.rejects(dead)

  assert.deepEqual([outcome, scopes[0]?.missed, scopes[0]?.missing[0]?.what], ['partial', 0, '1 observations'])
})

test('a part whose name is written out to be shown is the same part in every reading', async (t) => {
  const s = await scene(t)
  const scope = `a\u001b[31m${'long '.repeat(200)}`
  s.toy.scopes.clear()
  s.toy.scopes.set(scope, people(10))

  await s.i.collect(s.id)
  await s.i.collect(s.id)

  assert.equal(await s.i.count('source_scope', "state = 'active' and missed_at is null"), 1)
})
