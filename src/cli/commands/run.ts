import type { Command } from 'commander'
import { listAccounts, listPurposes, readTarget } from '../../catalog/contract.ts'
import { clientFor } from '../calling.ts'
import type { Client } from '../client.ts'
import { usage } from '../failure.ts'
import { tell, type Io } from '../io.ts'
import { printable } from '../output/printable.ts'
import { runUnderGrant, type RunTerms } from '../run/run.ts'
import { sshUnderGrant } from '../run/ssh.ts'
import { durationSeconds } from '../values.ts'

type Options = {
  on?: string
  account?: string
  for?: string
  action?: string[]
  database?: string
  ticket?: string
  task?: string
  reason?: string
  ttl?: string
  connections?: string
  wait: boolean
  context?: string
}

/** What looking needs: nothing more is asked for than somebody says. */
const LEAST_ACTION = 'postgres.read'

export function addRunCommands(program: Command, io: Io, exit: (code: number) => void): void {
  const run = program
    .command('run')
    .description('Runs a command under a grant of its own, which ends with it. The exit code is the command’s.')
    .argument('<command...>', 'the command, behind --')
    .requiredOption('--on <target:account>', 'what it acts on, as whom')
    .requiredOption('--for <purpose>', 'an approved purpose that covers it')
  withTerms(run).passThroughOptions()
  run.action(async (command: string[], options: Options) => {
    const [name = '', ...args] = command
    const [target, account] = splitOnce(options.on ?? '')
    if (target === '' || account === '') throw usage('--on takes <target>:<account>, such as orders:app.')
    exit(await runUnderGrant(io, termsOf(options, target, account, options.for ?? ''), [name, ...args]))
  })

  const psql = program
    .command('psql')
    .description('Opens psql on a target under a grant of its own.')
    .argument('<target>', 'name')
    .argument('[psqlArgs...]', 'arguments of psql, behind --')
    .option('--account <name>', 'as whom; the target’s only account where there is one')
    .option('--for <purpose>', 'an approved purpose that covers it; the only one where there is one')
  withTerms(psql)
  psql.action(async (target: string, args: string[], options: Options) => {
    const actions = actionsOf(options)
    const { account, purpose } = await choices(io, target, options, actions)
    exit(await runUnderGrant(io, termsOf(options, target, account, purpose), ['psql', ...args]))
  })
  addSsh(program, io, exit)
}

function addSsh(program: Command, io: Io, exit: (code: number) => void): void {
  const ssh = program
    .command('ssh')
    .description('Logs in at a host by a certificate under a grant of its own, or runs one command there.')
    .argument('<target>', 'name')
    .argument('[command...]', 'what to run there, behind --; a shell when left out')
    .option('--account <name>', 'as whom; the target’s only account where there is one')
    .option('--for <purpose>', 'an approved purpose that covers it; the only one where there is one')
  withGrantTerms(ssh, 'ssh.exec for a command, ssh.shell for none')
  ssh.action(async (target: string, command: string[], options: Options) => {
    const actions = options.action ?? [command.length > 0 ? 'ssh.exec' : 'ssh.shell']
    const { account, purpose } = await choices(io, target, options, actions)
    exit(await sshUnderGrant(io, { ...termsOf(options, target, account, purpose), actions }, command))
  })
}

function withTerms(command: Command): Command {
  return withGrantTerms(command, LEAST_ACTION).option(
    '--database <name>',
    'which database; PGDATABASE or the account’s first otherwise',
  )
}

function withGrantTerms(command: Command, least: string): Command {
  return command
    .option('--action <name>', `what it will do; once for each, ${least} by default`, collected)
    .option('--ticket <id>', 'the change or incident it belongs to')
    .option('--task <text>', 'which run or task this is for')
    .option('--reason <text>', 'why, in a sentence')
    .option('--ttl <duration>', 'how long at most: 15m, 1h')
    .option('--connections <n>', 'how many at once')
    .option('--no-wait', 'ends with 4 instead of waiting for an approval')
    .option('--context <name>', 'which server, of those that `reeve context list` shows')
}

function termsOf(options: Options, target: string, account: string, purpose: string): RunTerms {
  const ttlSeconds = options.ttl === undefined ? undefined : durationSeconds(options.ttl)
  if (options.ttl !== undefined && ttlSeconds === undefined) throw usage('--ttl takes a duration such as 15m or 1h.')
  if (options.connections !== undefined && !/^\d{1,5}$/.test(options.connections))
    throw usage('--connections takes a number.')
  return {
    target,
    account,
    database: options.database,
    purpose,
    actions: actionsOf(options),
    ticket: options.ticket,
    task: options.task,
    reason: options.reason,
    ttlSeconds,
    connections: options.connections === undefined ? undefined : Number(options.connections),
    isWaiting: options.wait,
    context: options.context,
  }
}

function actionsOf(options: Options): string[] {
  return options.action ?? [LEAST_ACTION]
}

async function choices(
  io: Io,
  target: string,
  options: Options,
  actions: readonly string[],
): Promise<{ account: string; purpose: string }> {
  if (options.account !== undefined && options.for !== undefined)
    return { account: options.account, purpose: options.for }
  using client = clientFor(io, options)
  return {
    account: options.account ?? (await onlyAccount(io, client, target)),
    purpose: options.for ?? (await onlyPurpose(io, client, target, actions)),
  }
}

async function onlyAccount(io: Io, client: Client, target: string): Promise<string> {
  const { items } = await client.ask(listAccounts, { params: { target }, query: { limit: 200 } })
  const usable = items.filter(({ mode, state }) => mode !== 'seen' && state === 'active').map(({ name }) => name)
  return only(io, usable, 'account', `reeve account list ${target}`)
}

async function onlyPurpose(io: Io, client: Client, target: string, actions: readonly string[]): Promise<string> {
  const { id } = await client.ask(readTarget, { params: { target } })
  const { items } = await client.ask(listPurposes, { query: { state: 'approved', limit: 200 } })
  const covering = items.filter(
    (purpose) => purpose.targets.includes(id) && actions.every((action) => purpose.actions.includes(action)),
  )
  return only(
    io,
    covering.map(({ name }) => name),
    'for',
    'reeve purpose list',
  )
}

function only(io: Io, names: readonly string[], option: string, look: string): string {
  const [first, second] = names
  if (first === undefined) throw usage(`There is nothing to take for --${option}.`, `See what there is: ${look}`)
  if (second !== undefined) throw usage(`Say which: --${option} ${names.map(printable).join(` or --${option} `)}`)
  tell(io, `Taking --${option} ${printable(first)}, the only one.`)
  return first
}

function collected(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value]
}

/** At the first colon: a target's name has none, an account's may. */
function splitOnce(text: string): [string, string] {
  const at = text.indexOf(':')
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
}
