import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CLUSTER, estate, grant, people } from './graph.fixture.ts'
import { lookWhenDue } from './look.ts'

const signal = new AbortController().signal

test('what a reading told is looked at soon, everything else every quarter of an hour, and by one node at a time', async (t) => {
  const e = await estate(t)
  const { w } = e
  let took = 0
  const look = async () => {
    let looks = 0
    const before = async () => {
      looks += 1
      w.clock.advance(took)
    }
    await lookWhenDue(w.db, { clock: w.clock, connection: w.database.server, before }, signal)
    return looks === 1
  }
  const told = () => e.tell([...people('app'), CLUSTER, grant('app', 'cluster', 'SUPERUSER', 'admin')])

  assert.ok(await look(), 'nobody looked yet')
  w.clock.advance(60)
  assert.ok(!(await look()), 'there is no news')
  await told()
  assert.ok(await look(), 'there is')
  await told()
  assert.ok(!(await look()), 'that was a moment ago')
  took = 20
  w.clock.advance(11)
  assert.ok(await look())
  await told()
  w.clock.advance(200)
  assert.ok(!(await look()), 'it takes long, so it rests long')
  w.clock.advance(11)
  assert.ok(await look())
  w.clock.advance(899)
  assert.ok(!(await look()))
  w.clock.advance(1)
  assert.ok(await look())
})

test('a look that never ended is another node’s after ten minutes, and one that failed at once', async (t) => {
  const { w } = await estate(t)
  let looks = 0
  const look = (before: () => Promise<void> = async () => void (looks += 1)) =>
    lookWhenDue(w.db, { clock: w.clock, connection: w.database.server, before }, signal)

  await assert.rejects(
    look(() => Promise.reject(new Error('no connection'))),
    /no connection/,
  )
  await look()
  assert.equal(looks, 1)
  await w.db.updateTable('graphPass').set({ endedAt: null }).execute()
  w.clock.advance(599)
  await look()
  assert.equal(looks, 1)
  w.clock.advance(1)
  await look()
  assert.equal(looks, 2)
})
