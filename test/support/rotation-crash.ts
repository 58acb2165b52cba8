import { settleRotations } from '../../src/credentials/rotation/worker.ts'
import { openDatabase } from '../../src/kernel/db.ts'
import { onReach } from '../../src/kernel/fault.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { movableClock } from './lease-world.ts'
import { rotationNeedsAt } from './rotation-place.ts'
import { rotationNeeds } from './rotation-world.ts'

/**
 * A process that carries rotations on, at PostgreSQL unless its order names another protocol, and dies by SIGKILL at one labelled point. Its order comes as JSON in the last argument; when the point is
 * never reached it exits with 3.
 */
const order = JSON.parse(process.argv.at(-1) ?? '')
const opened = openDatabase(
  { ...order.database, password: new Secret(order.database.password) },
  { max: 4, log: silentLog },
)

onReach((label) => {
  if (label === order.point) process.kill(process.pid, 'SIGKILL')
})
const clock = movableClock()
clock.ahead(order.ahead ?? 0)
const needs = order.protocol === undefined ? rotationNeeds(clock) : rotationNeedsAt(order.protocol, clock)
await settleRotations(opened.db, needs, new AbortController().signal)
process.exit(3)
