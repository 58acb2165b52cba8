import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inventoryWorld } from '../../../test/support/inventory-world.ts'
import { toySource } from '../../../test/support/toy-source.ts'
import { syncActions } from '../../catalog/catalog.ts'
import { known, resource, type Observation } from '../../connectors/connector.ts'
import { conflict, notFound } from '../../kernel/problem.ts'
import { SYSTEM } from '../../ledger/ledger.ts'
import { FindingQuery } from '../findings/contract.ts'
import { evaluateFindings } from '../findings/evaluate.ts'
import { listFindings } from '../findings/lists.ts'
import { ToolQuery } from './contract.ts'
import { toolsApproved } from './events.ts'
import { aboutTools, approveTools, listTools } from './tools.ts'

const tool = (name: string, digest: string, marks: readonly string[] = [], more: object = {}): Observation =>
  resource({
    ...more,
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

  assert.deepEqual(before, ['hostile-text mail open high'])
  assert.deepEqual(
    approved.map(({ state, approver }) => [state, approver]),
    [['approved', ada.name]],
  )
  assert.deepEqual(changed, [
    'hostile-text mail open high',
    'tool-changed mail open medium',
    'tool-changed read open high',
  ])
  // What was shown is what is approved: the old version is not, nor one that is not there.
  await assert.rejects(approve([first.version]), (error) => conflict.is(error))
  await assert.rejects(approve([`${first.id.slice(0, -1)}0@${'a'.repeat(64)}.1`]), (error) => notFound.is(error))
  const now = await listed({ state: 'changed' })
  assert.deepEqual(
    now.map(({ name, claimsReadOnly }) => [name, claimsReadOnly]),
    [['read', true]],
  )
  await approve((await listed()).map(({ version }) => version))
  assert.deepEqual(
    (await tell(tool('read', 'c'), tool('mail', 'b', ['hides-from-the-person']))).filter((line) => / open /.test(line)),
    ['hostile-text mail open high'],
  )
  assert.equal((await w.kinds()).filter((kind) => kind === 'tool.approved').length, 2)
})

test('attack: a tool that became one of a strict tier is not approved as the lax one it was shown as', async (t) => {
  const i = await inventoryWorld(t)
  const { w } = i
  const ada = await w.founder()
  const call = {
    name: 'mcp.call',
    protocol: 'mcp',
    class: 'change',
    tier: 1,
    tierElsewhere: 2,
    summary: 'Calls a tool.',
    obligations: {},
  } as const
  await w.run((tx) => syncActions(tx, w.needs.ledger, [call]))
  const toy = toySource()
  const lists = async () => (await listTools(w.db, w.clock, ToolQuery.parse({ limit: 50 }))).items
  const approve = (tools: readonly string[]) =>
    w.run((tx) => approveTools(tx, w.needs, w.permit('tool.approve', ada), { tools }))
  toy.scopes.set('all', [[tool('read', 'a'), tool('pay', 'b', [], { sensitivity: known(0) })]])
  const source = await i.source(toy.connector, {}, { environment: 'staging' })
  await i.collect(source)
  const shown = await lists()
  const of = (name: string) => shown.find((each) => each.name === name)
  assert.deepEqual([of('read')?.tier, of('pay')?.tier], [2, 0])
  assert.equal((await aboutTools(w.db, [of('read')?.version ?? ''])).tier, 2)
  const both = await aboutTools(
    w.db,
    shown.map(({ version }) => version),
  )
  assert.equal(both.tier, 0)
  assert.ok(both.lines.every((line) => shown.some(({ version }) => line.endsWith(version))))

  await w.run(async (tx) => {
    const cause = await w.needs.ledger.record(tx, {
      actor: SYSTEM,
      event: toolsApproved,
      resource: { type: 'Source', id: source },
      outcome: 'done',
      facts: { tools: [] },
    })
    await tx.updateTable('source').set({ environment: 'production', cause }).where('id', '=', source).execute()
  })

  const lax = of('read')?.version ?? ''
  assert.match(lax, /\.2$/)
  await assert.rejects(approve([lax]), (error) => conflict.is(error))
  await assert.rejects(aboutTools(w.db, [lax]), (error) => conflict.is(error))
  await approve([lax.replace(/2$/, '1')])
  assert.equal((await lists()).find(({ name }) => name === 'read')?.state, 'approved')
})
