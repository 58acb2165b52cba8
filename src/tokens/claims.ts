import type { Recorded } from '../identities/identities.ts'
import { secondsAfter } from '../kernel/clock.ts'
import { confirmationOf } from './binding.ts'
import type { Issuing } from './issuing.ts'
import type { TokenNeeds } from './needs.ts'
import type { TokenSession } from './public-client.ts'

/** Whose token it is, and for whom. */
export type Stands = { readonly identity: Recorded; readonly person: Recorded | null }

/** What one token has of its own. */
export type Own = { readonly id: string; readonly txn: string; readonly now: Date }

/** The less there is to lose the longer a token may lie around; a new one costs one call. */
const TTL_OF_TIER: Readonly<Record<number, number>> = { 0: 300, 1: 600, 2: 900, 3: 3600 }

/** Until when it is good, by what was shown and by whom it is of; that may be over already. */
export function endOf(now: Date, { ttlSeconds, notAfter, session, audience }: Issuing, stands: Stands): Date {
  const identities = stands.person ? [stands.identity, stands.person] : [stands.identity]
  const tier = Math.min(...identities.map((identity) => identity.tier))
  // What is for this API alone has a row that ends at once; another place may look at the signature only.
  const isWhole = session?.isWhole === true && audience === null
  const byTier = isWhole ? ttlSeconds : (TTL_OF_TIER[tier] ?? TTL_OF_TIER[0] ?? ttlSeconds)
  const ends = [
    secondsAfter(now, Math.min(ttlSeconds, byTier)),
    ...notAfter,
    ...identities.flatMap((identity) => (identity.expiresAt === null ? [] : [identity.expiresAt])),
  ]
  return ends.reduce((a, b) => (a < b ? a : b))
}

/** Whether a token is over at birth: it was asked for too late. */
export function isOver(expiresAt: Date, now: Date): boolean {
  return expiresAt.getTime() - now.getTime() < 1_000
}

/** RFC 9068 §2.2; of a delegation the person is the subject and whoever acts is `act`, with who acted before inside (RFC 8693 §4.1). */
export function claimsOf(
  needs: Pick<TokenNeeds, 'issuer'>,
  issuing: Issuing,
  { identity, person }: Stands,
  made: Own & { readonly expiresAt: Date },
): Readonly<Record<string, unknown>> {
  const issuer = needs.issuer()
  const confirmation = confirmationOf(issuing.binding)
  const before = issuing.actorIds.reduceRight<object | undefined>(
    (act, sub) => ({ iss: issuer, sub, ...(act && { act }) }),
    undefined,
  )
  const act = {
    iss: issuer,
    sub: identity.id,
    ...(identity.kind === 'agent' && { sub_profile: 'ai_agent' }),
    ...(before && { act: before }),
  }
  return {
    iss: issuer,
    sub: person?.id ?? identity.id,
    aud: issuing.audience ?? issuer,
    client_id: identity.name,
    iat: Math.floor(made.now.getTime() / 1000),
    exp: Math.floor(made.expiresAt.getTime() / 1000),
    jti: made.id,
    txn: made.txn,
    ...(person && { act }),
    ...loginClaims(issuing.session),
    ...(issuing.details && { authorization_details: issuing.details }),
    ...(confirmation && { cnf: confirmation }),
  }
}

/** RFC 9068 §2.2.1: how and when the person authenticated. */
function loginClaims(session: TokenSession | null): Readonly<Record<string, unknown>> {
  if (!session) return {}
  const { id, authenticatedAt, acr, amr } = session
  return {
    sid: id,
    auth_time: Math.floor(authenticatedAt.getTime() / 1000),
    ...(acr !== null && { acr }),
    ...(amr.length > 0 && { amr }),
  }
}
