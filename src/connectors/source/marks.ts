import { sha256 } from '../../kernel/crypto.ts'
import type { Fingerprints } from '../../kernel/fingerprint.ts'
import { Secret } from '../../kernel/secret.ts'
import { publicHashOf } from '../../kernel/x509-read.ts'
import type { CredentialFingerprint, Given } from '../connector.ts'

/** What a secret is recognised by, and a way to take it out of a text. Nothing of it is kept longer than until the next is met. */
export type Marks = {
  readonly fingerprints: Fingerprints
  /** Of the secret that was met last: besides the keyed one, what its public half or its public id is known by elsewhere. */
  readonly known: () => CredentialFingerprint[]
  /** A path that holds the secret it is the path of would tell it. */
  readonly without: (path: string) => string
}

export function marksOf(fingerprint: Given['fingerprint']): Marks {
  let met: Buffer = Buffer.alloc(0)
  return {
    fingerprints: {
      keyId: fingerprint(new Secret('')).keyId,
      of(value) {
        const revealed = value.reveal()
        met = typeof revealed === 'string' ? Buffer.from(revealed, 'utf8') : revealed
        return fingerprint(value)
      },
    },
    known: () => publicMarks(met),
    without(path) {
      const secret = met.toString('latin1')
      return secret.length === 0 ? path : path.replaceAll(secret, '•••').replaceAll(met.toString('utf8'), '•••')
    },
  }
}

/** An id of AWS is no secret, and a private key has a public half: by these they stand in accounts, `authorized_keys` and certificates. */
function publicMarks(value: Buffer): CredentialFingerprint[] {
  const text = value.length <= 65_536 ? value.toString('latin1').trim() : ''
  if (/^A[KS]IA[A-Z2-7]{16}$/.test(text)) return [{ alg: 'key-id', value: text }]
  if (!text.startsWith('-----BEGIN ') || !text.includes('PRIVATE KEY-----')) return []
  const ssh = sshMark(text)
  if (ssh !== undefined) return [{ alg: 'ssh-sha256', value: ssh }]
  const spki = publicHashOf(new Secret(Buffer.from(text, 'latin1')))
  return spki === undefined ? [] : [{ alg: 'spki-sha256', value: spki }]
}

const OPENSSH_MAGIC = 'openssh-key-v1\0'

/** OpenSSH's PROTOCOL.key: magic, cipher, kdf, its options, how many keys, then the public key, in the clear also where the private one is not. */
function sshMark(pem: string): string | undefined {
  const body = /-----BEGIN OPENSSH PRIVATE KEY-----([A-Za-z0-9+/=\s]+)-----END/.exec(pem)?.[1]
  const bytes = Buffer.from(body ?? '', 'base64')
  if (bytes.toString('latin1', 0, OPENSSH_MAGIC.length) !== OPENSSH_MAGIC) return undefined
  let at = OPENSSH_MAGIC.length
  for (let skipped = 0; skipped < 3; skipped += 1) {
    if (at + 4 > bytes.length) return undefined
    at += 4 + bytes.readUInt32BE(at)
  }
  at += 4
  if (at + 4 > bytes.length) return undefined
  const end = at + 4 + bytes.readUInt32BE(at)
  if (end > bytes.length) return undefined
  return `SHA256:${sha256(bytes.subarray(at + 4, end))
    .toString('base64')
    .replace(/=+$/, '')}`
}
