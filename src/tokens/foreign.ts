import type { Proof } from '../identities/identities.ts'
import { secondsAfter } from '../kernel/clock.ts'
import type { Claims } from './issuer-keys.ts'
import { ID_JAG_TYP } from './grants.ts'
import { headerOf, isCompact, unverifiedClaims } from './jwt.ts'
import type { TokenNeeds } from './needs.ts'
import { OAuthError } from './oauth-error.ts'
import { isExpected, PRESET_FACTS } from './presets.ts'
import { reviewToken } from './review.ts'
import { svidDomainOf, svidKeys } from './svid.ts'
import type { KnownRule } from './known-rules.ts'
import { JTI_MAX_CHARS, type OnceOnly } from './used-proofs.ts'

/** What a token that somebody else made has proven. */
export type ForeignProven = {
  readonly rule: KnownRule
  readonly claims: Claims
  readonly proof: Proof
  readonly jti: string | null
  readonly expiresAt: Date
  /** To be taken in the transaction that acts on it. */
  readonly once: OnceOnly | null
}

/** By how much clocks may differ. */
const SKEW_SECONDS = 30
/** An assertion of a client is for one request; common clients give it an hour, and it is remembered for as long. */
const ASSERTION_MAX_SECONDS = 3_600
/** What lives longer is a standing credential by another name. */
const TOKEN_MAX_SECONDS = 86_400

/** What somebody shows: an assertion of their own, a token of a platform, or what a provider asserts of a person to them. */
type Kind = 'assertion' | 'token' | 'id-jag'

function kindOf(preset: KnownRule['preset']): Kind {
  return preset === 'client-key' ? 'assertion' : preset === 'id-jag' ? 'id-jag' : 'token'
}

/** By what it calls itself (RFC 8725 §3.11), so that neither is ever taken for the other. */
export function isIdJag(token: string): boolean {
  const typ = headerOf(token)?.['typ']
  return typeof typ === 'string' && typ.toLowerCase().replace(/^application\//, '') === ID_JAG_TYP
}

/**
 * Which identity a token of another issuer proves: exactly one rule names its issuer, audience, subject and claims, and that rule's keys
 * verify it. Throws `OAuthError`, with one sentence for every way in which it is not believed.
 */
export async function verifyForeign(
  needs: TokenNeeds,
  token: string,
  asked: { readonly kind: Kind; readonly identity?: string | undefined },
): Promise<ForeignProven> {
  const claims = isCompact(token) ? unverifiedClaims(token) : undefined
  const issuer = claims?.['iss']
  // Our own tokens are looked up, never believed by their signature alone.
  const domain = claims && svidDomainOf(claims)
  const named = typeof issuer === 'string' && issuer.length <= 500 ? issuer : undefined
  if (!claims || (named === undefined && domain === undefined) || named === needs.issuer()) throw unbelieved()
  const { kind } = asked
  if (isIdJag(token) !== (kind === 'id-jag')) throw unbelieved()
  // Of an assertion of a person it is the client that a rule names; the person is known by a link of their own.
  const about = kind === 'id-jag' ? { ...claims, sub: claims['client_id'] } : claims
  const fits = (rule: KnownRule) =>
    kindOf(rule.preset) === kind &&
    // Of a trust domain the subject says whose it is, of any other issuer the token itself.
    rule.issuer === (rule.preset === 'spiffe' ? domain : named) &&
    isFor(claims, rule.audience, kind !== 'token') &&
    isExpected(about, rule) &&
    (asked.identity === undefined || asked.identity === rule.identity || asked.identity === rule.identityId)
  const rules = [
    ...(named === undefined ? [] : await needs.rules.fitting(named, fits)),
    ...(domain === undefined || domain === named ? [] : await needs.rules.fitting(domain, fits)),
  ]
  // More than one: whoever asks says which identity they mean, by client_id.
  const identities = new Set(rules.map((rule) => rule.identityId))
  if (identities.size > 1) throw new OAuthError('invalid_request', 'Say by client_id which identity is meant.')
  for (const rule of rules) {
    const verified = await verifiedBy(needs, token, rule, rules.length > 1)
    if (verified) return provenBy(needs, token, rule, verified)
  }
  throw unbelieved()
}

function unbelieved(): OAuthError {
  return new OAuthError('invalid_grant', 'The token does not prove an identity here.')
}

async function verifiedBy(
  needs: TokenNeeds,
  token: string,
  rule: KnownRule,
  isOneOfSeveral: boolean,
): Promise<Claims | undefined> {
  try {
    const source = rule.preset === 'spiffe' ? { ...rule, keys: await svidKeys(needs, rule, token) } : rule
    return await needs.issuerKeys.verify(token, source)
  } catch (error) {
    // A client that changes keys has two rules for a while.
    if (isOneOfSeveral && error instanceof OAuthError) return undefined
    throw error
  }
}

async function provenBy(needs: TokenNeeds, token: string, rule: KnownRule, claims: Claims): Promise<ForeignProven> {
  const isShort = kindOf(rule.preset) !== 'token'
  const { proof, isOnce } = PRESET_FACTS[rule.preset]
  const now = needs.clock.now()
  const nowSeconds = now.getTime() / 1000
  const { exp, nbf, iat, jti } = claims
  if (typeof exp !== 'number' || !Number.isFinite(exp) || exp <= nowSeconds - SKEW_SECONDS) throw unbelieved()
  if (nbf !== undefined && (typeof nbf !== 'number' || nbf > nowSeconds + SKEW_SECONDS)) throw unbelieved()
  if (iat !== undefined && (typeof iat !== 'number' || iat > nowSeconds + SKEW_SECONDS)) throw unbelieved()
  if (exp > nowSeconds + (isShort ? ASSERTION_MAX_SECONDS : TOKEN_MAX_SECONDS) + SKEW_SECONDS) throw unbelieved()
  const named = typeof jti === 'string' && jti !== '' && jti.length <= JTI_MAX_CHARS ? jti : null
  if (jti !== undefined && named === null) throw unbelieved()
  if (isOnce && named === null) throw unbelieved()
  if (rule.review) await reviewToken(needs, rule, token)
  const expiresAt = secondsAfter(now, exp - nowSeconds)
  const once: OnceOnly | null =
    isOnce && named !== null
      ? { kind: 'assertion', by: rule.issuer, jti: named, expiresAt: secondsAfter(expiresAt, SKEW_SECONDS) }
      : null
  return { rule, claims, proof, jti: named, expiresAt, once }
}

/** An assertion of a client is for us alone (RFC 7523bis §3); a token of an issuer is for us among others. */
function isFor({ aud }: Claims, audience: string, isAlone: boolean): boolean {
  if (typeof aud === 'string') return aud === audience
  if (!Array.isArray(aud) || (isAlone && aud.length !== 1)) return false
  return aud.includes(audience)
}

/**
 * What an issuer signed, by the keys that its own metadata names; undefined for whatever is not its word, or cannot be verified now. Says nothing
 * of whom it is for, or when.
 */
export async function verifyIssued(
  needs: Pick<TokenNeeds, 'issuerKeys'>,
  token: string,
  issuer: string,
): Promise<{ readonly header: Readonly<Record<string, unknown>>; readonly claims: Claims } | undefined> {
  const header = headerOf(token)
  if (!header) return undefined
  try {
    return { header, claims: await needs.issuerKeys.verify(token, { issuer, keysUrl: null, keys: null }) }
  } catch (error) {
    if (error instanceof OAuthError) return undefined
    throw error
  }
}
