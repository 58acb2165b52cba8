import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatKeyUri, parseKeyUri, parseTokenUri } from './uri.ts'

test('a token is named as RFC 7512 has it', () => {
  assert.deepEqual(parseTokenUri('pkcs11:token=The%20Software%20Token;serial=4D2A;slot-id=7'), {
    token: 'The Software Token',
    serial: '4D2A',
    slotId: 7n,
  })
  assert.deepEqual(parseTokenUri('pkcs11:manufacturer=Snake%20Oil,%20Inc.;model=1.0'), {
    manufacturer: 'Snake Oil, Inc.',
    model: '1.0',
  })
})

test('attack: a name with a PIN, another module or a second meaning is refused', () => {
  for (const text of [
    'pkcs11:',
    'reeve',
    'pkcs11:token=a?pin-value=1234',
    'pkcs11:token=a?module-path=/tmp/evil.so',
    'pkcs11:token=a;token=b',
    'pkcs11:token=a;object=b',
    'pkcs11:token=a b',
    'pkcs11:token=a;;serial=1',
    'pkcs11:token=%4',
    'pkcs11:slot-id=-1',
    'pkcs11:slot-id=99999999999999999999',
    `pkcs11:token=${'a'.repeat(1_000)}`,
  ]) {
    assert.throws(() => parseTokenUri(text), Error, text)
  }
})

test('reading and writing the name of a key are each other’s reverse, and no text breaks the reader', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 64 }), fc.string({ maxLength: 40 }), (bytes, label) => {
      fc.pre(label.isWellFormed())
      const id = Buffer.from(bytes)
      assert.deepEqual(parseKeyUri(formatKeyUri({ id, label })), { id, label })
    }),
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.string().map((text) => `pkcs11:id=%01;object=${text}`),
      ),
      (text) => {
        const uri = parseKeyUri(text)
        assert.ok(uri === undefined || uri.id.length > 0)
      },
    ),
  )
})
