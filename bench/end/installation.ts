import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { approvePurpose, proposePurpose, registerAccount, registerTarget } from '../../src/catalog/contract.ts'
import { openClient, type Client } from '../../src/cli/client.ts'
import type { Connection } from '../../src/cli/connection.ts'
import { enrolIdentity, redeemEnrolment, registerIdentity } from '../../src/identities/contract.ts'
import { requestAccess } from '../../src/access/contract.ts'
import { endGrant, issueTicket, type EndedGrant } from '../../src/access/access.ts'
import { loadConfig, type Config } from '../../src/kernel/config.ts'
import { transact } from '../../src/kernel/db.ts'
import { openLog } from '../../src/kernel/log.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { startServer, type RunningServer } from '../../src/server.ts'
import { permitFor } from '../../test/support/permit.ts'
import type { Opening } from './crowd.ts'

const TEAMS = { administrators: { members: ['ada'] }, shop: { members: ['ada', 'bob'] } }
const DAY_MS = 86_400_000

/** A whole node of Reeve with its own PostgreSQL, and one person who may be granted a staging account. */
export type Installation = AsyncDisposable & {
  readonly server: RunningServer
  readonly port: number
  readonly ca: string
  /** A new grant with its ticket, as the opening of so many connections. */
  grant(label: string, connections: number): Promise<Opening & { readonly grantId: string }>
  /** Ends a grant as every end does, and says when its commit had returned; then this node is told, as the API's route tells it. */
  end(grantId: string): Promise<bigint>
}

/** The configuration of a node in `folder`; with a database's URL, of a further one on that database. */
export function configOf(folder: string, databaseUrl?: string): Config {
  const file = join(folder, 'reeve.yaml')
  // YAML reads JSON.
  writeFileSync(file, JSON.stringify({ teams: TEAMS }))
  const env = databaseUrl === undefined ? {} : { REEVE_DATABASE_URL: databaseUrl }
  return loadConfig({ env, workingFolder: folder, file, flags: { home: join(folder, 'home'), ...FLAGS } })
}

// The measurement asks for a thousand grants in a few seconds, as one caller.
const FLAGS = {
  'api.port': '0',
  'gateways.postgres.port': '0',
  'limits.requestsPerSecond': '100000',
  'limits.requestBurst': '100000',
}

/** Starts it and registers the stub as a target. The account is a static one: what is measured is the cut, not making roles. */
export async function startInstallation(folder: string, stubPort: number): Promise<Installation> {
  const server = await startServer(configOf(folder), openLog('error'))
  try {
    const ada = await redeem(server, /#enrol=([^&]+)/.exec(server.founderLink ?? '')?.[1] ?? '', { name: 'ada' })
    await ada.ask(registerIdentity, { input: { kind: 'human', name: 'bob', profile: 'person' } })
    const { secret } = await ada.ask(enrolIdentity, { params: { identity: 'bob' }, input: {} })
    const bob = await redeem(server, secret)
    await registerStub(ada, bob, stubPort)
    return {
      server,
      port: server.gateways[0]?.port ?? 0,
      ca: server.authority.certificate,
      grant: (label, connections) => grant(server, bob, label, connections),
      end: (grantId) => end(server, grantId),
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    }
  } catch (error) {
    await server[Symbol.asyncDispose]()
    throw error
  }
}

async function registerStub(ada: Client, bob: Client, port: number): Promise<void> {
  const settings = { host: '127.0.0.1', port, tls: { mode: 'disable' } }
  await ada.ask(registerTarget, {
    input: { name: 'stub', protocol: 'postgres', environment: 'staging', ownerTeam: 'shop', settings },
  })
  await ada.ask(registerAccount, {
    params: { target: 'stub' },
    input: { name: 'app', mode: 'static', password: 'not asked for' },
  })
  const expiresAt = new Date(Date.now() + DAY_MS).toISOString()
  const about = {
    statement: 'Is measured.',
    ownerTeam: 'shop',
    targets: ['stub'],
    actions: ['postgres.read'],
    expiresAt,
  }
  await bob.ask(proposePurpose, { input: { name: 'measuring', ...about } })
  await ada.ask(approvePurpose, { params: { purpose: 'measuring' } })
}

async function grant(server: RunningServer, bob: Client, label: string, count: number) {
  const asked = { target: 'stub', account: 'app', actions: ['postgres.read'], purpose: 'measuring' }
  const request = await bob.ask(requestAccess, { input: { ...asked, ttlSeconds: 3600, connections: count } })
  const { grantId, subjectId } = request
  if (grantId === null) throw new Error(`no grant: ${request.state}`)
  // By the command itself: the API gives one caller a ticket every two seconds.
  const { access } = server.domains
  const permit = permitFor('ticket.issue', { type: 'Person', id: subjectId }, { type: 'Grant', id: grantId })
  const { user, ticket } = await transact(server.ground.db, (tx) =>
    issueTicket(tx, access, permit, { proof: 'token', isSingleUse: false }),
  )
  return { label, user, ticket: ticket.reveal(), count, grantId }
}

async function end({ ground, domains }: RunningServer, grantId: string): Promise<bigint> {
  const ended: EndedGrant | undefined = await transact(ground.db, (tx) =>
    endGrant(tx, domains.access, { grantId, reason: 'revoked' }),
  )
  const committedNs = process.hrtime.bigint()
  if (!ended) throw new Error('the grant was over')
  domains.ends.announceEnd(ended)
  return committedNs
}

async function redeem(server: RunningServer, secret: string, more: { name?: string } = {}): Promise<Client> {
  const bare: Connection = {
    address: new URL(server.api.url),
    authority: server.authority.certificate,
    token: undefined,
    client: undefined,
    context: undefined,
  }
  using anybody = openClient(bare)
  const issued = await anybody.ask(redeemEnrolment, { input: { secret, ...more } })
  return openClient({ ...bare, token: new Secret(issued.token) })
}
