import type { Command } from 'commander'
import { Installation, INSTALLATION_PATH } from '../../kernel/installation.ts'
import { clientFor, formatOf } from '../calling.ts'
import { Failure, usage } from '../failure.ts'
import { tell, type Io } from '../io.ts'
import { render } from '../output/render.ts'
import { withCommonOptions } from '../operation-command.ts'
import type { Parts, ServerFlags } from '../parts.ts'
import { z } from 'zod'

/** The server on this machine, and which versions are at work. */
export function addServerCommands(program: Command, io: Io, parts: Parts): void {
  configured(program.command('start').description('Runs the server until it is told to stop.')).action(
    async (options: ConfigOptions) => {
      await parts.start(flagsOf(options))
    },
  )
  configured(
    program
      .command('migrate')
      .description('Brings an external database to this release; an embedded one does so at start.'),
  ).action(async (options: ConfigOptions) => {
    for (const sentence of await parts.migrate(flagsOf(options))) io.stdout.write(`${sentence}\n`)
  })
  const custody = program.command('custody').description('What seals the secrets of this installation: rewrap.')
  configured(
    custody
      .command('rewrap')
      .description('Puts everything sealed under a new root key, while no node runs. After a kill, run it again.')
      .option('--leave-broken', 'go on where a row opens under neither key'),
  ).action(async (options: ConfigOptions & { leaveBroken?: boolean }) => {
    for (const sentence of await parts.rewrap(flagsOf(options), options.leaveBroken === true)) {
      io.stdout.write(`${sentence}\n`)
    }
  })
  const config = program.command('config').description('The server’s configuration: check, print.')
  configured(config.command('check').description('Says whether the server would start with it.')).action(
    async (options: ConfigOptions) => {
      await parts.config(flagsOf(options))
      tell(io, 'The configuration is valid.')
    },
  )
  configured(config.command('print').description('Prints all of it, secrets left out.'))
    .option('-o, --output <format>', 'json or yaml')
    .action(async (options: ConfigOptions) => {
      const whole = await parts.config(flagsOf(options))
      await render(io.stdout, formatOf(io, options.output ?? 'yaml'), z.unknown(), whole)
    })
  withCommonOptions(
    program.command('version').description('The version of this program, and of the server in use.'),
  ).action(async (options: { output?: string; context?: string }) => {
    const server = await serverVersion(io, options)
    await render(io.stdout, formatOf(io, options.output), z.unknown(), {
      client: parts.version,
      server: server ?? null,
    })
    if (server !== undefined && server !== parts.version)
      tell(io, 'The two differ: install the server’s version where something is missing.')
  })
}

type ConfigOptions = { config?: string; set?: string[]; output?: string }

function configured(command: Command): Command {
  return command
    .option('--config <file>', 'the YAML file; REEVE_CONFIG, or reeve.yaml in the home folder otherwise')
    .option(
      '--set <key=value>',
      'one key over file and variables, such as api.port=7300; once for each',
      (value, before?: string[]) => [...(before ?? []), value],
    )
}

function flagsOf(options: ConfigOptions): ServerFlags {
  const flags = new Map<string, string>()
  for (const text of options.set ?? []) {
    const at = text.indexOf('=')
    if (at < 1) throw usage('--set takes key=value, such as api.port=7300.')
    flags.set(text.slice(0, at), text.slice(at + 1))
  }
  return { ...(options.config !== undefined && { file: options.config }), flags: Object.fromEntries(flags) }
}

/** Without a server, or with one that does not answer, the client's version is still an answer. */
async function serverVersion(io: Io, options: { context?: string }): Promise<string | undefined> {
  try {
    using client = clientFor(io, options)
    return Installation.parse(await client.document(INSTALLATION_PATH)).version
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    tell(io, error.message)
    return undefined
  }
}
