import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { enrolFounder, nobody } from '../../demo/people.ts'
import { startAgent, type AgentOptions, type RunningAgent } from '../../src/agent/agent.ts'
import { systemProcesses } from '../../src/agent/process.ts'
import type { Connect } from '../../src/agent/server.ts'
import { openClient, type Client } from '../../src/cli/client.ts'
import type { Connection } from '../../src/cli/connection.ts'
import { createPlacement, inviteMachine } from '../../src/credentials/contract.ts'
import { activateIdentity, attestOwner, registerIdentity } from '../../src/identities/contract.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { openPeerReader } from '../../src/kernel/unix-peer.ts'
import { site, type Cleaning, type Site } from './installation.ts'

/** An installation whose founder has machines and workloads, and agents that run in this very process. */
export type MachineWorld = Site & {
  readonly ada: Client
  /** A registered machine or workload that ada answers for. */
  identity(kind: 'machine' | 'workload', name: string, more?: Readonly<Record<string, unknown>>): Promise<void>
  /** A join token of a machine. */
  invite(machine: string): Promise<string>
  place(workload: string, machine: string, selectors: readonly string[], hint?: string): Promise<string>
  /** Joins with a token and serves; stopped with the cleaning. */
  agent(machine: string, more?: Partial<AgentOptions>): Promise<RunningAgent & { readonly socketPath: string }>
  readonly connect: Connect
}

export async function machineWorld(
  cleaning: Cleaning,
  more: Readonly<Record<string, unknown>> = {},
): Promise<MachineWorld> {
  const here = await site(cleaning, more)
  const ada = await enrolFounder(here.server)
  const connect = connectTo(nobody(here.server))
  const invite = async (machine: string) =>
    (await ada.ask(inviteMachine, { params: { identity: machine }, input: {} })).secret ?? ''
  return {
    ...here,
    ada,
    connect,
    invite,
    async identity(kind, name, rest) {
      const identity = {
        kind,
        name,
        profile: kind === 'machine' ? 'device' : 'service',
        ownerTeam: 'shop',
        owner: 'ada',
      }
      await ada.ask(registerIdentity, { input: { ...identity, ...rest } })
      await ada.ask(attestOwner, { params: { identity: name } })
      if (kind === 'workload') await ada.ask(activateIdentity, { params: { identity: name } })
    },
    async place(workload, machine, selectors, hint) {
      const input = { machine, selectors: [...selectors], hint }
      return (await ada.ask(createPlacement, { params: { identity: workload }, input })).id
    },
    async agent(machine, rest = {}) {
      const folder = mkdtempSync(join(tmpdir(), 'reeve-agent-'))
      cleaning.after(() => rmSync(folder, { recursive: true, force: true }))
      const joinTokenFile = join(folder, 'token')
      writeFileSync(joinTokenFile, await invite(machine))
      const socketPath = join(folder, 'agent.sock')
      const running = await startAgent({
        machine,
        joinTokenFile,
        stateFolder: join(folder, 'state'),
        socketPath,
        connect,
        peers: openPeerReader(),
        processes: systemProcesses,
        clock: systemClock,
        log: silentLog,
        ...rest,
      })
      cleaning.after(() => running[Symbol.asyncDispose]())
      return Object.assign(running, { socketPath })
    },
  }
}

/** As the program connects an agent. */
export function connectTo(connection: Connection): Connect {
  return (proof) => {
    const client = proof && { certificate: proof.certificate, key: proof.privateKey }
    return openClient({ ...connection, token: proof?.token, client }, [])
  }
}
