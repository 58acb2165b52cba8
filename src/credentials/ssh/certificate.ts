/** User certificates of OpenSSH (draft-ietf-sshm-cert-01, OpenSSH PROTOCOL.certkeys). */
import type { Ed25519Signer } from '../../kernel/crypto.ts'
import { certificateType, type SshPublicKey } from './public-key.ts'
import { string, WireWriter } from './wire.ts'

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
/** Most certificates fit; larger ones take a larger buffer. */
const SIZE_BYTES = 1024

/** The certificate as OpenSSH keeps it in a file: one line. */
export function makeUserCertificate(terms: UserCertificate, authority: Ed25519Signer): string {
  const type = certificateType(terms.key)
  const out = new WireWriter(SIZE_BYTES)
  out.string(type).string(terms.nonce).raw(terms.key.fields).uint64(terms.serial).uint32(USER).string(terms.keyId)
  out.nested(() => {
    for (const name of terms.principals) out.string(name)
  })
  out.uint64(seconds(terms.validAfter)).uint64(seconds(terms.validBefore))
  // Options stand in the order of their names, and their data is wrapped once more.
  out.nested(() => {
    const { command, sourceAddresses } = terms
    if (command !== null) out.string('force-command').nested(() => out.string(command))
    out.string('source-address').nested(() => out.string(sourceAddresses.join(',')))
  })
  // Neither agents nor ports nor displays are forwarded, and no file of the account is run.
  out.nested(() => terms.hasTerminal && out.string('permit-pty').string(''))
  out.string('').string(authorityBlob(authority))
  const signature = authority.sign(out.bytes())
  // RFC 8709 §6: a signature is its type and 64 bytes.
  out.nested(() => out.string(KEY_TYPE).string(signature))
  return `${type} ${out.bytes().toString('base64')}`
}

/** The authority's public key as servers have it in `TrustedUserCAKeys`. */
export function authorityLine(authority: Pick<Ed25519Signer, 'publicKey'>, comment: string): string {
  return `${KEY_TYPE} ${authorityBlob(authority).toString('base64')} ${comment}`
}

/** RFC 8709 §4. */
export function authorityBlob({ publicKey }: Pick<Ed25519Signer, 'publicKey'>): Buffer {
  return Buffer.concat([string(KEY_TYPE), string(publicKey)])
}

function seconds(at: Date): bigint {
  return BigInt(Math.floor(at.getTime() / 1000))
}
