import type { Db } from '../kernel/db.ts'
import type { Caller } from '../kernel/http/route.ts'
import { findIdentity, loadIdentity, tiedPeople, type Proof } from '../identities/identities.ts'
import type { Identity } from '../identities/contract.ts'
import { notDelegated, type RequestAccess } from './contract.ts'

/** Who asks, who shall act, for whom, and whose act set it off. */
export type Chain = {
  readonly requester: Identity
  readonly subject: Identity
  readonly onBehalfOf: Identity | null
  readonly triggeredBy: Identity | null
  /** How the subject proved itself; a subject that is not the caller proved nothing more than a name. */
  readonly proof: Proof
}

/**
 * The chain of a request. The subject comes from the caller's proof (core 3). Only two delegations exist: a person hands a
 * task to an agent by asking for it, or an agent asks on behalf of its own sponsor. `triggeredBy` is a claim, and may be
 * one: all it does is to take that person out of the approvers.
 */
export async function chainOf(db: Db, caller: Caller, input: RequestAccess): Promise<Chain> {
  const requester = await knownIdentity(db, caller.id)
  const triggeredBy = input.triggeredBy === undefined ? null : await findIdentity(db, input.triggeredBy)
  if (input.agent !== undefined) {
    const subject = await findIdentity(db, input.agent)
    if (requester.kind !== 'human' || subject.kind !== 'agent' || input.onBehalfOf !== undefined) {
      throw notDelegated('Only a person hands a task to an agent, and it acts for that person.', {
        identity: input.agent,
      })
    }
    return { requester, subject, onBehalfOf: requester, triggeredBy, proof: 'token' }
  }
  const { proof } = caller
  // A token that was issued for a task of somebody says so, and nothing the caller says is more.
  const named = input.onBehalfOf ?? caller.onBehalfOfId
  if (named === undefined) return { requester, subject: requester, onBehalfOf: null, triggeredBy, proof }
  const onBehalfOf = await findIdentity(db, named)
  const isOther = caller.onBehalfOfId !== undefined && caller.onBehalfOfId !== onBehalfOf.id
  if (isOther || requester.kind !== 'agent' || onBehalfOf.kind !== 'human' || requester.sponsorId !== onBehalfOf.id) {
    throw notDelegated('An agent asks on behalf of its sponsor and of nobody else.', { identity: named })
  }
  return { requester, subject: requester, onBehalfOf, triggeredBy, proof }
}

/** Everyone who may not decide on what this chain asks for (core 6), in any of their identities. */
export async function tiedTo(db: Db, chain: Chain): Promise<ReadonlySet<string>> {
  const links = [chain.requester, chain.subject, chain.onBehalfOf, chain.triggeredBy].filter((link) => link !== null)
  const tied = new Set<string>()
  for (const id of new Set(links.map((link) => link.id)))
    for (const person of await tiedPeople(db, id)) tied.add(person)
  return tied
}

export async function knownIdentity(db: Db, id: string): Promise<Identity> {
  const identity = await loadIdentity(db, id)
  if (!identity) throw new Error(`the identity ${id} has no record`)
  return identity
}
