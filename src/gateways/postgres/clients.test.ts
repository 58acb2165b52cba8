import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { once } from 'node:events'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { after, before, test } from 'node:test'
import pg from 'pg'
import { from as copyFrom, to as copyTo } from 'pg-copy-streams'
import { startCluster, type Cluster } from '../../../test/support/cluster.ts'
import { addLease, openGatewayBed, told, until } from '../../../test/support/gateway.ts'
import { PortalCursor } from '../../../test/support/portal-cursor.ts'

const debian = '/usr/lib/postgresql/15/bin'
const clusters: [name: string, cluster: Cluster][] = []

before(async () => {
  clusters.push(['18', await startCluster()])
  if (existsSync(debian)) clusters.push(['15', await startCluster({ binFolder: debian })])
  for (const [, cluster] of clusters) await addLease(cluster)
})

after(async () => {
  for (const [, cluster] of clusters) await cluster[Symbol.asyncDispose]()
})

/** The story on every server there is. */
async function each(story: (cluster: Cluster, major: string) => Promise<void>): Promise<void> {
  assert.ok(clusters.length > 0)
  for (const [name, cluster] of clusters) await story(cluster, name)
}

test('a driver reads, writes and sees the target’s own errors', async (t) => {
  await each(async (cluster) => {
    const bed = await openGatewayBed(t, cluster)
    const client = await bed.client()

    await client.query('create temp table t (a int primary key, b text)')
    const inserted = await client.query('insert into t values ($1, $2), (2, $3) returning a', [1, 'x', null])
    const failed = await client.query('insert into t values (1)').catch((error: pg.DatabaseError) => error)
    const { rows } = await client.query('select a, b from t order by a')

    assert.equal(inserted.rowCount, 2)
    assert.equal(failed instanceof pg.DatabaseError && failed.code, '23505')
    assert.deepEqual(rows, [
      { a: 1, b: 'x' },
      { a: 2, b: null },
    ])
    assert.deepEqual(told(client.seen.operations), [
      'CREATE TABLE done',
      'INSERT done',
      'INSERT failed 23505',
      'SELECT done',
    ])
    const insert = client.seen.operations[1]
    assert.equal(insert?.statement, 'insert into t values ($1, $2), ($4, $3) returning a')
    assert.deepEqual(insert.sealed, ['2', '1', 'x', 'NULL'])
    assert.equal(insert.rows, 2)
    assert.equal(client.seen.operations[3]?.rows, 2)
  })
})

test('the lease’s own name is what the server sees, and the client never saw its password', async (t) => {
  await each(async (cluster) => {
    const bed = await openGatewayBed(t, cluster)
    const client = await bed.client()

    const { rows } = await client.query('select current_user, current_setting($1) as name', ['application_name'])

    assert.deepEqual(rows, [{ current_user: 'lease', name: 'reeve 0190a1b2-0000-7000-8000-000000000001' }])
  })
})

test('named statements are prepared once and recorded at each run', async (t) => {
  await each(async (cluster) => {
    const bed = await openGatewayBed(t, cluster)
    const client = await bed.client()

    for (const n of [1, 2, 3]) {
      const { rows } = await client.query({ name: 'double', text: 'select $1::int * 2 as n', values: [n] })
      assert.deepEqual(rows, [{ n: n * 2 }])
    }

    assert.deepEqual(
      client.seen.operations.map(({ statement, sealed, rows }) => [statement, sealed, rows]),
      [1, 2, 3].map((n) => ['select $1::int * $2 as n', ['2', String(n)], 1]),
    )
  })
})

test('several statements in one query are one operation with all their rows', async (t) => {
  await each(async (cluster) => {
    const bed = await openGatewayBed(t, cluster)
    const client = await bed.client()

    await client.query('begin; select generate_series(1, 3); select 4; commit')

    assert.deepEqual(
      client.seen.operations.map(({ label, rows }) => [label, rows]),
      [['4 statements', 4]],
    )
  })
})

test('a transaction that failed stays failed until it is rolled back', async (t) => {
  await each(async (cluster) => {
    const bed = await openGatewayBed(t, cluster)
    const client = await bed.client()

    await client.query('begin')
    await assert.rejects(client.query('select 1/0'), { code: '22012' })
    await assert.rejects(client.query('select 1'), { code: '25P02' })
    const { command } = await client.query('commit')

    assert.equal(command, 'ROLLBACK')
  })
})

