import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectNet, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import pg from 'pg'
import { startCluster, type Cluster } from '../../../test/support/cluster.ts'
import { addLease, openGatewayBed, openTls, poolless, RawClient, spoken, until } from '../../../test/support/gateway.ts'
import { readReport } from './wire/decode.ts'
import * as encode from './wire/encode.ts'

let cluster: Cluster

before(async () => {
  cluster = await startCluster()
  await addLease(cluster)
  const admin = new pg.Client(poolless(cluster))
  await admin.connect()
  await admin.query('create table lease.sink (n text); grant all on lease.sink to lease')
  await admin.end()
})

after(() => cluster[Symbol.asyncDispose]())

/** Sends bytes in the clear and gathers what comes until the end. */
async function plainly(port: number, ...pieces: Buffer[]): Promise<Buffer> {
  const socket = connectNet({ port, host: '127.0.0.1' })
  for (const piece of pieces) socket.write(piece)
  return everything(socket)
}

async function everything(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  socket.on('error', () => undefined)
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  // `once` would reject at an error, which is one way of being turned away.
  if (!socket.destroyed) await new Promise((resolve) => socket.once('close', resolve))
  return Buffer.concat(chunks)
}

function codeOf(answer: Buffer): string {
  assert.equal(answer[0], 69, JSON.stringify(answer.toString('latin1')))
  return readReport(answer.subarray(5)).code
}

const login = (more: [string, string][] = [], version = 196608) =>
  encode.startupMessage(version, [['user', 'app@orders'], ['database', 'postgres'], ...more])

test('nobody is asked for a ticket outside TLS', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const ticket = encode.passwordMessage(bed.plane.ticket(bed.grant()))

  const answer = await plainly(bed.port, login(), ticket)

  assert.equal(codeOf(answer), '28000')
  assert.match(answer.toString(), /over TLS only/)
  assert.deepEqual(bed.plane.asked, [])
})

test('bytes sent in the clear before TLS are not taken for the session’s', async (t) => {
  const bed = await openGatewayBed(t, cluster)

  const answer = await plainly(bed.port, Buffer.concat([encode.sslRequest(), login()]))

  assert.equal(codeOf(answer), '08P01')
})

test('GSS encryption is declined and TLS may follow', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const socket = connectNet({ port: bed.port, host: '127.0.0.1' })
  const gss = Buffer.concat([encode.int32(8), encode.int32(encode.requestCode.gss)])
  socket.write(gss)
  const [declined] = (await once(socket, 'data')) as [Buffer]
  socket.write(encode.sslRequest())
  const [accepted] = (await once(socket, 'data')) as [Buffer]
  socket.destroy()

  assert.deepEqual([declined.toString(), accepted.toString()], ['N', 'S'])
})

test('what is neither PostgreSQL nor TLS is turned away', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const tries = [
    Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
    encode.int32(0),
    encode.int32(-1),
    Buffer.concat([encode.int32(1_000_000), Buffer.alloc(100)]),
    login([], 131072),
    login([], 262144),
    Buffer.concat([login().subarray(0, 20)]),
    Buffer.from([0x16, 3, 1, 0, 5, 1, 2, 3, 4, 5]),
    Buffer.concat([encode.sslRequest()]),
  ]

  for (const bytes of tries) {
    const socket = connectNet({ port: bed.port, host: '127.0.0.1' })
    socket.on('error', () => undefined)
    socket.end(bytes)
    await everything(socket)
  }

  assert.deepEqual(bed.plane.asked, [])
  assert.deepEqual((await (await bed.client()).query('select 1 as n')).rows, [{ n: 1 }])
})

test('direct TLS needs the protocol’s name, and works with it', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const options = { port: bed.port, host: '127.0.0.1', ca: bed.plane.authority.certificate, servername: 'localhost' }
  const without = connectTls(options)
  await everything(without)
  const wrong = connectTls({ ...options, ALPNProtocols: ['http/1.1'] })
  await everything(wrong)

  const socket = connectTls({ ...options, ALPNProtocols: ['postgresql'] })
  await once(socket, 'secureConnect')
  const raw = new RawClient(socket)
  raw.send(login())
  await raw.next('R')
  raw.send(encode.passwordMessage(bed.plane.ticket(bed.grant())))

  assert.match(spoken(await raw.next('Z')), /^R (S )+K Z$/)
  socket.destroy()
})

test('TLS before 1.2 is not spoken', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const socket = connectTls({
    port: bed.port,
    host: '127.0.0.1',
    ca: bed.plane.authority.certificate,
    servername: 'localhost',
    ALPNProtocols: ['postgresql'],
    minVersion: 'TLSv1',
    maxVersion: 'TLSv1.1',
    ciphers: 'ALL@SECLEVEL=0',
  })

  const [error] = (await once(socket, 'error')) as [Error & { code?: string }]

  assert.match(String(error.code), /PROTOCOL|ALERT|RESET|HANDSHAKE/i)
})

