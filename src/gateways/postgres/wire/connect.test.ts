import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { after, before, test, type TestContext } from 'node:test'
import pg from 'pg'
import { issuedClient, issuedServer } from '../../../../test/support/issued.ts'
import { startCluster, type Cluster } from '../../../../test/support/cluster.ts'
import { scramVerifier } from '../../../kernel/crypto.ts'
import { clientConfig } from '../../../kernel/db.ts'
import { systemRandom } from '../../../kernel/random.ts'
import { Secret } from '../../../kernel/secret.ts'
import { cancelUpstream, connectUpstream } from './connect.ts'
import { readReport } from './decode.ts'
import * as encode from './encode.ts'
import { UpstreamError, type TlsChoice, type Upstream, type UpstreamFault, type UpstreamOptions } from './upstream.ts'

const debian = '/usr/lib/postgresql/15/bin'
const never = new AbortController().signal

const server = await issuedServer('localhost')
const somebody = await issuedServer('localhost')
const client = await issuedClient('by_cert')
const cheap = new Secret('a random secret of 256 bits, in real life')
let secure: Cluster
let plain: Cluster

before(async () => {
  const hba = [
    'hostssl all by_cert 127.0.0.1/32 cert',
    'host all by_md5 127.0.0.1/32 md5',
    'host all by_clear 127.0.0.1/32 password',
    'hostssl all tls_only 127.0.0.1/32 scram-sha-256',
    'hostnossl all plain_only 127.0.0.1/32 scram-sha-256',
    'host all tls_only,plain_only 127.0.0.1/32 reject',
    'host all all 127.0.0.1/32 scram-sha-256',
  ]
  secure = await startCluster({ tls: { key: server.key, cert: server.cert, ca: client.ca }, hba })
  plain = await startCluster(existsSync(debian) ? { binFolder: debian } : {})
  const admin = new pg.Client(clientConfig(secure.connection()))
  await admin.connect()
  for (const role of ['by_cert', 'by_clear', 'tls_only', 'plain_only'])
    await admin.query(`create role ${role} login password 'secret'`)
  await admin.query("set password_encryption = md5; create role by_md5 login password 'secret'")
  await admin.query(`create role cheap login password '${await scramVerifier(cheap, systemRandom.bytes(16), 1)}'`)
  await admin.end()
})

after(async () => {
  await secure[Symbol.asyncDispose]()
  await plain[Symbol.asyncDispose]()
})

type Overrides = Partial<Omit<UpstreamOptions, 'tls'>> & { readonly tls?: TlsChoice }

function options(cluster: Cluster, overrides: Overrides = {}): UpstreamOptions {
  return {
    // By name, so that verify-full has one to check.
    address: { host: 'localhost', port: cluster.port },
    tls: { mode: 'disable' },
    user: 'postgres',
    database: 'postgres',
    password: cluster.password,
    deadlineMs: 20_000,
    ...overrides,
  }
}

const as = (user: string) => ({ user, password: new Secret('secret') })

async function open(t: TestContext, cluster: Cluster, overrides: Overrides = {}): Promise<Upstream> {
  const upstream = await connectUpstream(options(cluster, overrides), never)
  t.after(() => upstream.socket.destroy())
  return upstream
}

async function fault(attempt: Promise<unknown>): Promise<[UpstreamFault, string | undefined]> {
  try {
    await attempt
  } catch (error) {
    assert.ok(error instanceof UpstreamError, String(error))
    return [error.fault, error.code]
  }
  return assert.fail('it connected')
}

/** Sends a query and gathers messages until ReadyForQuery. */
async function ask(upstream: Upstream, sql: string): Promise<[type: string, payload: Buffer][]> {
  const frames: [string, Buffer][] = []
  let pending = Buffer.alloc(0)
  const done = new Promise<void>((resolve) => {
    upstream.start((bytes, length) => {
      pending = Buffer.concat([pending, bytes.subarray(0, length)])
      while (pending.length >= 5 && pending.length > pending.readInt32BE(1)) {
        const end = 1 + pending.readInt32BE(1)
        frames.push([String.fromCharCode(pending[0] ?? 0), pending.subarray(5, end)])
        pending = pending.subarray(end)
      }
      if (frames.at(-1)?.[0] === 'Z') resolve()
      return true
    })
  })
  upstream.socket.write(encode.query(sql))
  await done
  return frames
}

const types = (frames: [string, Buffer][]) => frames.map(([type]) => type).join('')

test('every mode of TLS ends as libpq has it, on a server with TLS', async (t) => {
  const encrypted: [TlsChoice, boolean][] = [
    [{ mode: 'disable' }, false],
    [{ mode: 'allow' }, false],
    [{ mode: 'prefer' }, true],
    [{ mode: 'require' }, true],
    [{ mode: 'verify-ca', ca: server.ca }, true],
    [{ mode: 'verify-full', ca: server.ca }, true],
    [{ mode: 'verify-full', ca: server.ca, negotiation: 'direct' }, true],
    [{ mode: 'require', negotiation: 'direct' }, true],
  ]

  for (const [tls, expected] of encrypted) {
    const upstream = await open(t, secure, { tls })
    assert.equal(upstream.isEncrypted, expected, tls.mode)
    assert.equal(types(await ask(upstream, 'select 1')), 'TDCZ', tls.mode)
    assert.equal(upstream.parameters.get('standard_conforming_strings'), 'on')
  }
})

