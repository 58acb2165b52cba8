import type { Command } from 'commander'
import {
  collectSource,
  probeSource,
  readSource,
  registerSource,
  updateSource,
  type Source,
  type SourceReading,
} from '../../inventory/contract.ts'
import { clientFor, formatOf } from '../calling.ts'
import type { Client } from '../client.ts'
import { EXIT, Failure, usage } from '../failure.ts'
import { tell, type Io } from '../io.ts'
import { withCommonOptions } from '../operation-command.ts'
import { ApiProblem } from '../problems.ts'
import { sleep } from '../../kernel/timer.ts'
import { printable } from '../output/printable.ts'
import { render } from '../output/render.ts'
import { documentOf, textOf } from '../values.ts'

const FIRST_LOOK_MS = 200
const SLOWEST_LOOK_MS = 5_000

/** As it is sent; the server judges it. */
type Registering = Readonly<Record<string, unknown>> & { readonly name: string; readonly connector: string }

type Options = {
  readonly name?: string
  readonly ownerTeam: string
  readonly environment: string
  readonly passwordFile?: string
  readonly credentialFile?: string
  readonly settingsFile?: string
  readonly tls?: string
  readonly caFile?: string
  readonly target?: string
  readonly schedule?: string
  readonly output?: string
  readonly context?: string
}

/** `reeve connect`: registers a source, says what its login may see, and reads it. */
export function addConnectCommand(program: Command, io: Io): void {
  withCommonOptions(
    program
      .command('connect')
      .description('Registers a system as a source, says what can be seen of it, and reads it.')
      .argument('<source>', 'postgres://user@host:port/database, or the name of a connector with --settings-file'),
  )
    .requiredOption('--owner-team <team>', 'who answers for it')
    .requiredOption('--environment <name>', 'production, staging, test or development')
    .option('--name <name>', 'what it is called here; its host otherwise')
    .option('--password-file <file>', 'the password of the login; - reads it from standard input')
    .option('--credential-file <file>', 'what the connector logs in with, as JSON')
    .option('--settings-file <file>', 'where it is and how it is reached, as JSON')
    .option('--tls <mode>', 'of PostgreSQL: disable, require, verify-ca or verify-full, which it is otherwise')
    .option('--ca-file <file>', 'PEM of the authority that its certificate comes from')
    .option('--target <name>', 'the target it is as well: its accounts are then known to the catalog')
    .option('--schedule <how>', 'never, daily or weekly')
    .action((source: string, options: Options) => connect(io, source, options))
}

async function connect(io: Io, source: string, options: Options): Promise<void> {
  const format = formatOf(io, options.output)
  const input = {
    ...(await (source.includes('://') ? fromUrl(io, source, options) : fromFiles(io, source, options))),
    ...common(options),
  }
  using client = clientFor(io, options)
  const { name } = await registered(io, client, input)
  const params = { source: name }
  const { system, authority, scopes } = await client.ask(probeSource, { params })
  const visible = scopes.filter(({ isVisible }) => isVisible).length
  tell(io, printable(`It is ${system} (${authority}); ${visible} of ${scopes.length} parts can be seen.`))
  const reading = await collected(io, client, name)
  await render(io.stdout, format, collectSource.output, collectSource.output.encode(reading))
  tellNext(io, name, reading)
}

/** Reads it. What is new is due at once, so a node may be reading it already: then behind that. */
async function collected(io: Io, client: Client, name: string): Promise<SourceReading> {
  for (let pauseMs = FIRST_LOOK_MS; ; pauseMs = Math.min(SLOWEST_LOOK_MS, pauseMs * 2)) {
    try {
      return await client.ask(collectSource, { params: { source: name } })
    } catch (error) {
      if (!(error instanceof ApiProblem) || error.slug !== 'conflict' || error.facts['state'] !== 'being-read')
        throw error
      if (pauseMs === FIRST_LOOK_MS) tell(io, 'A node reads it already; this waits until that is done.')
      await sleep(pauseMs)
    }
  }
}

