import { OAuthError } from './oauth-error.ts'
import type { Tx } from '../kernel/db.ts'
import type { Narrowed } from './details.ts'
import type { Proven } from './proven.ts'

/** What an assertion of a person by their provider is believed by, and bounds its token to. */
type Asserted = {
  readonly linkId: string
  readonly ruleId: string
  /** Places it is good for; undefined where it does not say. */
  readonly resources: readonly string[] | undefined
  readonly details: Narrowed | null
  /** Holds the link still in the transaction that issues. Throws `OAuthError`. */
  readonly claim: (tx: Tx) => Promise<void>
}

/** Who acts, for whom, and by what that was shown. */
export type Delegated = {
  readonly acting: Proven
  readonly subject: Proven
  readonly onBehalfOfId: string | null
  readonly actorIds: readonly string[]
  /** Of an assertion of the person by their provider: by what it is believed, and what it is bounded to. */
  readonly asserted?: Asserted
}

/** Agents that hand a task on to agents; the standard has no bound, and nobody follows a longer chain (RFC 8693 §4.1). */
const MOST_ACTORS = 4

/**
 * The chain of a token. Without an actor the subject asks for itself. With one, both are proven and the rule of requests holds: an agent acts
 * for the person who sponsors it and for nobody else, be it handed the task by that person or by another agent of theirs. Throws `OAuthError`.
 */
export function delegated({ subject, actor }: { subject: Proven; actor: Proven | undefined }): Delegated {
  const { held } = subject
  if (!actor || actor.identity.id === subject.identity.id) {
    const onBehalfOfId = held?.onBehalfOfId ?? null
    return { acting: subject, subject, onBehalfOfId, actorIds: held?.actorIds ?? [] }
  }
  if (!held) throw new OAuthError('invalid_request', 'What is handed on is a token of this token service.')
  const personId = subject.identity.kind === 'human' ? subject.identity.id : held.onBehalfOfId
  if (personId === null) throw new OAuthError('invalid_grant', 'Only a person hands tasks on.')
  if (actor.held?.onBehalfOfId != null)
    throw new OAuthError('invalid_grant', 'The actor shows that it acts for somebody.')
  if (actor.identity.kind !== 'agent' || actor.identity.sponsorId !== personId) {
    throw new OAuthError('invalid_grant', 'An agent acts for its sponsor and for nobody else.')
  }
  const actorIds = subject.identity.kind === 'human' ? [] : [subject.identity.id, ...held.actorIds]
  if (actorIds.length >= MOST_ACTORS) throw new OAuthError('invalid_grant', 'The chain of delegations is too long.')
  return { acting: actor, subject, onBehalfOfId: personId, actorIds }
}
