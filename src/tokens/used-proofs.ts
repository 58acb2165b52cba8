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
export async function takeProof(db: Db, proof: OnceOnly): Promise<boolean> {
  const [isTaken] = await takeProofs(db, [proof])
  return isTaken === true
}

/** The same of many: whether each was taken, in their order. Of those that are one and the same the first is. */
export async function takeProofs(db: Db, proofs: readonly OnceOnly[]): Promise<boolean[]> {
  if (proofs.length === 0) return []
  const all = proofs.map((proof) => ({ proofSha256: hashOf(proof), expiresAt: proof.expiresAt }))
  const rows = new Map(all.map((row) => [row.proofSha256.toString('hex'), row]))
  // In one order, so that nobody waits for somebody who waits for them.
  const sorted = [...rows].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row)
  const taken = await db
    .insertInto('usedProof')
    .values(sorted)
    .onConflict((conflict) => conflict.column('proofSha256').doNothing())
    .returning('proofSha256')
    .execute()
  const left = new Set(taken.map(({ proofSha256 }) => proofSha256.toString('hex')))
  return all.map(({ proofSha256 }) => left.delete(proofSha256.toString('hex')))
}

/** Both lengths are in it, so that no two pairs read alike. */
function hashOf({ kind, by, jti }: OnceOnly): Buffer {
  return sha256(`${kind} ${by.length} ${jti.length} ${by} ${jti}`)
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
