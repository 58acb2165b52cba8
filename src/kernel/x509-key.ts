import { createPrivateKey, createPublicKey, sign, X509Certificate } from 'node:crypto'
import { bitString, objectId, sequence } from './der.ts'
import type { Secret } from './secret.ts'
import { certificateBody, type CertificateTerms } from './x509.ts'
import { CertificateTemplate } from './x509-template.ts'

/** The SubjectPublicKeyInfo of a private key (PKCS #8 in DER). */
export function spkiOf(pkcs8: Secret<Buffer>): Buffer {
  return createPublicKey(privateKey(pkcs8)).export({ format: 'der', type: 'spki' })
}

type Authority = Pick<CertificateTerms, 'subject' | 'notBefore' | 'notAfter' | 'serial'> & { readonly uri: string }

/** A certificate of a SPIFFE trust domain for its own key, in DER (X509-SVID §3.1: its URI names the domain and no path). */
export function certificateAuthority(pkcs8: Secret<Buffer>, { uri, ...terms }: Authority): Buffer {
  const spki = spkiOf(pkcs8)
  const body = certificateBody({
    ...terms,
    serial: positive(terms.serial),
    issuer: terms.subject,
    spki,
    use: { kind: 'svid-authority', uri },
  })
  const algorithm = sequence(objectId('1.2.840.10045.4.3.2'))
  return sequence(body, algorithm, bitString(sign('sha256', body, privateKey(pkcs8))))
}

/** What a leaf has to know of its authority: the name it is issued by, and until when. Throws for what is no such certificate. */
export function readAuthority(der: Uint8Array): { readonly subject: string; readonly endsAt: Date } {
  const certificate = new X509Certificate(der)
  const subject = /^CN=(.+)$/m.exec(certificate.subject)?.[1]
  if (subject === undefined) throw new Error('the certificate of an authority has no name')
  return { subject, endsAt: certificate.validToDate }
}

/** What mints SVIDs with one key. */
export type SvidMint = {
  /** A leaf in DER for `uri`. Serials are 16 unpredictable bytes. */
  mint(
    leaf: Pick<CertificateTerms, 'serial' | 'subject' | 'notBefore' | 'notAfter' | 'spki'> & { readonly uri: string },
  ): Buffer
}

/** Workloads that renew ask for the same names again; so many are remembered. */
const MOST_TEMPLATES = 10_000

export function openX509Key(pkcs8: Secret<Buffer>, issuer: string): SvidMint {
  const key = privateKey(pkcs8)
  const issuerSpki = spkiOf(pkcs8)
  const templates = new Map<string, CertificateTemplate>()
  return {
    mint({ uri, subject, serial, ...filling }) {
      const name = JSON.stringify([uri, subject])
      const template =
        templates.get(name) ?? new CertificateTemplate({ issuer, subject, use: { kind: 'svid', uri, issuerSpki } })
      if (!templates.has(name)) {
        const [oldest] = templates.keys()
        if (templates.size >= MOST_TEMPLATES && oldest !== undefined) templates.delete(oldest)
        templates.set(name, template)
      }
      return template.mint({ ...filling, serial: positive(serial) }, key)
    },
  }
}

/** RFC 5280 §4.1.2.2: a serial is positive. */
function positive(serial: Buffer): Buffer {
  const bytes = Buffer.from(serial)
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40
  return bytes
}

function privateKey(pkcs8: Secret<Buffer>) {
  return createPrivateKey({ key: pkcs8.reveal(), format: 'der', type: 'pkcs8' })
}
