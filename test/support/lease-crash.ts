import { openDatabase } from '../../src/kernel/db.ts'
import { onReach } from '../../src/kernel/fault.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { leaseFor } from '../../src/credentials/lease-for.ts'
import { settleObligations } from '../../src/credentials/obligations.ts'
import { handedLeaseWriter } from './handed-lease.ts'
import { credentialNeeds, movableClock } from './lease-world.ts'

/**
 * A process that makes or ends a lease and dies by SIGKILL at one labelled point, or when it comes there again after `order.skips` times. Its order comes as JSON in the last argument; when the point
 * is never reached it exits with 3.
 */
const order = JSON.parse(process.argv.at(-1) ?? '')
const opened = openDatabase(
  { ...order.database, password: new Secret(order.database.password) },
  { max: 4, log: silentLog },
)
const clock = movableClock()
const made = credentialNeeds(clock, order.nodeId)
const needs = order.handed ? { ...made, writers: [handedLeaseWriter(order.handed, clock)] } : made
const signal = new AbortController().signal

let skips = order.skips ?? 0
onReach((label) => {
  if (label === order.point && skips-- <= 0) process.kill(process.pid, 'SIGKILL')
})
if (order.work === 'make') {
  const grant = { ...order.grant, expiresAt: new Date(order.grant.expiresAt) }
  await leaseFor(opened.db, needs, grant, signal)
} else {
  await settleObligations(opened.db, needs, signal)
}
process.exit(3)
