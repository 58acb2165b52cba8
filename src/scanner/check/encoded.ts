import { isNoSecret } from '../engine/placeholder.ts'
import { pemKey } from './pem.ts'
import { verified, WELL_FORMED, type Verdict } from './verdict.ts'

/** Base64 of exactly so many bytes. */
export function bytesOf(size: number): (secret: string) => Verdict | undefined {
  return (secret) => (Buffer.from(secret, 'base64').length === size ? verified(`${size} bytes of key`) : undefined)
}

/** Base64 of `user:password`, as HTTP Basic (RFC 7617) and the files of container engines have it. */
export function basicPair(secret: string): Verdict | undefined {
  const text = Buffer.from(secret, 'base64').toString('utf8')
  const at = text.indexOf(':')
  if (at < 1 || at === text.length - 1 || /[\p{Cc}\ufffd]/u.test(text)) return undefined
  return verified('user and password read')
}

/** Base64 of a PEM private key, as kubeconfig files have it. */
export function encodedPem(secret: string): Verdict | undefined {
  const text = Buffer.from(secret, 'base64').toString('latin1')
  return text.includes('PRIVATE KEY-----') ? pemKey(text) : undefined
}

/**
 * A macaroon of version 2 in base64url: version, then fields of type, length and bytes. The first is the location, the issuer's host.
 */
export function macaroonOf(prefix: string, location: string): (secret: string) => Verdict | undefined {
  return (secret) => {
    const bytes = Buffer.from(secret.slice(prefix.length), 'base64url')
    if (bytes[0] !== 2 || bytes[1] !== 1 || bytes[2] !== location.length) return undefined
    return bytes.subarray(3, 3 + location.length).toString('latin1') === location
      ? verified(`macaroon of ${location}`)
      : undefined
  }
}

const BECH32 = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l'

/** BIP 173: the checksum over prefix and data. */
export function bech32Sum(prefix: string, values: readonly number[]): number {
  const generator = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3]
  const codes = [...Buffer.from(prefix, 'latin1')]
  let sum = 1
  for (const value of [...codes.map((code) => code >> 5), 0, ...codes.map((code) => code & 31), ...values]) {
    const top = sum >>> 25
    sum = ((sum & 0x1ffffff) << 5) ^ value
    generator.forEach((term, bit) => {
      if (((top >>> bit) & 1) === 1) sum ^= term
    })
  }
  return sum >>> 0
}

/** A secret key of age: Bech32 in capitals, whose checksum must hold. */
export function ageKey(secret: string): Verdict | undefined {
  const lower = secret.toLowerCase()
  const at = lower.lastIndexOf('1')
  const values = Array.from(lower.slice(at + 1), (character) => BECH32.indexOf(character))
  if (values.some((value) => value < 0)) return undefined
  return bech32Sum(lower.slice(0, at), values) === 1 ? verified('checksum holds') : undefined
}

/** A Discord bot's token begins with its own number, in base64. */
export function discordToken(secret: string): Verdict | undefined {
  const id = Buffer.from(secret.split('.')[0] ?? '', 'base64url').toString('latin1')
  return /^\d{17,20}$/.test(id) ? verified('bot number read') : undefined
}

/** A JSON Web Key (RFC 7517) with private members, read from its own object. */
export function privateJwk(_: string, { match }: { readonly match: string }): Verdict | undefined {
  const has = (member: string) => new RegExp(`"${member}"\\s{0,8}:`).test(match)
  return has('kty') && (has('crv') || has('n') || has('k')) ? verified('private members') : undefined
}

/** Letters and digits both, as random text of this length has. */
export function isMixed(secret: string): Verdict | undefined {
  return /\d/.test(secret) && /[A-Za-z]/.test(secret) ? WELL_FORMED : undefined
}

/** A value of a manifest: text that is no certificate and no placeholder; what is not text has every kind of character. */
export function encodedSecret(secret: string): Verdict | undefined {
  const text = Buffer.from(secret, 'base64').toString('latin1').trim()
  if (!/^[\u0020-\u007e\s]+$/.test(text)) return isMixed(secret)
  return text.length < 6 || text.startsWith('-----BEGIN CERTIFICATE') || isNoSecret(text) ? undefined : WELL_FORMED
}
