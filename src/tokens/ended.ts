import { sql } from 'kysely'
import { endTokens } from '../identities/identities.ts'
import type { Tx } from '../kernel/db.ts'
import { SYSTEM } from '../ledger/ledger.ts'
import { accessTokensEnded } from './events.ts'
import type { TokenNeeds } from './needs.ts'

/**
 * Ends every token of the token service that an identity has a part in: its own, those by which somebody acts for it, and those in whose chain
 * it acted. For the transaction that stops the identity.
 */
export async function endTokensOf(
  tx: Tx,
  needs: Pick<TokenNeeds, 'clock' | 'ledger'>,
  identityId: string,
): Promise<void> {
  const now = needs.clock.now()
  const { rows } = await sql<{ id: string }>`
    select id from api_token
     where revoked_at is null and expires_at > ${now} and proof is not null
       and (identity_id = ${identityId} or on_behalf_of_id = ${identityId} or actor_ids @> array[${identityId}]::uuid[])`.execute(
    tx,
  )
  if (rows.length === 0) return
  const ids = rows.map(({ id }) => id)
  const cause = await needs.ledger.record(tx, {
    event: accessTokensEnded,
    actor: SYSTEM,
    resource: { type: 'Identity', id: identityId },
    outcome: 'done',
    facts: { tokenIds: ids.slice(0, 1000), why: 'identity-ended' },
  })
  await endTokens(tx, ids, { now, cause })
}
