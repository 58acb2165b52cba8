import { transact, type Db, type Tx } from '../../kernel/db.ts'
import { loadIdentity } from '../../identities/identities.ts'
import type { Identity } from '../../identities/contract.ts'
import { Problem } from '../../kernel/problem.ts'
import { passkeyTurnedAway, passkeyUsed } from './events.ts'
import type { PasskeyNeeds } from './needs.ts'
import { passkeyRefused, PASSKEY_REFUSALS } from './refused.ts'
import type { AssertionResponse } from './schemas.ts'
import { siteOf } from './site.ts'
import { verifyAssertion } from './webauthn.ts'

/** A passkey that was just shown to be in its person’s hand; `use` makes it count, once. */
export type Proven = {
  readonly passkeyId: string
  readonly identityId: string
  readonly counter: number
  readonly isBackedUp: boolean
  /** The counter it was held against: whoever came in between was first. */
  readonly counterBefore: number
}

/**
 * Which passkey signed a challenge. `of` is whose it has to be, where that is known: somebody else’s is refused before anything else is said of
 * it. What a known passkey signed wrongly is entered. Throws `passkeyRefused`.
 */
export async function provePasskey(
  needs: PasskeyNeeds,
  sent: AssertionResponse,
  expected: { readonly challenge: Buffer; readonly of?: string },
): Promise<Proven> {
  const known = await needs.db
    .selectFrom('passkey')
    .select(['id', 'identityId', 'credentialId', 'publicKey', 'counter', 'isBackupEligible', 'removedAt'])
    .where('credentialId', '=', Buffer.from(sent.id, 'base64url'))
    .executeTakeFirst()
  if (!known || known.removedAt !== null) {
    throw passkeyRefused('This passkey is not known here, or was removed.', { code: 'unknown' })
  }
  try {
    if (expected.of !== undefined && expected.of !== known.identityId) {
      throw passkeyRefused('This is the passkey of somebody else.', { code: 'not-theirs' })
    }
    const shown = await verifyAssertion(sent, expected.challenge, siteOf(needs.issuer()), known)
    return { passkeyId: known.id, identityId: known.identityId, ...shown, counterBefore: known.counter }
  } catch (error) {
    if (error instanceof Problem) await enterRefusal(needs, known, error)
    throw error
  }
}

/** Makes it count: its counter goes up from where it was held against, and its person may act now. Throws `passkeyRefused`. */
export async function usePasskey(tx: Tx, needs: PasskeyNeeds, proven: Proven): Promise<Identity> {
  const person = await activePerson(tx, needs, proven.identityId)
  const { passkeyId, counter, isBackedUp } = proven
  const cause = await needs.ledger.record(tx, {
    event: passkeyUsed,
    actor: { id: person.id, kind: person.kind },
    action: 'passkey.use',
    resource: { type: 'Identity', id: person.id },
    outcome: 'done',
    facts: { passkeyId, counter, isBackedUp },
  })
  const { numUpdatedRows } = await tx
    .updateTable('passkey')
    .set({ counter, isBackedUp, usedAt: needs.clock.now(), cause })
    .where('id', '=', passkeyId)
    .where('counter', '=', proven.counterBefore)
    .where('removedAt', 'is', null)
    .executeTakeFirstOrThrow()
  if (numUpdatedRows !== 1n) {
    throw passkeyRefused('The passkey was used elsewhere at this moment. Begin again.', { code: 'over' })
  }
  return person
}

/** A person who may act now; what a stopped one shows is worth nothing. */
export async function activePerson(db: Db, needs: Pick<PasskeyNeeds, 'clock'>, id: string): Promise<Identity> {
  const person = await loadIdentity(db, id)
  const isOver = person?.expiresAt != null && person.expiresAt <= needs.clock.now()
  if (person?.kind === 'human' && person.state === 'active' && !isOver) return person
  throw passkeyRefused('This person may not act now.', { code: 'unknown' })
}

async function enterRefusal(
  needs: PasskeyNeeds,
  known: { readonly id: string; readonly identityId: string; readonly counter: number },
  problem: Problem,
): Promise<void> {
  const code = PASSKEY_REFUSALS.find((each) => each === problem.facts['code']) ?? 'mismatch'
  // An assertion of another challenge is anybody’s to send; only a passkey that signed this one says something about its person.
  if (code !== 'copied' && code !== 'not-theirs') return
  await transact(needs.db, (tx) =>
    needs.ledger.record(tx, {
      event: passkeyTurnedAway,
      actor: { id: known.identityId, kind: 'human' },
      action: 'passkey.use',
      resource: { type: 'Identity', id: known.identityId },
      outcome: 'refused',
      facts: { passkeyId: known.id, code, counter: known.counter },
    }),
  )
}
