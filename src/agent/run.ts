import { systemClock } from '../kernel/clock.ts'
import { openLog } from '../kernel/log.ts'
import { openStop, stopOnSignals } from '../kernel/stop.ts'
import { openPeerReader } from '../kernel/unix-peer.ts'
import { startAgent } from './agent.ts'
import { systemProcesses } from './process.ts'
import type { Connect } from './server.ts'

export type AgentRequest = {
  readonly machine: string
  readonly joinTokenFile?: string
  readonly hostKeyFile?: string
  readonly socketPath: string
  readonly stateFolder: string
}

/** Serves until a signal. Throws when the machine is not admitted, or not any more. */
export async function runAgent(
  request: AgentRequest,
  connect: Connect,
  tell: (sentence: string) => void,
): Promise<void> {
  const log = openLog('info')
  const stop = openStop(log)
  stopOnSignals(stop, process, log)
  const peers = openPeerReader()
  const agent = await startAgent({ ...request, connect, peers, processes: systemProcesses, clock: systemClock, log })
  stop.add('agent', agent)
  tell(`${request.machine} serves spiffe://${agent.trustDomain} at unix://${request.socketPath}`)
  const why = await Promise.race([stop.over.then(() => undefined), agent.over])
  if (why === undefined) return
  // Clients hear the refusal before the socket goes.
  await agent[Symbol.asyncDispose]()
  throw new Error(`The agent ends: ${why}.`)
}
