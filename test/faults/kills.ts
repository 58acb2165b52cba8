import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import { found, type Plant } from './plant.ts'
import { untilDead, type FaultNode } from './node.ts'
import { checkpointOf, proveCauses, proveNothingLeft, proveTold } from './proofs.ts'
import { goOn, live, newStory, type Story } from './story.ts'

/** Nobody waits a minute in the middle: the lease is retried when its maker counts as dead, and the end finds that it was. */
const UNFINISHED = new Set(['lease.announced', 'lease.created-upstream'])

/**
 * Kills a node at each point in turn while it carries out an act; the next node takes over on the same home, answers for what was
 * acknowledged, and is the next to die. In the end nothing is forgotten.
 */
export async function killAtEach(t: TestContext, points: readonly (readonly string[])[]): Promise<void> {
  const { plant, first } = await found(t)
  let node = first
  for (const labels of points) {
    await t.test(`killed at ${labels.join(', then ')}`, async () => {
      try {
        node = await killAt(plant, node, labels)
      } catch (error) {
        // The points that follow are tried nevertheless.
        await plant.killAll()
        node = await plant.start()
        throw error
      }
    })
  }
  await t.test('in the end no lease, session, use or role is left, and every row has its cause', async () => {
    await proveNothingLeft(plant)
    assert.ok((await proveCauses(plant)) > points.length)
    await node.kill('SIGTERM')
  })
}

async function killAt(plant: Plant, node: FaultNode, labels: readonly string[]): Promise<FaultNode> {
  const checkpoint = await checkpointOf(plant, node)
  const story = newStory()
  await node.order({ arm: labels })
  await liveUntilDeath(plant, node, story)
  assert.equal(await node.died, 'SIGKILL')

  const next = await plant.start()
  await proveTold(plant, next, story.told, checkpoint)
  await proveWritten(plant, story)
  await goOn(plant, next, story, !labels.some((label) => UNFINISHED.has(label)))
  await proveTold(plant, next, story.told, checkpoint)
  return next
}

async function liveUntilDeath(plant: Plant, node: FaultNode, story: Story): Promise<void> {
  try {
    await live(plant, node, story)
  } catch (error) {
    await untilDead(node, `it did not die: ${String(error)}`)
  }
  // Some steps follow when the act is over: what the sequencer does, the close of the session.
  await untilDead(node, 'the point was never reached')
}

async function proveWritten(plant: Plant, story: Story): Promise<void> {
  const rows = await plant.atTarget<{ id: string }>('select id from orders')
  const there = new Set(rows.map(({ id }) => id))
  assert.deepEqual(
    story.written.filter((id) => !there.has(id)),
    [],
  )
}
