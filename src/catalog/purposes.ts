import type { Tx } from '../kernel/db.ts'
import { invalid } from '../kernel/invalid.ts'
import type { Permit } from '../kernel/permit.ts'
import { conflict, nameTaken } from '../kernel/problem.ts'
import { newId } from '../kernel/random.ts'
import { translating } from '../kernel/violation.ts'
import { actOf, loadIdentity, tiedPeople } from '../identities/identities.ts'
import { purposeApproved, purposeEnded, purposeProposed } from './events.ts'
import { findPurpose } from './purpose-records.ts'
import { findTarget, type CatalogNeeds } from './records.ts'
import { ownPurpose, type ProposePurpose, type Purpose } from './schemas.ts'
import { mustBeTeam } from './targets.ts'

/** Proposes a reason to act. It covers nothing until somebody else approves it. */
export async function proposePurpose(
  tx: Tx,
  needs: CatalogNeeds,
  permit: Permit<'purpose.propose'>,
  input: ProposePurpose,
): Promise<Purpose> {
  const now = needs.clock.now()
  const { name, statement, ownerTeam, expiresAt } = input
  if (expiresAt <= now) throw invalid('expiresAt', 'this is over already')
  mustBeTeam(needs, ownerTeam)
  const actions = [...new Set(input.actions)].sort()
  await mustBeCatalogued(tx, actions)
  const targets = await targetIds(tx, input.targets)
  const id = newId(needs.clock, needs.random)
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: purposeProposed,
    resource: { type: 'Purpose', id },
    facts: { name, statement, ownerTeam, targets, actions, expiresAt },
  })
  const proposedBy = permit.subject.id
  const taken = (error: unknown) =>
    nameTaken(`A purpose named ${name} exists.`, { type: 'Purpose', name }, { cause: error })
  await translating({ purpose_name_is_unique: taken }, () =>
    tx
      .insertInto('purpose')
      .values({
        id,
        name,
        statement,
        ownerTeam,
        actions,
        state: 'proposed',
        proposedBy,
        approvedBy: null,
        createdAt: now,
        expiresAt,
        cause,
      })
      .execute(),
  )
  await tx
    .insertInto('purposeTarget')
    .values(targets.map((targetId) => ({ purposeId: id, targetId, cause })))
    .execute()
  return findPurpose(tx, id)
}

async function mustBeCatalogued(tx: Tx, actions: readonly string[]): Promise<void> {
  const known = await tx.selectFrom('privilegedAction').select('name').where('name', 'in', actions).execute()
  const unknown = actions.filter((action) => !known.some((row) => row.name === action))
  if (unknown.length > 0) throw invalid('actions', `the catalog has no ${unknown.join(', ')}`)
}

async function targetIds(tx: Tx, named: readonly string[]): Promise<string[]> {
  const ids = new Set<string>()
  for (const each of named) {
    const target = await findTarget(tx, each)
    if (target.state !== 'active') throw invalid('targets', `${target.name} is retired`)
    ids.add(target.id)
  }
  return [...ids].sort()
}

/** Approves a purpose. Never who proposed it, in none of their identities, and nobody a proposing machine belongs to (core 6). */
export async function approvePurpose(tx: Tx, needs: CatalogNeeds, permit: Permit<'purpose.approve'>): Promise<Purpose> {
  const now = needs.clock.now()
  const seen = await findPurpose(tx, permit.resource.id)
  const approver = await loadIdentity(tx, permit.subject.id)
  if (approver?.kind !== 'human' || approver.state !== 'active') {
    throw ownPurpose('A purpose is approved by a person who can act.', { purposeId: seen.id })
  }
  if (seen.proposedBy === approver.id || (await tiedPeople(tx, seen.proposedBy)).has(approver.id)) {
    throw ownPurpose('You, or something you answer for, proposed this purpose: another person approves it.', {
      purposeId: seen.id,
    })
  }
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: purposeApproved,
    facts: { proposedBy: seen.proposedBy },
  })
  const approved = await tx
    .updateTable('purpose')
    .set({ state: 'approved', approvedBy: approver.id, version: seen.version + 1, cause })
    .where('id', '=', seen.id)
    .where('version', '=', seen.version)
    .where('state', '=', 'proposed')
    .where('expiresAt', '>', now)
    .executeTakeFirst()
  if (approved.numUpdatedRows !== 1n) throw notThere(seen, 'The purpose is not proposed any more, or is over.')
  return findPurpose(tx, seen.id)
}

/** Ends a purpose, with the grants that stand on it. */
export async function endPurpose(
  tx: Tx,
  needs: CatalogNeeds,
  permit: Permit<'purpose.end'>,
  input: { readonly reason: string },
): Promise<Purpose> {
  const seen = await findPurpose(tx, permit.resource.id)
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: purposeEnded,
    facts: { reason: input.reason },
  })
  const ended = await tx
    .updateTable('purpose')
    .set({ state: 'ended', version: seen.version + 1, cause })
    .where('id', '=', seen.id)
    .where('version', '=', seen.version)
    .where('state', '<>', 'ended')
    .executeTakeFirst()
  if (ended.numUpdatedRows !== 1n) throw notThere(seen, 'The purpose ended already, or changed meanwhile.')
  await needs.onPurposeEnded(tx, { purposeId: seen.id, cause })
  return findPurpose(tx, seen.id)
}

function notThere(purpose: Purpose, detail: string) {
  return conflict(detail, { type: 'Purpose', id: purpose.id, state: purpose.state })
}