test('a server without TLS is used where that is allowed and refused where not', async (t) => {
  for (const mode of ['disable', 'allow', 'prefer'] as const) {
    const upstream = await open(t, plain, { tls: { mode } })
    assert.equal(types(await ask(upstream, 'select 1')), 'TDCZ', mode)
  }
  for (const mode of ['require', 'verify-ca', 'verify-full'] as const)
    assert.deepEqual(await fault(connectUpstream(options(plain, { tls: { mode } }), never)), ['tls', undefined])
})

test('allow and prefer go the other way when the server wants it', async (t) => {
  assert.equal((await open(t, secure, { ...as('tls_only'), tls: { mode: 'allow' } })).isEncrypted, true)
  assert.equal((await open(t, secure, { ...as('plain_only'), tls: { mode: 'prefer' } })).isEncrypted, false)
  const strict = options(secure, { ...as('plain_only'), tls: { mode: 'require' } })
  assert.deepEqual(await fault(connectUpstream(strict, never)), ['auth', '28000'])
})

test('somebody else’s certificate, or one for another name, is refused by the verifying modes', async (t) => {
  for (const mode of ['verify-ca', 'verify-full', 'require'] as const) {
    const impostor = options(secure, { tls: { mode, ca: somebody.ca } })
    assert.deepEqual(await fault(connectUpstream(impostor, never)), ['tls', undefined], mode)
  }
  const byAddress = { host: '127.0.0.1', port: secure.port }
  const misnamed = options(secure, { address: byAddress, tls: { mode: 'verify-full', ca: server.ca } })
  assert.deepEqual(await fault(connectUpstream(misnamed, never)), ['tls', undefined])
  await open(t, secure, { address: byAddress, tls: { mode: 'verify-ca', ca: server.ca } })
})

test('a client certificate logs in without a password', async (t) => {
  const tls = { mode: 'verify-full', ca: server.ca, cert: client.cert, key: new Secret(client.key) } as const

  const upstream = await connectUpstream(
    {
      address: { host: 'localhost', port: secure.port },
      tls,
      user: 'by_cert',
      database: 'postgres',
      deadlineMs: 20_000,
    },
    never,
  )

  t.after(() => upstream.socket.destroy())
  assert.equal(upstream.isEncrypted, true)
})

test('a wrong password, database and port are told apart', async () => {
  const wrong = options(secure, { password: new Secret('wrong') })
  assert.deepEqual(await fault(connectUpstream(wrong, never)), ['auth', '28P01'])
  assert.deepEqual(await fault(connectUpstream(options(secure, { database: 'none' }), never)), ['server', '3D000'])
  const nobody = options(secure, { address: { host: '127.0.0.1', port: 1 } })
  assert.deepEqual(await fault(connectUpstream(nobody, never)), ['down', undefined])
})

test('md5 is refused, and the password is sent in the clear only over verified TLS', async (t) => {
  assert.deepEqual(await fault(connectUpstream(options(secure, as('by_md5')), never)), ['auth', undefined])
  assert.deepEqual(await fault(connectUpstream(options(secure, as('by_clear')), never)), ['auth', undefined])
  const unverified = options(secure, { ...as('by_clear'), tls: { mode: 'require' } })
  assert.deepEqual(await fault(connectUpstream(unverified, never)), ['auth', undefined])
  await open(t, secure, { ...as('by_clear'), tls: { mode: 'verify-full', ca: server.ca } })
})

test('a verifier of our making logs in; one iteration is accepted only where that is expected', async (t) => {
  const login = { user: 'cheap', password: cheap }

  await open(t, secure, { ...login, leastIterations: 1 })

  assert.deepEqual(await fault(connectUpstream(options(secure, login), never)), ['auth', undefined])
})

test('the cancel key has the length of the protocol version, and an older server lowers the version', async (t) => {
  const { v3_0, v3_2 } = encode.protocolVersion

  assert.equal((await open(t, secure, { version: v3_0 })).cancelKey?.key.length, 4)
  assert.equal((await open(t, secure, { version: v3_2 })).cancelKey?.key.length, 32)
  const older = await open(t, plain, { version: v3_2 })
  assert.equal(older.version, existsSync(debian) ? v3_0 : v3_2)
})

test('a cancel request of either key length ends a running query, encrypted like its connection', async (t) => {
  for (const version of Object.values(encode.protocolVersion))
    for (const mode of ['disable', 'require'] as const) {
      const upstream = await open(t, secure, { version, tls: { mode } })
      assert.ok(upstream.cancelKey)
      const frames = ask(upstream, 'begin; create temp table started (); select pg_sleep(600)')
      await isSleeping(upstream.cancelKey.processId)

      await cancelUpstream(options(secure, { tls: { mode } }), upstream.cancelKey, never)

      const error = (await frames).find(([type]) => type === 'E')
      assert.equal(error && readReport(error[1]).code, '57014')
    }
})

