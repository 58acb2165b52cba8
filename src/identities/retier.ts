import type { Tx } from '../kernel/db.ts'
import { SYSTEM } from '../ledger/ledger.ts'
import { changeIdentity } from './change.ts'
import type { Identity } from './contract.ts'
import { identityRetiered } from './events.ts'
import type { IdentityNeeds } from './record.ts'

/** What was seen of the reach of an identity, and what it comes to. */
export type SeenReach = {
  readonly tierReached: NonNullable<Identity['tierReached']> | null
  readonly isComplete: boolean
  readonly isInScope: boolean
  /** What it reaches, the gravest first, a sentence each. */
  readonly why: readonly string[]
}

const MOST_SENTENCES = 10

/**
 * Keeps what the reach of an identity comes to, which no person has to ask for. `seen` is locked by who calls. What an owner accepted stays
 * accepted: what they answer for was found out, and not changed by anybody.
 */
export async function retierIdentity(
  tx: Tx,
  needs: Pick<IdentityNeeds, 'ledger'>,
  seen: Identity,
  { tierReached, isComplete, isInScope, why }: SeenReach,
): Promise<Identity> {
  const tier = Math.min(seen.tierSet, tierReached ?? seen.tierSet)
  const cause = await needs.ledger.record(tx, {
    event: identityRetiered,
    actor: SYSTEM,
    resource: { type: 'Identity', id: seen.id },
    subjectId: seen.id,
    outcome: 'done',
    facts: {
      from: seen.tier,
      tier,
      tierSet: seen.tierSet,
      tierReached,
      isComplete,
      isInScope,
      why: why.slice(0, MOST_SENTENCES),
    },
  })
  return changeIdentity(tx, seen, cause, { tierReached })
}
