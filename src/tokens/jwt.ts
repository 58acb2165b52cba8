import type { SigningKey } from '../kernel/signing-key.ts'

/** Longer than any token of an honest issuer; what is longer is not even decoded. */
const TOKEN_MAX_CHARS = 16_384

const COMPACT = /^[\w-]+\.[\w-]+\.[\w-]+$/

/** RFC 9068 §2.1. */
const ACCESS_TOKEN = 'at+jwt'

/** Makes tokens of one type with one key. Their header is the same for each of them, so it is encoded once. */
export function openMint(
  key: SigningKey,
  type = ACCESS_TOKEN,
): (claims: Readonly<Record<string, unknown>>) => string | Promise<string> {
  const header = `${encode({ alg: key.algorithm, typ: type, kid: key.kid })}.`
  return (claims) => {
    const input = header + encode(claims)
    const signature = key.sign(Buffer.from(input, 'latin1'))
    if (Buffer.isBuffer(signature)) return `${input}.${signature.toString('base64url')}`
    return signature.then((bytes) => `${input}.${bytes.toString('base64url')}`)
  }
}

/** Whether a text has the form of a signed token (RFC 7515 §3.1). Says nothing of who made it. */
export function isCompact(text: string): boolean {
  return text.length <= TOKEN_MAX_CHARS && COMPACT.test(text)
}

/** The claims of a token that nobody verified yet: good for finding by which keys it would have to be verified, and for nothing else. */
export function unverifiedClaims(token: string): Readonly<Record<string, unknown>> | undefined {
  return isCompact(token) ? decode(token.split('.')[1] ?? '') : undefined
}

/** The header of a token, of which only `alg`, `kid` and `typ` are ever looked at: `jku`, `x5u` and `jwk` choose no key here. */
export function headerOf(token: string): Readonly<Record<string, unknown>> | undefined {
  return isCompact(token) ? decode(token.split('.')[0] ?? '') : undefined
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value), 'utf8').toString('base64url')
}

function decode(part: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part, 'base64url').toString('utf8'))
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined
  } catch {
    return undefined
  }
}
