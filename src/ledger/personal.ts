import type { Tx } from '../kernel/db.ts'
import { sealUnder } from '../kernel/seal.ts'
import { Secret } from '../kernel/secret.ts'
import type { Opening } from './leaf.ts'
import type { Needs } from './fact.ts'

const KEY_BYTES = 32

/** Seals what opens an entry's commitments under the subject's own key, making that key at first use. Destroying it erases them all. */
export async function sealPersonal(
  tx: Tx,
  needs: Needs,
  entry: { entryId: number; subjectId: string | null; openings: readonly Opening[] },
): Promise<void> {
  const { subjectId, openings } = entry
  if (openings.length === 0) return
  if (!subjectId) throw new Error('personal facts need the subject they belong to')
  const key = await subjectKey(tx, needs, subjectId)
  // After an erasure nothing personal of this subject is kept again; the commitments stay and open no more.
  if (!key) return
  const seal = sealUnder(key)
  await tx
    .insertInto('ledgerPrivate')
    .values(
      openings.map((opening) => ({
        entryId: entry.entryId,
        field: opening.field,
        subjectId,
        sealed: seal.seal(
          new Secret(Buffer.concat([opening.salt, Buffer.from(opening.value, 'utf8')])),
          placeOf(entry.entryId, opening.field),
        ),
      })),
    )
    .execute()
}

/** Where a sealed opening stands, as its associated data. */
export function placeOf(entryId: number, field: string): string {
  return `ledger_private:${entryId}:${field}`
}

/** The key of a subject, or undefined when it was destroyed. */
async function subjectKey(tx: Tx, needs: Needs, subjectId: string): Promise<Secret<Buffer> | undefined> {
  const place = `subject_key:${subjectId}`
  const fresh = new Secret(needs.random.bytes(KEY_BYTES))
  await tx
    .insertInto('subjectKey')
    .values({ subjectId, sealedKey: needs.seal.seal(fresh, place), destroyedAt: null })
    .onConflict((conflict) => conflict.column('subjectId').doNothing())
    .execute()
  const row = await tx
    .selectFrom('subjectKey')
    .select('sealedKey')
    .where('subjectId', '=', subjectId)
    .executeTakeFirstOrThrow()
  return row.sealedKey ? needs.seal.open(row.sealedKey, place) : undefined
}
