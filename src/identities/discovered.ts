import type { Tx } from '../kernel/db.ts'
import type { Permit } from '../kernel/permit.ts'
import { newId } from '../kernel/random.ts'
import { actOf } from './act.ts'
import { changeIdentity } from './change.ts'
import { ownAttestation, type Identity } from './contract.ts'
import { identityDiscovered, serviceAccepted } from './events.ts'
import { PROFILES_OF } from './lifecycle.ts'
import { IDENTITY_COLUMNS, lockIdentity, wrongState, type IdentityNeeds } from './record.ts'

/** Something that was found where it acts, and what facts say of it. */
export type Discovered = Pick<Identity, 'kind' | 'name' | 'profile' | 'environment' | 'tier' | 'traits'> & {
  /** The principal at its source, or the definition that principals are instances of. */
  readonly thingId: string
  readonly evidence: readonly string[]
}

/** Whether something of this kind is governed as this profile. */
export function isProfileOf(kind: Identity['kind'], profile: Identity['profile']): boolean {
  return PROFILES_OF[kind].includes(profile)
}

/**
 * Enters what was found as `discovered`: it is known and can do nothing. No owner, no credential, no grant; from there it goes on only by a person
 * who accepts to answer for it. Each has an entry of its own, with what it is by which fact.
 */
export async function enterDiscovered(
  tx: Tx,
  needs: Pick<IdentityNeeds, 'clock' | 'random' | 'ledger'>,
  permit: Permit<'inventory.adopt'>,
  found: readonly Discovered[],
): Promise<readonly (Identity & { readonly thingId: string; readonly cause: number })[]> {
  const entered: (Identity & { readonly thingId: string; readonly cause: number })[] = []
  for (const { thingId, evidence, ...known } of found) {
    const id = newId(needs.clock, needs.random)
    const cause = await needs.ledger.record(tx, {
      ...actOf(permit),
      event: identityDiscovered,
      resource: { type: 'Identity', id },
      subjectId: id,
      facts: { ...known, thingId, evidence: [...evidence] },
    })
    const row = await tx
      .insertInto('identity')
      .values({ ...known, id, state: 'discovered', createdAt: needs.clock.now(), cause })
      .returning(IDENTITY_COLUMNS)
      .executeTakeFirstOrThrow()
    entered.push({ ...row, thingId, cause })
  }
  return entered
}

/** What was found, with the id that it is about to get. */
export type Entering = Discovered & { readonly id: string }

/** The same of many at once under one entry that names each of them: `cause`. */
export async function enterDiscoveredBy(
  tx: Tx,
  { clock }: Pick<IdentityNeeds, 'clock'>,
  cause: number,
  found: readonly Entering[],
): Promise<void> {
  if (found.length === 0) return
  const createdAt = clock.now()
  await tx
    .insertInto('identity')
    .values(
      found.map(({ id, kind, name, profile, environment, tier, traits }) => ({
        id,
        kind,
        name,
        profile,
        environment,
        tier,
        traits: [...traits],
        state: 'discovered' as const,
        createdAt,
        cause,
      })),
    )
    .execute()
}

/**
 * Ends what was only ever discovered, by one entry that names each of them: `cause`. It never had an owner, nobody depends on it, and what a hook of
 * ours may know of it ends all the same.
 */
export async function endDiscovered(
  tx: Tx,
  needs: Pick<IdentityNeeds, 'onIdentityEnded'>,
  { ids, cause }: { readonly ids: readonly string[]; readonly cause: number },
): Promise<void> {
  const { numUpdatedRows } = await tx
    .updateTable('identity')
    .set((is) => ({ state: 'retired' as const, version: is('version', '+', 1), cause }))
    .where('id', 'in', ids)
    .where('state', '=', 'discovered')
    .executeTakeFirst()
  if (Number(numUpdatedRows) !== ids.length) throw new Error('what was locked as discovered is discovered')
  for (const identityId of ids) await needs.onIdentityEnded(tx, { identityId, reason: 'identity-retired', cause })
}

/** What a person who accepts to answer for it makes of what was only discovered. An agent needs a sponsor from here on: it is the same person. */
export function knownBy(personId: string, seen: Identity): { state?: 'registered'; sponsorId?: string } {
  if (seen.state !== 'discovered') return {}
  return { state: 'registered', ...(seen.kind === 'agent' && seen.sponsorId === null && { sponsorId: personId }) }
}

/** Who answers for an identity says which business service it belongs to. Returns the identity and the entry that says so. */
export async function acceptService(
  tx: Tx,
  needs: Pick<IdentityNeeds, 'ledger'>,
  permit: Permit<'business-service.attest'>,
  {
    identityId,
    service,
    evidence,
  }: { readonly identityId: string; readonly service: string; readonly evidence: string },
): Promise<{ readonly identity: Identity; readonly cause: number }> {
  const seen = await lockIdentity(tx, identityId)
  if (seen.state === 'retired') throw wrongState(seen, 'A retired identity belongs to no business service.')
  if (seen.ownerState !== 'attested' || seen.ownerId !== permit.subject.id)
    throw ownAttestation('Who answers for the identity says which business service it belongs to.', { identityId })
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: serviceAccepted,
    resource: { type: 'Identity', id: seen.id },
    subjectId: seen.id,
    facts: { service, previous: seen.businessService, evidence },
  })
  return { identity: await changeIdentity(tx, seen, cause, { businessService: service }), cause }
}
