/** X509-SVIDs as verifiers read them. https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md */
import { X509Certificate } from 'node:crypto'
import { readSpiffeId } from './spiffe-id.ts'

const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'

/** The SPIFFE ID of a leaf, whoever issued it: its one and only URI, with a path. Undefined for whatever is no such leaf. */
export function svidIdOf(leaf: Uint8Array): string | undefined {
  try {
    return idOf(new X509Certificate(leaf))
  } catch {
    return undefined
  }
}

type Proven = { readonly id: string; readonly endsAt: Date }

/**
 * The SPIFFE ID that a leaf proves by one of these authorities (DER), those of the trust domain that it names. Leaves that come by way of
 * intermediates are not taken.
 */
export function verifySvid(leaf: Uint8Array, authorities: readonly Uint8Array[], now: Date): Proven | undefined {
  try {
    const certificate = new X509Certificate(leaf)
    const id = idOf(certificate)
    if (id === undefined || certificate.validFromDate > now || certificate.validToDate <= now) return undefined
    const isIssued = authorities.some((der) => {
      const authority = new X509Certificate(der)
      return (
        authority.ca &&
        authority.validToDate > now &&
        certificate.checkIssued(authority) &&
        certificate.verify(authority.publicKey)
      )
    })
    return isIssued ? { id, endsAt: certificate.validToDate } : undefined
  } catch {
    return undefined
  }
}

/** Whether these bytes are the certificate of an authority of this trust domain: it names the domain, or nobody. */
export function isAuthorityOf(der: Uint8Array, trustDomain: string): boolean {
  try {
    const certificate = new X509Certificate(der)
    const uris = urisOf(certificate)
    // X509-SVID §4.1, Trust Domain and Bundle §4.2.1.
    return certificate.ca && (uris.length === 0 || (uris.length === 1 && uris[0] === `spiffe://${trustDomain}`))
  } catch {
    return false
  }
}

/** The public key of a certificate (RFC 7517). */
export function jwkOfCertificate(der: Uint8Array): Readonly<Record<string, unknown>> {
  return { ...new X509Certificate(der).publicKey.export({ format: 'jwk' }) }
}

/** X509-SVID §2, §4.3 and §4.4: one URI, no authority, and good for this side of TLS where it says for which. */
function idOf(certificate: X509Certificate): string | undefined {
  const [uri, ...others] = urisOf(certificate)
  const purposes = certificate.keyUsage ?? []
  const isForTls = purposes.length === 0 || purposes.includes(CLIENT_AUTH) || purposes.includes(SERVER_AUTH)
  if (uri === undefined || others.length > 0 || certificate.ca || !isForTls) return undefined
  const id = readSpiffeId(uri)
  return id && id.path !== '' ? uri : undefined
}

/** Node writes a name that holds a comma or a quote as a JSON string, so no name looks like two. */
function urisOf({ subjectAltName }: X509Certificate): string[] {
  const names = (subjectAltName ?? '').match(/(?:[^",]|"(?:[^"\\]|\\.)*")+/g) ?? []
  return names.map((name) => name.trim()).flatMap((name) => (name.startsWith('URI:') ? [name.slice(4)] : []))
}
