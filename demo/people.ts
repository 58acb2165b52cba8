import { openClient, type Client } from '../src/cli/client.ts'
import type { Connection } from '../src/cli/connection.ts'
import {
  attestOwner,
  enrolIdentity,
  redeemEnrolment,
  registerIdentity,
  type RegisterIdentity,
} from '../src/identities/contract.ts'
import { newKeyPair } from '../src/kernel/key-pair.ts'
import { Secret } from '../src/kernel/secret.ts'
import type { RunningServer } from '../src/server.ts'
import type { z } from 'zod'

/** Everybody in the story, each with a client that proves who they are. */
export type Cast = {
  /** Founder and administrator. */
  readonly ada: Client
  /** The team that owns the shop. */
  readonly bob: Client
  readonly carol: Client
  readonly erin: Client
  /** The pipeline that migrates the shop's schema; its token works with its own key only. */
  readonly pipeline: Client
}

export const TEAMS = {
  administrators: { members: ['ada'] },
  security: { members: ['erin'] },
  auditors: { members: ['erin'] },
  shop: { members: ['bob', 'carol'] },
}

/** The founder, by the link that the first start prints. */
export function enrolFounder(server: RunningServer): Promise<Client> {
  const secret = /#enrol=([^&]+)/.exec(server.founderLink ?? '')?.[1] ?? ''
  return redeem(server, secret, { name: 'ada' })
}

/** Enrols them as they would themselves: by one-time links. */
export async function enrolCast(server: RunningServer): Promise<Cast> {
  const ada = await enrolFounder(server)
  const person = (name: string) => ({ kind: 'human', name, profile: 'person' }) as const
  const bob = await enrol(server, ada, person('bob'))
  const carol = await enrol(server, ada, person('carol'))
  const erin = await enrol(server, ada, person('erin'))
  await ada.ask(registerIdentity, { input: PIPELINE })
  await bob.ask(attestOwner, { params: { identity: PIPELINE.name } })
  const link = await ada.ask(enrolIdentity, { params: { identity: PIPELINE.name }, input: {} })
  const pipeline = await redeem(server, link.secret, {}, true)
  return { ada, bob, carol, erin, pipeline }
}

const PIPELINE = {
  kind: 'workload',
  name: 'shop-migrations',
  profile: 'pipeline',
  purpose: 'Changes the schema of the shop when a release needs it.',
  businessService: 'shop',
  ownerTeam: 'shop',
  owner: 'bob',
} as const

/** Registers somebody, and has them use their link. */
export async function enrol(
  server: RunningServer,
  by: Client,
  identity: z.input<typeof RegisterIdentity>,
): Promise<Client> {
  await by.ask(registerIdentity, { input: identity })
  const link = await by.ask(enrolIdentity, { params: { identity: identity.name }, input: {} })
  return redeem(server, link.secret)
}

/** Turns a link's secret into a client; `isBound` ties its token to a key of its own. */
export async function redeem(
  server: RunningServer,
  secret: string,
  more: { name?: string } = {},
  isBound = false,
): Promise<Client> {
  const bare = nobody(server)
  const pair = isBound ? await newKeyPair() : undefined
  using anybody = openClient(bare)
  const issued = await anybody.ask(redeemEnrolment, { input: { secret, ...more, publicKey: pair?.publicKey } })
  const client = pair && issued.certificate ? { certificate: issued.certificate, key: pair.privateKey } : undefined
  return openClient({ ...bare, token: new Secret(issued.token), client })
}

/** How the server is reached by whoever proves nothing yet. */
export function nobody(server: RunningServer): Connection {
  return {
    address: new URL(server.api.url),
    authority: server.authority.certificate,
    token: undefined,
    client: undefined,
    context: undefined,
  }
}
