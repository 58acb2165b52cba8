import { AccessDetails, type Identity } from '../identities/contract.ts'
import { actOf, ENTITY_TYPES, identityResourceOf, type Proof } from '../identities/identities.ts'
import { secondsAfter } from '../kernel/clock.ts'
import { sha256 } from '../kernel/crypto.ts'
import { transact, type Tx } from '../kernel/db.ts'
import type { Permit } from '../kernel/permit.ts'
import { Problem } from '../kernel/problem.ts'
import { newId } from '../kernel/random.ts'
import { confirmationOf, type Binding } from './binding.ts'
import type { Narrowed } from './details.ts'
import { accessTokenIssued, accessTokenRefused } from './events.ts'
import type { TokenNeeds } from './needs.ts'
import { holdStill, type Held, type HeldIdentity } from './hold-still.ts'
import { OAuthError } from './oauth-error.ts'
import type { TokenSession } from './public-client.ts'
import type { Holder } from './trust-rules.ts'
import { takeProof, type OnceOnly } from './used-proofs.ts'

/** One access token, as it was asked for by somebody who has proven who they are. */
export type Issuing = {
  readonly grantType: string
  readonly identity: Holder
  readonly onBehalfOfId: string | null
  readonly actorIds: readonly string[]
  readonly parentId: string | null
  readonly ruleId: string | null
  /** Every rule that any of this stands on. */
  readonly ruleIds: readonly string[]
  readonly proof: Proof
  readonly binding: Binding | undefined
  readonly isBound: boolean
  readonly ttlSeconds: number
  /** Until when what was shown is good. */
  readonly notAfter: readonly Date[]
  readonly details: Narrowed | null
  /** Another place than this API. */
  readonly audience: string | null
  readonly once: readonly OnceOnly[]
  readonly jti: string | null
  /** The login of a person that it is given for, and ends with. */
  readonly session: TokenSession | null
  /** By what a provider's word of the person is believed: it ends with either. */
  readonly asserted?: { readonly linkId: string; readonly ruleId: string } | undefined
  /** What is spent by issuing it, in the same transaction. Throws `OAuthError`. */
  readonly claim?: (tx: Tx, tokenId: string) => Promise<void>
}

export type AccessToken = {
  readonly id: string
  readonly token: string
  readonly ttlSeconds: number
  readonly isDpop: boolean
}

/** The less there is to lose the longer a token may lie around; a new one costs one call. */
const TTL_OF_TIER: Readonly<Record<number, number>> = { 0: 300, 1: 600, 2: 900, 3: 3600 }
/** What the API takes in a header. */
const TOKEN_MAX_CHARS = 4_096

/** Decides, enters and issues in one transaction; a refusal of somebody who is known is entered too. Throws `OAuthError`. */
export async function issueAccess(needs: TokenNeeds, issuing: Issuing): Promise<AccessToken> {
  try {
    return await transact(needs.db, (tx) => issue(tx, needs, issuing))
  } catch (error) {
    const refusal = refusalOf(error)
    if (!refusal) throw error
    await transact(needs.db, (tx) => enterRefusal(tx, needs, issuing, refusal))
    throw refusal
  }
}

function refusalOf(error: unknown): OAuthError | undefined {
  if (error instanceof OAuthError) return error
  if (!(error instanceof Problem)) return undefined
  return new OAuthError('unauthorized_client', 'The policies do not permit this token.', { cause: error })
}

async function enterRefusal(tx: Tx, needs: TokenNeeds, issuing: Issuing, refusal: OAuthError): Promise<void> {
  const { identity, grantType, ruleId, jti, once } = issuing
  // What was shown is used up, whatever came of it.
  for (const proof of once) await takeProof(tx, proof)
  await needs.ledger.record(tx, {
    event: accessTokenRefused,
    actor: { id: identity.id, kind: identity.kind },
    action: 'token.obtain',
    resource: { type: 'Identity', id: identity.id },
    outcome: 'refused',
    facts: { grantType, ruleId, error: `${refusal.code}: ${refusal.message}`, shownJti: jti },
  })
}

async function issue(tx: Tx, needs: TokenNeeds, issuing: Issuing): Promise<AccessToken> {
  const held = await holdStill(tx, issuing)
  const { binding, proof } = issuing
  const identity = usable(needs, held, issuing.identity.id)
  const person = issuing.onBehalfOfId === null ? null : usable(needs, held, issuing.onBehalfOfId)
  if ((issuing.isBound || identity.tier <= 1) && !binding) {
    throw new OAuthError(
      'invalid_request',
      'A token of this identity is bound to a key: send a DPoP proof, or come with a TLS certificate.',
    )
  }
  const permit = await needs.decisions.permit(tx, {
    subject: { type: ENTITY_TYPES[identity.kind], id: identity.id, proof },
    ...(person && { onBehalfOf: [{ type: ENTITY_TYPES[person.kind], id: person.id, proof: 'token' as const }] }),
    action: 'token.obtain',
    resource: identityResourceOf(identity, identity.enrolled),
    held,
  })
  for (const each of issuing.once) {
    if (!(await takeProof(tx, each))) throw new OAuthError('invalid_grant', 'What was shown was shown before.')
  }
  const id = newId(needs.clock, needs.random)
  const now = needs.clock.now()
  const expiresAt = endOf(now, issuing, [identity, ...(person ? [person] : [])])
  const txn = newId(needs.clock, needs.random)
  const token = await needs.ring.mint(claimsOf(needs, issuing, { id, txn, now, expiresAt, identity, person }))
  if (token.length > TOKEN_MAX_CHARS) {
    throw new OAuthError('invalid_authorization_details', 'The token would be longer than a header may be.')
  }
  const cause = await enterIssued(tx, needs, permit, { issuing, id, txn, expiresAt })
  await store(tx, issuing, { id, token, now, expiresAt, cause })
  await issuing.claim?.(tx, id)
  const ttlSeconds = Math.floor((expiresAt.getTime() - now.getTime()) / 1000)
  return { id, token, ttlSeconds, isDpop: binding?.kind === 'dpop' }
}

