import assert from 'node:assert/strict'
import { test } from 'node:test'
import { freshDatabase } from '../../test/support/database.ts'
import { openDatabaseClock } from './database-clock.ts'
import { silentLog } from './log.ts'

const HOUR_MS = 3_600_000

for (const [where, jumpMs] of [
  ['forward', HOUR_MS],
  ['back', -HOUR_MS],
] as const) {
  test(`a machine whose clock jumps ${where} is not near, and still says the time of the database`, async (t) => {
    const { db } = await freshDatabase(t)
    using clock = await openDatabaseClock(db, silentLog)
    const before = clock.now().getTime()
    assert.ok(clock.isNear())

    const real = Date.now.bind(Date)
    t.mock.method(Date, 'now', () => real() + jumpMs)

    assert.ok(Math.abs(clock.now().getTime() - before) < 60_000)
    assert.ok(!clock.isNear())
    assert.equal(Math.sign(clock.offsetMs()), -Math.sign(jumpMs))
  })
}
