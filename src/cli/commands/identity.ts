import type { Command } from 'commander'
import { hostname, userInfo } from 'node:os'
import { type IssuedToken, redeemEnrolment, revokeToken, whoami } from '../../identities/contract.ts'
import { newKeyPair } from '../../kernel/key-pair.ts'
import { Secret } from '../../kernel/secret.ts'
import { endLoginSession, listLoginSessions } from '../../login/contract.ts'
import { clientFor, formatOf } from '../calling.ts'
import { openClient, type Client } from '../client.ts'
import { addressOf, connectionOf, type Connection } from '../connection.ts'
import { changeContexts, keepContext, readContexts, type Context } from '../contexts.ts'
import { logInByDevice } from '../device-login.ts'
import { EXIT, Failure, usage } from '../failure.ts'
import { tell, type Io } from '../io.ts'
import { fetchAuthority, parseLink } from '../link.ts'
import { withCommonOptions } from '../operation-command.ts'
import { ApiProblem } from '../problems.ts'
import { render } from '../output/render.ts'
import { textOf } from '../values.ts'

/** Who one is to a server: enrolling, proving, forgetting. */
export function addIdentityCommands(program: Command, io: Io): void {
  program
    .command('enrol')
    .description('Turns a one-time link into a proof of who you are, and keeps it.')
    .argument('<link>', 'the link, quoted; - reads it from standard input')
    .option('--name <name>', 'of the founder: the name to be known by')
    .option('--display-name <text>', 'of the founder: as people write it')
    .option(
      '--key',
      'makes a key that stays on this machine and binds the token to it: a copied token is worth nothing',
    )
    .option('--label <text>', 'what the token is for', `${userInfo().username} on ${hostname()}`.slice(0, 100))
    .option('--context <name>', 'the name under which this server and identity are kept')
    .action((link: string, options: EnrolOptions) => enrol(io, link, options))
  program
    .command('login')
    .description('Logs in by a browser, which may be elsewhere: shows an address and a code, and waits.')
    .option('--token-file <file>', 'keeps a token that was issued elsewhere instead; - for standard input')
    .option('--address <url>', 'the server, https://host:7300; REEVE_ADDR or the context in use otherwise')
    .option('--cacert <file>', 'PEM of the CA that the server’s certificate comes from')
    .option('--ca <sha256>', 'the same by its pin, as it stands in links of this server')
    .option('--context <name>', 'the name under which this server and identity are kept')
    .action((options: LoginOptions) => login(io, options))
  program
    .command('logout')
    .description('Ends the login or the token in use, and forgets it.')
    .option('--everywhere', 'ends every login of yours')
    .option('--context <name>', 'which one; the one in use otherwise')
    .action((options: LogoutOptions) => logout(io, options))
  withCommonOptions(program.command('whoami').description('Says as which identity the caller is known.')).action(
    async (options: { output?: string; context?: string }) => {
      using client = clientFor(io, options)
      await render(io.stdout, formatOf(io, options.output), whoami.output, await client.call(whoami))
    },
  )
}

type EnrolOptions = { name?: string; displayName?: string; key?: boolean; label: string; context?: string }
type LoginOptions = { tokenFile?: string; address?: string; cacert?: string; ca?: string; context?: string }
type LogoutOptions = { everywhere?: boolean; context?: string }

async function enrol(io: Io, text: string, options: EnrolOptions): Promise<void> {
  const link = parseLink(text === '-' ? await io.readStdin() : text)
  const { address, secret, pin } = link
  // Before the link is used up: the proof it gives must have a place to be kept.
  await changeContexts(io, (before) => before)
  if (options.key && address.protocol !== 'https:') throw usage('A key binds a token to TLS, and this link has none.')
  const authority = pin === undefined || address.protocol === 'http:' ? undefined : await fetchAuthority(address, pin)
  const pair = options.key ? await newKeyPair() : undefined
  const bare: Connection = { address, authority, token: undefined, client: undefined, context: undefined }
  const input = {
    secret,
    label: options.label,
    ...(options.name !== undefined && { name: options.name }),
    ...(options.displayName !== undefined && { displayName: options.displayName }),
    ...(pair && { publicKey: pair.publicKey }),
  }
  using client = openClient(bare)
  const issued = await client.ask(redeemEnrolment, { input })
  const certificate = certificateOf(issued)
  if (pair && certificate === undefined) {
    throw new Failure(EXIT.server, 'The server gave a token but did not bind it to the key, so it was not kept.', [
      'Enrol again with a new link, without --key.',
    ])
  }
  await keep(io, options.context, {
    address: address.origin,
    ...(authority !== undefined && { authority }),
    token: issued.token,
    tokenId: issued.id,
    expiresAt: issued.expiresAt.toISOString(),
    ...(pair && { key: pair.privateKey.reveal(), certificate }),
  })
}

function certificateOf(issued: IssuedToken): string | undefined {
  return 'certificate' in issued && typeof issued.certificate === 'string' ? issued.certificate : undefined
}

