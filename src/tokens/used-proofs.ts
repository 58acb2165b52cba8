import { sql } from 'kysely'
import type { Clock } from '../kernel/clock.ts'
import { sha256 } from '../kernel/crypto.ts'
import { transact, type Db } from '../kernel/db.ts'

/** One showing of a proof: what it is, whose, its own id, and until when it would be taken. */
export type OnceOnly = {
  readonly kind: 'assertion' | 'dpop' | 'host-key'
  readonly by: string
  readonly jti: string
  readonly expiresAt: Date
}

/** Longer than an identifier of an honest maker. */
export const JTI_MAX_CHARS = 512

/** Takes a proof: true once, on whichever node it is shown first. Inside a transaction it is taken when that commits. */
export async function takeProof(db: Db, { kind, by, jti, expiresAt }: OnceOnly): Promise<boolean> {
  // Both lengths are in the hash, so that no two pairs read alike.
  const proofSha256 = sha256(`${kind} ${by.length} ${jti.length} ${by} ${jti}`)
  const { numInsertedOrUpdatedRows } = await db
    .insertInto('usedProof')
    .values({ proofSha256, expiresAt })
    .onConflict((conflict) => conflict.column('proofSha256').doNothing())
    .executeTakeFirstOrThrow()
  return numInsertedOrUpdatedRows === 1n
}

/**
 * Takes the proof of one call of the API. It waits for no disk: a database that falls over forgets the last moments of a minute in which such
 * a proof is good, and whoever could show it again would still need the token it was made for.
 */
export function takeProofQuickly(db: Db, proof: OnceOnly): Promise<boolean> {
  return transact(db, async (tx) => {
    await sql`set local synchronous_commit = off`.execute(tx)
    return takeProof(tx, proof)
  })
}

/** Removes what no node would take any more. */
export async function pruneProofs(db: Db, clock: Clock): Promise<void> {
  await db.deleteFrom('usedProof').where('expiresAt', '<', clock.now()).execute()
}
