import { sql } from 'kysely'
import type { Clock } from '../../kernel/clock.ts'
import type { Tx } from '../../kernel/db.ts'

/** A login whose secret somebody may know, and until when they may have learnt it. */
export type KnownLogin = {
  readonly accountId: string
  readonly targetId: string
  readonly label: string
  readonly knownUntil: Date
}

/**
 * Logins that Reeve keeps and whose secret a person may know: they registered the account with it or handed it in, they acted by it under a grant, or it is
 * the login of an identity that they answer for. In one order everywhere, so that two that end at once do not wait for each other.
 */
export async function loginsKnownTo(
  tx: Tx,
  { clock }: { readonly clock: Clock },
  identityId: string,
): Promise<KnownLogin[]> {
  const now = clock.now()
  const { rows } = await sql<KnownLogin>`
    with known as (
      select e.resource_id as account_id, e.at
        from ledger_entry e where e.kind = 'account.registered' and e.actor_id = ${identityId}
      union all
      select r.account_id, greatest(e.at, r.distributed_at)
        from rotation r join ledger_entry e on e.resource_id = r.id
       where r.strategy = 'by-hand' and r.account_id is not null and e.kind = 'rotation.handed-in' and e.actor_id = ${identityId}
      union all
      select l.account_id, coalesce(g.ended_at, ${now})
        from access_grant g join lease l on l.grant_id = g.id join identity p on p.id = ${identityId}
       where (g.subject_id = p.id or g.on_behalf_of_id = p.id) and p.kind = 'human' and l.issued_at is not null
      union all
      select a.id, ${now}
        from identity o join account a on a.identity_id = o.id
       where o.owner_id = ${identityId} or o.sponsor_id = ${identityId})
    select a.id as "accountId", a.target_id as "targetId", t.name || '/' || a.name as label, max(k.at) as "knownUntil"
      from known k join account a on a.id = k.account_id join target t on t.id = a.target_id
     where a.mode = 'static' and a.state = 'active'
     group by a.id, a.target_id, t.name, a.name
     order by a.id`.execute(tx)
  return rows
}

type Asked = { readonly accountId: string; readonly knownUntil: Date; readonly identityId: string }

/** The secret of that time has been given out no more since, and the one after it is not of their making. */
export async function wasRotatedSince(tx: Tx, { accountId, knownUntil, identityId }: Asked): Promise<boolean> {
  const { rows } = await sql`
    select from rotation r
     where r.account_id = ${accountId} and r.distributed_at > ${knownUntil} and r.state not in ('aborting', 'aborted')
       and not exists (select from ledger_entry e
                        where e.resource_id = r.id and e.kind = 'rotation.handed-in' and e.actor_id = ${identityId})
     limit 1`.execute(tx)
  return rows.length > 0
}
