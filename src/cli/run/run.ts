/**
 * A command under a grant of its own: asks for it, waits for it, gives the command a certificate that is good for this grant alone, keeps the
 * grant alive while the command lives, and ends it with the command. Killed by any means, the beats stop and the server ends the grant.
 */
import { finishGrant, requestAccess } from '../../access/contract.ts'
import { listAccounts } from '../../catalog/contract.ts'
import { Installation, INSTALLATION_PATH } from '../../kernel/installation.ts'
import { issueCredential } from '../../credentials/contract.ts'
import { clientFor } from '../calling.ts'
import type { Client } from '../client.ts'
import { EXIT, Failure } from '../failure.ts'
import { callSteppedUp } from '../step-up.ts'
import { tell, type Io } from '../io.ts'
import { ApiProblem } from '../problems.ts'
import { tellShortened, tellWarnings } from '../shortened.ts'
import { findProgram, runCommand } from './command.ts'
import { runCredentials } from './credentials.ts'
import { runEnvironment, type Endpoint } from './environment.ts'
import { handedEnvironment } from './handed.ts'
import { keepAlive } from './heartbeat.ts'
import { privateFolder } from './private-folder.ts'
import { grantFor, grantIn } from './wait.ts'

/** What is asked for. */
export type GrantTerms = {
  readonly target: string
  readonly account: string
  readonly purpose: string
  readonly actions: readonly string[]
  readonly ticket: string | undefined
  readonly task: string | undefined
  readonly reason: string | undefined
  readonly ttlSeconds: number | undefined
  readonly connections: number | undefined
  readonly isWaiting: boolean
  readonly context: string | undefined
}

export type RunTerms = GrantTerms & { readonly database: string | undefined }

/** Runs `command` and gives its exit code. */
export async function runUnderGrant(io: Io, terms: RunTerms, command: readonly [string, ...string[]]): Promise<number> {
  const [name, ...args] = command
  const program = findProgram(io, name)
  if (!terms.actions.every((action) => action.startsWith('postgres.'))) return runHanded(io, terms, { program, args })
  return underGrant(io, terms, async (client, start) => {
    const endpoint = await endpointOf(io, client, terms)
    const { grantId, signal } = await start()
    await using credentials = await runCredentials(io, client, grantId)
    signal.throwIfAborted()
    return await runCommand(program, args, runEnvironment(io.env, credentials, endpoint))
  })
}

/** On a target that its holder uses directly: the credential itself is the command's, for as long as the grant lives. */
function runHanded(io: Io, terms: RunTerms, { program, args }: { program: string; args: readonly string[] }) {
  return underGrant(io, terms, async (client, start) => {
    const { grantId, signal } = await start()
    await using folder = await privateFolder(io)
    const handed = await client.ask(issueCredential, { params: { grant: grantId }, input: {} })
    signal.throwIfAborted()
    return await runCommand(program, args, await handedEnvironment(io, handed, folder.path))
  })
}

/** A grant that was obtained; the signal says that the caller was stopped. */
type Started = { readonly grantId: string; readonly signal: AbortSignal }

/** Does `work`, which calls `start` when it is ready for the grant: from then on it is kept alive, and it ends with the work. */
export async function underGrant(
  io: Io,
  terms: GrantTerms,
  work: (client: Client, start: () => Promise<Started>) => Promise<number>,
): Promise<number> {
  using client = clientFor(io, terms.context === undefined ? {} : { context: terms.context })
  using interrupted = untilInterrupted()
  const { signal } = interrupted
  await using held = new AsyncDisposableStack()
  return await work(client, async () => {
    const grantId = await obtain(io, client, terms, signal)
    held.defer(() => finish(io, client, grantId))
    held.use(keepAlive(io, client, grantId))
    return { grantId, signal }
  })
}

async function obtain(io: Io, client: Client, terms: GrantTerms, signal: AbortSignal): Promise<string> {
  const { target, account, purpose, actions, ticket, task, reason, ttlSeconds, connections } = terms
  const wanted = { ticket, task, reason, ttlSeconds, connections }
  const input = {
    target,
    account,
    purpose,
    actions,
    isKeptAlive: true,
    ...Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== undefined)),
  }
  const request = requestAccess.output.parse(await callSteppedUp(io, client, requestAccess, { input }))
  if (ttlSeconds !== undefined) tellShortened(io, request)
  tellWarnings(io, request)
  return terms.isWaiting ? grantFor(io, client, request, signal) : grantIn(request)
}

const STOPPING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** Somebody stopped the wait; the exit code is that of the signal, as of any program it ends. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted'
  readonly signal: NodeJS.Signals

  constructor(signal: NodeJS.Signals) {
    super(`stopped by ${signal}`)
    this.signal = signal
  }
}

/** From here on a signal ends the wait in order, so that nothing is left behind; a command that runs gets it as well. */
function untilInterrupted(): Disposable & { readonly signal: AbortSignal } {
  const controller = new AbortController()
  const interrupt = (signal: NodeJS.Signals) => controller.abort(new Interrupted(signal))
  for (const signal of STOPPING) process.on(signal, interrupt)
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => {
      for (const signal of STOPPING) process.off(signal, interrupt)
    },
  }
}

/** The grant may be over by then for its own reasons, which were told when they came. */
async function finish(io: Io, client: Client, grantId: string): Promise<void> {
  try {
    await client.call(finishGrant, { params: { grant: grantId } })
  } catch (error) {
    if (error instanceof ApiProblem && error.slug === 'grant-over') return
    const why = error instanceof Failure ? error.message : String(error)
    tell(io, `reeve: the grant could not be ended now and ends by itself within 15 s: ${why}`)
  }
}

async function endpointOf(io: Io, client: Client, terms: RunTerms): Promise<Endpoint> {
  const { gateways } = Installation.parse(await client.document(INSTALLATION_PATH))
  const gateway = gateways.find(({ protocol }) => protocol === 'postgres')
  if (!gateway) {
    throw new Failure(EXIT.server, 'This server has no PostgreSQL gateway.', ['Ask its operator which node has one.'])
  }
  return {
    host: gateway.host ?? client.connection.address.hostname.replaceAll(/^\[|\]$/g, ''),
    port: gateway.port,
    database: terms.database ?? (io.env['PGDATABASE'] || (await onlyDatabase(client, terms))),
  }
}

/** The first database of the account, where the caller may see the catalog; otherwise the command's own words decide. */
async function onlyDatabase(client: Client, { target, account }: RunTerms): Promise<string | undefined> {
  try {
    const page = await client.ask(listAccounts, { params: { target }, query: { limit: 200 } })
    return page.items.find(({ name }) => name === account)?.databases[0]
  } catch (error) {
    if (error instanceof ApiProblem && error.status < 500) return undefined
    throw error
  }
}
