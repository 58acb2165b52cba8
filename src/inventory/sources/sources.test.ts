import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { z } from 'zod'
import { conflict, invalidInput, notFound } from '../../kernel/problem.ts'
import { inventoryWorld } from '../../../test/support/inventory-world.ts'
import { toyPrincipal, toySource } from '../../../test/support/toy-source.ts'
import { UpdateSource } from '../contract.ts'
import { placedId } from '../named.ts'
import { loadSource } from './source-records.ts'
import { retireSource, updateSource } from './sources.ts'

/** A source with a login, which says what it was entered with. */
async function scene(t: Pick<TestContext, 'after'>) {
  const i = await inventoryWorld(t)
  const toy = toySource()
  toy.scopes.set('people', [[toyPrincipal('1', { name: 'app' })]])
  const entered: (string | undefined)[] = []
  const connector = {
    ...toy.connector,
    settings: z.strictObject({ host: z.string() }),
    credential: z.strictObject({ token: z.string() }),
    address: (settings: unknown) => `toy://${z.object({ host: z.string() }).parse(settings).host}`,
    open: (...[given, signal]: Parameters<typeof toy.connector.open>) => {
      entered.push(`${Object(given.settings).host} ${given.credential?.reveal()}`)
      return toy.connector.open(given, signal)
    },
  }
  const id = await i.source(connector, { host: 'a' }, { credential: { token: 'first' } })
  const somebody = { id: '00000000-0000-7000-8000-00000000dead', kind: 'human' } as const
  const on = { type: 'Source', id }
  const update = (input: object) =>
    i.w.run((tx) => updateSource(tx, i.needs, i.w.permit('source.update', somebody, on), UpdateSource.parse(input)))
  const retire = () => i.w.run((tx) => retireSource(tx, i.needs, i.w.permit('source.retire', somebody, on)))
  return { i, toy, id, entered, update, retire, collect: () => i.collect(id) }
}

test('a source that was registered wrongly is corrected, and read with what is right', async (t) => {
  const s = await scene(t)
  await s.collect()
  const before = await loadSource(s.i.w.db, s.id)

  const after = await s.update({ settings: { host: 'b' }, credential: { token: 'second' }, schedule: 'weekly' })
  await s.collect()

  assert.deepEqual(s.entered, ['a {"token":"first"}', 'b {"token":"second"}'])
  const { version, schedule, ownerTeam, environment } = after
  assert.deepEqual(
    [version, schedule, ownerTeam, environment],
    [before.version + 1, 'weekly', before.ownerTeam, before.environment],
  )
  assert.deepEqual(after.nextReadAt, s.i.w.clock.now())
  const row = await s.i.w.db.selectFrom('source').selectAll().where('id', '=', s.id).executeTakeFirst()
  assert.ok(row && !row.sealedCredential?.includes('second'), 'the login is sealed')
})

test('attack: a login is not sent to another place by whoever does not know it', async (t) => {
  const s = await scene(t)

  await assert.rejects(s.update({ settings: { host: 'evil' } }), (error) => invalidInput.is(error))
  await s.update({ schedule: 'never' })
  await s.collect()

  assert.deepEqual(s.entered, ['a {"token":"first"}'])
})

test('attack: another system does not take the place of the one that was read', async (t) => {
  const s = await scene(t)
  await s.collect()
  const before = await s.i.snapshot()
  s.toy.authority = 'toy:2'
  s.toy.scopes.set('people', [])

  await s.update({ settings: { host: 'b' }, credential: { token: 'second' } })
  const { outcome } = await s.collect()

  assert.equal(outcome, 'failed')
  assert.deepEqual(await s.i.snapshot(), before)
})

test('what is retired, what nobody answers for and what the connector does not take are refused', async (t) => {
  const s = await scene(t)

  assert.ok(!UpdateSource.safeParse({}).success)
  await assert.rejects(s.update({ ownerTeam: 'nobodies' }), (error) => invalidInput.is(error))
  await assert.rejects(s.update({ settings: { host: 1 }, credential: { token: 'second' } }), (error) =>
    invalidInput.is(error),
  )
  await s.retire()
  await assert.rejects(s.update({ schedule: 'daily' }), (error) => conflict.is(error))
})

test('what stands at a place is named by it, and by its id where several have the name', async (t) => {
  const s = await scene(t)
  const twins = ['2', '3'].map((id) => toyPrincipal(id, { name: 'twin' }))
  s.toy.scopes.set('people', [[toyPrincipal('1', { name: 'app@home' }), ...twins]])
  await s.collect()
  const { db } = s.i.w
  const { name } = await loadSource(db, s.id)

  assert.match((await placedId(db, `app@home@${name}`)) ?? '', /^[0-9a-f-]{36}$/)
  assert.equal(await placedId(db, `app@${name}`), undefined)
  assert.equal(await placedId(db, 'app'), undefined)
  await assert.rejects(placedId(db, `twin@${name}`), (error) => conflict.is(error))
  await assert.rejects(loadSource(db, 'nowhere'), (error) => notFound.is(error))
})
