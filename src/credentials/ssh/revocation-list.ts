import { string, uint32, uint64 } from './wire.ts'

/** What a list says of the certificates of one authority. */
type RevokedSerials = { readonly authority: Buffer; readonly serials: readonly bigint[] }

// "SSHKRL\n\0" (OpenSSH PROTOCOL.krl).
const MAGIC = 0x5353484b524c0a00n
const FORMAT = 1
const SECTION_CERTIFICATES = 1
const SECTION_SERIALS = 0x20

/**
 * A key revocation list as sshd reads it by `RevokedKeys` (OpenSSH PROTOCOL.krl). `version` grows with every change. It ends no session that
 * is open: sshd reads it when somebody logs in.
 */
export function makeRevocationList(version: bigint, at: Date, revoked: readonly RevokedSerials[]): Buffer {
  const header = [
    uint64(MAGIC),
    uint32(FORMAT),
    uint64(version),
    uint64(BigInt(Math.floor(at.getTime() / 1000))),
    uint64(0n),
    string(''),
    string('Reeve'),
  ]
  const sections = revoked
    .filter(({ serials }) => serials.length > 0)
    .map(({ authority, serials }) => {
      const sorted = serials.toSorted((a, b) => (a < b ? -1 : 1))
      const list = section(SECTION_SERIALS, Buffer.concat(sorted.map(uint64)))
      return section(SECTION_CERTIFICATES, Buffer.concat([string(authority), string(''), list]))
    })
  return Buffer.concat([...header, ...sections])
}

function section(kind: number, data: Buffer): Buffer {
  return Buffer.concat([Buffer.of(kind), string(data)])
}
