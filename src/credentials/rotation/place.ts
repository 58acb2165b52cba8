import type { Db } from '../../kernel/db.ts'
import type { Secret } from '../../kernel/secret.ts'
import { siteOf } from '../site.ts'
import { LeaseFailure } from '../writer.ts'
import type { Claimed } from './claim.ts'
import { keptLogin, type LoginRef } from './login.ts'
import type { RotationNeeds } from './needs.ts'
import type { Place, TargetLogin } from './rotator.ts'

/** Where the login stands. A retired target still has rotations to bring to their end. */
export async function placeOf(
  db: Db,
  { targetId, accountId }: LoginRef,
): Promise<Place & { readonly protocol: string }> {
  const target = await db
    .selectFrom('target')
    .select(['name as target', 'protocol', 'settings'])
    .where('id', '=', targetId)
    .executeTakeFirstOrThrow()
  if (accountId === null) return { ...target, databases: [] }
  const { databases } = await db
    .selectFrom('account')
    .select('databases')
    .where('id', '=', accountId)
    .executeTakeFirstOrThrow()
  return { ...target, databases }
}

/** Who may tell the target: its provisioner, then the login itself, by whatever secret it may know. */
export async function actorsFor(
  db: Db,
  needs: RotationNeeds,
  { targetId, accountId, previous }: Pick<Claimed, 'targetId' | 'accountId' | 'previous'>,
  next: Secret | undefined,
): Promise<TargetLogin[]> {
  const kept = await keptLogin(db, needs, { targetId, accountId })
  const others = async () => [next, previous].filter((each) => each !== undefined)
  const itself = kept ? [{ user: kept.user, secret: kept.secret, others }] : []
  if (accountId === null) return itself
  return [...(await provisionerOf(db, needs, targetId)), ...itself]
}

async function provisionerOf(db: Db, needs: RotationNeeds, targetId: string): Promise<TargetLogin[]> {
  try {
    return [(await siteOf(db, needs.seal, targetId)).provisioner]
  } catch (error) {
    if (error instanceof LeaseFailure) return []
    throw error
  }
}
