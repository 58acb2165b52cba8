import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectNet, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import type { TestContext } from 'node:test'
import pg from 'pg'
import { postgresGateway, type PostgresGatewayOptions } from '../../src/gateways/postgres/gateway.ts'
import * as encode from '../../src/gateways/postgres/wire/encode.ts'
import { readReport } from '../../src/gateways/postgres/wire/decode.ts'
import type { OpenGateway, RecordedOperation } from '../../src/gateways/gateway.ts'
import type { Clock } from '../../src/kernel/clock.ts'
import type { Log } from '../../src/kernel/log.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { sleep } from '../../src/kernel/timer.ts'
import type { Cluster } from './cluster.ts'
import { ALL_ACTIONS, fakePlane, type FakeGrant, type FakePlane, type Seen } from './plane.ts'

export type GatewayBed = {
  readonly plane: FakePlane
  readonly gateway: OpenGateway
  readonly port: number
  grant(more?: GrantMore): FakeGrant
  /** A connected client; its errors are collected. */
  client(more?: GrantMore, config?: pg.ClientConfig): Promise<TestClient>
  /** A raw connection inside TLS that has logged in. */
  raw(more?: GrantMore, parameters?: Record<string, string>): Promise<RawClient>
}

type GrantMore = Partial<FakeGrant> & { session?: Record<string, number> }

export type TestClient = pg.Client & { readonly seen: Seen; readonly errors: (Error & { code?: string })[] }

/** A role of the target that plays the lease. */
export const LEASE = { user: 'lease', password: new Secret('lease-password') }

/** Makes the lease's role: an ordinary one with a schema of its own. */
export async function addLease(cluster: Cluster): Promise<void> {
  const admin = new pg.Client(poolless(cluster))
  await admin.connect()
  await admin.query(`create role ${LEASE.user} login password '${LEASE.password.reveal()}'`)
  await admin.query(`create schema authorization ${LEASE.user}`)
  await admin.end()
}

export function poolless(cluster: Cluster): pg.ClientConfig {
  const { host, port, user, password, database } = cluster.connection()
  return { host, port, user, password: password.reveal(), database }
}

/** A gateway in front of `cluster` with a plane in memory. */
export async function openGatewayBed(
  t: Pick<TestContext, 'after'>,
  cluster: { readonly port: number },
  options: { clock?: Clock; drainMs?: number; log?: Log; gateway?: PostgresGatewayOptions } = {},
): Promise<GatewayBed> {
  const plane = await fakePlane(t, options)
  const gateway = await postgresGateway(options.gateway).open(plane, { host: '127.0.0.1', port: 0 })
  const cleanups: (() => unknown)[] = []
  t.after(async () => {
    for (const cleanup of cleanups) await cleanup()
    await gateway[Symbol.asyncDispose]()
  })
  const grant: GatewayBed['grant'] = ({ session, ...more } = {}) => ({
    target: 'orders',
    account: 'app',
    settings: {
      host: '127.0.0.1',
      port: cluster.port,
      database: 'postgres',
      tls: { mode: 'disable' },
      scramIterations: 4096,
      session: { holdSeconds: 300, idleSeconds: 3600, rowsPerStatement: 1e9, bytesPerSession: 1e12, ...session },
    },
    upstream: LEASE,
    actions: ALL_ACTIONS,
    ...more,
  })
  return {
    plane,
    gateway,
    port: gateway.port,
    grant,
    async client(more, config) {
      const client = new pg.Client({
        host: '127.0.0.1',
        port: gateway.port,
        user: 'app@orders',
        password: plane.ticket(grant(more)),
        database: 'postgres',
        ssl: { ca: plane.authority.certificate, servername: 'localhost' },
        ...config,
      })
      const errors: Error[] = []
      client.on('error', (error) => errors.push(error))
      cleanups.push(() => client.end().catch(() => undefined))
      await client.connect()
      return Object.assign(client, { seen: last(plane), errors })
    },
    async raw(more, parameters) {
      const raw = await RawClient.open(gateway.port, plane, plane.ticket(grant(more)), parameters)
      cleanups.push(() => raw.socket.destroy())
      return raw
    },
  }
}

