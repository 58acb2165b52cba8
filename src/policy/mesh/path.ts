/**
 * A path in its one plain form, or none. The proxy sends on what the client wrote, and what stands behind it may read that in its own way:
 * whatever two readers could take for two places is nobody's place.
 */

const LONGEST = 4096
/** RFC 3986 §3.3 pchar, without `%` and without `;`, behind which some servers stop reading a segment. */
const PLAIN = /^[A-Za-z0-9._~!$&'()*+,=:@-]*$/
const ENCODED = /%([0-9A-Fa-f]{2})/g

/** The segments of a path, decoded; a slash at the end says nothing. Undefined for what is ambiguous. */
export function plainSegments(path: string): string[] | undefined {
  const at = path.indexOf('?')
  const place = at === -1 ? path : path.slice(0, at)
  if (!place.startsWith('/') || place.length > LONGEST) return undefined
  if (place === '/') return []
  const parts = (place.endsWith('/') ? place.slice(1, -1) : place.slice(1)).split('/')
  const segments: string[] = []
  for (const part of parts) {
    const segment = PLAIN.test(part) ? part : decoded(part)
    if (segment === undefined || segment === '' || isDots(segment)) return undefined
    segments.push(segment)
  }
  return segments
}

/** Of a segment with encoded characters, what it says; undefined where it hides what needs no encoding, or what parts a path. */
function decoded(part: string): string | undefined {
  if (!PLAIN.test(part.replaceAll(ENCODED, ''))) return undefined
  for (const [, hex = ''] of part.matchAll(ENCODED)) if (isHidden(Number.parseInt(hex, 16))) return undefined
  try {
    const text = decodeURIComponent(part)
    // Some readers make plain letters of wide ones.
    const folded = text.normalize('NFKC')
    return /[/\\%;?#]/.test(folded) || isDots(folded) || isControl(text) ? undefined : text
  } catch {
    return undefined
  }
}

/** RFC 3986 §6.2.2.2: unreserved characters are not encoded by anybody honest; what parts a path, ends it or is not seen is a trick. */
function isHidden(code: number): boolean {
  if (code < 0x20 || code === 0x7f) return true
  return code < 0x80 && /[A-Za-z0-9._~/\\%;?#-]/.test(String.fromCharCode(code))
}

function isControl(text: string): boolean {
  return /\p{Cc}|\p{Cf}/u.test(text)
}

function isDots(segment: string): boolean {
  return /^\.+$/.test(segment.trim())
}

/** A host without its port, in lower case; undefined for what is none. RFC 9110 §7.2 */
export function plainHost(authority: string): string | undefined {
  const match = /^([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/.exec(authority)
  return match?.[1]?.toLowerCase()
}
