import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import * as decode from './decode.ts'
import * as encode from './encode.ts'
import { WireError } from './wire-error.ts'

const payload = (message: Buffer) => message.subarray(5)
const text = fc.string({ unit: 'grapheme', maxLength: 40 }).map((value) => value.replaceAll('\0', ''))

test('statements read back as they were written', () => {
  fc.assert(
    fc.property(text, text, fc.array(fc.nat(), { maxLength: 5 }), (name, sql, parameterTypes) => {
      assert.equal(decode.readQuery(payload(encode.query(sql))), sql)
      assert.deepEqual(decode.readParse(payload(encode.parse(name, sql, parameterTypes))), {
        statement: name,
        sql,
        parameterTypes,
      })
    }),
  )
})

test('a Bind gives its parameter values, NULL apart from empty', () => {
  const bind = Buffer.concat([
    Buffer.from('portal\0statement\0'),
    Buffer.from([0, 1, 0, 1, 0, 3]),
    encode.int32(-1),
    encode.int32(0),
    encode.int32(2),
    Buffer.from('hi'),
    Buffer.from([0, 0]),
  ])

  assert.deepEqual(decode.readBind(bind), {
    portal: 'portal',
    statement: 'statement',
    parameterFormats: [1],
    values: [null, Buffer.alloc(0), Buffer.from('hi')],
    resultFormats: [],
  })
  assert.deepEqual(decode.readBindNames(bind), { portal: 'portal', statement: 'statement' })
})

test('a report carries the fields a person needs and its bytes cannot be split by a NUL', () => {
  const message = encode.errorResponse({
    severity: 'ERROR',
    code: '42501',
    message: 'not\0 covered',
    detail: 'd',
    hint: 'request it',
    position: 3,
  })

  assert.deepEqual(decode.readReport(payload(message)), {
    severity: 'ERROR',
    code: '42501',
    message: 'not covered',
    detail: 'd',
    hint: 'request it',
  })
  assert.throws(() => encode.query('select 1\0; drop table t'), RangeError)
})

test('rows are read from the tag of a command', () => {
  const rows = (tag: string) => decode.readCommandRows(Buffer.from(`${tag}\0`))

  assert.deepEqual(
    ['SELECT 5', 'INSERT 0 120', 'COPY 0', 'BEGIN', 'CREATE TABLE', '5', 'UPDATE 12345678901234', ''].map(rows),
    [5, 120, 0, undefined, undefined, undefined, 12345678901234, undefined],
  )
})

test('cancel keys of both lengths pass, others do not', () => {
  for (const sizeBytes of [4, 32, 256])
    assert.equal(
      decode.readBackendKey(payload(encode.backendKeyData(7, Buffer.alloc(sizeBytes)))).key.length,
      sizeBytes,
    )
  for (const sizeBytes of [0, 3, 257])
    assert.throws(() => decode.readBackendKey(Buffer.concat([encode.int32(7), Buffer.alloc(sizeBytes)])), WireError)
})

test('authentication requests are told apart, md5 by name', () => {
  const read = (message: Buffer) => decode.readAuthentication(payload(message))

  assert.deepEqual(read(encode.authenticationSasl(['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'])), {
    kind: 'sasl',
    mechanisms: ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'],
  })
  assert.deepEqual(read(encode.authenticationOk()), { kind: 'ok' })
  assert.deepEqual(read(encode.frame('R', encode.int32(5), Buffer.alloc(4))), {
    kind: 'unsupported',
    name: 'MD5 password',
  })
})

test('a negotiation says the full version code', () => {
  const message = encode.negotiateProtocolVersion(encode.protocolVersion.v3_2, ['_pq_.foo'])

  assert.deepEqual(decode.readNegotiation(payload(message)), { version: 196610, unknownOptions: ['_pq_.foo'] })
})

const readers = [
  decode.readQuery,
  decode.readParse,
  decode.readBind,
  decode.readBindNames,
  decode.readDescribe,
  decode.readClose,
  decode.readExecute,
  decode.readReport,
  decode.readCommandTag,
  decode.readCommandRows,
  decode.readParameterStatus,
  decode.readReadyStatus,
  decode.readBackendKey,
  decode.readNotification,
  decode.readAuthentication,
  decode.readNegotiation,
  decode.readPassword,
]

test('malformed payloads throw nothing but the typed error', () => {
  fc.assert(
    fc.property(fc.constantFrom(...readers), fc.uint8Array({ maxLength: 60 }), fc.nat(20), (read, bytes, start) => {
      const memory = Buffer.from(bytes)
      try {
        read(memory, Math.min(start, memory.length), memory.length)
      } catch (error) {
        assert.ok(error instanceof WireError, String(error))
      }
    }),
    { numRuns: 2000 },
  )
})

test('a payload is never read beyond its end', () => {
  const bytes = Buffer.from('select 1; drop table t\0')

  assert.throws(() => decode.readQuery(bytes, 0, 8), WireError)
})

test('a query with bytes after its end is refused, for the server would refuse it too', () => {
  assert.throws(() => decode.readQuery(Buffer.from('select 1\0; drop table t\0')), WireError)
})

test('a statement that is not UTF-8 is refused', () => {
  const bytes = Buffer.from([0x27, 0xff, 0x27, 0])

  assert.throws(() => decode.readQuery(bytes), { code: '22021' })
})
