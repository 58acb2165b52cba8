import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { inventoryWorld } from '../../../test/support/inventory-world.ts'
import { toyPrincipal, toySource } from '../../../test/support/toy-source.ts'
import { linkTo } from '../../kernel/entity.ts'
import { credential, key, resource } from '../graph/graph.fixture.ts'
import { FindingDetail, FindingPage, FindingQuery } from './contract.ts'
import { evaluateFindings } from './evaluate.ts'
import { findingResource, listFindings, readFinding } from './lists.ts'

const signal = new AbortController().signal

test('attack: names as long as sources may tell them keep no finding out of the list', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  const names = Array.from({ length: 10 }, (_, at) => `${at}${'x'.repeat(299)}`)
  toy.scopes.set('people', [names.map((name) => toyPrincipal(name, { name }))])
  toy.scopes.set('keys', [
    names.map((name) => credential(`key ${name}`, name, { name: `key ${name}`.slice(0, 300) }, [key('shared')])),
  ])
  await i.collect(await i.source(toy.connector, {}))
  await evaluateFindings(i.w.db, i.w.needs, signal)

  const page = await listFindings(i.w.db, i.w.clock, FindingQuery.parse({ rule: 'shared-credential' }))
  const [first] = page.items
  const detail = await readFinding(i.w.db, first?.id ?? '')

  assert.equal(z.encode(FindingPage, page).items.length, 10)
  assert.equal(z.encode(FindingDetail, detail).evidence.length, 1)
  assert.match(first?.evidence.join() ?? '', /held by 0x+/)
})

test('attack: who answers for a server of tools does not accept alone what is found on its tools', async (t) => {
  const i = await inventoryWorld(t)
  const toy = toySource()
  toy.scopes.set('tools', [[resource('wiki', 'mcp-server', { facts: { isPublic: true } })]])
  await i.collect(await i.source(toy.connector, {}))
  await evaluateFindings(i.w.db, i.w.needs, signal)

  const { items } = await listFindings(i.w.db, i.w.clock, FindingQuery.parse({ rule: 'open-tool-server' }))
  const { attributes } = await findingResource(i.w.db, items[0]?.id ?? '')

  assert.deepEqual(attributes['ownerTeam'], linkTo('Team', 'payments'))
  assert.deepEqual([items[0]?.subject.name, items[0]?.subject.source], ['wiki', 'source-1'])
})
