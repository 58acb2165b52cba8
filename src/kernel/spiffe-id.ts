/** A SPIFFE ID in its two parts; the path begins with a slash, or is empty for the trust domain itself. */
export type SpiffeId = { readonly trustDomain: string; readonly path: string }

const SCHEME = 'spiffe://'
/** SPIFFE-ID §2.3. */
const ID_MAX_BYTES = 2048
const TRUST_DOMAIN_MAX_BYTES = 255
const TRUST_DOMAIN = /^[a-z0-9._-]+$/
const SEGMENT = /^[A-Za-z0-9._-]+$/

/**
 * Reads a SPIFFE ID (SPIFFE-ID §2). Undefined for whatever is none: upper case in the trust domain is refused and not mended, so that two
 * texts never mean one identity.
 */
export function readSpiffeId(text: string): SpiffeId | undefined {
  if (!text.startsWith(SCHEME) || Buffer.byteLength(text) > ID_MAX_BYTES) return undefined
  const rest = text.slice(SCHEME.length)
  const slash = rest.indexOf('/')
  const trustDomain = slash === -1 ? rest : rest.slice(0, slash)
  const path = slash === -1 ? '' : rest.slice(slash)
  if (!TRUST_DOMAIN.test(trustDomain) || trustDomain.length > TRUST_DOMAIN_MAX_BYTES) return undefined
  const segments = path === '' ? [] : path.slice(1).split('/')
  const isPath = segments.every((segment) => SEGMENT.test(segment) && segment !== '.' && segment !== '..')
  return isPath ? { trustDomain, path } : undefined
}

export function spiffeIdText({ trustDomain, path }: SpiffeId): string {
  return `${SCHEME}${trustDomain}${path}`
}