/** Registers it; whoever connects once more corrects what they said the first time. */
async function registered(io: Io, client: Client, input: Registering): Promise<Source> {
  try {
    const source = await client.ask(registerSource, { input })
    tell(io, `The source ${source.name} is registered. If it cannot be read, say it again with what is right.`)
    return source
  } catch (error) {
    if (!(error instanceof ApiProblem)) throw error
    if (error.slug === 'invalid-input') {
      const page = `What the connector takes: docs/connectors/${input.connector}.md`
      throw new Failure(error.exitCode, error.message, [
        ...error.advice.filter((line) => !line.endsWith(' --help')),
        page,
      ])
    }
    if (error.slug !== 'name-taken') throw error
    const { name, connector, target, ...changed } = input
    const params = { source: name }
    const known = await client.ask(readSource, { params })
    const other = 'Give this one another name: --name.'
    if (known.state !== 'active')
      throw new Failure(EXIT.server, `The source ${name} is retired, and its name stays with it.`, [other])
    if (known.connector !== connector)
      throw new Failure(EXIT.server, `The source ${name} is read by the connector ${known.connector}.`, [other])
    if (target !== undefined) throw error
    const source = await client.ask(updateSource, { params, input: changed })
    tell(io, `The source ${name} was registered already: it is read as you say now.`)
    return source
  }
}

function common({ ownerTeam, environment, target, schedule }: Options) {
  return {
    ownerTeam,
    environment,
    ...(target !== undefined && { target }),
    ...(schedule !== undefined && { schedule }),
  }
}

async function fromUrl(io: Io, source: string, options: Options) {
  const url = URL.parse(source)
  if (!url || !/^postgres(ql)?:$/.test(url.protocol))
    throw usage('The address must be postgres://user@host:port/database.')
  if (url.password !== '')
    throw usage('A password in an argument is seen by everybody on this machine: use --password-file.')
  if (url.username === '' || options.passwordFile === undefined)
    throw usage('Name the login in the address and give --password-file.')
  const { sslmode, ...others } = Object.fromEntries(url.searchParams)
  const [odd] = Object.keys(others)
  if (odd !== undefined) throw usage(`Of the parameters of an address only sslmode is understood, not ${odd}.`)
  if (sslmode !== undefined && options.tls !== undefined && sslmode !== options.tls)
    throw usage('The address and --tls say different modes.')
  const password = (await textOf(io, options.passwordFile)).replace(/\r?\n$/, '')
  const ca = options.caFile === undefined ? undefined : await textOf(io, options.caFile)
  const host = decodeURIComponent(url.hostname).replace(/^\[|\]$/g, '')
  return {
    name: options.name ?? slugOf(host),
    connector: 'postgres',
    settings: {
      host,
      port: url.port === '' ? 5432 : Number(url.port),
      ...(url.pathname.length > 1 && { database: decodeURIComponent(url.pathname.slice(1)) }),
      tls: { mode: options.tls ?? sslmode ?? 'verify-full', ...(ca !== undefined && { ca }) },
    },
    credential: { user: decodeURIComponent(url.username), password },
  }
}

async function fromFiles(io: Io, connector: string, options: Options) {
  if (options.settingsFile === undefined)
    throw usage(`Say where it is: --settings-file for the connector ${connector}.`)
  if (options.name === undefined) throw usage('Give it a name: --name.')
  return {
    name: options.name,
    connector,
    settings: await documentOf(io, options.settingsFile),
    ...(options.credentialFile !== undefined && { credential: await documentOf(io, options.credentialFile) }),
  }
}

function slugOf(host: string): string {
  return (
    host
      .toLowerCase()
      .replaceAll(/[^a-z0-9._-]+/g, '-')
      .replaceAll(/^[._-]+|[._-]+$/g, '')
      .slice(0, 63) || 'source'
  )
}

function tellNext(io: Io, name: string, { outcome, problem }: SourceReading): void {
  if (outcome === 'failed') {
    throw new Failure(EXIT.server, `The source ${name} could not be read: ${problem ?? 'see the log'}.`, [
      'Say it again with what is right: the source is registered, and reeve connect corrects it.',
      `Or try as it is: reeve source collect ${name}`,
    ])
  }
  tell(io, `Read: ${outcome}. What it told: reeve inventory list principal --source ${name}`)
  tell(io, 'What follows from it is there in a minute: reeve path list, reeve finding list')
  tell(
    io,
    'What acts there and is nobody’s: reeve inventory adopt --every --dry-run; adopted, it has owners proposed: reeve owner list',
  )
}
