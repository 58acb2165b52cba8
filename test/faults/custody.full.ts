import assert from 'node:assert/strict'
import { test } from 'node:test'
import { putDeposit, revealDeposit } from '../../src/credentials/contract.ts'
import { untilDead, type FaultNode } from './node.ts'
import { found, type Plant } from './plant.ts'
import { checkpointOf, proveCauses, proveTold } from './proofs.ts'
import { failureOf, type Told } from './story.ts'

const WHY = { reason: 'because the test says so' }
const OF_SHOP = { ownerTeam: 'shop', purpose: 'signs what the shop ships' }
/** Before the commit, and right behind it before anybody is told. */
const MOMENTS = [[], ['kernel.committed']] as const

/** Runs a call at a node that dies in it, and starts the next one. */
async function dying(plant: Plant, node: FaultNode, arm: readonly string[], call: () => Promise<unknown>) {
  await node.order({ arm })
  const said = await failureOf(call())
  await untilDead(node, `it did not die at ${arm.join(', then ')}: ${said}`)
  assert.equal(await node.died, 'SIGKILL')
  return plant.start()
}

test('a node is killed while values are put and told', async (t) => {
  const { plant, first } = await found(t)
  let node = first
  const told: Told[] = []
  const params = { deposit: 'signing' }
  const put = async (value: string) => {
    using bob = plant.as('bob', node)
    const { id, version } = await bob.ask(putDeposit, { params, input: { ...OF_SHOP, value } })
    told.push({ kind: 'deposit.put', about: id })
    return { id, version }
  }
  const reveal = async () => {
    using carol = plant.as('carol', node)
    return (await carol.ask(revealDeposit, { params, input: WHY })).value
  }
  const sights = (id: string) =>
    plant.look(async (db) => {
      const rows = await db.selectFrom('depositSight').select('how').where('depositId', '=', id).execute()
      return rows.filter(({ how }) => how === 'revealed').length
    })
  const { id } = await put('value-1')

  for (const more of MOMENTS) {
    const arm = ['custody.put', ...more]
    await t.test(`killed at ${arm.join(', then ')}: the value before is there, or the new one, whole`, async () => {
      const checkpoint = await checkpointOf(plant, node)
      const value = `put-${arm.length}`
      const before = await reveal()
      node = await dying(plant, node, arm, () => put(value))

      // A commit of somebody else may come first, and then it dies before its own.
      const possible = more.length === 0 ? [before] : [before, value]
      assert.ok(possible.includes(await reveal()))
      await proveTold(plant, node, told, checkpoint)
      const next = await put(`after-${value}`)
      assert.equal(await reveal(), `after-${value}`)
      assert.equal(next.id, id)
    })
  }

  for (const more of MOMENTS) {
    const arm = ['custody.known', ...more]
    await t.test(`killed at ${arm.join(', then ')}: nobody has the value without its entry`, async () => {
      const before = await sights(id)
      node = await dying(plant, node, arm, reveal)
      const after = await sights(id)
      assert.ok(after === before || (more.length === 1 && after === before + 1))
      await reveal()
      assert.equal(await sights(id), after + 1)
    })
  }
  assert.ok((await proveCauses(plant)) > 10)
  await node.kill('SIGTERM')
})
