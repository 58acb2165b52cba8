import { hmacSha256, sha256 } from './crypto.ts'
import type { Secret } from './secret.ts'

/** Keys of AWS: long-lived ones, or those of a session with its token. */
export type AwsKeys = { readonly id: string; readonly secret: Secret; readonly sessionToken?: Secret }

type Signing = {
  readonly method: 'GET' | 'POST'
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly region: string
  readonly service: string
  readonly at: Date
}

/** The headers of a request with its signature (AWS Signature Version 4, "Create a signed AWS API request"). */
export function signedHeaders(keys: AwsKeys, signing: Signing): Record<string, string> {
  const { method, url, body, region, service, at } = signing
  const stamp = at.toISOString().replaceAll(/[:-]|\.\d{3}/g, '')
  const day = stamp.slice(0, 8)
  const headers: Record<string, string> = {
    ...signing.headers,
    'x-amz-date': stamp,
    ...(keys.sessionToken && { 'x-amz-security-token': keys.sessionToken.reveal() }),
  }
  const named = { ...headers, host: url.host }
  const sorted = Object.entries(named)
    .map(([name, value]) => [name.toLowerCase(), value.trim().replaceAll(/ +/g, ' ')] as const)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
  const names = sorted.map(([name]) => name).join(';')
  const canonical = [
    method,
    url.pathname,
    canonicalQuery(url),
    ...sorted.map(([name, value]) => `${name}:${value}`),
    '',
    names,
    sha256(body).toString('hex'),
  ].join('\n')
  const scope = `${day}/${region}/${service}/aws4_request`
  const toSign = ['AWS4-HMAC-SHA256', stamp, scope, sha256(canonical).toString('hex')].join('\n')
  const key = [day, region, service, 'aws4_request'].reduce<Uint8Array>(
    (from, part) => hmacSha256(from, part),
    Buffer.from(`AWS4${keys.secret.reveal()}`, 'utf8'),
  )
  const signature = hmacSha256(key, toSign).toString('hex')
  return {
    ...headers,
    authorization: `AWS4-HMAC-SHA256 Credential=${keys.id}/${scope}, SignedHeaders=${names}, Signature=${signature}`,
  }
}

/** Sorted by name, then value, each encoded as RFC 3986 has it. */
function canonicalQuery({ searchParams }: URL): string {
  return [...searchParams]
    .map(([name, value]) => [encoded(name), encoded(value)] as const)
    .toSorted(([a, x], [b, y]) => (a === b ? (x < y ? -1 : 1) : a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
    .join('&')
}

/** As RFC 3986 §2.3 has it: also `!'()*`, which `encodeURIComponent` leaves. */
export function encoded(text: string): string {
  return encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}
