import { certificateDer } from '../../kernel/crypto.ts'

/** A chain is a few thousand bytes. */
const LONGEST = 32_768

/** DER of the certificate that a proxy sends (PEM, URL-encoded), whose key its peer used in the handshake; undefined where it sends none. */
export function derOf(encoded: string): Buffer | undefined {
  if (encoded === '' || encoded.length > LONGEST) return undefined
  try {
    return certificateDer(decodeURIComponent(encoded))
  } catch {
    return undefined
  }
}
