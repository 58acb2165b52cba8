import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { certificateOf, pemKey } from '../../../test/support/certificates.ts'
import { sourceHttpTo } from '../../inventory/inventory.ts'
import { systemClock } from '../../kernel/clock.ts'
import { Secret } from '../../kernel/secret.ts'
import { mysqlConnector, openMysql } from './connector.ts'
import { halvesOf } from './session.ts'
import { failed, packet, stubServer, type StubAnswer } from './stub.fixture.ts'

/** Opens the source at a port and asks it what it is; a problem as its sentence. */
async function problemOf(port: number, settings: object = { host: '127.0.0.1', plaintext: true }, patienceMs = 20_000) {
  const signal = new AbortController().signal
  try {
    await using source = await openMysql(
      {
        settings: mysqlConnector.settings.parse({ port, ...settings }),
        credential: new Secret(JSON.stringify({ user: 'reader', password: 'only for this test' })),
        clock: systemClock,
        fingerprint: () => assert.fail(),
        http: sourceHttpTo('http://127.0.0.1:1', systemClock),
        ours: async () => new Set(),
        custody: () => Buffer.of(),
      },
      { patienceMs },
      signal,
    )
    await source.probe(signal)
    return ''
  } catch (error) {
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  }
}

test('attack: a server that falls silent, drips, floods or is no server at all is left with a sentence', async (t) => {
  const large = packet(1, Buffer.alloc(0xffffff))
  const flood = function* () {
    for (;;) yield large
  }
  const silent = await stubServer(t, () => undefined)
  const drips = await stubServer(t, () => [packet(1, Buffer.alloc(9)).subarray(0, 5)])
  const floods = await stubServer(t, () => flood())
  const lacks = await stubServer(t, () => [failed(1146)])

  assert.match(await problemOf(silent.port, undefined, 100), /^Unreadable: the server did not answer in time$/)
  assert.match(await problemOf(drips.port, undefined, 100), /^Unreadable: the server did not answer in time$/)
  assert.match(await problemOf(floods.port), /^Unreadable: the server answers more than any catalog holds$/)
  assert.ok(floods.sentBytes < 512 * 1024 * 1024)
  assert.match(await problemOf(lacks.port), /^Unreadable: .*other than what is read here \(1146\)$/)
})

test('attack: bytes that are no protocol, as a greeting or as an answer, end the reading and not the node', async (t) => {
  const broken = [
    packet(1, Buffer.of(0)),
    packet(1, Buffer.of(0, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0)),
    packet(1, Buffer.of(0xff)),
    packet(1, Buffer.of(0xfb), '/etc/passwd'),
    packet(1, Buffer.of(0xfe, 0, 0, 0, 0)),
    packet(7, Buffer.of(0, 0, 0, 2)),
    Buffer.from('HTTP/1.1 200 OK\r\n\r\n'),
    Buffer.alloc(64),
  ]
  for (const [at, bytes] of broken.entries()) {
    const answers = await stubServer(t, (): StubAnswer => [bytes])
    const greets = await stubServer(t, () => undefined, { greets: bytes })
    assert.notEqual(await problemOf(answers.port, undefined, 60), '', `answer ${at}`)
    assert.notEqual(await problemOf(greets.port, undefined, 60), '', `greeting ${at}`)
  }
})

test('attack: without the TLS that was asked for, in the right name, in time, by the right authority, no login is sent', async (t) => {
  const issuer = certificateOf({ subject: 'Root', isAuthority: true })
  const by = { subject: 'Root', key: issuer.key }
  const names = ['localhost']
  const shown = {
    'another name': certificateOf({ subject: 'x', names: ['other.example'], issuer: by }),
    expired: certificateOf({ subject: 'x', names, issuer: by, notAfter: new Date('2021-01-01') }),
    'another authority': certificateOf({ subject: 'x', names }),
    right: certificateOf({ subject: 'x', names, issuer: by }),
  }
  const settings = { host: 'localhost', ca: issuer.pem }
  for (const [what, { pem, key }] of Object.entries(shown)) {
    const server = await stubServer(t, () => [failed(1146)], { tls: { cert: pem, key: pemKey(key) } })
    const problem = await problemOf(server.port, settings)
    assert.match(problem, what === 'right' ? /1146/ : /HANDSHAKE_SSL_ERROR/, what)
    assert.equal(server.logins, what === 'right' ? 1 : 0, what)
  }
  const plain = await stubServer(t, () => undefined)
  assert.match(await problemOf(plain.port, settings), /HANDSHAKE_NO_SSL_SUPPORT/)
  assert.equal(plain.logins, 0)
})

test('whatever a list of rights names as its holder, it has two halves', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const { name, host } = halvesOf(text)
      return name.length + host.length <= text.length
    }),
  )
  assert.deepEqual(halvesOf(`'x'@'y'@'h'`), { name: `x'@'y`, host: 'h' })
})
