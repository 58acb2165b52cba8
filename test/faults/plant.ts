import { chmodSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import pg from 'pg'
import { stringify } from 'yaml'
import { approvePurpose, proposePurpose, registerAccount, registerTarget } from '../../src/catalog/contract.ts'
import { openClient, type Client } from '../../src/cli/client.ts'
import { enrolIdentity, redeemEnrolment, registerIdentity } from '../../src/identities/contract.ts'
import { newKeyPair } from '../../src/kernel/key-pair.ts'
import { clientConfig, openDatabase, type Connection, type Db } from '../../src/kernel/db.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { DATABASE, OWNER, readPasswords } from '../../src/kernel/postgres/data-folder.ts'
import { findPostmaster, stopPostmaster } from '../../src/kernel/postgres/postmaster.ts'
import { SOCKET_PORT } from '../../src/kernel/postgres/socket-folder.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { listKeys } from '../../src/ledger/contract.ts'
import { startCluster, type Cluster } from '../support/cluster.ts'
import { quickFolder } from '../support/quick-folder.ts'
import { startNode, type FaultNode } from './node.ts'

export const PEOPLE = ['ada', 'bob', 'carol', 'erin'] as const
export type Person = (typeof PEOPLE)[number]

const TEAMS = {
  administrators: { members: ['ada'] },
  security: { members: ['erin'] },
  shop: { members: ['bob', 'carol'] },
}
const PROVISIONER = { user: 'provisioner', password: 'provisioner-of-the-faults' }

/** An installation that outlives its nodes: its home, its people, and a target. */
export type Plant = {
  readonly home: string
  readonly cluster: Cluster
  /** The verifier key of the log, as somebody kept it at the beginning. */
  readonly key: string
  /** Starts another node on the same home. */
  start(): Promise<FaultNode>
  killAll(): Promise<void>
  /** Somebody's client of one node; it retries nothing. */
  as(who: Person, node: FaultNode): Client
  /** The target itself, past Reeve. */
  atTarget<Row extends pg.QueryResultRow>(sql: string): Promise<Row[]>
  /** Reeve's database, as the owner of its schema sees it: only to look. */
  database(): Connection
  /** Everything that is looked at stands as of one moment, whatever a living node does meanwhile. */
  look<T>(read: (db: Db) => Promise<T>): Promise<T>
}

/** Founds one: everybody is enrolled, the target registered, its purpose approved. `first` still runs. */
export async function found(
  t: Pick<TestContext, 'after'>,
  folder = quickFolder('reeve-faults-'),
  more: Readonly<Record<string, unknown>> = {},
): Promise<{ plant: Plant; first: FaultNode }> {
  chmodSync(folder, 0o711)
  const home = join(folder, 'home')
  const running = new Set<FaultNode>()
  const file = join(folder, 'reeve.yaml')
  writeFileSync(file, stringify({ ...CONFIG(home), ...more }))
  const cluster = await startCluster()
  const killAll = async () => {
    for (const node of running) await node.kill('SIGKILL')
  }
  t.after(async () => {
    await killAll()
    await stopPostmaster(dataFolder(home))
    await cluster[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  })
  const start = async () => {
    const node = await startNode(folder, file)
    running.add(node)
    void node.died.then(() => running.delete(node))
    return node
  }
  const atTarget: Plant['atTarget'] = async (sql) => rowsOf({ ...cluster.connection() }, sql)
  await atTarget(TARGET)
  const first = await start()
  const proofs = await enrolAll(first)
  const as: Plant['as'] = (who, node) => clientOf(node, proofs.get(who))
  await register(as, first, cluster)
  const key = (await as('erin', first).ask(listKeys)).items[0]?.key ?? ''
  const database = () => databaseOf(home)
  const look: Plant['look'] = async (read) => {
    await using opened = openDatabase(database(), { max: 2, log: silentLog })
    const moment = opened.db.transaction().setIsolationLevel('repeatable read').setAccessMode('read only')
    return await moment.execute(read)
  }
  return { plant: { home, cluster, key, start, killAll, as, atTarget, database, look }, first }
}

const CONFIG = (home: string) => ({
  home,
  teams: TEAMS,
  api: { port: 0 },
  gateways: { postgres: { port: 0 } },
  limits: { requestsPerSecond: 10_000, requestBurst: 10_000 },
})

const TARGET = `
  create role reader nologin; create role writer nologin;
  create role ${PROVISIONER.user} login createrole password '${PROVISIONER.password}';
  grant reader, writer to ${PROVISIONER.user} with admin option;
  grant pg_signal_backend to ${PROVISIONER.user} with admin option;
  create table orders (id text primary key);
  grant select on orders to reader, writer; grant insert, delete on orders to writer`

export function dataFolder(home: string): string {
  return join(home, 'postgres', 'cluster', 'data')
}

function databaseOf(home: string): Connection {
  const { owner } = readPasswords(join(home, 'postgres'))
  const host = findPostmaster(dataFolder(home))?.socketFolder ?? ''
  return { host, port: SOCKET_PORT, user: OWNER, password: owner, database: DATABASE }
}

async function rowsOf<Row extends pg.QueryResultRow>(connection: Connection, sql: string): Promise<Row[]> {
  const client = new pg.Client(clientConfig(connection))
  await client.connect()
  try {
    return (await client.query<Row>(sql)).rows
  } finally {
    await client.end()
  }
}

/** A token and the key that it is bound to. */
type Proof = Pick<Client['connection'], 'token' | 'client'>

function clientOf(node: FaultNode, proof: Proof = { token: undefined, client: undefined }): Client {
  const address = new URL(node.url)
  return openClient({ address, authority: node.authority, ...proof, context: undefined }, [])
}

async function enrolAll(node: FaultNode): Promise<Map<Person, Proof>> {
  const proofs = new Map<Person, Proof>()
  const redeem = async (who: Person, secret: string, name?: string) => {
    using anybody = clientOf(node)
    const pair = await newKeyPair()
    const input = { secret, name, publicKey: pair.publicKey }
    const { token, certificate } = await anybody.ask(redeemEnrolment, { input })
    const client = certificate ? { certificate, key: pair.privateKey } : undefined
    proofs.set(who, { token: new Secret(token), client })
  }
  await redeem('ada', /#enrol=([^&]+)/.exec(node.founderLink ?? '')?.[1] ?? '', 'ada')
  using ada = clientOf(node, proofs.get('ada'))
  for (const name of PEOPLE.slice(1)) {
    await ada.ask(registerIdentity, { input: { kind: 'human', name, profile: 'person' } })
    const { secret } = await ada.ask(enrolIdentity, { params: { identity: name }, input: {} })
    await redeem(name, secret)
  }
  return proofs
}

async function register(as: Plant['as'], node: FaultNode, { host, port }: Cluster): Promise<void> {
  using ada = as('ada', node)
  using bob = as('bob', node)
  using carol = as('carol', node)
  const settings = { host, port, database: 'postgres', tls: { mode: 'disable' } }
  const target = { protocol: 'postgres', environment: 'production', ownerTeam: 'shop', settings } as const
  for (const name of ['orders', 'elsewhere']) {
    await ada.ask(registerTarget, { input: { ...target, name, provisioner: PROVISIONER } })
    for (const [account, tier] of [
      ['app', 2],
      ['dba', 0],
    ] as const) {
      const roles = { 'postgres.read': 'reader', 'postgres.write': 'writer' }
      const input = { name: account, mode: 'lease', tier, databases: ['postgres'], roles } as const
      await bob.ask(registerAccount, { params: { target: name }, input })
    }
  }
  const actions = ['postgres.read', 'postgres.write']
  const expiresAt = new Date(Date.now() + 86_400_000).toISOString()
  const purpose = { name: 'support', statement: 'Helps customers.', ownerTeam: 'shop', actions, expiresAt }
  await bob.ask(proposePurpose, { input: { ...purpose, targets: ['orders', 'elsewhere'] } })
  await carol.ask(approvePurpose, { params: { purpose: 'support' } })
}