function enterIssued(
  tx: Tx,
  needs: TokenNeeds,
  permit: Permit,
  made: { readonly issuing: Issuing; readonly id: string; readonly txn: string; readonly expiresAt: Date },
): Promise<number> {
  const { issuing, id, txn, expiresAt } = made
  const { grantType, ruleId, parentId, actorIds, jti, audience, proof, binding, details } = issuing
  return needs.ledger.record(tx, {
    ...actOf(permit),
    event: accessTokenIssued,
    facts: {
      tokenId: id,
      grantType,
      ruleId,
      parentId,
      actorIds: [...actorIds],
      shownJti: jti,
      audience: audience ?? needs.issuer(),
      proof,
      keySha256: binding?.keySha256.toString('hex') ?? null,
      details: details === null ? null : AccessDetails.parse(details),
      loginSessionId: issuing.session?.id ?? null,
      txn,
      expiresAt,
    },
  })
}

async function store(
  tx: Tx,
  issuing: Issuing,
  made: {
    readonly id: string
    readonly token: string
    readonly now: Date
    readonly expiresAt: Date
    readonly cause: number
  },
): Promise<void> {
  const { binding, details } = issuing
  await tx
    .insertInto('apiToken')
    .values({
      id: made.id,
      identityId: issuing.identity.id,
      label: 'access token',
      tokenSha256: sha256(made.token),
      keySha256: binding?.kind === 'mtls' ? binding.keySha256 : null,
      dpopKeySha256: binding?.kind === 'dpop' ? binding.keySha256 : null,
      createdAt: made.now,
      expiresAt: made.expiresAt,
      revokedAt: null,
      proof: issuing.proof,
      audience: issuing.audience,
      details: details === null ? null : JSON.stringify(details),
      trustRuleId: issuing.ruleId,
      onBehalfOfId: issuing.onBehalfOfId,
      actorIds: [...issuing.actorIds],
      parentId: issuing.parentId,
      loginSessionId: issuing.session?.id ?? null,
      loginLinkId: issuing.asserted?.linkId ?? null,
      linkRuleId: issuing.asserted?.ruleId ?? null,
      cause: made.cause,
    })
    .execute()
}

/** An identity that may have tokens now: active, not past its end, with somebody who answers for it. */
function usable(needs: TokenNeeds, held: Held, id: string): HeldIdentity {
  const identity = held.identity(id)
  const isOver = identity?.expiresAt != null && identity.expiresAt <= needs.clock.now()
  const isOwned = identity?.kind === 'human' || (identity?.ownerState !== 'none' && identity?.ownerState !== 'lost')
  if (!identity || identity.state !== 'active' || isOver || !isOwned) {
    throw new OAuthError('invalid_grant', 'The identity may not act now.')
  }
  return identity
}

function endOf(now: Date, { ttlSeconds, notAfter, session, audience }: Issuing, identities: readonly Identity[]): Date {
  const tier = Math.min(...identities.map((identity) => identity.tier))
  // What is for this API alone has a row that ends at once; another place may look at the signature only.
  const isWhole = session?.isWhole === true && audience === null
  const byTier = isWhole ? ttlSeconds : (TTL_OF_TIER[tier] ?? TTL_OF_TIER[0] ?? ttlSeconds)
  const ends = [
    secondsAfter(now, Math.min(ttlSeconds, byTier)),
    ...notAfter,
    ...identities.flatMap((identity) => (identity.expiresAt === null ? [] : [identity.expiresAt])),
  ]
  const end = ends.reduce((a, b) => (a < b ? a : b))
  // A token that is over at birth is one that was asked for too late.
  if (end.getTime() - now.getTime() < 1_000) throw new OAuthError('invalid_grant', 'What was shown is over.')
  return end
}

type Made = {
  readonly id: string
  readonly txn: string
  readonly now: Date
  readonly expiresAt: Date
  readonly identity: Identity
  readonly person: Identity | null
}

/** RFC 9068 §2.2; of a delegation the person is the subject and whoever acts is `act`, with who acted before inside (RFC 8693 §4.1). */
function claimsOf(needs: TokenNeeds, issuing: Issuing, made: Made): Readonly<Record<string, unknown>> {
  const { identity, person } = made
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
