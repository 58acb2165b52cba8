import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import pg from 'pg'
import { startCluster, type Cluster } from '../../../test/support/cluster.ts'
import {
  addLease,
  openGatewayBed,
  poolless,
  spoken,
  told,
  until,
  type RawFrame,
} from '../../../test/support/gateway.ts'
import type { Ending } from '../gateway.ts'
import { readReport } from './wire/decode.ts'
import * as encode from './wire/encode.ts'

let cluster: Cluster

before(async () => {
  cluster = await startCluster()
  await addLease(cluster)
})

after(() => cluster[Symbol.asyncDispose]())

const REVOKED: Ending = { reason: 'revoked', sentence: 'The grant was revoked: left the team.' }

function lastReport(frames: readonly RawFrame[]): { code: string; message: string; severity: string } {
  const frame = frames.at(-1)
  assert.equal(frame?.type, 'E')
  return readReport(frame?.payload ?? Buffer.alloc(0))
}

/** Backends of the lease that do something. */
async function backends(where = 'true'): Promise<number> {
  const admin = new pg.Client(poolless(cluster))
  await admin.connect()
  const { rows } = await admin.query(
    `select count(*)::int as n from pg_stat_activity where usename = 'lease' and ${where}`,
  )
  await admin.end()
  return rows[0].n
}

const RUNS = `state = 'active'`

test('an idle session is cut with 57P01 and the reason, and its socket closes', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const raw = await bed.raw()

  bed.plane.seen[0]?.end(REVOKED)

  const report = lastReport(await raw.rest())
  assert.deepEqual([report.severity, report.code, report.message], ['FATAL', '57P01', REVOKED.sentence])
  await until(() => bed.plane.seen[0]?.isReleased === true)
  assert.deepEqual(bed.plane.seen[0]?.ending, REVOKED)
  await until(async () => (await backends()) === 0)
})

test('a session is cut in the middle of a query, which stops at the target', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const raw = await bed.raw()
  raw.send(encode.query('select pg_sleep(600)'))
  await until(async () => (await backends(RUNS)) === 1)

  bed.plane.seen[0]?.end(REVOKED)

  assert.equal(lastReport(await raw.rest()).code, '57P01')
  await until(async () => (await backends()) === 0)
  assert.deepEqual(told(bed.plane.seen[0]?.operations ?? []), ['SELECT cut'])
})

test('a session is cut in the middle of rows at the end of one of them', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const raw = await bed.raw()
  raw.send(encode.query(`select repeat('x', 1000000) from generate_series(1, 100000)`))
  await until(() => raw.frames.filter(({ type }) => type === 'D').length > 3)

  bed.plane.seen[0]?.end(REVOKED)

  // Every frame before it is whole, or the last one could not be read.
  const frames = await raw.rest()
  assert.equal(lastReport(frames).message, REVOKED.sentence)
  assert.ok(raw.frames.filter(({ type }) => type === 'D').every(({ payload }) => payload.length === 1_000_006))
})

test('a client that reads nothing in the middle of a huge row is cut all the same', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const raw = await bed.raw()
  raw.socket.pause()
  raw.send(encode.query(`select repeat('x', 200000000)`))
  await until(async () => (await backends(`wait_event = 'ClientWrite'`)) === 1)

  bed.plane.seen[0]?.end(REVOKED)

  await until(() => bed.plane.seen[0]?.isReleased === true)
  await until(async () => (await backends()) === 0)
  raw.socket.resume()
  await until(() => raw.isClosed)
})

test('what a client pipelined behind a running statement does not run after the end', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const client = await bed.client()
  await client.query('create table late (n int)')
  const raw = await bed.raw()
  raw.send(encode.query('select pg_sleep(600)'), ...Array.from({ length: 100 }, () => insert('late')))
  await until(async () => (await backends(RUNS)) === 1)

  bed.plane.seen[1]?.end(REVOKED)
  await raw.rest()

  await until(async () => (await backends()) === 1)
  const { rows } = await client.query('select count(*)::int as n from late')
  assert.deepEqual(rows, [{ n: 0 }])
})

test('a session that cannot be recorded ends', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const raw = await bed.raw()

  bed.plane.seen[0]?.lose()

  const report = lastReport(await raw.rest())
  assert.deepEqual([report.code, report.message], ['57P01', 'This session can no longer be recorded.'])
  assert.equal(bed.plane.seen[0]?.ending?.reason, 'recorder-lost')
})

test('a session that fails to begin tells the client and gives everything back', async (t) => {
  const bed = await openGatewayBed(t, cluster)

  await assert.rejects(bed.client({ beginFails: new Error('the database is full') }), { code: 'XX000' })

  await until(() => bed.plane.seen[0]?.isReleased === true)
  await until(async () => (await backends()) === 0)
})

test('a client that leaves while it is admitted leaves nothing behind', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const held = Promise.withResolvers<void>()
  const { admit } = bed.plane
  Object.assign(bed.plane, {
    admit: async (...asked: Parameters<typeof admit>) => {
      const admission = await admit(...asked)
      return {
        ...admission,
        begin: async () => held.promise.then(() => admission.begin()),
        [Symbol.asyncDispose]: () => admission[Symbol.asyncDispose](),
      }
    },
  })
  const client = new pg.Client({
    host: '127.0.0.1',
    port: bed.port,
    user: 'app@orders',
    database: 'postgres',
    password: bed.plane.ticket(bed.grant()),
    ssl: { ca: bed.plane.authority.certificate, servername: 'localhost' },
  })
  client.on('error', () => undefined)
  const connecting = client.connect().catch(() => undefined)
  await until(async () => (await backends()) === 1)

  const { connection } = client as unknown as { connection: { stream: { destroy(): void } } }
  connection.stream.destroy()
  await connecting
  held.resolve()

  await until(() => bed.plane.seen[0]?.isReleased === true)
  assert.equal(bed.plane.seen[0]?.ending?.reason, 'client-lost')
  await until(async () => (await backends()) === 0)
})

