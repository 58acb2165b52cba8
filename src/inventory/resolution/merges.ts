import { actOf, findIdentity } from '../../identities/identities.ts'
import type { Tx } from '../../kernel/db.ts'
import { invalid } from '../../kernel/invalid.ts'
import type { Permit } from '../../kernel/permit.ts'
import { conflict } from '../../kernel/problem.ts'
import { newId, type Random } from '../../kernel/random.ts'
import type { Merge, MergeInto } from './contract.ts'
import { identitiesMerged, identitiesSplit } from './events.ts'
import type { ResolveNeeds } from './resolve.ts'

const COLUMNS = ['id', 'identityId', 'intoId', 'state', 'madeAt', 'endedAt'] as const

/**
 * Says that two identities of the record are one. Nothing is moved: in the inventory they count as one for as long as the row is active, and each
 * keeps its grants, tokens and owner. So a split leaves everything as it was.
 */
export async function mergeIdentities(
  tx: Tx,
  needs: ResolveNeeds & { readonly random: Random },
  permit: Permit<'inventory.merge'>,
  input: MergeInto,
): Promise<Merge> {
  const from = await findIdentity(tx, permit.resource.id)
  const into = await findIdentity(tx, input.into)
  if (from.id === into.id) throw invalid('into', 'an identity is itself already')
  if (from.kind !== into.kind) throw invalid('into', `a ${from.kind} is no ${into.kind}`)
  if (from.kind === 'human') throw invalid('into', 'a further identity of a person has that person as its owner')
  for (const each of [from, into]) {
    if (each.state === 'retired')
      throw conflict('A retired identity is nothing that acts.', { type: 'Identity', id: each.id, state: each.state })
  }
  await mustBeFree(tx, from.id, into.id)
  const id = newId(needs.clock, needs.random)
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: identitiesMerged,
    subjectId: from.id,
    facts: { mergeId: id, intoId: into.id, reason: input.reason },
  })
  return tx
    .insertInto('identityMerge')
    .values({ id, identityId: from.id, intoId: into.id, madeAt: needs.clock.now(), cause })
    .returning(COLUMNS)
    .executeTakeFirstOrThrow()
}

/** Merges have one hop, so that it is always plain into what something was merged. */
async function mustBeFree(tx: Tx, fromId: string, intoId: string): Promise<void> {
  await tx.selectFrom('identity').select('id').where('id', 'in', [fromId, intoId]).orderBy('id').forUpdate().execute()
  const standing = await tx
    .selectFrom('identityMerge')
    .select(COLUMNS)
    .where('state', '=', 'active')
    .where((is) => is.or([is('identityId', 'in', [fromId, intoId]), is('intoId', '=', fromId)]))
    .executeTakeFirst()
  if (!standing) return
  throw conflict('One of the two is part of a merge already: split that first.', {
    type: 'IdentityMerge',
    id: standing.id,
    state: standing.state,
  })
}

export async function splitIdentities(
  tx: Tx,
  needs: ResolveNeeds,
  permit: Permit<'inventory.split'>,
  { reason }: { readonly reason: string },
): Promise<Merge> {
  const standing = await tx
    .selectFrom('identityMerge')
    .select(COLUMNS)
    .where('identityId', '=', permit.resource.id)
    .where('state', '=', 'active')
    .forUpdate()
    .executeTakeFirst()
  if (!standing)
    throw conflict('It is not merged into anything.', { type: 'Identity', id: permit.resource.id, state: 'not-merged' })
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: identitiesSplit,
    subjectId: standing.identityId,
    facts: { mergeId: standing.id, intoId: standing.intoId, reason },
  })
  return tx
    .updateTable('identityMerge')
    .set({ state: 'ended', endedAt: needs.clock.now(), cause })
    .where('id', '=', standing.id)
    .where('state', '=', 'active')
    .returning(COLUMNS)
    .executeTakeFirstOrThrow()
}
