import { WireReader } from './wire.ts'

/** A public key as OpenSSH writes it on one line. */
export type SshPublicKey = {
  readonly type: string
  /** The fields of the key behind its type: what a certificate repeats (draft-ietf-sshm-cert-01). */
  readonly fields: Buffer
  /** The whole key, which fingerprints are of. */
  readonly blob: Buffer
}

type KeyKind = { readonly certificateType: string; readonly strings: number }

/**
 * The types that get certificates, and of how many strings each is made behind its type (RFC 8709 §4, RFC 5656 §3.1, RFC 4253 §6.6,
 * OpenSSH PROTOCOL.u2f). DSA has been refused by everybody for years.
 */
const KINDS: Readonly<Record<string, KeyKind>> = {
  'ssh-ed25519': { certificateType: 'ssh-ed25519-cert-v01@openssh.com', strings: 1 },
  'ecdsa-sha2-nistp256': { certificateType: 'ecdsa-sha2-nistp256-cert-v01@openssh.com', strings: 2 },
  'ecdsa-sha2-nistp384': { certificateType: 'ecdsa-sha2-nistp384-cert-v01@openssh.com', strings: 2 },
  'ecdsa-sha2-nistp521': { certificateType: 'ecdsa-sha2-nistp521-cert-v01@openssh.com', strings: 2 },
  'ssh-rsa': { certificateType: 'ssh-rsa-cert-v01@openssh.com', strings: 2 },
  'sk-ssh-ed25519@openssh.com': { certificateType: 'sk-ssh-ed25519-cert-v01@openssh.com', strings: 2 },
  'sk-ecdsa-sha2-nistp256@openssh.com': {
    certificateType: 'sk-ecdsa-sha2-nistp256-cert-v01@openssh.com',
    strings: 3,
  },
}

/** NIST SP 800-131A: shorter RSA keys are not for signatures any more. */
const LEAST_RSA_BITS = 2048
const ED25519_BYTES = 32

/** Reads `ssh-ed25519 AAAA… comment`. Undefined for anything else, a certificate or a key that is too short among it. */
export function readSshPublicKey(line: string): SshPublicKey | undefined {
  const [type = '', encoded = ''] = line.trim().split(/ +/, 3)
  const kind = Object.hasOwn(KINDS, type) ? KINDS[type] : undefined
  if (!kind || !/^[A-Za-z0-9+/]+={0,2}$/.test(encoded)) return undefined
  const blob = Buffer.from(encoded, 'base64')
  try {
    const reader = new WireReader(blob)
    if (reader.text() !== type) return undefined
    const fields = Array.from({ length: kind.strings }, () => reader.string())
    reader.end()
    return isStrong(type, fields) ? { type, fields: blob.subarray(4 + type.length), blob } : undefined
  } catch {
    return undefined
  }
}

/** The type of a certificate for such a key. */
export function certificateType(key: SshPublicKey): string {
  const kind = KINDS[key.type]
  if (!kind) throw new Error(`${key.type} gets no certificates`)
  return kind.certificateType
}

function isStrong(type: string, fields: readonly Buffer[]): boolean {
  const [first, second] = fields
  if (type.includes('ed25519')) return first?.length === ED25519_BYTES
  if (type !== 'ssh-rsa') return true
  // The exponent, then the modulus as an mpint: a leading zero keeps it positive.
  const modulus = second?.subarray(second[0] === 0 ? 1 : 0) ?? Buffer.alloc(0)
  return (modulus.length - 1) * 8 + (32 - Math.clz32(modulus[0] ?? 0)) >= LEAST_RSA_BITS
}