test('idle sessions end with 57P05, working ones do not', async (t) => {
  let skippedMs = 0
  const clock = { now: () => new Date(), monotonicMs: () => performance.now() + skippedMs }
  const bed = await openGatewayBed(t, cluster, { clock })
  const [idle, busy] = [
    await bed.raw({ session: { idleSeconds: 60 } }),
    await bed.raw({ session: { idleSeconds: 60 } }),
  ]
  busy.send(encode.query('select pg_sleep(4)'))
  await until(async () => (await backends(RUNS)) === 1)

  skippedMs = 61_000

  assert.equal(lastReport(await idle.rest()).code, '57P05')
  assert.equal(spoken(await busy.next('Z')), 'T D C Z')
})

test('a statement that returns too many rows, and a session with too many bytes, end with 54000', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const rows = await bed.raw({ session: { rowsPerStatement: 1000 } })
  const bytes = await bed.raw({ session: { bytesPerSession: 100_000 } })

  for (let n = 0; n < 3; n++) {
    rows.send(encode.query('select generate_series(1, 900)'))
    await rows.next('Z')
  }
  rows.send(encode.query('select generate_series(1, 1000000)'))
  bytes.send(encode.query(`select repeat('x', 1000) from generate_series(1, 90)`))
  await bytes.next('Z')
  bytes.send(encode.query(`copy (select repeat('x', 1000) from generate_series(1, 1000000)) to stdout`))

  for (const raw of [rows, bytes]) assert.equal(lastReport(await raw.rest()).code, '54000')
  assert.equal(bed.plane.seen[0]?.ending?.reason, 'row-limit')
  assert.equal(bed.plane.seen[1]?.ending?.reason, 'byte-limit')
})

test('a target that is down is named, without its address or its lease', async (t) => {
  const bed = await openGatewayBed(t, { port: 1 })

  await assert.rejects(bed.client(), (error: Error & { code?: string }) => {
    assert.equal(error.code, '08001')
    assert.equal(error.message, 'The target orders could not be reached: The server cannot be reached.')
    return true
  })
  await until(() => bed.plane.seen[0]?.isReleased === true)
})

test('a lease that the target refuses is told without the lease’s name', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const upstream = { user: 'lease', password: (await bed.plane.authority.issueServer(['x'])).key }

  await assert.rejects(bed.client({ upstream }), (error: Error) => {
    assert.match(error.message, /It answered 28P01\.$/)
    assert.doesNotMatch(error.message, /lease/)
    return true
  })
})

test('a target that restarts under load ends its sessions, and new ones come as before', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const clients = await Promise.all(Array.from({ length: 8 }, () => bed.client()))
  const load = clients.map(async (client) => {
    for (;;) await client.query('select count(*) from generate_series(1, 1000)')
  })
  const ends = Promise.allSettled(load)
  await clients[0]?.query('select 1')

  await cluster.restart()

  for (const { status } of await ends) assert.equal(status, 'rejected')
  await until(() => bed.plane.seen.every(({ isReleased }) => isReleased))
  assert.ok(bed.plane.seen.every(({ ending }) => ending?.reason === 'target-closed'))
  assert.ok(clients.every(({ errors }) => errors.every(({ code }) => code === '57P01' || code === undefined)))
  assert.deepEqual((await (await bed.client()).query('select 1 as n')).rows, [{ n: 1 }])
})

test('a server’s own last word is passed on and not followed by another', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const raw = await bed.raw()
  const admin = new pg.Client(poolless(cluster))
  await admin.connect()

  await admin.query(`select pg_terminate_backend(pid) from pg_stat_activity where usename = 'lease'`)
  await admin.end()

  assert.equal(spoken(await raw.rest()), 'E(57P01)')
})

test('a stopping gateway lets transactions finish and ends the others at once', async (t) => {
  const bed = await openGatewayBed(t, cluster, { drainMs: 60_000 })
  const [idle, working, open] = [await bed.raw(), await bed.raw(), await bed.raw()]
  working.send(encode.query('select pg_sleep(3)'))
  open.send(encode.query('begin'))
  await open.next('Z')
  await until(async () => (await backends(RUNS)) === 1)

  const stopped = bed.gateway[Symbol.asyncDispose]()
  const before = lastReport(await idle.rest())
  open.send(encode.query('select 1'), encode.query('commit'))

  assert.equal(spoken(await open.rest()), 'T D C Z C Z E(57P01)')
  assert.equal(spoken(await working.rest()), 'T D C Z E(57P01)')
  assert.match(before.message, /stopping/)
  await stopped
})

test('a stopping gateway waits no longer than it may', async (t) => {
  const bed = await openGatewayBed(t, cluster, { drainMs: 100 })
  const raw = await bed.raw()
  raw.send(encode.query('select pg_sleep(600)'))
  await until(async () => (await backends(RUNS)) === 1)

  await bed.gateway[Symbol.asyncDispose]()

  assert.equal(lastReport(await raw.rest()).code, '57P01')
  await assert.rejects(bed.client())
})

function insert(table: string): Buffer {
  return encode.query(`insert into ${table} values (1)`)
}
