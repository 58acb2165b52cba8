/**
 * An access token is signed first, outside of any transaction, and entered then: whoever holds the key may take long, and no row is locked nor a
 * connection taken meanwhile. Nobody has it before its entry is durable, so a process that dies leaves at most an entry for a token that nobody got.
 */
import { sqlState, transact, type Tx } from '../kernel/db.ts'
import { newId } from '../kernel/random.ts'
import { Together } from '../kernel/together.ts'
import { claimsOf, endOf, isOver, type Stands } from './claims.ts'
import { enterAll, mayHaveTokens, refusalOf, type Draft, type Entered } from './enter.ts'
import { accessTokenRefused } from './events.ts'
import { reachToken } from './fault-points.ts'
import type { Issuing } from './issuing.ts'
import type { TokenNeeds } from './needs.ts'
import { OAuthError } from './oauth-error.ts'
import { takeProof } from './used-proofs.ts'

export type AccessToken = {
  readonly id: string
  readonly token: string
  readonly ttlSeconds: number
  readonly isDpop: boolean
}

/** What the API takes in a header. */
const TOKEN_MAX_CHARS = 4_096
/** In one transaction. Two at once, so that the answers of one are made while the other is on its way to the disk. */
const TOGETHER = 64
const LANES = 2
/** The record may change between a look at it and the transaction; then there is another look. */
const MOST_LOOKS = 4

/**
 * Decides, signs and enters; a refusal of somebody who is known is entered too. Those who ask at the same time are entered in one transaction. What it
 * gives throws `OAuthError`.
 */
export function openIssuing(needs: TokenNeeds): (issuing: Issuing) => Promise<AccessToken> {
  const together = new Together<Draft, Entered>((drafts) => enterTogether(needs, drafts), {
    most: TOGETHER,
    lanes: LANES,
  })
  return async (issuing) => {
    try {
      return await issue(needs, together, issuing)
    } catch (error) {
      const refusal = refusalOf(error)
      if (!refusal) throw error
      await transact(needs.db, (tx) => enterRefusal(tx, needs, issuing, refusal))
      throw refusal
    }
  }
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

async function issue(needs: TokenNeeds, together: Together<Draft, Entered>, issuing: Issuing): Promise<AccessToken> {
  let stands = await remembered(needs, issuing)
  for (let looks = 0; looks < MOST_LOOKS; looks += 1) {
    const draft = await signedDraft(needs, issuing, stands)
    await reachToken('token.signed')
    const entered = await enter(needs, together, draft)
    if (entered.kind === 'refused') throw entered.why
    if (entered.kind === 'issued' && draft.signed) {
      const { token, expiresAt } = draft.signed
      const ttlSeconds = Math.floor((expiresAt.getTime() - draft.now.getTime()) / 1000)
      return { id: draft.id, token, ttlSeconds, isDpop: issuing.binding?.kind === 'dpop' }
    }
    if (entered.kind === 'changed') stands = entered.stands
  }
  throw new OAuthError('temporarily_unavailable', 'The identity was changed meanwhile, again and again. Ask again.')
}

/** Of whom it is as far as this node remembers; what counts is what their rows say when it is entered. */
async function remembered(needs: TokenNeeds, { identity, onBehalfOfId }: Issuing): Promise<Stands | undefined> {
  const found = await needs.recorded.find(identity.id)
  const person = onBehalfOfId === null ? null : await needs.recorded.find(onBehalfOfId)
  return found && person !== undefined ? { identity: found, person } : undefined
}

async function signedDraft(needs: TokenNeeds, issuing: Issuing, stands: Stands | undefined): Promise<Draft> {
  const now = needs.clock.now()
  const own = { id: newId(needs.clock, needs.random), txn: newId(needs.clock, needs.random), now }
  const expiresAt = stands && endOf(now, issuing, stands)
  // Keys are not bothered for what is going to be refused.
  const isGood =
    stands && mayHaveTokens(stands.identity, now) && (stands.person === null || mayHaveTokens(stands.person, now))
  if (!isGood || !expiresAt || isOver(expiresAt, now)) return { ...own, issuing, signed: undefined }
  const claims = claimsOf(needs, issuing, stands, { ...own, expiresAt })
  const token = await needs.ring.mint(claims)
  if (token.length > TOKEN_MAX_CHARS) {
    throw new OAuthError('invalid_authorization_details', 'The token would be longer than a header may be.')
  }
  return { ...own, issuing, signed: { token, says: JSON.stringify(claims), expiresAt } }
}

/** What spends something else with it, or stands on what somebody is changing, has a transaction of its own. */
async function enter(needs: TokenNeeds, together: Together<Draft, Entered>, draft: Draft): Promise<Entered> {
  if (!draft.issuing.claim) {
    const entered = await together.ask(draft)
    if (entered.kind !== 'held') return entered
  }
  return transact(needs.db, async (tx) => {
    const [entered] = await enterAll(tx, needs, [draft], 'waiting')
    if (!entered) throw new Error('a token was neither entered nor refused')
    // Taken back with it: what was spent for it is not.
    if (entered.kind === 'refused') throw entered.why
    return entered
  })
}

/** Where the database refuses one of them, each asks alone. What became of a transaction whose end nobody saw is not known: then all of them fail. */
async function enterTogether(needs: TokenNeeds, drafts: readonly Draft[]): Promise<Entered[]> {
  try {
    return await transact(needs.db, (tx) => enterAll(tx, needs, drafts, 'skipping'))
  } catch (error) {
    const state = sqlState(error)
    // Class 57: the server ends the connection (PostgreSQL manual, appendix A).
    if (state === undefined || state.startsWith('57')) throw error
    return drafts.map(() => ({ kind: 'held' }))
  }
}
