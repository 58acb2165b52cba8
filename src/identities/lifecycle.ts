import type { Clock } from '../kernel/clock.ts'
import { transact, type Db, type Tx } from '../kernel/db.ts'
import { invalid } from '../kernel/invalid.ts'
import type { Permit } from '../kernel/permit.ts'
import { nameTaken } from '../kernel/problem.ts'
import { newId } from '../kernel/random.ts'
import { translating } from '../kernel/violation.ts'
import { SYSTEM } from '../ledger/ledger.ts'
import { actOf } from './act.ts'
import { accountablePerson, changeIdentity, isAccountedFor, mustBeTeam } from './change.ts'
import { ownerless, type Identity, type RegisterIdentity, type UpdateIdentity } from './contract.ts'
import { identityActivated, identityRegistered, identityUpdated } from './events.ts'
import { IDENTITY_COLUMNS, lockIdentity, wrongState, type IdentityNeeds } from './record.ts'
import { endIdentity, letActAgain, stopIdentity } from './stopping.ts'

/** Which profiles a kind can have: how it must be governed follows from what it is. */
export const PROFILES_OF: Readonly<Record<Identity['kind'], readonly Identity['profile'][]>> = {
  human: ['person', 'break-glass'],
  machine: ['device', 'service', 'integration', 'remediation-bot'],
  workload: ['service', 'pipeline', 'integration', 'remediation-bot'],
  agent: ['agent'],
}

/** Enters an identity as `registered`. An owner named here is only suggested. */
export async function registerIdentity(
  tx: Tx,
  needs: IdentityNeeds,
  permit: Permit<'identity.register'>,
  input: RegisterIdentity,
): Promise<Identity> {
  const now = needs.clock.now()
  mustFit(input, now)
  mustBeTeam(needs, input.ownerTeam)
  const owner = input.owner === undefined ? undefined : await accountablePerson(tx, input.owner, 'owner')
  const sponsor = input.sponsor === undefined ? undefined : await accountablePerson(tx, input.sponsor, 'sponsor')
  const id = newId(needs.clock, needs.random)
  const { kind, name, profile, environment, tier } = input
  const ownerTeam = input.ownerTeam ?? null
  const purpose = input.purpose ?? null
  const displayName = input.displayName ?? null
  const traits = [...new Set(input.traits ?? [])].sort()
  const known = { kind, name, profile, environment, tier, traits, ownerTeam, purpose, displayName }
  const sponsorId = sponsor?.id ?? null
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: identityRegistered,
    resource: { type: 'Identity', id },
    subjectId: id,
    facts: { ...known, suggestedOwnerId: owner?.id ?? null, sponsorId },
  })
  const taken = (error: unknown) =>
    nameTaken(
      `An identity named ${name} exists; names are never used again.`,
      { type: 'Identity', name },
      { cause: error },
    )
  return translating({ identity_name_is_unique: taken }, () =>
    tx
      .insertInto('identity')
      .values({
        ...known,
        id,
        businessService: input.businessService ?? null,
        vendor: input.vendor ?? null,
        ...(owner && {
          ownerId: owner.id,
          ownerState: 'suggested',
          ownerEvidence: 'named when it was registered',
          ownerProposedBy: permit.subject.id,
        }),
        sponsorId,
        state: 'registered',
        reviewBy: input.reviewBy ?? null,
        expiresAt: input.expiresAt ?? null,
        createdAt: now,
        cause,
      })
      .returning(IDENTITY_COLUMNS)
      .executeTakeFirstOrThrow(),
  )
}

function mustFit(input: RegisterIdentity, now: Date): void {
  if (!PROFILES_OF[input.kind].includes(input.profile)) {
    throw invalid('profile', `a ${input.kind} is governed as ${PROFILES_OF[input.kind].join(', ')}`)
  }
  if (input.kind === 'agent' && input.sponsor === undefined) throw invalid('sponsor', 'an agent needs a sponsor')
  if (input.kind !== 'agent' && input.sponsor !== undefined) throw invalid('sponsor', 'only an agent has a sponsor')
  if (input.expiresAt && input.expiresAt <= now) throw invalid('expiresAt', 'this is over already')
}

/**
 * Changes what is recorded. Environment and tier are part of what an owner attested: when they change, the attestation is gone and whoever
 * changed them counts as proposing the owner anew.
 */
