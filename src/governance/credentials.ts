import type { Db } from '../kernel/db.ts'
import type { LiveCredential } from './assess.ts'

/** What proves an identity now, as far as Reeve issued it. */
export async function liveCredentials(db: Db, identityId: string, now: Date): Promise<LiveCredential[]> {
  const tokens = await db
    .selectFrom('apiToken')
    .select(['createdAt', 'keySha256'])
    .where('identityId', '=', identityId)
    .where('revokedAt', 'is', null)
    .where('expiresAt', '>', now)
    .execute()
  return tokens.map(({ createdAt, keySha256 }) => ({ type: keySha256 === null ? 'token' : 'bound-token', createdAt }))
}
