import type { Clock } from './clock.ts'
import { hmacSha256 } from './crypto.ts'
import { transact, type Db } from './db.ts'
import { newId, type Random } from './random.ts'
import type { Seal } from './seal.ts'
import { Secret } from './secret.ts'

/**
 * What may be kept of a secret value: equal values have equal fingerprints in this installation, wherever they were found, and nobody without
 * the key can test a guess. `keyId` says under which key; fingerprints of two keys are not comparable.
 */
export type Fingerprint = { readonly alg: 'hmac-sha256'; readonly keyId: string; readonly value: string }

export type Fingerprints = {
  readonly keyId: string
  /** Of the value as it is used: white space around it, which files and shells add, does not count. */
  of(value: Secret<Buffer> | Secret): Fingerprint
}

/** Short enough to be read, long enough to tell keys apart. */
const KEY_ID_CHARACTERS = 12

/** HMAC-SHA-256 (RFC 2104) under a key of the installation, which is not the root key: that one may be changed without losing every match. */
export function fingerprintsUnder(key: Secret<Buffer>): Fingerprints {
  const keyId = hmacSha256(key.reveal(), 'key-id').toString('hex').slice(0, KEY_ID_CHARACTERS)
  return {
    keyId,
    of(value) {
      const revealed = value.reveal()
      const bytes = typeof revealed === 'string' ? Buffer.from(revealed, 'utf8') : revealed
      const message = Buffer.concat([Buffer.from('value:'), trimmed(bytes)])
      return { alg: 'hmac-sha256', keyId, value: hmacSha256(key.reveal(), message).toString('hex') }
    },
  }
}

type Needs = { readonly clock: Clock; readonly random: Random; readonly seal: Seal }

/** The installation's key, opened from its seal; made by whoever asks first. */
export async function openFingerprints(db: Db, needs: Needs): Promise<Fingerprints> {
  const id = newId(needs.clock, needs.random)
  const sealedKey = needs.seal.seal(new Secret(needs.random.bytes(32)), place(id))
  const row = await transact(db, async (tx) => {
    const standing = await tx.selectFrom('fingerprintKey').select(['id', 'sealedKey']).executeTakeFirst()
    if (standing) return standing
    await tx
      .insertInto('fingerprintKey')
      .values({ id, sealedKey, createdAt: needs.clock.now() })
      .onConflict((is) => is.column('isOnly').doNothing())
      .execute()
    return tx.selectFrom('fingerprintKey').select(['id', 'sealedKey']).executeTakeFirstOrThrow()
  })
  return fingerprintsUnder(needs.seal.open(row.sealedKey, place(row.id)))
}

function place(id: string): string {
  return `fingerprint_key.sealed_key:${id}`
}

function trimmed(bytes: Buffer): Buffer {
  const isSpace = (byte: number | undefined) => byte === 0x20 || (byte !== undefined && byte >= 0x09 && byte <= 0x0d)
  let from = 0
  let to = bytes.length
  while (from < to && isSpace(bytes[from])) from += 1
  while (to > from && isSpace(bytes[to - 1])) to -= 1
  return bytes.subarray(from, to)
}
