import assert from 'node:assert/strict'
import { test } from 'node:test'
import { planeWorld, storyWorld } from '../../test/support/plane-world.ts'
import { toyGateway, toyTestbed, type Flaw } from '../../test/support/toy-gateway.ts'
import { conform, story } from './conformance.ts'

test('a gateway that keeps its promises passes the story', async (t) => {
  const { protocol, actions } = toyGateway()
  const world = await planeWorld(t, { protocol, actions })
  await using testbed = await toyTestbed()

  await conform(t, testbed, storyWorld(world))
})

const CAUGHT: readonly [Flaw, string][] = [
  ['ignores-end', 'the end of the grant cuts a session in the middle of an act, with a reason'],
  ['ignores-end', 'an operator ends one session, with a reason, and the grant stays'],
  ['ignores-end', 'a peer that reads nothing is cut like any other'],
  ['forgets-to-record', 'the recording holds every act once, sealed by the ledger, and no secret'],
  ['records-values', 'the recording holds every act once, sealed by the ledger, and no secret'],
  ['lets-everything-pass', 'an act outside the grant is refused with what to request, and the session goes on'],
  ['never-stops', 'a socket that never speaks does not hold a stopping gateway'],
]

test('a gateway that breaks a promise fails the chapter about it', async (t) => {
  const { protocol, actions } = toyGateway()
  const world = await planeWorld(t, { protocol, actions })
  for (const [flaw, name] of CAUGHT) {
    await t.test(`${flaw}: ${name}`, async () => {
      await using testbed = await toyTestbed([flaw])
      const open = await testbed.gateway.open(world.plane, { host: '127.0.0.1', port: 0 })
      const chapter = story.find((each) => each.name === name)
      assert.ok(chapter)

      const told = chapter.run({ testbed, world: storyWorld(world), open, patienceMs: 700 })

      await assert.rejects(told, { name: 'AssertionError' })
      void open[Symbol.asyncDispose]()
    })
  }
})
