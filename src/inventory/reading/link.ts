import { sql } from 'kysely'
import { AccountName, SeenAttributes } from '../../catalog/contract.ts'
import { recordSeen } from '../../catalog/catalog.ts'
import type { Tx } from '../../kernel/db.ts'
import type { InventoryNeeds } from '../needs.ts'
import type { ReadingAct } from './reading.ts'

type Linking = { readonly targetId: string; readonly scopeId: string; readonly cause: number; readonly act: ReadingAct }

/** Of a source that is a target as well: what can log in there becomes an account of the catalog, and is linked to it. */
export async function linkAccounts(
  tx: Tx,
  needs: InventoryNeeds,
  { targetId, scopeId, cause, act }: Linking,
): Promise<void> {
  const rows = await tx
    .selectFrom('observedPrincipal')
    .select(['name', 'facts'])
    .where('scopeId', '=', scopeId)
    .where('missedAt', 'is', null)
    .where('type', 'in', ['account', 'human', 'service', 'workload', 'agent', 'app'])
    .execute()
  if (rows.length === 0) return
  const isActive = await tx
    .selectFrom('target')
    .select('id')
    .where('id', '=', targetId)
    .where('state', '=', 'active')
    .executeTakeFirst()
  if (!isActive) return
  const seen = rows.flatMap(({ name, facts }) => {
    const named = AccountName.safeParse(name)
    return named.success ? [{ name: named.data, attributes: SeenAttributes.safeParse(facts).data ?? {} }] : []
  })
  await recordSeen(tx, needs, targetId, seen, { ...act, resource: { type: 'Target', id: targetId }, outcome: 'done' })
  await sql`
    update observed_principal p set account_id = a.id, cause = ${cause}
      from account a
     where p.scope_id = ${scopeId} and a.target_id = ${targetId} and a.name = p.name and p.account_id is distinct from a.id
       -- What an identity is by its native id stays it under another name; only who claims the account says otherwise.
       and not exists (select from account x join record_link l on l.identity_id = x.identity_id and l.observed_id = p.id
                        where x.id = p.account_id and l.how = 'native-id' and l.state = 'active')`.execute(tx)
}
