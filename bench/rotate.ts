/**
 * Rotations of one login, one after another, while consumers read through the gateway all the time: some connect anew for each read, one stays.
 * Beside it the floor: the bare statements that a rotation needs at the target. One machine, one process, so the figures are of the order.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { postgresLoginRotator } from '../src/credentials/postgres/rotate.ts'
import type { RotationNeeds } from '../src/credentials/rotation/needs.ts'
import { startRotation } from '../src/credentials/rotation/start.ts'
import { settleRotations } from '../src/credentials/rotation/worker.ts'
import { postgresGateway } from '../src/gateways/postgres/gateway.ts'
import { openAuthority } from '../src/kernel/ca.ts'
import { systemClock } from '../src/kernel/clock.ts'
import { transact, type Db } from '../src/kernel/db.ts'
import { systemRandom } from '../src/kernel/random.ts'
import { startCluster, type Cluster } from '../test/support/cluster.ts'
import { permitFor } from '../test/support/permit.ts'
import { planeWorld } from '../test/support/plane-world.ts'
import { globalSetup, globalTeardown } from '../test/support/setup.ts'

const LOGIN = { account: 'app', password: 'bench-password' }
const never = new AbortController().signal

type Reads = { done: number; readonly failed: string[] }

export async function run(flags: string[]): Promise<void> {
  const { values } = parseArgs({
    args: flags,
    options: {
      rotations: { type: 'string', default: '100' },
      consumers: { type: 'string', default: '4' },
      quick: { type: 'boolean', default: false },
    },
  })
  await globalSetup()
  try {
    await measure(values.quick ? 10 : Number(values.rotations), Number(values.consumers))
  } finally {
    await globalTeardown()
  }
}

async function measure(rotations: number, consumers: number): Promise<void> {
  await using stack = new AsyncDisposableStack()
  const { cluster, needs, db, start, url } = await open(stack)
  const floor = await floorOf(cluster, Math.min(rotations, 50))
  const stop = new AbortController()
  const reads: Reads = { done: 0, failed: [] }
  const reading = [
    stay(url, reads, stop.signal),
    ...Array.from({ length: consumers }, () => come(url, reads, stop.signal)),
  ]
  const took: number[] = []
  const began = performance.now()
  for (let at = 0; at < rotations; at += 1) {
    const from = performance.now()
    await start()
    await settleRotations(db, needs, never)
    took.push(performance.now() - from)
  }
  const seconds = (performance.now() - began) / 1000
  stop.abort()
  await Promise.all(reading)
  const { dead } = await db
    .selectFrom('rotation')
    .select((row) => row.fn.countAll<number>().as('dead'))
    .where('state', '=', 'dead')
    .executeTakeFirstOrThrow()
  report({ rotations, dead, consumers, seconds, took, reads, floor })
}

type Opened = {
  readonly cluster: Cluster
  readonly db: Db
  readonly needs: RotationNeeds
  readonly start: () => Promise<unknown>
  readonly url: pg.ClientConfig
}

async function open(stack: AsyncDisposableStack): Promise<Opened> {
  const t = {
    after: (close: () => unknown) => {
      stack.defer(async () => {
        await close()
      })
    },
  }
  const folder = await mkdtemp(join(tmpdir(), 'reeve-bench-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const cluster = stack.use(await startCluster({ settings: { max_connections: '200' } }))
  const admin = new pg.Client({ ...cluster.connection(), password: cluster.password.reveal() })
  await admin.connect()
  await admin.query(`create role ${LOGIN.account} login password '${LOGIN.password}'`)
  await admin.end()
  const authority = await openAuthority(join(folder, 'ca'), { clock: systemClock, random: systemRandom })
  const server = await authority.issueServer(['localhost', '127.0.0.1'])
  const gateway = postgresGateway({ allowsPlaintext: true })
  const world = await planeWorld(t, {
    protocol: gateway.protocol,
    actions: gateway.actions,
    tls: () => ({ key: server.key, cert: server.cert, clientCa: authority.certificate }),
  })
  const settings = { host: '127.0.0.1', port: cluster.port, database: 'postgres', tls: { mode: 'disable' } }
  const grant = await world.grant({ actions: ['postgres.read'], maxConnections: 1_000, settings, login: LOGIN })
  const listening = await gateway.open(world.plane, { host: '127.0.0.1', port: 0 })
  t.after(async () => listening[Symbol.asyncDispose]())
  const needs = { ...world.needs.credentials, rotators: [postgresLoginRotator] }
  const permit = permitFor(
    'rotation.start',
    { type: 'Person', id: grant.subjectId },
    { type: 'Account', id: grant.accountId },
  )
  const input = { reason: 'measured', endSessions: false }
  return {
    cluster,
    db: world.db,
    needs,
    start: () => transact(world.db, (tx) => startRotation(tx, needs, permit, input)),
    url: {
      host: '127.0.0.1',
      port: listening.port,
      user: `${grant.account}@${grant.target}`,
      password: grant.ticket,
      database: 'postgres',
    },
  }
}

/** Connects anew for each read, as something without a pool does. */
async function come(url: pg.ClientConfig, reads: Reads, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const client = new pg.Client(url)
    client.on('error', () => undefined)
    try {
      await client.connect()
      await client.query('select 1')
      reads.done += 1
    } catch (error) {
      reads.failed.push(String(error))
    }
    await client.end().catch(() => undefined)
  }
}

