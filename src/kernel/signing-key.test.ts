import assert from 'node:assert/strict'
import { createPublicKey, verify } from 'node:crypto'
import { test } from 'node:test'
import { newSigningKey, openSigningKey, openVerifyingKey, SIGNING_ALGORITHMS, spkiSha256OfJwk } from './signing-key.ts'

for (const algorithm of SIGNING_ALGORITHMS) {
  test(`what a key of ${algorithm} signs is a JWS signature, by the platform's own verifier, and is of these bytes only`, () => {
    const key = openSigningKey(newSigningKey(algorithm))
    const verifies = openVerifyingKey(key.publicJwk)
    const platform = createPublicKey({ key: { ...key.publicJwk }, format: 'jwk' })

    // Often enough to meet numbers with zeros at their beginning, which DER writes shorter.
    for (let at = 0; at < 2_000; at += 1) {
      const message = Buffer.from(`message ${at}`)
      const signature = key.sign(message)
      assert.equal(signature.length, 64)
      const isGood =
        algorithm === 'ES256'
          ? verify('sha256', message, { key: platform, dsaEncoding: 'ieee-p1363' }, signature)
          : verify(null, message, platform, signature)
      assert.ok(isGood && verifies(message, signature), String(at))
    }
    const signature = key.sign(Buffer.from('a'))
    assert.equal(verifies(Buffer.from('b'), signature), false)
    for (const bad of [
      Buffer.alloc(64),
      Buffer.alloc(64, 0xff),
      Buffer.alloc(0),
      signature.subarray(1),
      Buffer.alloc(65),
    ]) {
      assert.equal(verifies(Buffer.from('a'), bad), false)
    }
  })
}

test('a published key has no private half, and what is no key has no fingerprint', () => {
  const { publicJwk, kid } = openSigningKey(newSigningKey('ES256'))

  assert.deepEqual(Object.keys(publicJwk).sort(), ['crv', 'kty', 'x', 'y'])
  assert.equal(kid.length, 43)
  assert.equal(spkiSha256OfJwk({ ...publicJwk })?.length, 32)
  assert.equal(spkiSha256OfJwk({ kty: 'oct', k: 'AAAA' }), undefined)
  assert.equal(spkiSha256OfJwk({ kty: 'EC', crv: 'P-256', x: 'AAAA', y: 'AAAA' }), undefined)
})