export async function updateIdentity(
  tx: Tx,
  needs: IdentityNeeds,
  permit: Permit<'identity.update'>,
  change: UpdateIdentity,
): Promise<Identity> {
  const seen = await lockIdentity(tx, permit.resource.id)
  if (seen.state === 'retired') throw wrongState(seen, 'A retired identity does not change.')
  if (change.expiresAt && change.expiresAt <= needs.clock.now()) throw invalid('expiresAt', 'this is over already')
  const { environment = seen.environment, tier = seen.tierSet, expiresAt = seen.expiresAt } = change
  const isMoved = environment !== seen.environment || tier !== seen.tierSet
  const isUnattested = isMoved && seen.ownerState === 'attested'
  const ownerState = isUnattested ? 'suggested' : seen.ownerState
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: identityUpdated,
    subjectId: seen.id,
    facts: {
      fields: Object.keys(change),
      environment,
      tier,
      traits: change.traits ?? seen.traits,
      ownerState,
      expiresAt,
      displayName: change.displayName === undefined ? seen.displayName : change.displayName,
    },
  })
  const { tier: _tier, ...others } = change
  return changeIdentity(tx, seen, cause, {
    ...defined(others),
    tierSet: tier,
    ...(change.traits && { traits: [...new Set(change.traits)].sort() }),
    ...(isUnattested && {
      ownerState,
      ownerProposedBy: permit.subject.id,
      ownerEvidence: 'attested before its environment or tier changed',
    }),
  })
}

/** Lets a registered identity act; what is not a person needs an owner first. */
export async function activateIdentity(
  tx: Tx,
  needs: IdentityNeeds,
  permit: Permit<'identity.activate'>,
): Promise<Identity> {
  const seen = await lockIdentity(tx, permit.resource.id)
  if (seen.state !== 'registered') throw wrongState(seen, `The identity is ${seen.state}, not registered.`)
  mustBeAbleToAct(seen, needs.clock.now())
  const act = { ...actOf(permit), event: identityActivated, facts: { from: seen.state } }
  return changeIdentity(tx, seen, await needs.ledger.record(tx, act), { state: 'active' })
}

/** Lets a suspended identity act again. Its grants ended for good when it was suspended. */
export async function resumeIdentity(
  tx: Tx,
  needs: IdentityNeeds,
  permit: Permit<'identity.resume'>,
): Promise<Identity> {
  const seen = await lockIdentity(tx, permit.resource.id)
  if (seen.state === 'suspended') mustBeAbleToAct(seen, needs.clock.now())
  return letActAgain(tx, needs, actOf(permit), seen)
}

function mustBeAbleToAct(identity: Identity, now: Date): void {
  if (!isAccountedFor(identity)) {
    throw ownerless('Nobody answers for this identity: assign an owner first.', { identityId: identity.id })
  }
  if (identity.expiresAt && identity.expiresAt <= now) {
    throw wrongState(identity, 'The identity expired: give it a later end first.')
  }
}

/** Stops an identity now, and in the same transaction all that hangs on it. */
export async function suspendIdentity(
  tx: Tx,
  needs: IdentityNeeds,
  permit: Permit<'identity.suspend'>,
  input: { readonly reason: string },
): Promise<Identity> {
  const seen = await lockIdentity(tx, permit.resource.id)
  return stopIdentity(tx, needs, actOf(permit), { seen, reason: input.reason })
}

/** Ends an identity for good: what it owned has no owner any more, agents it sponsored stop, and the grants of all of them end. */
export async function retireIdentity(
  tx: Tx,
  needs: IdentityNeeds,
  permit: Permit<'identity.retire'>,
  input: { readonly reason: string },
): Promise<Identity> {
  const seen = await lockIdentity(tx, permit.resource.id)
  return endIdentity(tx, needs, actOf(permit), { seen, reason: input.reason })
}

/** One sweep stops at most this many; the next one goes on. */
const SWEEP_LIMIT = 200

/** Stops what is past its end, each in its own transaction; `authenticate` refuses it meanwhile. Returns how many were stopped. */
export async function suspendExpired(db: Db, needs: IdentityNeeds): Promise<number> {
  const due = await expired(db, needs.clock).execute()
  let stopped = 0
  for (const { id } of due) {
    stopped += await transact(db, async (tx) => {
      const still = await expired(tx, needs.clock).where('id', '=', id).forUpdate().executeTakeFirst()
      if (!still) return 0
      const seen = await lockIdentity(tx, id)
      const act = { actor: SYSTEM, outcome: 'done' } as const
      await stopIdentity(tx, needs, act, { seen, reason: 'its end has come', isExpired: true })
      return 1
    })
  }
  return stopped
}

function expired(db: Db, clock: Clock) {
  return db
    .selectFrom('identity')
    .select('id')
    .where('state', '=', 'active')
    .where('expiresAt', '<=', clock.now())
    .orderBy('id')
    .limit(SWEEP_LIMIT)
}

/** Without the keys that were given as undefined, which a schema with optional fields allows. */
function defined(change: UpdateIdentity): { [Key in keyof UpdateIdentity]?: Exclude<UpdateIdentity[Key], undefined> } {
  return Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined))
}
