import pg from 'pg'
import type { Address, Testbed, TestClient } from '../../src/gateways/conformance.ts'
import { postgresGateway } from '../../src/gateways/postgres/gateway.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { startCluster } from './cluster.ts'
import { poolless } from './gateway.ts'

/** A real PostgreSQL and the `pg` driver. */
export async function postgresTestbed(certificate: string, binFolder?: string): Promise<Testbed> {
  const cluster = await startCluster({ ...(binFolder !== undefined && { binFolder }) })
  const login = { account: 'app', password: new Secret('a-password-of-the-target-8c1e') }
  const admin = new pg.Client(poolless(cluster))
  await admin.connect()
  await admin.query(`create role ${login.account} login password '${login.password.reveal()}'`)
  await admin.end()
  return {
    gateway: postgresGateway(),
    settings: {
      host: cluster.host,
      port: cluster.port,
      database: 'postgres',
      tls: { mode: 'disable' },
      scramIterations: 4096,
      session: { holdSeconds: 300, idleSeconds: 3600, rowsPerStatement: 1e9, bytesPerSession: 1e12 },
    },
    login,
    actions: { covered: 'postgres.read', uncovered: 'postgres.superuser' },
    client: (at) => clientOf(at, certificate),
    [Symbol.asyncDispose]: () => cluster[Symbol.asyncDispose](),
  }
}

async function clientOf({ port, target, account, ticket }: Address, ca: string): Promise<TestClient> {
  const client = new pg.Client({
    host: '127.0.0.1',
    port,
    user: `${account}@${target}`,
    password: ticket.reveal(),
    database: 'postgres',
    ssl: { ca, servername: 'localhost' },
  })
  const words: string[] = []
  const over = Promise.withResolvers<string>()
  client.on('error', (error) => words.push(error.message))
  client.on('end', () => over.resolve(words.join('\n')))
  await client.connect()
  return {
    async act(value) {
      const { rows } = await client.query('select $1::text as value', [value])
      return String(rows[0]?.value)
    },
    overstep: () =>
      client.query('checkpoint').then(
        () => 'it was done',
        (error: Error) => error.message,
      ),
    wait() {
      client.query('select pg_sleep(3600)').catch((error: Error) => words.push(error.message))
    },
    stall() {
      const { connection } = client as unknown as { connection: { stream: { pause(): void } } }
      client.query(`select repeat('x', 1000000) from generate_series(1, 10000)`).catch(() => undefined)
      connection.stream.pause()
    },
    over: over.promise,
    async [Symbol.asyncDispose]() {
      await client.end().catch(() => undefined)
    },
  }
}
