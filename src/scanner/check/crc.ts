import { crc32 } from 'node:zlib'
import { verified, WELL_FORMED, type Verdict } from './verdict.ts'

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** CRC-32 of a text in base 62, six characters, as GitHub and npm append it to their tokens. */
function crc32Base62(text: string): string {
  let rest = crc32(text)
  let out = ''
  for (let at = 0; at < 6; at += 1) {
    out = (BASE62[rest % 62] ?? '') + out
    rest = Math.floor(rest / 62)
  }
  return out
}

/** `<prefix>_<entropy><six characters of CRC-32>`: a token whose checksum fails was never issued. */
export function endsInCrc32(secret: string): Verdict | undefined {
  const body = secret.slice(secret.indexOf('_') + 1)
  return crc32Base62(body.slice(0, -6)) === body.slice(-6) ? verified('checksum holds') : undefined
}

/**
 * Eight hexadecimal digits of CRC-32 after the last separator. What exactly is summed is not published everywhere, so a sum that does not hold
 * refuses nothing; one that does leaves no doubt.
 */
export function mayEndInHexCrc32(separator: string): (secret: string) => Verdict {
  return (secret) => {
    const at = secret.lastIndexOf(separator)
    const [head, sum] = [secret.slice(0, at), secret.slice(at + 1).toLowerCase()]
    const bare = head.slice(head.indexOf('_') + 1)
    const sums = [head, bare].map((text) => crc32(text).toString(16).padStart(8, '0'))
    return sums.includes(sum) ? verified('checksum holds') : WELL_FORMED
  }
}

/** The routable tokens of GitLab end in CRC-32 of what stands before, seven characters in base 36; older ones have none. */
export function mayEndInBase36Crc32(secret: string): Verdict {
  const body = secret.slice(0, -7)
  return crc32(body).toString(36).padStart(7, '0') === secret.slice(-7) ? verified('checksum holds') : WELL_FORMED
}
