/** Enters access tokens that were signed already: decides on the record as it stands while nobody may change it, and writes each with its entry. */
import { AccessDetails } from '../identities/contract.ts'
import { actOf, ENTITY_TYPES, identityResourceOf, type Recorded } from '../identities/identities.ts'
import { sha256 } from '../kernel/crypto.ts'
import type { Tx } from '../kernel/db.ts'
import type { Permit } from '../kernel/permit.ts'
import { Problem } from '../kernel/problem.ts'
import type { Fact } from '../ledger/ledger.ts'
import { claimsOf, endOf, isOver, type Own, type Stands } from './claims.ts'
import { accessTokenIssued } from './events.ts'
import { reachToken } from './fault-points.ts'
import { holdStill, type Held } from './hold-still.ts'
import type { Issuing } from './issuing.ts'
import type { TokenNeeds } from './needs.ts'
import { OAuthError } from './oauth-error.ts'
import { takeProofs } from './used-proofs.ts'

/** A token that nobody has yet: it is told when it is entered, and never before. */
export type Draft = Own & {
  readonly issuing: Issuing
  /** Undefined where nothing could be signed by what was remembered of the record. */
  readonly signed: { readonly token: string; readonly says: string; readonly expiresAt: Date } | undefined
}

export type Entered =
  | { readonly kind: 'issued' }
  | { readonly kind: 'refused'; readonly why: OAuthError }
  /** By the record it would have to say something else: it is to be signed again, as of this. */
  | { readonly kind: 'changed'; readonly stands: Stands }
  /** Somebody is changing what it stands on. */
  | { readonly kind: 'held' }

type Fitting = { readonly draft: Draft; readonly signed: NonNullable<Draft['signed']>; readonly permit: Permit }
type Judged = { readonly kind: 'fits'; readonly fitting: Fitting } | Exclude<Entered, { kind: 'issued' }>

/**
 * All in the transaction, each with its own outcome. Waiting: rows that others are changing are waited for. Skipping: whoever stands on one of them
 * is told `held`, so that nobody waits for the change of somebody else.
 */
export async function enterAll(
  tx: Tx,
  needs: TokenNeeds,
  drafts: readonly Draft[],
  how: 'waiting' | 'skipping',
): Promise<Entered[]> {
  const grounds = drafts.map(({ issuing }) => issuing)
  const held = await holdStill(tx, grounds, how)
  const judged = await Promise.all(drafts.map((draft) => judge(tx, needs, draft, { held, how })))
  const fitting = judged.flatMap((each) => (each.kind === 'fits' ? [each.fitting] : []))
  const fresh = await unused(tx, fitting)
  const issued = fitting.filter((each) => fresh.has(each))
  if (issued.length > 0) {
    const causes = await needs.ledger.recordAll(
      tx,
      issued.map((each) => factOf(needs, each)),
    )
    await store(tx, issued, causes)
    for (const { draft } of issued) await draft.issuing.claim?.(tx, draft.id)
    await reachToken('token.entered')
  }
  return judged.map((each) => {
    if (each.kind !== 'fits') return each
    return fresh.has(each.fitting) ? { kind: 'issued' } : { kind: 'refused', why: SHOWN_BEFORE() }
  })
}

const SHOWN_BEFORE = () => new OAuthError('invalid_grant', 'What was shown was shown before.')

/** As whoever asked is told; undefined for what is no refusal. */
export function refusalOf(error: unknown): OAuthError | undefined {
  if (error instanceof OAuthError) return error
  if (!(error instanceof Problem)) return undefined
  return new OAuthError('unauthorized_client', 'The policies do not permit this token.', { cause: error })
}

type Judging = { readonly held: Held; readonly how: 'waiting' | 'skipping' }

async function judge(tx: Tx, needs: TokenNeeds, draft: Draft, judging: Judging): Promise<Judged> {
  try {
    return await judged(tx, needs, draft, judging)
  } catch (error) {
    const why = refusalOf(error)
    if (!why) throw error
    return { kind: 'refused', why }
  }
}

