import { sql } from 'kysely'
import type { Tx } from '../kernel/db.ts'
import { newId } from '../kernel/random.ts'
import type { Fact } from '../ledger/ledger.ts'
import { changeIdentity } from './change.ts'
import type { Identity } from './contract.ts'
import {
  identityRegistered,
  identityResumed,
  identityRetired,
  identitySuspended,
  identityUpdated,
  ownerLost,
  ownerUnattested,
} from './events.ts'
import { IDENTITY_COLUMNS, wrongState, type IdentityNeeds } from './record.ts'

/**
 * What happens to an identity, whoever makes it happen: a person by an operation, an identity provider, the sweep of what is past its end. Who
 * calls has locked the row and holds the right to; `act` says in the ledger whose doing it is.
 */
export type IdentityAct = Omit<Fact, 'event' | 'facts' | 'subjectId' | 'resource'>

const onIdentity = (id: string) => ({ resource: { type: 'Identity', id }, subjectId: id })

/** Enters a person who may act and has nothing yet: no credential, no team, no grant. */
export async function enterPerson(
  tx: Tx,
  needs: IdentityNeeds,
  act: IdentityAct,
  { name, displayName }: { readonly name: string; readonly displayName: string | null },
): Promise<Identity> {
  const id = newId(needs.clock, needs.random)
  const known = {
    kind: 'human',
    name,
    profile: 'person',
    environment: 'production',
    tier: 2,
    traits: [] as string[],
    ownerTeam: null,
    purpose: null,
    displayName,
  } as const
  const cause = await needs.ledger.record(tx, {
    ...act,
    ...onIdentity(id),
    event: identityRegistered,
    facts: { ...known, suggestedOwnerId: null, sponsorId: null },
  })
  return tx
    .insertInto('identity')
    .values({ ...known, id, state: 'active', createdAt: needs.clock.now(), cause })
    .returning(IDENTITY_COLUMNS)
    .executeTakeFirstOrThrow()
}

/** Gives a person another name to be shown by. */
export async function renamePerson(
  tx: Tx,
  needs: IdentityNeeds,
  act: IdentityAct,
  { seen, displayName }: { readonly seen: Identity; readonly displayName: string | null },
): Promise<Identity> {
  const { environment, tier, traits, ownerState, expiresAt, id } = seen
  const facts = { fields: ['displayName'], environment, tier, traits, ownerState, expiresAt, displayName }
  const cause = await needs.ledger.record(tx, { ...act, ...onIdentity(id), event: identityUpdated, facts })
  return changeIdentity(tx, seen, cause, { displayName })
}

/** Stops an active identity, and all that hangs on it. Throws when it is the last person who can act. */
export async function stopIdentity(
  tx: Tx,
  needs: IdentityNeeds,
  act: IdentityAct,
  { seen, reason, isExpired = false }: { seen: Identity; reason: string; isExpired?: boolean },
): Promise<Identity> {
  if (seen.state !== 'active') throw wrongState(seen, `The identity is ${seen.state}, not active.`)
  if (!isExpired) await mustNotBeLastPerson(tx, seen)
  const facts = { from: seen.state, isExpired, reason }
  const cause = await needs.ledger.record(tx, { ...act, ...onIdentity(seen.id), event: identitySuspended, facts })
  const changed = await changeIdentity(tx, seen, cause, { state: 'suspended' })
  await needs.onIdentityEnded(tx, { identityId: seen.id, reason: 'identity-suspended', cause })
  return changed
}

/** Lets a suspended identity act again. What ended when it was suspended stays ended. */
export async function letActAgain(tx: Tx, needs: IdentityNeeds, act: IdentityAct, seen: Identity): Promise<Identity> {
  if (seen.state !== 'suspended') throw wrongState(seen, `The identity is ${seen.state}, not suspended.`)
  const facts = { from: seen.state }
  const cause = await needs.ledger.record(tx, { ...act, ...onIdentity(seen.id), event: identityResumed, facts })
  return changeIdentity(tx, seen, cause, { state: 'active' })
}

/** Ends an identity for good: what it owned has no owner any more, agents it sponsored stop, and the grants of all of them end. */
export async function endIdentity(
  tx: Tx,
  needs: IdentityNeeds,
  act: IdentityAct,
  { seen, reason }: { readonly seen: Identity; readonly reason: string },
): Promise<Identity> {
  if (seen.state === 'retired') throw wrongState(seen, 'The identity is retired already.')
  await mustNotBeLastPerson(tx, seen)
  const { owned, agents } = await dependants(tx, seen.id)
  const cause = await needs.ledger.record(tx, {
    ...act,
    ...onIdentity(seen.id),
    event: identityRetired,
    facts: { from: seen.state, lostOwnerOf: owned, suspendedAgents: agents, reason },
  })
  const changed = await changeIdentity(tx, seen, cause, { state: 'retired' })
  await needs.onIdentityEnded(tx, { identityId: seen.id, reason: 'identity-retired', cause })
  const next = { version: sql<number>`version + 1`, cause }
  if (owned.length > 0) {
    await tx
      .updateTable('identity')
      .set({ ownerState: 'lost', ...next })
      .where('id', 'in', owned)
      .execute()
  }
  if (agents.length > 0) {
    await tx
      .updateTable('identity')
      .set({ state: 'suspended', ...next })
      .where('id', 'in', agents)
      .execute()
  }
  for (const identityId of owned) await needs.onIdentityEnded(tx, { identityId, reason: 'owner-lost', cause })
  for (const identityId of agents) await needs.onIdentityEnded(tx, { identityId, reason: 'identity-suspended', cause })
  return changed
}