/** Stays connected and reads. */
async function stay(url: pg.ClientConfig, reads: Reads, signal: AbortSignal): Promise<void> {
  const client = new pg.Client(url)
  client.on('error', () => undefined)
  await client.connect()
  while (!signal.aborted) {
    try {
      await client.query('select 1')
      reads.done += 1
    } catch (error) {
      reads.failed.push(String(error))
      break
    }
  }
  await client.end().catch(() => undefined)
}

/** What the target alone takes: a login, the change, a login with the new secret and one that is refused. */
async function floorOf(cluster: Cluster, times: number): Promise<number> {
  const as = (user: string, password: string) =>
    new pg.Client({ host: cluster.host, port: cluster.port, user, password, database: 'postgres' })
  const admin = as('postgres', cluster.password.reveal())
  await admin.connect()
  await admin.query(`create role floor login password 'p0'`)
  await admin.end()
  const began = performance.now()
  for (let at = 0; at < times; at += 1) {
    const own = as('floor', `p${at}`)
    await own.connect()
    await own.query(`alter role floor password 'p${at + 1}'`)
    await own.end()
    const next = as('floor', `p${at + 1}`)
    await next.connect()
    await next.end()
    const old = as('floor', `p${at}`)
    await old.connect().then(
      () => Promise.reject(new Error('the old secret still works')),
      () => undefined,
    )
  }
  return times / ((performance.now() - began) / 1000)
}

type Measured = {
  readonly rotations: number
  readonly dead: number
  readonly consumers: number
  readonly seconds: number
  readonly took: readonly number[]
  readonly reads: Reads
  readonly floor: number
}

function report({ rotations, dead, consumers, seconds, took, reads, floor }: Measured): void {
  const sorted = took.toSorted((a, b) => a - b)
  const at = (share: number) => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0)
  const perSecond = rotations / seconds
  console.log(
    `${rotations} rotations of one login, ${consumers} consumers that connect for each read and one that stays`,
  )
  console.log(`  proven dead          ${dead}`)
  console.log(
    `  rotations per second ${perSecond.toFixed(1)}   (the bare statements at the target: ${floor.toFixed(1)})`,
  )
  console.log(`  one rotation         ${at(0.5)} ms, the slowest of a hundred ${at(0.99)} ms`)
  console.log(`  reads                ${reads.done}, failed ${reads.failed.length}`)
  for (const why of new Set(reads.failed)) console.log(`    ${why}`)
  const result = { rotations, dead, perSecond, p50Ms: at(0.5), p99Ms: at(0.99), floorPerSecond: floor }
  console.log(`RESULT ${JSON.stringify({ ...result, reads: reads.done, failedReads: reads.failed.length })}`)
}