async function login(io: Io, options: LoginOptions): Promise<void> {
  if (options.tokenFile !== undefined) return keepToken(io, { ...options, tokenFile: options.tokenFile })
  const base = options.address === undefined ? connectionOf(io, options.context) : undefined
  const address = base?.address ?? addressOf(options.address)
  // Before a person types a code: the proof it gives must have a place to be kept.
  await changeContexts(io, (before) => before)
  const authority =
    options.cacert === undefined
      ? options.ca === undefined
        ? base?.authority
        : await fetchAuthority(address, options.ca.toLowerCase())
      : await textOf(io, options.cacert)
  await keep(io, options.context, await logInByDevice(io, { address, authority }))
}

async function keepToken(io: Io, options: LoginOptions & { readonly tokenFile: string }): Promise<void> {
  const token = (await textOf(io, options.tokenFile)).trim()
  if (!/^[A-Za-z0-9._~+/-]{1,4096}=*$/.test(token)) throw usage('The file holds no token.')
  const base = options.address === undefined ? connectionOf(io, options.context) : undefined
  const authority = options.cacert === undefined ? base?.authority : await textOf(io, options.cacert)
  await keep(io, options.context, {
    address: (base?.address ?? addressOf(options.address)).origin,
    ...(authority !== undefined && { authority }),
    token,
  })
}

/** Keeps a context once the server has said whose it is. */
async function keep(io: Io, name: string | undefined, context: Context): Promise<void> {
  const { key, certificate } = context
  const connection: Connection = {
    address: addressOf(context.address),
    authority: context.authority,
    token: new Secret(context.token ?? ''),
    client: key !== undefined && certificate !== undefined ? { certificate, key: new Secret(key) } : undefined,
    context: undefined,
  }
  using client = openClient(connection)
  // Kept first under the address: a link is used up by now, and the next call may fail.
  const { host } = connection.address
  await keepContext(io, name ?? host, context)
  const me = await client.ask(whoami)
  const chosen = name ?? `${me.name}@${host}`
  if (chosen !== host) {
    await changeContexts(io, ({ contexts }) => {
      // The one under the address, unless another enrolment at the same server has put its own there meanwhile.
      const others = Object.entries(contexts).filter(
        ([other, { token }]) => name !== undefined || other !== host || token !== context.token,
      )
      return {
        current: chosen,
        contexts: { ...Object.fromEntries(others), [chosen]: { ...context, identity: me.name } },
      }
    })
  }
  tell(io, `You are ${me.name} (${me.kind}) at ${context.address}; kept as ${chosen}.`)
}

async function logout(io: Io, options: LogoutOptions): Promise<void> {
  const { contexts, current } = readContexts(io)
  const name = options.context ?? current
  const context = name === undefined ? undefined : contexts[name]
  if (name === undefined || !context)
    throw usage('There is nothing to log out of.', 'List contexts with: reeve context list')
  const isEnded = await ended(connectionOf({ ...io, env: withoutProofs(io.env) }, name), context, options)
  await changeContexts(io, (before) => {
    const { [name]: _gone, ...others } = before.contexts
    const isInUse = before.current === undefined || before.current === name
    return { contexts: others, ...(!isInUse && { current: before.current }) }
  })
  const what = context.loginSession === undefined ? 'token was revoked' : 'login ended'
  tell(io, isEnded ? `The ${what} and ${name} forgotten.` : `${name} is forgotten here.`)
  if (!isEnded) tell(io, `Its token could not be revoked and lives until ${context.expiresAt ?? 'it expires'}.`)
}

/** Ends the proof of a context at its server; false where that could not be done. */
async function ended(connection: Connection, context: Context, { everywhere }: LogoutOptions): Promise<boolean> {
  const { loginSession: own, tokenId } = context
  if (own === undefined && tokenId === undefined && !everywhere) return false
  try {
    using client = openClient(connection)
    if (everywhere) await endOthers(client, own)
    if (own !== undefined) await client.call(endLoginSession, { params: { session: own }, input: {} })
    else if (tokenId !== undefined) await client.call(revokeToken, { params: { token: tokenId } })
    return own !== undefined || tokenId !== undefined
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return false
  }
}

/** Every open login of the caller but the one in use, which comes last. */
async function endOthers(client: Client, own: string | undefined): Promise<void> {
  const me = await client.ask(whoami)
  let cursor: string | undefined
  do {
    const query = { limit: 200, ...(cursor !== undefined && { cursor }) }
    const page = await client.ask(listLoginSessions, { params: { identity: me.id }, query })
    for (const { id, endedAt } of page.items) {
      if (id === own || endedAt !== null) continue
      await client.call(endLoginSession, { params: { session: id }, input: {} }).catch((error: unknown) => {
        // It ended by itself meanwhile, which is as good.
        if (!(error instanceof ApiProblem) || error.slug !== 'conflict') throw error
      })
    }
    cursor = page.nextCursor ?? undefined
  } while (cursor !== undefined)
}

/** What would go over the context that is meant. */
function withoutProofs(env: Io['env']): Io['env'] {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => !/^REEVE_(?:ADDR|TOKEN|CACERT|CLIENT|CONTEXT$)/.test(name)),
  )
}
