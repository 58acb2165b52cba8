import type { Command } from 'commander'
import { clientFor } from '../calling.ts'
import type { Client } from '../client.ts'
import { usage } from '../failure.ts'
import { printProcessCredential, printSignIn } from '../hooks/aws.ts'
import { answerDocker, answerGit } from '../hooks/git.ts'
import type { HookTerms } from '../hooks/grant.ts'
import { printExecCredential } from '../hooks/kubectl.ts'
import { printPgpass, printService } from '../hooks/postgres.ts'
import { printSecret } from '../hooks/secret.ts'
import { keepSshCertificate, printSshConfig } from '../hooks/ssh.ts'
import type { Io } from '../io.ts'
import { durationSeconds } from '../values.ts'
import { nounCommand } from './operations.ts'

type Options = {
  on: string
  for: string
  action?: string[]
  reason?: string
  ticket?: string
  ttl?: string
  wait: boolean
  context?: string
  signIn?: boolean
  database?: string
  caFile?: string
}

type Hook = (terms: HookTerms, client: () => Client, options: Options, verb: string) => Promise<void> | void

/** What other programs call: each prints one format on standard output, and nothing of a credential anywhere else. */
export function addCredentialCommands(program: Command, io: Io): void {
  const hooks = hooksUnder(nounCommand(program, 'credential'), io)
  addTokens(hooks, io)
  addLogins(hooks, io)
  addDoors(hooks, io)
}

type Hooks = ReturnType<typeof hooksUnder>

function hooksUnder(parent: Command, io: Io) {
  const add = (name: string, description: string, least: string, hook: Hook) => {
    const command = parent
      .command(name)
      .description(description)
      .requiredOption('--on <target:account>', 'what it acts on, as whom')
      .requiredOption('--for <purpose>', 'an approved purpose that covers it')
      .option('--action <name>', `what it will do; once for each, ${least} by default`, collected)
      .option('--reason <text>', 'why, in a sentence')
      .option('--ticket <id>', 'the change or incident it belongs to')
      .option('--ttl <duration>', 'how long at most: 15m, 1h')
      .option('--wait', 'waits for an approval instead of ending with 4', false)
      .option('--context <name>', 'which server, of those that `reeve context list` shows')
    const run = async (options: Options, verb = '') => {
      await hook(termsOf(options, least), () => clientFor(io, options), options, verb)
    }
    return { command, run }
  }
  const plain = (name: string, description: string, least: string, hook: Hook) => {
    const { command, run } = add(name, description, least, hook)
    command.action((options: Options) => run(options))
    return command
  }
  const withVerb = (name: string, description: string, least: string, hook: Hook) => {
    const { command, run } = add(name, description, least, hook)
    command.argument('<verb>', 'what it is called with: get, store, erase')
    command.action((verb: string, options: Options) => run(options, verb))
  }
  return { plain, withVerb }
}

/** What a target gives and checks itself. */
function addTokens({ plain }: Hooks, io: Io): void {
  plain(
    'kubectl',
    'Prints a token for kubectl (exec credential, client.authentication.k8s.io/v1).',
    'k8s-token.read',
    (terms, client) => closing(client, (open) => printExecCredential(io, open, terms)),
  )
  plain(
    'aws',
    'Prints a session for the AWS CLI and SDKs (credential_process, version 1).',
    'aws.read',
    (terms, client, { signIn }) =>
      closing(client, (open) =>
        signIn === true ? printSignIn(io, open, terms) : printProcessCredential(io, open, terms),
      ),
  ).option('--sign-in', 'prints a link into the console instead')
  plain('secret', 'Prints a dynamic secret of OpenBao or Vault as JSON.', 'openbao.read', (terms, client) =>
    closing(client, (open) => printSecret(io, open, terms)),
  )
}

/** Logins that servers take in each request. */
function addLogins({ withVerb }: Hooks, io: Io): void {
  withVerb('git', 'Answers git as a credential helper.', 'https.read', (terms, client, _options, verb) =>
    answerGit(io, client, terms, verb),
  )
  withVerb('docker', 'Answers docker as a credential helper.', 'https.read', (terms, client, _options, verb) =>
    answerDocker(io, client, terms, verb),
  )
}

/** Ways to our gateway, and to hosts. */
function addDoors({ plain }: Hooks, io: Io): void {
  plain(
    'pgpass',
    'Prints a line for .pgpass with a ticket for the PostgreSQL gateway.',
    'postgres.read',
    (terms, client) => closing(client, (open) => printPgpass(io, open, terms)),
  )
  plain(
    'pg-service',
    'Prints a section for a PostgreSQL service file that leads to the gateway.',
    'postgres.read',
    (terms, client, options) =>
      closing(client, (open) =>
        printService(io, open, terms, { name: terms.target, database: options.database, caFile: options.caFile }),
      ),
  )
    .option('--database <name>', 'which database')
    .option('--ca-file <file>', 'PEM of the server’s authority, as libpq will find it')
  plain(
    'ssh-config',
    'Prints lines for ssh_config by which ssh, scp and rsync get certificates.',
    'ssh.shell',
    (terms) => printSshConfig(io, terms),
  )
  plain(
    'ssh',
    'Keeps a certificate for a host where the lines of ssh-config look for it.',
    'ssh.shell',
    (terms, client) => keepSshCertificate(io, client, terms),
  )
}

async function closing<T>(client: () => Client, work: (open: Client) => Promise<T>): Promise<void> {
  using open = client()
  await work(open)
}

function termsOf(options: Options, least: string): HookTerms {
  const at = options.on.indexOf(':')
  const [target, account] = [options.on.slice(0, Math.max(0, at)), options.on.slice(at + 1)]
  if (target === '' || account === '') throw usage('--on takes <target>:<account>, such as cluster-1:shop/viewer.')
  const ttlSeconds = options.ttl === undefined ? undefined : durationSeconds(options.ttl)
  if (options.ttl !== undefined && ttlSeconds === undefined) throw usage('--ttl takes a duration such as 15m or 1h.')
  return {
    target,
    account,
    purpose: options.for,
    actions: options.action ?? [least],
    reason: options.reason,
    ticket: options.ticket,
    ttlSeconds,
    isWaiting: options.wait,
  }
}

function collected(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value]
}
