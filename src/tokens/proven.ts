import { loadIdentity, type Proof } from '../identities/identities.ts'
import type { FormAsked } from '../kernel/http/form.ts'
import { equalBytes } from '../kernel/crypto.ts'
import { spkiSha256 } from '../kernel/key-pair.ts'
import { spkiSha256OfJwk } from '../kernel/signing-key.ts'
import { AccessDetails } from '../identities/contract.ts'
import type { Binding } from './binding.ts'
import type { Narrowed } from './details.ts'
import { verifyForeign, type ForeignProven } from './foreign.ts'
import { CLIENT_ASSERTION } from './grants.ts'
import { isCompact } from './jwt.ts'
import type { TokenNeeds } from './needs.ts'
import { OAuthError } from './oauth-error.ts'
import type { Holder } from './known-rules.ts'
import { ruleOfSvid } from './svid.ts'
import type { OnceOnly } from './used-proofs.ts'

/** Somebody who proved an identity to the token service, by whichever way. */
export type Proven = {
  readonly identity: Holder
  /** `key`: it has a key of its own, and what that proves is how the new token is bound. */
  readonly proof: Proof | 'key'
  readonly ruleId: string | null
  /** Whether what it gets must be bound to a key. */
  readonly isBound: boolean
  readonly ttlSeconds: number
  /** Until when what was shown is good; null where that bounds nothing. */
  readonly expiresAt: Date | null
  readonly jti: string | null
  readonly once: readonly OnceOnly[]
  /** Of one of our own tokens. */
  readonly held: HeldToken | null
}

type HeldToken = {
  readonly id: string
  readonly onBehalfOfId: string | null
  readonly actorIds: readonly string[]
  readonly narrowedTo: Narrowed | null
}

/** What one of our own tokens is exchanged for lives no longer than this, whatever it has left itself. */
const EXCHANGED_SECONDS = 900

/** By its own key, in an assertion or in the handshake (RFC 7523 §2.2, RFC 8705 §2.2); undefined when no way was tried. Throws `OAuthError`. */
export async function clientOf(needs: TokenNeeds, asked: FormAsked): Promise<Proven | undefined> {
  const { fields } = asked
  const assertion = fields.get('client_assertion')
  if (asked.hasAuthorization || fields.has('client_secret')) {
    throw new OAuthError('invalid_client', 'A client proves itself by private_key_jwt or a TLS certificate.')
  }
  if (assertion === undefined) {
    if (fields.has('client_assertion_type')) throw new OAuthError('invalid_request', 'The assertion is missing.')
    return clientByCertificate(needs, asked)
  }
  if (fields.get('client_assertion_type') !== CLIENT_ASSERTION) {
    throw new OAuthError('invalid_client', 'This type of client assertion is not taken.')
  }
  try {
    const foreign = await verifyForeign(needs, assertion, { kind: 'assertion', identity: fields.get('client_id') })
    return { ...byRule(foreign), proof: 'key', expiresAt: null }
  } catch (error) {
    if (!(error instanceof OAuthError) || error.code !== 'invalid_grant') throw error
    throw new OAuthError('invalid_client', 'The assertion does not prove a client.', { cause: error })
  }
}

async function clientByCertificate(needs: TokenNeeds, asked: FormAsked): Promise<Proven | undefined> {
  const clientId = asked.fields.get('client_id')
  const { keyCertificate } = asked.presented
  if (clientId === undefined || !keyCertificate) return undefined
  const keySha256 = Buffer.from(spkiSha256(keyCertificate), 'hex')
  const [rule] = await needs.rules.fitting(
    clientId,
    ({ preset, keys }) =>
      preset === 'client-key' &&
      keys?.keys.some((jwk) => {
        const key = spkiSha256OfJwk(jwk)
        return key !== undefined && equalBytes(key, keySha256)
      }) === true,
  )
  const now = needs.clock.now()
  if (rule) {
    const proven = byRule({ rule, claims: {}, proof: 'mtls', jti: null, expiresAt: now, once: null })
    return { ...proven, proof: 'key', expiresAt: null }
  }
  const svid = await ruleOfSvid(needs, keyCertificate, clientId)
  if (!svid) return undefined
  const shown = { rule: svid.rule, claims: {}, proof: 'spiffe', jti: null, expiresAt: svid.endsAt, once: null } as const
  return { ...byRule(shown), isBound: true }
}

/** By a token of an issuer that a rule trusts. Throws `OAuthError`. */
export async function provenByForeign(needs: TokenNeeds, token: string, identity?: string): Promise<Proven> {
  return byRule(await verifyForeign(needs, token, { kind: 'token', identity }))
}

function byRule({ rule, proof, jti, expiresAt, once }: ForeignProven): Proven {
  return {
    identity: rule.holder,
    proof,
    ruleId: rule.id,
    isBound: rule.isBound,
    ttlSeconds: rule.ttlSeconds,
    expiresAt,
    jti,
    once: once === null ? [] : [once],
    held: null,
  }
}

/** By a token of our own, with the key it is bound to. Throws `OAuthError`. */
export async function provenByOwn(
  needs: TokenNeeds,
  token: string,
  binding: Binding | undefined,
  asked: FormAsked,
): Promise<Proven> {
  const unusable = () =>
    new OAuthError('invalid_grant', 'The token is not good here, or the key it is bound to was not shown.')
  // What looks signed must be: the row alone would do, and both have to be deceived now.
  if (isCompact(token) && !needs.ring.verify(token)) throw unusable()
  const { keyCertificate } = asked.presented
  const keySha256 = keyCertificate && spkiSha256(keyCertificate)
  const dpopKeySha256 = binding?.kind === 'dpop' ? binding.keySha256.toString('hex') : undefined
  const caller =
    (dpopKeySha256 === undefined ? undefined : await needs.authenticate({ token, keySha256, dpopKeySha256 })) ??
    (await needs.authenticate({ token, keySha256 }))
  const identity = caller && (await loadIdentity(needs.db, caller.id))
  const row =
    caller &&
    (await needs.db
      .selectFrom('apiToken')
      .select(['id', 'expiresAt', 'onBehalfOfId', 'actorIds', 'details', 'trustRuleId'])
      .where('id', '=', caller.proofId)
      .executeTakeFirst())
  if (!caller || !identity || !row) throw unusable()
  return {
    identity,
    proof: caller.proof,
    ruleId: row.trustRuleId,
    // Who proved a key gets no token without one.
    isBound: caller.proof !== 'token',
    ttlSeconds: EXCHANGED_SECONDS,
    expiresAt: row.expiresAt,
    jti: row.id,
    once: [],
    held: {
      id: row.id,
      onBehalfOfId: row.onBehalfOfId,
      actorIds: row.actorIds,
      narrowedTo: row.details === null ? null : AccessDetails.parse(row.details),
    },
  }
}
