import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readNegotiation } from './decode.ts'
import { cancelRequest, int32, sslRequest, startupMessage } from './encode.ts'
import { readOptions, splitOptions } from './options.ts'
import { readFirstPacket, settleStartup, type StartupRequest } from './startup.ts'
import { WireError } from './wire-error.ts'

const base = { user: 'app@orders', database: 'orders' }

function start(parameters: Record<string, string>, version = 196608): StartupRequest {
  const bytes = startupMessage(version, Object.entries(parameters))
  const read = readFirstPacket(bytes)
  assert.ok(read?.packet.kind === 'startup')
  assert.equal(read.sizeBytes, bytes.length)
  return settleStartup(read.packet)
}

function refusal(parameters: Record<string, string>): string {
  try {
    start({ ...base, ...parameters })
  } catch (error) {
    assert.ok(error instanceof WireError)
    return error.code
  }
  return 'accepted'
}

test('the user name splits at the last @', () => {
  const request = start({ user: 'a@b.example@orders', database: 'd' })

  assert.equal(request.account, 'a@b.example')
  assert.equal(request.target, 'orders')
})

test('a user name without target, without account or with an impossible target is refused', () => {
  for (const user of ['app', '@orders', 'app@', 'app@Or ders', `${'x'.repeat(64)}@orders`, ''])
    assert.equal(refusal({ user }), '28000', user)
})

test('the database is explicit', () => {
  assert.equal(refusal({ database: '' }), '3D000')
  assert.equal(refusal({ database: 'app@orders' }), '3D000')
})

test('each version is answered as PostgreSQL 18 answers it', () => {
  const answers = [196608, 196609, 196610, 196608 + 9999].map((version) => {
    const { version: settled, negotiation } = start(base, version)
    return [settled, negotiation && readNegotiation(negotiation.subarray(5))]
  })

  assert.deepEqual(answers, [
    [196608, undefined],
    [196608, undefined],
    [196610, undefined],
    [196610, { version: 196610, unknownOptions: [] }],
  ])
  assert.throws(() => start(base, 4 << 16), { code: '0A000' })
  assert.throws(() => start(base, 2 << 16), { code: '0A000' })
})

test('unknown protocol options are listed in the negotiation and go no further', () => {
  const request = start({ ...base, '_pq_.foo': 'x' }, 196610)

  assert.ok(request.negotiation)
  assert.deepEqual(readNegotiation(request.negotiation.subarray(5)), {
    version: 196610,
    unknownOptions: ['_pq_.foo'],
  })
  assert.deepEqual([...request.settings.keys()], ['client_encoding', 'standard_conforming_strings'])
})

test('ordinary settings pass, and the encoding and string syntax are always pinned', () => {
  const request = start({ ...base, TimeZone: 'UTC', options: '-c statement_timeout=5s --extra-float-digits=2' })

  assert.deepEqual(Object.fromEntries(request.settings), {
    statement_timeout: '5s',
    extra_float_digits: '2',
    timezone: 'UTC',
    client_encoding: 'UTF8',
    standard_conforming_strings: 'on',
  })
})

test('string syntax cannot be turned off, whichever way it is spelled', () => {
  for (const options of [
    '-c standard_conforming_strings=off',
    '-cstandard_conforming_strings=off',
    '--standard-conforming-strings=off',
    '-c Standard_Conforming_Strings=0',
    '-c standard\\_conforming\\_strings=of\\f',
    '\t-c\nstandard-conforming-strings=no',
    '-c timezone=UTC -c standard_conforming_strings=off',
  ])
    assert.equal(refusal({ options }), '22023', options)
  assert.equal(refusal({ standard_conforming_strings: 'off' }), '22023')
  assert.equal(refusal({ client_encoding: 'SJIS' }), '22023')
  assert.equal(refusal({ client_encoding: 'utf-8' }), 'accepted')
})

test('nobody becomes another role while starting', () => {
  for (const options of ['-c role=postgres', '--session-authorization=postgres', '-c ROLE=x'])
    assert.equal(refusal({ options }), '42501', options)
  assert.equal(refusal({ role: 'postgres' }), '42501')
  assert.equal(refusal({ session_replication_role: 'replica' }), '42501')
  assert.equal(refusal({ local_preload_libraries: 'x' }), '42501')
  assert.equal(refusal({ search_path: 'evil, pg_catalog' }), '42501')
})

test('switches that are not settings are refused', () => {
  for (const options of ['-d 5', '-F', '-W 30', 'x', '-c', '-c novalue', '-c =x', '--', '-fs'])
    assert.equal(refusal({ options }), '0A000', options)
})

test('replication is refused unless it is asked not to happen', () => {
  assert.equal(refusal({ replication: 'database' }), '0A000')
  assert.equal(refusal({ replication: 'true' }), '0A000')
  assert.equal(refusal({ replication: 'off' }), 'accepted')
})

test('options are split as the server splits them', () => {
  assert.deepEqual(splitOptions('  a\\ b\\\\c \t d\\'), ['a b\\c', 'd'])
  assert.deepEqual(readOptions('-c search_path=a,\\ b'), [['search_path', 'a, b']])
})

test('encryption and cancel requests are recognised', () => {
  assert.deepEqual(readFirstPacket(sslRequest()), { packet: { kind: 'ssl' }, sizeBytes: 8 })
  assert.equal(readFirstPacket(Buffer.from([0x16, 3, 1]))?.packet.kind, 'tls')
  for (const sizeBytes of [4, 32, 256]) {
    const key = Buffer.alloc(sizeBytes, 7)
    assert.deepEqual(readFirstPacket(cancelRequest(12, key))?.packet, { kind: 'cancel', processId: 12, key })
  }
  for (const sizeBytes of [0, 3, 257])
    assert.throws(() => readFirstPacket(cancelRequest(12, Buffer.alloc(sizeBytes))), WireError)
})

test('plaintext slipped in behind an encryption request ends the connection', () => {
  const stuffed = Buffer.concat([sslRequest(), startupMessage(196608, Object.entries(base))])

  assert.throws(() => readFirstPacket(stuffed), { code: '08P01' })
})

test('a first packet is bounded before it is read', () => {
  for (const size of [-1, 0, 7, 10_005, 0x7fffffff]) assert.throws(() => readFirstPacket(int32(size)), WireError)
  assert.throws(() => readFirstPacket(Buffer.from('GET / HTTP/1.1\r\n')), WireError)
  assert.equal(readFirstPacket(int32(10_004)), undefined)
})

test('any bytes give a packet, a wish for more or the typed error, and never more by being split', () => {
  const likely = fc.oneof(
    fc.uint8Array({ maxLength: 64 }).map((bytes) => Buffer.from(bytes)),
    fc
      .tuple(fc.constantFrom(196608, 196610, 80877102, 80877103, 80877104), fc.uint8Array({ maxLength: 64 }))
      .map(([code, rest]) => Buffer.concat([int32(rest.length + 8), int32(code), rest])),
  )
  fc.assert(
    fc.property(likely, (bytes) => {
      const attempt = (length: number) => {
        try {
          const read = readFirstPacket(bytes.subarray(0, length))
          if (read?.packet.kind === 'startup') settleStartup(read.packet)
          return read
        } catch (error) {
          assert.ok(error instanceof WireError, String(error))
          return 'refused'
        }
      }
      const whole = attempt(bytes.length)
      for (let length = 0; length < bytes.length; length++) {
        const part = attempt(length)
        if (part === 'refused') assert.equal(whole, 'refused')
      }
    }),
    { numRuns: 500 },
  )
})
