import type { Clock } from '../kernel/clock.ts'
import { sha256 } from '../kernel/crypto.ts'
import type { Db } from '../kernel/db.ts'
import type { Caller } from '../kernel/http/route.ts'
import type { Random } from '../kernel/random.ts'
import { Secret } from '../kernel/secret.ts'

/** 256 bits: nobody guesses one, so a plain hash is enough at rest. */
const SECRET_BYTES = 32
/** Longer than any of ours; what is longer is not hashed. */
const MAX_CHARS = 200

/** A new bearer secret. Its prefix lets scanners of source code find one that leaked. */
export function makeBearer(random: Random, kind: 'token' | 'enrol'): Secret {
  return new Secret(`reeve_${kind}_${random.bytes(SECRET_BYTES).toString('base64url')}`)
}

/** What is kept of a bearer secret. */
export function bearerSha256(bearer: Secret): Buffer {
  return sha256(bearer.reveal().slice(0, MAX_CHARS))
}

/** SHA-256 of the key in a client certificate whose chain was verified, as hexadecimal; undefined where none was shown. */
type ShownKey = string | undefined

/**
 * Who a bearer token proves, or undefined: unknown, expired, revoked, and an identity that may not act look the same from outside. One
 * look-up by hash whatever was shown, so time says nothing about how close a guess came. A token bound to a key needs it (RFC 8705 §3).
 */
export async function authenticate(
  db: Db,
  clock: Clock,
  bearer: Secret,
  keySha256?: ShownKey,
): Promise<Caller | undefined> {
  const now = clock.now()
  const found = await db
    .selectFrom('apiToken')
    .innerJoin('identity', 'identity.id', 'apiToken.identityId')
    .select([
      'apiToken.id as proofId',
      'apiToken.expiresAt',
      'apiToken.revokedAt',
      'apiToken.keySha256',
      'identity.id',
      'identity.name',
      'identity.kind',
      'identity.state',
      'identity.expiresAt as identityExpiresAt',
    ])
    .where('apiToken.tokenSha256', '=', bearerSha256(bearer))
    .executeTakeFirst()
  if (!found || found.revokedAt !== null || found.expiresAt <= now || found.state !== 'active') return undefined
  if (found.identityExpiresAt !== null && found.identityExpiresAt <= now) return undefined
  const { id, name, kind, proofId } = found
  if (found.keySha256 === null) return { id, name, kind, proof: 'token', proofId }
  if (found.keySha256.toString('hex') !== keySha256) return undefined
  return { id, name, kind, proof: 'bound-token', proofId }
}
