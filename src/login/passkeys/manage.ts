import type { Db, Tx } from '../../kernel/db.ts'
import type { Resource } from '../../kernel/http/route.ts'
import { idAfter, pageAfter, type Page } from '../../kernel/page.ts'
import type { Permit } from '../../kernel/permit.ts'
import { conflict, notFound } from '../../kernel/problem.ts'
import { actOf } from '../../identities/identities.ts'
import { passkeyRemoved } from './events.ts'
import type { PasskeyNeeds } from './needs.ts'
import { lastPasskey } from './refused.ts'
import { PASSKEY_COLUMNS, passkeysOf } from './register.ts'
import type { Passkey } from './schemas.ts'

/** Those of a person, removed ones too, the oldest first. */
export async function listPasskeys(
  db: Db,
  identityId: string,
  query: { readonly cursor?: string | undefined; readonly limit: number },
): Promise<Page<Passkey>> {
  const after = idAfter(query.cursor)
  let rows = db.selectFrom('passkey').select(PASSKEY_COLUMNS).where('identityId', '=', identityId)
  if (after !== undefined) rows = rows.where('id', '>', after)
  const found = await rows
    .orderBy('id')
    .limit(query.limit + 1)
    .execute()
  return pageAfter(found, query.limit, ({ id }) => id)
}

/**
 * Removes a passkey for good. A person keeps one, since without it they would have no way in and none to step up; whoever may stop them takes
 * the last one too.
 */
export async function removePasskey(
  tx: Tx,
  needs: Pick<PasskeyNeeds, 'clock' | 'ledger'>,
  permit: Permit<'passkey.remove'>,
): Promise<Passkey> {
  const { id } = permit.resource
  const seen = await loadPasskey(tx, id)
  // Two of one person are not removed beside each other.
  await tx.selectFrom('identity').select('id').where('id', '=', seen.identityId).forUpdate().execute()
  const held = await passkeysOf(tx, seen.identityId)
  if (permit.subject.id === seen.identityId && held.every((each) => each.id === id)) {
    throw lastPasskey(
      'This is your last passkey. Add another one first; one that you lost is removed by security, who then lets an administrator enrol you again.',
      { identityId: seen.identityId },
    )
  }
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: passkeyRemoved,
    facts: { passkeyId: id, identityId: seen.identityId },
  })
  const removed = await tx
    .updateTable('passkey')
    .set({ removedAt: needs.clock.now(), cause })
    .where('id', '=', id)
    .where('removedAt', 'is', null)
    .returning(PASSKEY_COLUMNS)
    .executeTakeFirst()
  if (!removed) throw conflict('The passkey was removed already.', { type: 'Passkey', id, state: 'removed' })
  return removed
}

export async function loadPasskey(db: Db, id: string): Promise<Passkey> {
  const row = await db.selectFrom('passkey').select(PASSKEY_COLUMNS).where('id', '=', id).executeTakeFirst()
  if (!row) throw notFound('There is no such passkey.', { type: 'Passkey', id })
  return row
}

/** What policies know of a passkey. */
export function passkeyResource({ id, identityId }: Passkey): Resource {
  return { type: 'Passkey', id, attributes: { id, subjectId: identityId } }
}
