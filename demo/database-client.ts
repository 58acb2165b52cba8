import pg from 'pg'
import { issueKey, issueTicket } from '../src/access/contract.ts'
import type { Client } from '../src/cli/client.ts'
import { newKeyPair } from '../src/kernel/key-pair.ts'
import type { RunningServer } from '../src/server.ts'

/** A database connection through the gateway, as any client would make it. */
export type Door = { readonly host: string; readonly port: number; readonly ca: string }

export function doorOf(server: RunningServer): Door {
  const port = server.gateways.find((gateway) => gateway.protocol === 'postgres')?.port ?? 0
  return { host: '127.0.0.1', port, ca: server.authority.certificate }
}

/** Connects with a ticket as password. */
export async function withTicket(client: Client, door: Door, grantId: string): Promise<pg.Client> {
  const { user, ticket } = await client.ask(issueTicket, { params: { grant: grantId }, input: {} })
  return connected(door, { user, password: ticket })
}

/** Connects with a certificate made for a key that never left this process. */
export async function withKey(client: Client, door: Door, grantId: string): Promise<pg.Client> {
  const pair = await newKeyPair()
  const { user, certificate } = await client.ask(issueKey, {
    params: { grant: grantId },
    input: { publicKey: pair.publicKey },
  })
  return connected(door, { user, cert: certificate, key: pair.privateKey.reveal() })
}

async function connected(
  { host, port, ca }: Door,
  proof: { user: string; password?: string; cert?: string; key?: string },
): Promise<pg.Client> {
  const { user, password, cert, key } = proof
  const client = new pg.Client({
    host,
    port,
    user,
    ...(password !== undefined && { password }),
    database: 'shop',
    ssl: { ca, ...(cert !== undefined && { cert, key }) },
  })
  // The end of a grant closes the connection; whoever waits for a query hears of it there.
  client.on('error', () => undefined)
  await client.connect()
  return client
}
