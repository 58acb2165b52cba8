import type { Command } from 'commander'
import { resolve } from 'node:path'
import { connectionOf } from '../connection.ts'
import { usage } from '../failure.ts'
import { tell, type Io } from '../io.ts'
import { printable } from '../output/printable.ts'
import type { Parts } from '../parts.ts'

type Options = {
  readonly machine: string
  readonly joinTokenFile?: string
  readonly hostKey?: string | true
  readonly socket: string
  readonly state: string
  readonly context?: string
}

const HOST_KEY = '/etc/ssh/ssh_host_ed25519_key'

/** `reeve agent`: serves workloads on this machine their identity documents, until it is stopped or the server admits it no more. */
export function addAgentCommand(program: Command, io: Io, parts: Parts): void {
  program
    .command('agent')
    .description('Joins the server as a machine, and serves the workloads on it by the SPIFFE Workload API.')
    .requiredOption('--machine <name>', 'the machine identity that this is')
    .option('--join-token-file <file>', 'the token of: reeve machine invite <name>; needed once')
    .option('--host-key [file]', `prove the SSH host key of this machine (${HOST_KEY})`)
    .option('--socket <path>', 'where workloads connect', '/run/reeve/agent.sock')
    .option('--state <folder>', 'what it was admitted with, for its next start', '/var/lib/reeve-agent')
    .option('--context <name>', 'the server to join, by a context')
    .action(async (options: Options) => {
      const { address, authority } = connectionOf(io, options.context)
      const file = (path: string) => resolve(io.workingFolder, path)
      if (options.joinTokenFile === undefined && options.hostKey === undefined) {
        tell(io, 'Neither --join-token-file nor --host-key: only an earlier admission is gone on with.')
      }
      if (process.platform !== 'linux') throw usage('The agent runs on Linux, whose kernel says who connects.')
      await parts.agent(
        {
          connection: { address, authority },
          machine: options.machine,
          ...(options.joinTokenFile !== undefined && { joinTokenFile: file(options.joinTokenFile) }),
          ...(options.hostKey !== undefined && {
            hostKeyFile: options.hostKey === true ? HOST_KEY : file(options.hostKey),
          }),
          socketPath: file(options.socket),
          stateFolder: file(options.state),
        },
        (sentence) => tell(io, printable(sentence)),
      )
    })
}
