import { sha256 } from '../../kernel/crypto.ts'

export type PublicKey = {
  readonly type: string
  /** `SHA256:…` as ssh-keygen and sshd write it. */
  readonly fingerprint: string
  /** Of RSA. */
  readonly bits: number | undefined
  readonly comment: string
}

const TYPES =
  /^(?:ssh-(?:ed25519|rsa|dss)|ecdsa-sha2-nistp(?:256|384|521)|sk-(?:ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)(?:-cert-v01@openssh\.com)?$/

/** A key as it stands on one line: `type base64 comment` (OpenSSH's own form, sshd(8)). Undefined for anything else. */
export function readKey(line: string): PublicKey | undefined {
  const [type = '', encoded = '', ...rest] = line.trim().split(/[ \t]+/)
  if (!TYPES.test(type) || !/^[A-Za-z0-9+/]+={0,2}$/.test(encoded)) return undefined
  const blob = Buffer.from(encoded, 'base64')
  if (fieldAt(blob, 0)?.value.toString('latin1') !== type) return undefined
  const fingerprint = `SHA256:${sha256(blob).toString('base64').replace(/=+$/, '')}`
  return { type, fingerprint, bits: type === 'ssh-rsa' ? modulusBits(blob) : undefined, comment: rest.join(' ') }
}

// RFC 4251 §5: a string is its length in four bytes, then its bytes.
function fieldAt(blob: Buffer, at: number): { readonly value: Buffer; readonly end: number } | undefined {
  if (at + 4 > blob.length) return undefined
  const end = at + 4 + blob.readUInt32BE(at)
  return end <= blob.length ? { value: blob.subarray(at + 4, end), end } : undefined
}

/** RFC 4253 §6.6: type, exponent, modulus. */
function modulusBits(blob: Buffer): number | undefined {
  const exponent = fieldAt(blob, fieldAt(blob, 0)?.end ?? blob.length)
  const modulus = exponent && fieldAt(blob, exponent.end)?.value
  const first = modulus?.findIndex((byte) => byte !== 0) ?? -1
  if (!modulus || first < 0) return undefined
  return (modulus.length - first) * 8 - Math.clz32(modulus[first] ?? 0) + 24
}

export type AuthorizedKey = PublicKey & { readonly options: readonly Option[] }
type Option = { readonly name: string; readonly value: string | undefined }

/** Lines that are longer are not taken apart. */
export const LINE_MAX = 16_384

/** One line of an `authorized_keys` file: options, then the key (sshd(8), AUTHORIZED_KEYS FILE FORMAT). Undefined for comments and for what sshd would pass over. */
export function readAuthorizedKey(raw: string): AuthorizedKey | undefined {
  const line = raw.trim()
  if (line === '' || line.startsWith('#') || line.length > LINE_MAX) return undefined
  const bare = readKey(line)
  if (bare) return { ...bare, options: [] }
  const end = endOfOptions(line)
  const key = end === undefined ? undefined : readKey(line.slice(end))
  return key && { ...key, options: optionsOf(line.slice(0, end)) }
}

/** Where the options end: at the first space that is not quoted. */
function endOfOptions(line: string): number | undefined {
  let isQuoted = false
  for (let at = 0; at < line.length; at += 1) {
    const character = line[at]
    if (character === '\\' && line[at + 1] === '"') at += 1
    else if (character === '"') isQuoted = !isQuoted
    else if (!isQuoted && (character === ' ' || character === '\t')) return at
  }
  return undefined
}

function optionsOf(text: string): Option[] {
  const parts = text.match(/(?:[^",\\]|\\.|"(?:[^"\\]|\\.)*")+/g) ?? []
  return parts.map((part) => {
    const equals = part.indexOf('=')
    if (equals < 0) return { name: part.toLowerCase(), value: undefined }
    const value = part.slice(equals + 1)
    const bare = value.startsWith('"') && value.endsWith('"') && value.length > 1 ? value.slice(1, -1) : value
    return { name: part.slice(0, equals).toLowerCase(), value: bare.replaceAll('\\"', '"') }
  })
}