test('a wrong ticket opens nothing, and tells nobody what exists', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const ticket = bed.plane.ticket(bed.grant())
  const answers: string[] = []

  for (const [user, password] of [
    ['app@orders', 'wrong'],
    ['app@nowhere', ticket],
    ['root@orders', ticket],
  ]) {
    const client = bed.client({}, { user, password })
    await assert.rejects(client, (error: Error) => answers.push(error.message) > 0)
  }

  assert.equal(new Set(answers).size, 1, answers.join())
  await assert.rejects(bed.client({}, { password: '' }))
  await assert.rejects(bed.client({}, { password: 'x'.repeat(5_000) }), /length of a password|ECONNRESET|terminated/)
})

test('a certificate of a run is a proof, without any password', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const { key, cert } = await bed.plane.certificate(bed.grant())
  const ssl = { ca: bed.plane.authority.certificate, servername: 'localhost', key, cert }

  const client = await bed.client({}, { ssl, password: undefined })

  assert.deepEqual((await client.query('select 1 as n')).rows, [{ n: 1 }])
  assert.deepEqual(bed.plane.asked, ['key'])
})

test('a certificate of somebody else, an expired one and a server’s prove nothing', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const other = await openGatewayBed(t, cluster)
  const expired = await bed.plane.certificate(bed.grant(), -10)
  const foreign = await other.plane.certificate(bed.grant())
  const server = await bed.plane.authority.issueServer(['localhost'])

  for (const { key, cert } of [expired, foreign, { key: server.key.reveal(), cert: server.cert }]) {
    const ssl = { ca: bed.plane.authority.certificate, servername: 'localhost', key, cert }
    await assert.rejects(bed.client({}, { ssl, password: 'none' }), { code: '28P01' })
  }

  assert.deepEqual(bed.plane.asked, ['ticket', 'ticket', 'ticket'])
})

test('protocol versions and options beyond ours are negotiated as the server does', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const tell = async (version: number, more: [string, string][] = []) => {
    const raw = new RawClient(await openTls(bed.port, bed.plane))
    raw.send(login(more, version))
    const asked = await raw.next('R')
    raw.send(encode.passwordMessage(bed.plane.ticket(bed.grant())))
    const welcome = await raw.next('Z')
    raw.socket.destroy()
    const key = welcome.find(({ type }) => type === 'K')
    return [spoken(asked), (key?.payload.length ?? 0) - 4]
  }

  assert.deepEqual(await tell(196608), ['R', 4])
  assert.deepEqual(await tell(196609), ['R', 4])
  assert.deepEqual(await tell(196610), ['R', 32])
  assert.deepEqual(await tell(196608 + 9999), ['v R', 32])
  assert.deepEqual(await tell(196610, [['_pq_.grease', '1']]), ['v R', 32])
})

test('replication is refused', async (t) => {
  const bed = await openGatewayBed(t, cluster)

  await assert.rejects(bed.raw({}, { replication: 'database' }), /0A000/)
  await assert.rejects(bed.raw({}, { replication: 'true' }), /0A000/)
})

test('a session that breaks the protocol is told so and ends', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const breaks = [
    encode.frame('p', Buffer.from('again\0')),
    encode.frame('?'),
    Buffer.from([81, 0, 0, 0, 3]),
    Buffer.from([81, 0xff, 0xff, 0xff, 0xff]),
    encode.frame('Q', Buffer.from('select 1')),
    encode.frame('Q', Buffer.from('select 1\0more\0')),
    encode.frame('Q', Buffer.from([0xff, 0xfe, 0])),
    encode.frame('B', Buffer.from('\0\0\0\u0005')),
    encode.frame('C', Buffer.from('?x\0')),
    Buffer.concat([Buffer.from('Q'), encode.int32(0x3fffffff)]),
  ]

  for (const bytes of breaks) {
    const raw = await bed.raw()
    raw.send(bytes)
    assert.match(spoken(await raw.rest()), /^E\((08P01|22021|54000)\)$/, bytes.toString('latin1'))
  }

  await until(() => bed.plane.seen.every(({ isReleased }) => isReleased))
})

test('start-up bytes of any kind neither hang a connection nor harm the gateway', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const packet = fc.oneof(
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    fc
      .array(fc.tuple(fc.string(), fc.string()), { maxLength: 5 })
      .map((pairs) =>
        login(pairs.map(([name, value]) => [`x${name.replaceAll('\0', '')}`, value.replaceAll('\0', '')])),
      ),
  )

  await fc.assert(
    fc.asyncProperty(fc.array(packet, { maxLength: 4 }), async (packets) => {
      const socket = connectNet({ port: bed.port, host: '127.0.0.1' })
      for (const bytes of packets) socket.write(bytes)
      socket.end()
      await everything(socket)
    }),
    { numRuns: 100 },
  )

  assert.deepEqual(bed.plane.asked, [])
  assert.deepEqual((await (await bed.client()).query('select 1 as n')).rows, [{ n: 1 }])
})

