import assert from 'node:assert/strict'
import { test } from 'node:test'
import { certificateOf, pemKey } from '../../../test/support/certificates.ts'
import { systemClock } from '../../kernel/clock.ts'
import { Secret } from '../../kernel/secret.ts'
import { sourceHttpTo } from '../../inventory/inventory.ts'
import { sentenceOf } from '../../inventory/reading/scope-run.ts'
import type { Observation, ScopeReport } from '../connector.ts'
import { openPostgres, postgresConnector } from './connector.ts'
import { done, failed, heading, message, one, row, stubServer, type StubAnswer } from './stub.fixture.ts'

const PASSWORD = 'only for this test'

/** Opens the source at a port and reads one scope; answers what came of it, a problem as its sentence. */
async function reading(port: number, settings: object, { scope = 'cluster/roles', patienceMs = 20_000 } = {}) {
  const signal = new AbortController().signal
  const told: Observation[] = []
  try {
    await using source = await openPostgres(
      {
        settings: postgresConnector.settings.parse({ host: '127.0.0.1', port, ...settings }),
        credential: new Secret(JSON.stringify({ user: 'reader', password: PASSWORD })),
        clock: systemClock,
        fingerprint: () => assert.fail(),
        http: sourceHttpTo('http://127.0.0.1:1', systemClock),
        ours: async () => new Set(),
        custody: () => Buffer.of(),
      },
      { patienceMs },
      signal,
    )
    const pages = source.read(scope, {}, signal)
    for (;;) {
      const next = await pages.next()
      if (next.done) return { told, report: next.value as ScopeReport | undefined, problem: '' }
      told.push(...next.value.observations)
    }
  } catch (error) {
    const name = error instanceof Error ? error.name : typeof error
    return { told, report: undefined, problem: `${name}: ${sentenceOf(error)}` }
  }
}

const PLAIN = { tls: { mode: 'disable' } }

test('attack: a server that falls silent, drips, or never closes its end is left with a sentence', async (t) => {
  const drip = function* () {
    yield message('T').subarray(0, 2)
  }
  for (const answer of [(): StubAnswer => undefined, () => drip()]) {
    const { port } = await stubServer(t, answer, { neverCloses: true })
    const { problem } = await reading(port, PLAIN, { patienceMs: 50 })
    assert.match(problem, /^Unreadable: the server did not answer in time$/)
  }
})

test('attack: rows without end and a message of gigabytes are cut off at a bound', async (t) => {
  const large = row('x'.repeat(1024 * 1024))
  const flood = function* () {
    yield heading(['name', 25])
    for (;;) yield large
  }
  const announced = function* () {
    yield Buffer.from('447fffffff0001', 'hex')
    for (;;) yield Buffer.alloc(1024 * 1024)
  }
  for (const pieces of [flood, announced]) {
    const server = await stubServer(t, () => pieces())
    const { problem } = await reading(server.port, PLAIN)
    assert.match(problem, /^Unreadable: the server answers more than any catalog holds$/)
    assert.ok(server.sentBytes < 256 * 1024 * 1024)
  }
})

test('attack: bytes that are no protocol end the reading and not the node', async (t) => {
  const broken: Readonly<Record<string, Buffer>> = {
    'a row that ends in its middle': Buffer.concat([heading(['name', 25]), Buffer.from('4400000006ffff', 'hex')]),
    'a row longer than its message': Buffer.from('440000000b00017fffffff41', 'hex'),
    'a heading of columns that are not there': Buffer.from('54000000067fff', 'hex'),
    'a row without a heading': Buffer.concat([row('x'), done]),
    'another protocol': Buffer.from('HTTP/1.1 200 OK\r\n\r\n'),
    zeros: Buffer.alloc(64),
    'an error without an end': Buffer.from('450000000553', 'hex'),
    'a heading whose last name has no end': Buffer.from('54000000090001616161', 'hex'),
    'a way to log in without an end': Buffer.from('52000000090000000a41', 'hex'),
    'a status of one word': Buffer.from('53000000064100', 'hex'),
    'a length below its own': Buffer.from('4400000003', 'hex'),
    'a question for the password': message('R', Buffer.of(0, 0, 0, 3)),
    'an invitation to copy': message('G', Buffer.of(0, 0, 0)),
  }
  for (const [what, bytes] of Object.entries(broken)) {
    const { port } = await stubServer(t, () => bytes)
    const { problem, report } = await reading(port, PLAIN, { patienceMs: 60 })
    assert.ok(report?.status !== 'complete' && problem !== '', `${what}: ${problem}`)
  }
})

test('a server of another version or product says what it lacks, and nothing it tells is taken for the truth', async (t) => {
  const lacks = await stubServer(t, () => failed('42883'))
  const other = await stubServer(t, () => one({ unheard_of: '1' }))
  const stops = await stubServer(t, () => failed('57P01'))

  const [first, second] = [await reading(lacks.port, PLAIN), await reading(other.port, PLAIN)]
  const third = await reading(stops.port, PLAIN)

  assert.match(first.problem, /^Unreadable: .*other than what is read here \(42883\)$/)
  assert.match(second.problem, /^Unreadable: the server answers in another way/)
  assert.equal(third.problem, 'LeaseFailure: reading failed (57P01)')
})

test('attack: without the TLS that was asked for, in the right name, in time, by the right authority, no login is sent', async (t) => {
  const issuer = certificateOf({ subject: 'Root', isAuthority: true })
  const by = { subject: 'Root', key: issuer.key }
  const shown = {
    'another name': certificateOf({ subject: 'x', names: ['other.example'], issuer: by }),
    expired: certificateOf({ subject: 'x', names: ['localhost'], issuer: by, notAfter: new Date('2021-01-01') }),
    'another authority': certificateOf({ subject: 'x', names: ['localhost'] }),
    right: certificateOf({ subject: 'x', names: ['localhost'], issuer: by }),
  }
  const settings = { host: 'localhost', tls: { mode: 'verify-full', ca: issuer.pem } }
  const said: Record<string, string> = {}
  for (const [what, { pem, key }] of Object.entries(shown)) {
    const server = await stubServer(t, () => failed('57P01'), { tls: { cert: pem, key: pemKey(key) } })
    said[what] = (await reading(server.port, settings)).problem.replace(/^\w+: /, '')
    assert.deepEqual(server.seen, what === 'right' ? ['asks for TLS', 'begins'] : ['asks for TLS'], what)
  }
  const plain = await stubServer(t, () => undefined)
  said['none'] = (await reading(plain.port, settings)).problem.replace('Unreadable: ', '')

  assert.deepEqual(plain.seen, ['asks for TLS'])
  assert.deepEqual(said, {
    'another name': 'the cluster cannot be entered (ERR_TLS_CERT_ALTNAME_INVALID)',
    expired: 'the cluster cannot be entered (CERT_HAS_EXPIRED)',
    'another authority': 'the cluster cannot be entered (DEPTH_ZERO_SELF_SIGNED_CERT)',
    right: 'reading failed (57P01)',
    none: 'the cluster cannot be entered (it offers no TLS)',
  })
})
