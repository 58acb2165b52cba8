import assert from 'node:assert/strict'
import { generateKeyPairSync, sign, X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { makeCertificate, pemOf } from './x509.ts'
import { CertificateTemplate, SERIAL_BYTES, wrapped } from './x509-template.ts'

const issuer = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const issuerSpki = issuer.publicKey.export({ format: 'der', type: 'spki' })
const keys = Array.from({ length: 4 }, () =>
  generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'der', type: 'spki' }),
)

function template(uri: string) {
  const terms = { issuer: 'Reeve', subject: 'payments', use: { kind: 'svid', uri, issuerSpki } as const }
  return { terms, made: new CertificateTemplate(terms) }
}

function minted(made: CertificateTemplate, filling: Parameters<CertificateTemplate['bodyOf']>[0]): Buffer {
  const body = made.bodyOf(filling)
  return wrapped(body, sign('sha256', body, issuer.privateKey))
}

test('a minted certificate is the one that is written whole, but for its signature, which holds', () => {
  fc.assert(
    fc.property(
      fc.nat(3),
      fc.uint8Array({ minLength: SERIAL_BYTES, maxLength: SERIAL_BYTES }),
      fc.integer({ min: 1_000_000, max: 2_500_000_000 }),
      fc.integer({ min: 1, max: 20_000_000 }),
      fc.constantFrom('a', 'payments/api', 'x'.repeat(900)),
      (at, bytes, fromSeconds, forSeconds, path) => {
        const { terms, made } = template(`spiffe://example.org/${path}`)
        const serial = Buffer.from(bytes)
        serial[0] = ((serial[0] ?? 0) & 0x3f) | 0x40
        const notBefore = new Date(fromSeconds * 1000)
        const notAfter = new Date((fromSeconds + forSeconds) * 1000)
        const filling = { serial, notBefore, notAfter, spki: keys[at] ?? assert.fail() }

        const leaf = new X509Certificate(minted(made, filling))

        assert.ok(leaf.verify(issuer.publicKey))
        const whole = new X509Certificate(makeCertificate({ ...terms, ...filling }, issuer.privateKey))
        for (const field of ['serialNumber', 'subject', 'issuer', 'subjectAltName', 'validFrom', 'validTo'] as const) {
          assert.equal(leaf[field], whole[field])
        }
        assert.deepEqual(leaf.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2'])
        assert.ok(leaf.publicKey.equals(whole.publicKey))
        assert.equal(leaf.ca, false)
      },
    ),
    { numRuns: 60 },
  )
})

test('what a template has no place for is refused', () => {
  const { made } = template('spiffe://example.org/a')
  const good = {
    serial: Buffer.alloc(SERIAL_BYTES, 0x41),
    notBefore: new Date('2026-01-01T00:00:00Z'),
    notAfter: new Date('2026-01-01T01:00:00Z'),
    spki: keys[0] ?? assert.fail(),
  }
  assert.ok(pemOf(minted(made, good)).startsWith('-----BEGIN CERTIFICATE-----\n'))

  for (const wrong of [
    { serial: Buffer.alloc(SERIAL_BYTES, 0x81) },
    { serial: Buffer.alloc(8, 0x41) },
    { spki: generateKeyPairSync('ed25519').publicKey.export({ format: 'der', type: 'spki' }) },
    { notAfter: new Date('2050-01-01T00:00:00Z') },
  ]) {
    assert.throws(() => made.bodyOf({ ...good, ...wrong }))
  }
})