async function isSleeping(processId: number): Promise<void> {
  const admin = new pg.Client(clientConfig(secure.connection()))
  await admin.connect()
  for (;;) {
    const sql = "select 1 from pg_stat_activity where pid = $1 and wait_event = 'PgSleep'"
    if ((await admin.query(sql, [processId])).rowCount === 1) break
  }
  await admin.end()
}

test('parameters of the start-up reach the server', async (t) => {
  const upstream = await open(t, secure, { parameters: new Map([['application_name', 'grant 7']]) })

  assert.equal(upstream.parameters.get('application_name'), 'grant 7')
})

test('a plain connection reads into the memory it was given', async (t) => {
  const readBuffer = Buffer.alloc(64 * 1024)
  const upstream = await open(t, secure, { readBuffer })

  assert.equal(types(await ask(upstream, "select 'in the buffer'")), 'TDCZ')
  assert.ok(readBuffer.includes('in the buffer'))
})

/** A server of the test's own that answers each chunk with the next of `answers`; without more it says nothing. */
async function impostor(t: TestContext, ...answers: readonly Buffer[]) {
  const heard: Buffer[] = []
  const sockets: Socket[] = []
  const listener = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => undefined)
    let turn = 0
    socket.on('data', (chunk: Buffer) => {
      heard.push(chunk)
      const answer = answers[turn++]
      if (answer) socket.write(answer)
    })
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    listener.close()
  })
  const { port } = listener.address() as AddressInfo
  const wanted: UpstreamOptions = {
    address: { host: '127.0.0.1', port },
    tls: { mode: 'disable' },
    user: 'u',
    database: 'd',
    password: new Secret('hunter2'),
    deadlineMs: 20_000,
  }
  return { wanted, heard: () => Buffer.concat(heard).toString('latin1') }
}

test('unencrypted bytes behind the agreement to TLS end the attempt', async (t) => {
  const { wanted } = await impostor(t, Buffer.from('SR\0\0\0\x08\0\0\0\0'))

  const attempt = connectUpstream({ ...wanted, tls: { mode: 'require' } }, never)

  assert.deepEqual(await fault(attempt), ['tls', undefined])
})

test('a server that skips its proof is not believed', async (t) => {
  const offer = encode.authenticationSasl(['SCRAM-SHA-256'])
  const { wanted } = await impostor(t, offer, Buffer.concat([encode.authenticationOk(), encode.readyForQuery('I')]))

  assert.deepEqual(await fault(connectUpstream(wanted, never)), ['auth', undefined])
})

test('no impostor gets the password', async (t) => {
  for (const demand of [
    encode.authenticationCleartextPassword(),
    encode.frame('R', encode.int32(5), Buffer.alloc(4)),
    encode.authenticationSasl(['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256']),
    encode.authenticationSaslContinue(Buffer.from('r=x,s=AAAA,i=1')),
  ]) {
    const { wanted, heard } = await impostor(t, demand)

    await fault(connectUpstream(wanted, never))

    assert.doesNotMatch(heard(), /hunter2/)
  }
})

test('what is not a PostgreSQL server, or breaks the protocol, is a typed error', async (t) => {
  for (const nonsense of [
    Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'),
    encode.frame('R', Buffer.alloc(2)),
    encode.readyForQuery('I'),
    encode.frame('D', Buffer.alloc(2)),
    Buffer.concat([
      encode.authenticationOk(),
      encode.backendKeyData(1, Buffer.alloc(4)).fill(0, 5, 9),
      encode.frame('K'),
    ]),
    encode.negotiateProtocolVersion(4 << 16, []),
  ]) {
    const { wanted } = await impostor(t, nonsense)

    assert.equal((await fault(connectUpstream(wanted, never)))[0], 'protocol', nonsense.toString('latin1'))
  }
})

test('a server that says nothing is down at the deadline, and an abort ends the wait with its reason', async (t) => {
  const { wanted } = await impostor(t)
  assert.deepEqual(await fault(connectUpstream({ ...wanted, deadlineMs: 20 }, never)), ['down', undefined])

  const reason = new Error('the grant is over')
  const abort = new AbortController()
  const attempt = connectUpstream(wanted, abort.signal)
  abort.abort(reason)

  await assert.rejects(attempt, reason)
})

test('what comes behind ReadyForQuery waits for the reader', async (t) => {
  const notice = encode.noticeResponse({ severity: 'NOTICE', code: '00000', message: 'late' })
  const { wanted } = await impostor(t, Buffer.concat([encode.authenticationOk(), encode.readyForQuery('I'), notice]))

  const upstream = await connectUpstream(wanted, never)

  t.after(() => upstream.socket.destroy())
  const first = await new Promise<Buffer>((resolve) =>
    upstream.start((bytes, length) => {
      resolve(Buffer.from(bytes.subarray(0, length)))
      return true
    }),
  )
  assert.deepEqual(first, notice)
})
