/** User certificates of OpenSSH (draft-ietf-sshm-cert-01, OpenSSH PROTOCOL.certkeys). */
import type { Ed25519Signer } from '../../kernel/crypto.ts'
import { certificateType, type SshPublicKey } from './public-key.ts'
import { string, uint32, uint64 } from './wire.ts'

/** What a certificate says. */
export type UserCertificate = {
  readonly key: SshPublicKey
  readonly serial: bigint
  /** What sshd writes into its log at each login. */
  readonly keyId: string
  /** Never empty: an empty list has meant "anybody" to servers. */
  readonly principals: readonly [string, ...string[]]
  readonly validAfter: Date
  readonly validBefore: Date
  /** Networks it is good from. */
  readonly sourceAddresses: readonly string[]
  /** The one command that may be run, whatever is asked for; null for any. */
  readonly command: string | null
  readonly hasTerminal: boolean
  /** 16 bytes or more that nobody can foresee: the signed bytes are not of the holder's choice. */
  readonly nonce: Uint8Array
}

const USER = 1
const KEY_TYPE = 'ssh-ed25519'

/** The certificate as OpenSSH keeps it in a file: one line. */
export function makeUserCertificate(terms: UserCertificate, authority: Ed25519Signer): string {
  const type = certificateType(terms.key)
  const options: [string, string][] = [['source-address', terms.sourceAddresses.join(',')]]
  if (terms.command !== null) options.push(['force-command', terms.command])
  const body = Buffer.concat([
    string(type),
    string(terms.nonce),
    terms.key.fields,
    uint64(terms.serial),
    uint32(USER),
    string(terms.keyId),
    string(Buffer.concat(terms.principals.map((name) => string(name)))),
    uint64(seconds(terms.validAfter)),
    uint64(seconds(terms.validBefore)),
    string(packed(options)),
    // Neither agents nor ports nor displays are forwarded, and no file of the account is run.
    string(packed(terms.hasTerminal ? [['permit-pty', null]] : [])),
    string(''),
    string(authorityBlob(authority)),
  ])
  // RFC 8709 §6: a signature is its type and 64 bytes.
  const signature = Buffer.concat([string(KEY_TYPE), string(authority.sign(body))])
  return `${type} ${Buffer.concat([body, string(signature)]).toString('base64')}`
}

/** The authority's public key as servers have it in `TrustedUserCAKeys`. */
export function authorityLine(authority: Pick<Ed25519Signer, 'publicKey'>, comment: string): string {
  return `${KEY_TYPE} ${authorityBlob(authority).toString('base64')} ${comment}`
}

/** RFC 8709 §4. */
export function authorityBlob({ publicKey }: Pick<Ed25519Signer, 'publicKey'>): Buffer {
  return Buffer.concat([string(KEY_TYPE), string(publicKey)])
}

/** Names in order, none twice; data is wrapped once more, and empty for a flag. */
function packed(options: readonly (readonly [name: string, data: string | null])[]): Buffer {
  const sorted = options.toSorted(([a], [b]) => (a < b ? -1 : 1))
  return Buffer.concat(
    sorted.flatMap(([name, data]) => [string(name), data === null ? string('') : string(string(data))]),
  )
}

function seconds(at: Date): bigint {
  return BigInt(Math.floor(at.getTime() / 1000))
}
