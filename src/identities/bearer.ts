import type { Clock } from '../kernel/clock.ts'
import { sha256 } from '../kernel/crypto.ts'
import type { Db } from '../kernel/db.ts'
import type { Caller } from '../kernel/http/route.ts'
import type { Random } from '../kernel/random.ts'
import { Secret } from '../kernel/secret.ts'
import { soon, type Soon } from '../kernel/soon.ts'
import { identityFactsIn, type IdentityFacts, type Proven } from './facts.ts'

/** 256 bits: nobody guesses one, so a plain hash is enough at rest. */
const SECRET_BYTES = 32
/** Longer than any of ours; what is longer is not hashed. */
const MAX_CHARS = 4_096

/** A new bearer secret. Its prefix lets scanners of source code find one that leaked. */
export function makeBearer(random: Random, kind: 'token' | 'enrol'): Secret {
  return new Secret(`reeve_${kind}_${random.bytes(SECRET_BYTES).toString('base64url')}`)
}

/** What is kept of a bearer secret. */
export function bearerSha256(bearer: Secret): Buffer {
  const text = bearer.reveal()
  // Two that are longer must not be the same by their beginnings.
  return sha256(text.length <= MAX_CHARS ? text : `longer than a token: ${text.length}`)
}

/** A token by its value with the identity it proves, whoever asks; undefined for what was never one. */
export function tokenRowOf(db: Db, bearer: Secret) {
  return db
    .selectFrom('apiToken')
    .innerJoin('identity', 'identity.id', 'apiToken.identityId')
    .select([
      'apiToken.id',
      'apiToken.identityId',
      'apiToken.createdAt',
      'apiToken.expiresAt',
      'apiToken.revokedAt',
      'apiToken.keySha256',
      'apiToken.dpopKeySha256',
      'apiToken.audience',
      'apiToken.onBehalfOfId',
      'apiToken.details',
      'identity.name',
      'identity.state',
      'identity.expiresAt as identityExpiresAt',
    ])
    .where('apiToken.tokenSha256', '=', bearerSha256(bearer))
    .executeTakeFirst()
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
  dpopKeySha256?: ShownKey,
): Promise<Caller | undefined> {
  return callerBy(identityFactsIn(db), clock, bearer, { keySha256, dpopKeySha256 })
}

type Shown = { readonly keySha256?: ShownKey; readonly dpopKeySha256?: ShownKey }

/** As `authenticate`, by facts that a node may remember. */
export function callerBy(
  facts: Pick<IdentityFacts, 'proven'>,
  clock: Pick<Clock, 'now'>,
  bearer: Secret,
  shown: Shown,
): Soon<Caller | undefined> {
  return soon(facts.proven(bearerSha256(bearer).toString('hex')), (found) => callerOf(found, clock, shown))
}

function callerOf(found: Proven | undefined, clock: Pick<Clock, 'now'>, shown: Shown): Caller | undefined {
  if (!found || found.revokedAt !== null || found.state !== 'active') return undefined
  // The login is the authority of what was given for it: its tokens end with it, whatever their own rows say.
  if (found.sessionEndedAt !== null) return undefined
  const now = clock.now()
  if (found.expiresAt <= now || (found.identityExpiresAt !== null && found.identityExpiresAt <= now)) return undefined
  // A token for another place is no proof here, and its holder may be that place.
  if (found.audience !== null) return undefined
  // RFC 9449 §7.1: as `DPoP` only with the key it is bound to, and one that is bound in no other way.
  if ((found.dpopKeySha256 ?? undefined) !== shown.dpopKeySha256) return undefined
  if (found.keySha256 !== null && found.keySha256 !== shown.keySha256) return undefined
  const { id, name, kind, proofId, onBehalfOfId, narrowedTo, session } = found
  return {
    id,
    name,
    kind,
    proof: found.proof ?? (found.keySha256 === null ? 'token' : 'bound-token'),
    proofId,
    ...(onBehalfOfId !== null && { onBehalfOfId }),
    ...(narrowedTo !== null && { narrowedTo }),
    ...(session !== null && { session }),
  }
}