test('messages of any kind, cut anywhere, leave the record in step with the server or end the session', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const name = fc.constantFrom('', 'a', 'b')
  const sql = fc.constantFrom(
    'select 1',
    'select * from nowhere',
    '',
    'begin',
    'commit',
    'create role x',
    'select 1/0',
    'copy (select 1) to stdout',
    'copy sink from stdin',
  )
  const message = fc.oneof(
    { weight: 3, arbitrary: fc.tuple(name, sql).map(([to, text]) => encode.parse(to, text)) },
    {
      weight: 3,
      arbitrary: fc
        .tuple(name, name)
        .map(([portal, of]) => encode.frame('B', encode.cstring(portal), encode.cstring(of), Buffer.alloc(6))),
    },
    { weight: 3, arbitrary: name.map((portal) => encode.frame('E', encode.cstring(portal), encode.int32(0))) },
    { weight: 2, arbitrary: fc.constant(encode.sync()) },
    { weight: 1, arbitrary: sql.map((text) => encode.query(text)) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(fc.constantFrom('S' as const, 'P' as const), name)
        .map(([kind, of]) => encode.close(kind, of)),
    },
    {
      weight: 1,
      arbitrary: fc
        .tuple(fc.constantFrom('S', 'P'), name)
        .map(([kind, of]) => encode.frame('D', Buffer.from(kind), encode.cstring(of))),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom(
        encode.frame('H'),
        encode.frame('c'),
        encode.copyFail('x'),
        encode.frame('d', Buffer.from('1\n')),
      ),
    },
  )

  await fc.assert(
    fc.asyncProperty(
      fc.array(message, { maxLength: 25 }),
      fc.array(fc.nat(200), { maxLength: 5 }),
      async (messages, cuts) => {
        const raw = await bed.raw()
        const bytes = Buffer.concat(messages)
        let from = 0
        for (const cut of [...cuts.filter((each) => each < bytes.length).toSorted((x, y) => x - y), bytes.length]) {
          if (cut > from) raw.socket.write(bytes.subarray(from, cut))
          from = cut
          await new Promise((resolve) => setImmediate(resolve))
        }
        raw.send(encode.frame('c'), encode.sync(), encode.query('rollback'), encode.query(`select 'the end'`))
        await until(
          () => raw.frames.some(({ type, payload }) => type === 'D' && payload.includes('the end')) || raw.isClosed,
        )
        const seen = bed.plane.seen.at(-1)
        const reason = seen?.ending?.reason
        const lastDone = seen?.operations.at(-1)
        raw.socket.destroy()
        // Anything but data during a COPY is more than the server itself goes on after.
        if (reason === 'target-closed') return
        assert.ok(!raw.isClosed, `it ended: ${reason}`)
        await until(() => seen?.isReleased === true)
        const end = seen?.operations.at(-1) ?? lastDone
        assert.deepEqual([end?.sealed[0], end?.rows], [`'the end'`, 1])
      },
    ),
    { numRuns: 60 },
  )
})

test('more answers owed than are followed at once hold the client back, and none is lost', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const raw = await bed.raw()
  const count = 60_000

  raw.send(encode.query('select pg_sleep(0.5)'), ...Array.from({ length: count }, () => encode.sync()))

  await until(() => raw.frames.filter(({ type }) => type === 'Z').length >= count + 1)
  raw.send(encode.query('select 1'))
  await until(() => raw.frames.at(-1)?.type === 'Z' && raw.frames.some(({ type }) => type === 'T'))
})

test('whoever does not prove who they are makes room for whoever does', async (t) => {
  const bed = await openGatewayBed(t, cluster)
  const idle = Array.from({ length: 600 }, () => connectNet({ port: bed.port, host: '127.0.0.1' }))
  for (const socket of idle) socket.on('error', () => undefined)
  t.after(() => idle.forEach((socket) => socket.destroy()))
  await until(() => idle.every(({ connecting }) => !connecting))

  const client = await bed.client()

  assert.deepEqual((await client.query('select 1 as n')).rows, [{ n: 1 }])
  await until(
    () => idle.filter(({ destroyed, readableEnded, closed }) => destroyed || readableEnded || closed).length >= 1,
  )
})

test('clients without TLS come in only where that was opened for measuring', async (t) => {
  const bed = await openGatewayBed(t, cluster, { gateway: { allowsPlaintext: true } })

  const client = await bed.client({}, { ssl: false })

  assert.ok(client instanceof pg.Client)
  assert.deepEqual((await client.query('select 1 as n')).rows, [{ n: 1 }])
})
