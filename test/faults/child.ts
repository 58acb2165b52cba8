/**
 * A whole node in a process of its own. It says where it is reached, then does what it is told: dies by SIGKILL at a labelled point, or takes
 * this machine's clock for another one.
 */
import { loadConfig } from '../../src/kernel/config.ts'
import { onReach } from '../../src/kernel/fault.ts'
import { openLog } from '../../src/kernel/log.ts'
import { openStop, stopOnSignals } from '../../src/kernel/stop.ts'
import { startServer } from '../../src/server.ts'
import type { Order } from './node.ts'

const { folder, file } = JSON.parse(process.argv[2] ?? '')
let armed: readonly string[] = []
let shiftMs = 0

onReach((label) => {
  if (label !== armed[0]) return
  armed = armed.slice(1)
  if (armed.length === 0) process.kill(process.pid, 'SIGKILL')
})
const machineNow = Date.now.bind(Date)
Date.now = () => machineNow() + shiftMs

process.on('message', (order: Order) => {
  armed = order.arm ?? armed
  shiftMs = order.shiftMs ?? shiftMs
  process.send?.({ taken: true })
})
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))

const log = openLog('silent')
const stop = openStop(log)
stopOnSignals(stop, process, log)
const server = await startServer(loadConfig({ env: {}, workingFolder: folder, file }), log, stop).catch(
  (error: unknown) => {
    console.error(error)
    process.exit(1)
  },
)
process.send?.({
  url: server.api.url,
  authority: server.authority.certificate,
  gatewayPort: server.gateways[0]?.port,
  founderLink: server.founderLink,
})