test('a portal is read in pieces, each of them an operation with its rows', async (t) => {
  await each(async (cluster) => {
    const bed = await openGatewayBed(t, cluster)
    const client = await bed.client()

    await client.query('begin')
    const cursor = client.query(new PortalCursor('select generate_series(1, 25)'))
    const sizes = [await cursor.read(10), await cursor.read(10), await cursor.read(10)]
    await cursor.close()
    await client.query('commit')

    assert.deepEqual(sizes, [10, 10, 5])
    assert.deepEqual(
      client.seen.operations.map(({ label, rows }) => [label, rows]),
      [
        ['BEGIN', 0],
        ['SELECT', 10],
        ['SELECT', 10],
        ['SELECT', 5],
        ['COMMIT', 0],
      ],
    )
  })
})

test('COPY goes both ways, whole, and its bytes are counted', async (t) => {
  await each(async (cluster) => {
    const bed = await openGatewayBed(t, cluster)
    const client = await bed.client()
    await client.query('create temp table c (n int, filler text)')
    const lines = Array.from({ length: 20_000 }, (_, n) => `${n}\t${'x'.repeat(n % 300)}\n`)
    const text = lines.join('')

    await pipeline(Readable.from(lines), client.query(copyFrom('copy c from stdin')))
    const pieces: Buffer[] = []
    const sink = new Writable({
      write(chunk: Buffer, _, done) {
        pieces.push(chunk)
        done()
      },
    })
    await pipeline(client.query(copyTo('copy (select * from c order by n) to stdout')), sink)
    const { rows } = await client.query('select count(*)::int as n from c')

    assert.ok(Buffer.concat(pieces).equals(Buffer.from(text)))
    assert.deepEqual(rows, [{ n: 20_000 }])
    const copies = client.seen.operations.filter(({ label }) => label === 'COPY')
    assert.deepEqual(
      copies.map(({ rows: count, outcome }) => [count, outcome]),
      [
        [20_000, 'done'],
        [20_000, 'done'],
      ],
    )
    assert.equal(copies[1]?.sizeBytes, text.length)
  })
})

test('a COPY that the server breaks off leaves the session usable', async (t) => {
  await each(async (cluster) => {
    const bed = await openGatewayBed(t, cluster)
    const client = await bed.client()
    await client.query('create temp table c (n int)')

    const copy = pipeline(Readable.from(['1\n', 'x\n', '3\n']), client.query(copyFrom('copy c from stdin')))
    await assert.rejects(copy, { code: '22P02' })
    const { rows } = await client.query('select count(*)::int as n from c')

    assert.deepEqual(rows, [{ n: 0 }])
    assert.deepEqual(told(client.seen.operations), ['CREATE TABLE done', 'COPY failed 22P02', 'SELECT done'])
  })
})

test('a slow reader of much more than any buffer gets every row, and memory stays small', async (t) => {
  const [, cluster] = clusters[0] ?? assert.fail()
  const bed = await openGatewayBed(t, cluster)
  const client = await bed.client()
  const totalBytes = 300 * 1024 * 1024
  const startedBytes = process.memoryUsage().rss
  let seenBytes = 0
  let mostBytes = 0
  const slow = new Writable({
    highWaterMark: 1,
    write(chunk: Buffer, _, done) {
      seenBytes += chunk.length
      mostBytes = Math.max(mostBytes, process.memoryUsage().rss)
      setImmediate(done)
    },
  })

  await pipeline(
    client.query(copyTo(`copy (select repeat('x', 1048575) from generate_series(1, 300)) to stdout`)),
    slow,
  )

  assert.equal(seenBytes, totalBytes)
  assert.ok(mostBytes - startedBytes < totalBytes / 2, `${(mostBytes - startedBytes) / 1e6} MB`)
})

test('a cancel request stops what runs and nothing else', async (t) => {
  await each(async (cluster) => {
    const bed = await openGatewayBed(t, cluster)
    const [client, other] = [await bed.client(), await bed.client()]
    const sleeping = client.query('select pg_sleep(600)').catch((error: pg.DatabaseError) => error)
    // Long enough that both are seen to run, on a busy machine too.
    const unharmed = other.query('select pg_sleep(3), 1 as n')
    await until(async () => (await running(cluster)) >= 2)

    await cancel(bed.port, client)

    assert.equal(((await sleeping) as pg.DatabaseError).code, '57014')
    assert.equal((await unharmed).rows[0]?.n, 1)
    assert.equal((await client.query('select 2 as n')).rows[0]?.n, 2)
  })
})

test('a cancel request with a wrong key does nothing', async (t) => {
  const [, cluster] = clusters[0] ?? assert.fail()
  const bed = await openGatewayBed(t, cluster)
  const client = await bed.client()
  const sleeping = client.query('select pg_sleep(3), 1 as n')
  await until(async () => (await running(cluster)) >= 1)

  await cancel(bed.port, Object.assign(Object.create(client), { secretKey: 12345 }))

  assert.equal((await sleeping).rows[0]?.n, 1)
})

