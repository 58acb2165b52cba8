import { sql } from 'kysely'
import type { Tx } from '../kernel/db.ts'

type Claim = { readonly accountIds: readonly string[]; readonly identityId: string; readonly cause: number }

/**
 * Claims accounts that nobody claims for identities that are made of what was found; each `cause` is the entry that made it. Whose an account is says
 * who answers for it and gives nobody a way in. Returns which were claimed, by identity.
 */
export async function claimFoundAccounts(
  tx: Tx,
  claims: readonly Claim[],
): Promise<ReadonlyMap<string, readonly string[]>> {
  const wanted = claims.flatMap(({ accountIds, identityId, cause }) =>
    accountIds.map((id) => ({ id, identityId, cause })),
  )
  if (wanted.length === 0) return new Map()
  const { rows } = await sql<{ id: string; identityId: string }>`
    update account a set identity_id = w.identity_id, version = a.version + 1, cause = w.cause
      from (select distinct on (u.id) u.* from unnest(${wanted.map(({ id }) => id)}::uuid[], ${wanted.map(({ identityId }) => identityId)}::uuid[],
              ${wanted.map(({ cause }) => cause)}::bigint[]) u (id, identity_id, cause) order by u.id, u.identity_id) w
     where a.id = w.id and a.identity_id is null and a.state = 'active'
    returning a.id, a.identity_id as "identityId"`.execute(tx)
  const of = Map.groupBy(rows, ({ identityId }) => identityId)
  return new Map([...of].map(([identityId, claimed]) => [identityId, claimed.map(({ id }) => id)]))
}

/** Takes that back where nobody claimed them for another identity meanwhile. */
export async function freeFoundAccounts(tx: Tx, claims: readonly Claim[]): Promise<void> {
  const held = claims.flatMap(({ accountIds, identityId, cause }) =>
    accountIds.map((id) => ({ id, identityId, cause })),
  )
  if (held.length === 0) return
  await sql`
    update account a set identity_id = null, version = a.version + 1, cause = h.cause
      from unnest(${held.map(({ id }) => id)}::uuid[], ${held.map(({ identityId }) => identityId)}::uuid[],
             ${held.map(({ cause }) => cause)}::bigint[]) h (id, identity_id, cause)
     where a.id = h.id and a.identity_id = h.identity_id`.execute(tx)
}
