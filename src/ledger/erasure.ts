import type { Tx } from '../kernel/db.ts'

/**
 * Destroys the key of a subject (core 11): what entries hold of it stays a commitment that nobody can open, so the tree still verifies.
 * A subject without a key gets a destroyed one, so that none is ever made.
 */
export async function destroySubjectKey(tx: Tx, subjectId: string, at: Date): Promise<void> {
  await tx
    .insertInto('subjectKey')
    .values({ subjectId, sealedKey: null, destroyedAt: at })
    .onConflict((conflict) =>
      conflict
        .column('subjectId')
        .doUpdateSet({ sealedKey: null, destroyedAt: at })
        .where('subjectKey.destroyedAt', 'is', null),
    )
    .execute()
}