export function last(plane: FakePlane): Seen {
  const seen = plane.seen.at(-1)
  assert.ok(seen, 'nobody was admitted')
  return seen
}

/** Waits until `holds`; a bound of a test, not a claim about time. */
export async function until(holds: () => boolean | Promise<boolean>, what = 'it never held'): Promise<void> {
  for (let tries = 0; tries < 1_000; tries++) {
    if (await holds()) return
    await sleep(10)
  }
  assert.fail(what)
}

/** The operations so far as short texts. */
export function told(operations: readonly RecordedOperation[]): string[] {
  return operations.map(({ label, outcome, error }) => [label, outcome, ...(error ? [error.code] : [])].join(' '))
}

export type RawFrame = { readonly type: string; readonly payload: Buffer }

/** Speaks the protocol byte by byte. */
export class RawClient {
  readonly socket: Socket
  readonly frames: RawFrame[] = []
  isClosed = false
  #pending: Buffer = Buffer.alloc(0)
  #taken = 0

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.isClosed = true
    })
    socket.on('data', (chunk: Buffer) => this.#take(chunk))
  }

  static async open(
    port: number,
    plane: FakePlane,
    ticket: string,
    parameters: Record<string, string> = {},
  ): Promise<RawClient> {
    const raw = new RawClient(await openTls(port, plane))
    raw.socket.write(
      encode.startupMessage(
        encode.protocolVersion.v3_0,
        Object.entries({ user: 'app@orders', database: 'postgres', ...parameters }),
      ),
    )
    await raw.next('R')
    raw.socket.write(encode.passwordMessage(ticket))
    await raw.next('Z')
    return raw
  }

  send(...frames: Buffer[]): void {
    this.socket.write(Buffer.concat(frames))
  }

  /** The frames up to the next of this type, that one included. */
  async next(type: string): Promise<RawFrame[]> {
    const from = this.#taken
    const at = () => this.frames.findIndex((frame, index) => index >= from && frame.type === type)
    await until(() => at() >= 0 || this.isClosed, `no ${type} came`)
    assert.ok(at() >= 0, `closed before ${type}; got ${this.frames.slice(from).map(describe).join(' ')}`)
    this.#taken = at() + 1
    return this.frames.slice(from, this.#taken)
  }

  /** Everything until the connection closes. */
  async rest(): Promise<RawFrame[]> {
    await until(() => this.isClosed, 'the connection stays open')
    return this.frames.slice(this.#taken)
  }

  #take(chunk: Buffer): void {
    this.#pending = Buffer.concat([this.#pending, chunk])
    while (this.#pending.length >= 5 && this.#pending.length > this.#pending.readInt32BE(1)) {
      const end = 1 + this.#pending.readInt32BE(1)
      this.frames.push({ type: String.fromCharCode(this.#pending[0] ?? 0), payload: this.#pending.subarray(5, end) })
      this.#pending = this.#pending.subarray(end)
    }
  }
}

/** `E(42501)` for an error, else the letter. */
export function describe({ type, payload }: RawFrame): string {
  return type === 'E' ? `E(${readReport(payload).code})` : type
}

/** What frames say, for comparison: letters, and codes of errors. */
export function spoken(frames: readonly RawFrame[]): string {
  return frames.map(describe).join(' ')
}

/** TLS by SSLRequest, as libpq does it. */
export async function openTls(
  port: number,
  plane: FakePlane,
  more: { key?: string; cert?: string } = {},
): Promise<TLSSocket> {
  const socket = connectNet({ port, host: '127.0.0.1' })
  socket.write(encode.sslRequest())
  const [answer] = (await once(socket, 'data')) as [Buffer]
  assert.equal(answer.toString(), 'S')
  const tls = connectTls({ socket, ca: plane.authority.certificate, servername: 'localhost', ...more })
  await once(tls, 'secureConnect')
  return tls
}