test('notifications reach only those whose grant covers listening', async (t) => {
  await each(async (cluster) => {
    const bed = await openGatewayBed(t, cluster)
    const admin = new pg.Client({ ...cluster.connection(), password: cluster.password.reveal() })
    await admin.connect()
    const may = await bed.client()
    const mayNot = await bed.client({ actions: ['postgres.read'] })
    const heard: string[] = []
    may.on('notification', ({ payload }) => heard.push(`may ${payload}`))
    mayNot.on('notification', ({ payload }) => heard.push(`may not ${payload}`))

    await may.query('listen news')
    await assert.rejects(mayNot.query('listen news'), { code: '42501' })
    await assert.rejects(mayNot.query(`select pg_notify('news', 'x')`), { code: '42501' })
    await admin.query(`notify news, 'hello'`)
    await may.query('select 1')
    await mayNot.query('select 1')
    await until(() => heard.length > 0)
    await admin.end()

    assert.deepEqual(heard, ['may hello'])
  })
})

test('a client that says goodbye gets its last statement done', async (t) => {
  await each(async (cluster) => {
    const bed = await openGatewayBed(t, cluster)
    const client = await bed.client()
    await client.query('drop table if exists last_word')
    await client.query('create table last_word (n int)')
    const raw = await bed.raw()

    // Query and Terminate in one packet, as `PQsendQuery` and `PQfinish` can bring them.
    raw.send(frame('Q', 'insert into last_word select 1 from pg_sleep(0.2)\0'), frame('X', ''))
    await raw.rest()

    await until(async () => (await client.query('select from last_word')).rowCount === 1)
    const seen = bed.plane.seen.at(-1)
    await until(() => seen?.ending?.reason === 'client-closed')
    assert.deepEqual(told(seen?.operations ?? []), ['INSERT done'])
  })
})

test('a cancel request that fits no session here goes to the other nodes, and what they pass on is heard', async (t) => {
  const [, cluster] = clusters[0] ?? assert.fail()
  const bed = await openGatewayBed(t, cluster)
  const client = await bed.client()
  const query = assert.rejects(client.query('select pg_sleep(600)'), { code: '57014' })
  const { processID, secretKey } = Object.assign({ processID: 0, secretKey: 0 }, client)
  const key = Buffer.alloc(4)
  key.writeInt32BE(secretKey)

  await cancel(bed.port, Object.assign(Object.create(client), { secretKey: 12345 }))
  await until(() => bed.plane.passed.length > 0)
  bed.plane.hear(processID ^ 1, () => assert.fail('a key was opened for a process that is not here'))
  bed.plane.hear(processID, () => Buffer.from('no key'))
  await until(async () => (await running(cluster)) === 1)
  bed.plane.hear(processID, () => key)

  const [passed] = bed.plane.passed
  assert.deepEqual(
    [passed?.processId, passed?.key.readInt32BE(0), passed?.clientAddress.endsWith('127.0.0.1')],
    [processID, 12345, true],
  )
  await query
  await cancel(bed.port, client)
  assert.equal(bed.plane.passed.length, 1, 'what fits here stays here')
})

test('what a client that vanished was running is cancelled', async (t) => {
  await each(async (cluster) => {
    const bed = await openGatewayBed(t, cluster)
    const raw = await bed.raw()
    raw.send(frame('Q', 'select pg_sleep(600)\0'))
    await until(async () => (await running(cluster)) >= 1)

    raw.socket.destroy()

    await until(async () => (await running(cluster)) === 0)
    await until(() => bed.plane.seen[0]?.ending?.reason === 'client-lost')
    assert.deepEqual(told(bed.plane.seen[0]?.operations ?? []), ['SELECT cut'])
  })
})

function frame(type: string, text: string): Buffer {
  const payload = Buffer.from(text)
  const head = Buffer.from(`${type}0000`)
  head.writeInt32BE(payload.length + 4, 1)
  return Buffer.concat([head, payload])
}

/** Backends of leases that run a sleep now. */
async function running(cluster: Cluster): Promise<number> {
  const admin = new pg.Client({ ...cluster.connection(), password: cluster.password.reveal() })
  await admin.connect()
  const { rows } = await admin.query(
    `select count(*)::int as n from pg_stat_activity where usename = 'lease' and state = 'active' and query like '%pg_sleep%'`,
  )
  await admin.end()
  return rows[0].n
}

async function cancel(port: number, client: pg.Client): Promise<void> {
  const { processID, secretKey } = client as unknown as { processID: number; secretKey: number }
  const { connect } = await import('node:net')
  const packet = Buffer.alloc(16)
  packet.writeInt32BE(16, 0)
  packet.writeInt32BE(80877102, 4)
  packet.writeInt32BE(processID, 8)
  packet.writeInt32BE(secretKey, 12)
  const socket = connect({ port, host: '127.0.0.1' })
  socket.end(packet)
  socket.resume()
  await once(socket, 'close')
}