/** With a person who cannot act, what they own has no owner and the agents they sponsor stop. Returns what was owned. */
export async function abandonOwned(
  tx: Tx,
  needs: IdentityNeeds,
  act: IdentityAct,
  { personId, reason }: { readonly personId: string; readonly reason: string },
): Promise<readonly string[]> {
  const { owned, agents } = await dependants(tx, personId)
  for (const id of owned) {
    const seen = await loadRow(tx, id)
    const facts = { ownerId: personId, reason }
    const cause = await needs.ledger.record(tx, { ...act, ...onIdentity(id), event: ownerLost, facts })
    await changeIdentity(tx, seen, cause, { ownerState: 'lost' })
    await needs.onIdentityEnded(tx, { identityId: id, reason: 'owner-lost', cause })
  }
  for (const id of agents) await stopIdentity(tx, needs, act, { seen: await loadRow(tx, id), reason })
  return owned
}

/** What somebody attested is attested again: they moved, or its time came. Returns which. */
export async function unattestOwned(
  tx: Tx,
  needs: IdentityNeeds,
  act: IdentityAct,
  { personId, evidence }: { readonly personId: string; readonly evidence: string },
): Promise<readonly string[]> {
  const rows = await tx
    .selectFrom('identity')
    .select('id')
    .where('ownerId', '=', personId)
    .where('ownerState', '=', 'attested')
    .where('state', '<>', 'retired')
    .orderBy('id')
    .forUpdate()
    .execute()
  for (const { id } of rows) await unattest(tx, needs, act, { seen: await loadRow(tx, id), evidence })
  return rows.map(({ id }) => id)
}

/** Takes an attestation back: the owner is only suggested from here on. Who did it counts as proposing the owner anew. */
export async function unattest(
  tx: Tx,
  needs: IdentityNeeds,
  act: IdentityAct,
  { seen, evidence }: { readonly seen: Identity; readonly evidence: string },
): Promise<Identity> {
  const cause = await needs.ledger.record(tx, {
    ...act,
    ...onIdentity(seen.id),
    event: ownerUnattested,
    facts: { ownerId: seen.ownerId, evidence },
  })
  const ownerEvidence = evidence.slice(0, 500)
  return changeIdentity(tx, seen, cause, { ownerState: 'suggested', ownerEvidence, ownerProposedBy: act.actor.id })
}

async function loadRow(tx: Tx, id: string): Promise<Identity> {
  return tx.selectFrom('identity').select(IDENTITY_COLUMNS).where('id', '=', id).forUpdate().executeTakeFirstOrThrow()
}

/** What loses its owner and which active agents lose their sponsor with a person, locked in id order. */
async function dependants(tx: Tx, personId: string): Promise<{ owned: string[]; agents: string[] }> {
  const rows = await tx
    .selectFrom('identity')
    .select(['id', 'kind', 'state', 'ownerId', 'ownerState', 'sponsorId'])
    .where((is) => is.or([is('ownerId', '=', personId), is('sponsorId', '=', personId)]))
    .where('state', '<>', 'retired')
    .orderBy('id')
    .forUpdate()
    .execute()
  const isOwned = (row: (typeof rows)[number]) => row.ownerId === personId && row.ownerState !== 'lost'
  return {
    owned: rows.filter(isOwned).map((row) => row.id),
    agents: rows.filter((row) => row.sponsorId === personId && row.state === 'active').map((row) => row.id),
  }
}

/** With nobody left who can act, nobody could let anybody act again. Those who stop people take turns. */
async function mustNotBeLastPerson(tx: Tx, identity: Identity): Promise<void> {
  if (identity.kind !== 'human' || identity.state !== 'active') return
  await sql`select pg_advisory_xact_lock(hashtext('identities.people'))`.execute(tx)
  const other = await tx
    .selectFrom('identity')
    .select('id')
    .where('kind', '=', 'human')
    .where('state', '=', 'active')
    .where('id', '<>', identity.id)
    .limit(1)
    .executeTakeFirst()
  if (!other) throw wrongState(identity, 'This is the last person who can act; let another one act first.')
}
