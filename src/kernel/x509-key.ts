import { X509Certificate } from 'node:crypto'
import { derFromRaw, spkiOfJwk, type SigningKey } from './signing-key.ts'
import { certificateBody, certificateOf, type CertificateTerms } from './x509.ts'
import { CertificateTemplate, wrapped } from './x509-template.ts'

type Authority = Pick<CertificateTerms, 'subject' | 'notBefore' | 'notAfter' | 'serial'> & { readonly uri: string }

/** A certificate of a SPIFFE trust domain for its own key, in DER (X509-SVID §3.1: its URI names the domain and no path). */
export async function certificateAuthority(key: SigningKey, { uri, ...terms }: Authority): Promise<Buffer> {
  const body = certificateBody({
    ...terms,
    serial: positive(terms.serial),
    issuer: terms.subject,
    spki: spkiOfJwk(key.publicJwk),
    use: { kind: 'svid-authority', uri },
  })
  return certificateOf(body, derFromRaw(await key.sign(body)))
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
  ): Buffer | Promise<Buffer>
}

/** Workloads that renew ask for the same names again; so many are remembered. */
const MOST_TEMPLATES = 10_000

export function openX509Key(key: SigningKey, issuer: string): SvidMint {
  const issuerSpki = spkiOfJwk(key.publicJwk)
  const templates = new Map<string, CertificateTemplate>()
  return {
    mint({ uri, subject, serial, ...filling }) {
      // With its length, so that no two pairs read alike.
      const name = `${uri.length} ${uri}${subject}`
      const known = templates.get(name)
      const template = known ?? new CertificateTemplate({ issuer, subject, use: { kind: 'svid', uri, issuerSpki } })
      if (!known) {
        const [oldest] = templates.keys()
        if (templates.size >= MOST_TEMPLATES && oldest !== undefined) templates.delete(oldest)
        templates.set(name, template)
      }
      const body = template.bodyOf({ ...filling, serial: positive(serial) })
      if (key.signDer) return wrapped(body, key.signDer(body))
      return Promise.resolve(key.sign(body)).then((raw) => wrapped(body, derFromRaw(raw)))
    },
  }
}

/** RFC 5280 §4.1.2.2: a serial is positive. */
function positive(serial: Buffer): Buffer {
  const bytes = Buffer.from(serial)
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40
  return bytes
}
