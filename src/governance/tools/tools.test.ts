import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inventoryWorld } from '../../../test/support/inventory-world.ts'
import { toySource } from '../../../test/support/toy-source.ts'
import { resource, type Observation } from '../../connectors/connector.ts'
import { conflict, notFound } from '../../kernel/problem.ts'
import { FindingQuery } from '../findings/contract.ts'
import { evaluateFindings } from '../findings/evaluate.ts'
import { listFindings } from '../findings/lists.ts'
import { ToolQuery } from './contract.ts'
import { approveTools, listTools } from './tools.ts'

const tool = (name: string, digest: string, marks: readonly string[] = []): Observation =>
  resource({
    id: { kind: 'mcp-tool', id: name },
    type: 'mcp-tool',
    name,
    facts: { digest: digest.repeat(64), marks: [...marks], claimsReadOnly: true },
  })

test('a tool is approved as it was shown; one that changed afterwards, or came beside, is found, and approved anew is fixed', async (t) => {
  const i = await inventoryWorld(t)
  const { w } = i
  const ada = await w.founder()
  const toy = toySource()
  let source: string | undefined
  const tell = async (...tools: Observation[]) => {
    toy.scopes.set('all', [tools])
    source ??= await i.source(toy.connector, {})
    w.clock.advance(60)
    await i.collect(source)
    await evaluateFindings(w.db, w.needs, new AbortController().signal)
    const { items } = await listFindings(w.db, w.clock, FindingQuery.parse({}))
    return items.map(({ rule, subject, state, severity }) => `${rule} ${subject.name} ${state} ${severity}`).toSorted()
  }
  const listed = async (query: object = {}) =>
    (await listTools(w.db, w.clock, ToolQuery.parse({ limit: 50, ...query }))).items
  const approve = (tools: readonly string[]) =>
    w.run((tx) => approveTools(tx, w.needs, w.permit('tool.approve', ada), { tools }))

  const before = await tell(tool('read', 'a'), tool('mail', 'b', ['hides-from-the-person']))
  const [first] = (await listed()).filter(({ name }) => name === 'read')
  assert.ok(first)
  const approved = await approve([first.version])
  const changed = await tell(tool('read', 'c'), tool('mail', 'b', ['hides-from-the-person']))

  assert.deepEqual(before, ['hostile-text mail of source-1 open high'])
  assert.deepEqual(
    approved.map(({ state, approver }) => [state, approver]),
    [['approved', ada.name]],
  )
  assert.deepEqual(changed, [
    'hostile-text mail of source-1 open high',
    'tool-changed mail of source-1 open medium',
    'tool-changed read of source-1 open high',
  ])
  // What was shown is what is approved: the old version is not, nor one that is not there.
  await assert.rejects(approve([first.version]), (error) => conflict.is(error))
  await assert.rejects(approve([`${first.id.slice(0, -1)}0@${'a'.repeat(64)}`]), (error) => notFound.is(error))
  const now = await listed({ state: 'changed' })
  assert.deepEqual(
    now.map(({ name, claimsReadOnly }) => [name, claimsReadOnly]),
    [['read', true]],
  )
  await approve((await listed()).map(({ version }) => version))
  assert.deepEqual(
    (await tell(tool('read', 'c'), tool('mail', 'b', ['hides-from-the-person']))).filter((line) => / open /.test(line)),
    ['hostile-text mail of source-1 open high'],
  )
  assert.equal((await w.kinds()).filter((kind) => kind === 'tool.approved').length, 2)
})
