import { issueTicket } from '../../access/contract.ts'
import { Installation, INSTALLATION_PATH } from '../../kernel/installation.ts'
import type { Client } from '../client.ts'
import { EXIT, Failure } from '../failure.ts'
import type { Io } from '../io.ts'
import { grantOf, type HookTerms } from './grant.ts'

/** Prints a line for `.pgpass`: a ticket of the grant, which is good from the address of its first use, and has to be used within minutes. */
export async function printPgpass(io: Io, client: Client, terms: HookTerms): Promise<void> {
  const { host, port } = await gatewayOf(client)
  const grant = await grantOf(io, client, terms)
  const { ticket, user } = await client.ask(issueTicket, { params: { grant }, input: {} })
  // PostgreSQL manual §34.16: a colon and a backslash in a value have one in front of them.
  const fields = [host, String(port), '*', user, ticket].map((field) => field.replaceAll(/[\\:]/g, String.raw`\$&`))
  io.stdout.write(`${fields.join(':')}\n`)
}

type Service = { readonly name: string; readonly database: string | undefined; readonly caFile: string | undefined }

/** Prints a section for a service file (PostgreSQL manual §34.17). Nothing in it is secret. */
export async function printService(
  io: Io,
  client: Client,
  on: Pick<HookTerms, 'target' | 'account'>,
  service: Service,
) {
  const { host, port } = await gatewayOf(client)
  const { name, database, caFile } = service
  const lines = [
    `[${name}]`,
    `host=${host}`,
    `port=${port}`,
    `user=${on.account}@${on.target}`,
    ...(database === undefined ? [] : [`dbname=${database}`]),
    'sslmode=verify-full',
    ...(caFile === undefined ? [] : [`sslrootcert=${caFile}`]),
  ]
  if (lines.some((line) => /[\n\r]/.test(line))) throw new Failure(EXIT.usage, 'A value has a line break.')
  io.stdout.write(`${lines.join('\n')}\n`)
}

async function gatewayOf(client: Client): Promise<{ host: string; port: number }> {
  const { gateways } = Installation.parse(await client.document(INSTALLATION_PATH))
  const gateway = gateways.find(({ protocol }) => protocol === 'postgres')
  if (!gateway) throw new Failure(EXIT.server, 'This server has no PostgreSQL gateway.')
  return {
    host: gateway.host ?? client.connection.address.hostname.replaceAll(/^\[|\]$/g, ''),
    port: gateway.port,
  }
}