async function judged(tx: Tx, needs: TokenNeeds, draft: Draft, { held, how }: Judging): Promise<Judged> {
  const { issuing, signed } = draft
  const lacking = held.lacking(issuing)
  if (lacking && how === 'skipping') return { kind: 'held' }
  if (lacking) throw lacking
  const identity = usable(needs, held, issuing.identity.id)
  const person = issuing.onBehalfOfId === null ? null : usable(needs, held, issuing.onBehalfOfId)
  if ((issuing.isBound || identity.tier <= 1) && !issuing.binding) {
    throw new OAuthError(
      'invalid_request',
      'A token of this identity is bound to a key: send a DPoP proof, or come with a TLS certificate.',
    )
  }
  const permit = await needs.decisions.permit(tx, {
    subject: { type: ENTITY_TYPES[identity.kind], id: identity.id, proof: issuing.proof },
    ...(person && { onBehalfOf: [{ type: ENTITY_TYPES[person.kind], id: person.id, proof: 'token' as const }] }),
    action: 'token.obtain',
    resource: identityResourceOf(identity, identity.enrolled),
    held,
  })
  const stands = { identity, person }
  const expiresAt = endOf(draft.now, issuing, stands)
  // Whoever signs may have taken their time.
  if (isOver(expiresAt, needs.clock.now())) throw new OAuthError('invalid_grant', 'What was shown is over.')
  const says = JSON.stringify(claimsOf(needs, issuing, stands, { ...draft, expiresAt }))
  return signed?.says === says ? { kind: 'fits', fitting: { draft, signed, permit } } : { kind: 'changed', stands }
}

/** An identity that may have tokens now: active, not past its end, with somebody who answers for it. */
function usable(needs: TokenNeeds, held: Held, id: string): Recorded {
  const identity = held.identity(id)
  if (!identity || !mayHaveTokens(identity, needs.clock.now())) {
    throw new OAuthError('invalid_grant', 'The identity may not act now.')
  }
  return identity
}

export function mayHaveTokens({ kind, state, ownerState, expiresAt }: Recorded, now: Date): boolean {
  const isOwned = kind === 'human' || (ownerState !== 'none' && ownerState !== 'lost')
  return state === 'active' && (expiresAt === null || expiresAt > now) && isOwned
}

/** Takes what each shows once; those who showed nothing that was shown before. */
async function unused(tx: Tx, all: readonly Fitting[]): Promise<ReadonlySet<Fitting>> {
  const shown = all.flatMap((fitting) => fitting.draft.issuing.once.map((proof) => ({ fitting, proof })))
  const taken = await takeProofs(
    tx,
    shown.map(({ proof }) => proof),
  )
  const spent = new Set(shown.flatMap(({ fitting }, at) => (taken[at] === true ? [] : [fitting])))
  return new Set(all.filter((fitting) => !spent.has(fitting)))
}

function factOf(needs: TokenNeeds, { draft, signed, permit }: Fitting): Fact {
  const { issuing, id, txn } = draft
  const { grantType, ruleId, parentId, actorIds, jti, audience, proof, binding, details } = issuing
  return {
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
      expiresAt: signed.expiresAt,
    },
  }
}

async function store(tx: Tx, all: readonly Fitting[], causes: readonly number[]): Promise<void> {
  await tx
    .insertInto('apiToken')
    .values(all.map((fitting, at) => rowOf(fitting, causes[at] ?? 0)))
    .execute()
}

function rowOf({ draft: { issuing, id, now }, signed }: Fitting, cause: number) {
  const { binding, details } = issuing
  return {
    id,
    identityId: issuing.identity.id,
    label: 'access token',
    tokenSha256: sha256(signed.token),
    keySha256: binding?.kind === 'mtls' ? binding.keySha256 : null,
    dpopKeySha256: binding?.kind === 'dpop' ? binding.keySha256 : null,
    createdAt: now,
    expiresAt: signed.expiresAt,
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
    cause,
  }
}
