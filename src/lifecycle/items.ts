import { sql } from 'kysely'
import { loginsKnownTo } from '../credentials/credentials.ts'
import type { Db, Tx } from '../kernel/db.ts'
import { newId } from '../kernel/random.ts'
import { SYSTEM } from '../ledger/ledger.ts'
import { caseItemClosed } from './events.ts'
import type { LifecycleNeeds } from './needs.ts'

/** How many things of a kind a case holds at most: past this the rest is read from the record when these are dealt with. */
const MOST_ITEMS = 1_000

/** Of which case, by which entry of this transaction, and from when on something counts as dealing with it. */
type OfCase = { readonly caseId: string; readonly since: Date; readonly cause: number }

type Found = { readonly kind: 'login' | 'object' | 'deposit'; readonly refId: string; readonly label: string }

/** Logins whose secret a person may know, each with the moment until which they may have learnt it: a rotation after that deals with it. */
export async function collectLogins(
  tx: Tx,
  needs: LifecycleNeeds,
  { personId, caseId, cause }: Omit<OfCase, 'since'> & { readonly personId: string },
): Promise<void> {
  const known = await loginsKnownTo(tx, needs, personId)
  for (const { accountId, label, knownUntil: since } of known.slice(0, MOST_ITEMS)) {
    await addItems(tx, needs, { caseId, since, cause }, [{ kind: 'login', refId: accountId, label }])
  }
}

/** Secrets in custody whose standing value a person put, saw or exported. Whoever leaves may have kept it, so it is to be replaced. */
export async function collectDeposits(
  tx: Tx,
  needs: LifecycleNeeds,
  { personId, ...of }: OfCase & { readonly personId: string },
): Promise<void> {
  const { rows } = await sql<{ refId: string; label: string }>`
    select distinct d.id as "refId", d.name as label
      from deposit_sight s
      join deposit d on d.id = s.deposit_id
     where s.identity_id = ${personId} and d.state = 'kept' and s.number = d.version
     order by 1
     limit ${MOST_ITEMS}`.execute(tx)
  await addItems(
    tx,
    needs,
    of,
    rows.map((row) => ({ kind: 'deposit', ...row })),
  )
}

/** Rights and credentials that connectors saw of accounts that an identity claims, or of applications of its vendor. */
export async function collectObjects(
  tx: Tx,
  needs: LifecycleNeeds,
  { identityId, vendor, ...of }: OfCase & { readonly identityId: string; readonly vendor: string | null },
): Promise<void> {
  const { rows } = await sql<{ refId: string; label: string }>`
    select g.id as "refId", left(p.name || ': ' || g.privilege, 500) as label
      from observed_principal p
      join observed_grant g on g.principal_id = p.id and g.gone_at is null
      left join account a on a.id = p.account_id
     where p.gone_at is null
       and (a.identity_id = ${identityId}
            or (${vendor}::text is not null and p.tags ->> 'vendor' = ${vendor})
            or (${vendor}::text is not null and p.type = 'app' and lower(p.name) = ${vendor}))
     order by g.id
     limit ${MOST_ITEMS}`.execute(tx)
  await addItems(
    tx,
    needs,
    of,
    rows.map((row) => ({ kind: 'object', ...row })),
  )
}

async function addItems(
  tx: Tx,
  needs: LifecycleNeeds,
  { caseId, since, cause }: OfCase,
  found: readonly Found[],
): Promise<void> {
  if (found.length === 0) return
  const rows = found.map((each) => ({ id: newId(needs.clock, needs.random), caseId, ...each, openedAt: since, cause }))
  await tx
    .insertInto('lifecycleItem')
    .values(rows)
    .onConflict((on) => on.constraint('item_stands_once_in_a_case').doNothing())
    .execute()
}

type OpenItem = { readonly id: string; readonly evidence: string }

/** Items that are dealt with by now: the login has another secret and the old one is dead, or a connector found the right gone. */
async function settledItems(db: Db, caseId: string): Promise<OpenItem[]> {
  const { rows } = await sql<OpenItem>`
    select i.id,
           case when a.state = 'retired' then 'the account is retired' else 'rotated, and the old secret is proven dead' end as evidence
      from lifecycle_item i
      join account a on a.id = i.ref_id
      join lifecycle_case c on c.id = i.case_id
     where i.case_id = ${caseId} and i.kind = 'login' and i.closed_at is null
       and (a.state = 'retired' or exists (
         select from rotation r
          where r.account_id = a.id and r.state = 'dead' and r.distributed_at > i.opened_at
            and not exists (select from ledger_entry e
                             where e.resource_id = r.id and e.kind = 'rotation.handed-in' and e.actor_id = c.identity_id)))
     union all
    select i.id, 'a complete reading found it gone'
      from lifecycle_item i
      join observed_grant g on g.id = i.ref_id
     where i.case_id = ${caseId} and i.kind = 'object' and i.closed_at is null and g.gone_at is not null
     union all
    select i.id, case when d.state = 'retired' then 'the deposit is retired' else 'another value was put since' end
      from lifecycle_item i
      join deposit d on d.id = i.ref_id
     where i.case_id = ${caseId} and i.kind = 'deposit' and i.closed_at is null
       and (d.state = 'retired' or exists (
         select from deposit_version v where v.deposit_id = d.id and v.created_at >= i.opened_at
            and not exists (select from deposit_sight s join lifecycle_case c on c.id = i.case_id
                             where s.deposit_id = d.id and s.number = v.number and s.identity_id = c.identity_id)))`.execute(
    db,
  )
  return rows
}

/** Closes what is dealt with. */
export async function settleItems(tx: Tx, needs: LifecycleNeeds, caseId: string): Promise<void> {
  for (const { id, evidence } of await settledItems(tx, caseId)) {
    const cause = await needs.ledger.record(tx, {
      event: caseItemClosed,
      actor: SYSTEM,
      resource: { type: 'Case', id: caseId },
      outcome: 'done',
      facts: { itemId: id, evidence },
    })
    await tx
      .updateTable('lifecycleItem')
      .set({ closedAt: needs.clock.now(), evidence, cause })
      .where('id', '=', id)
      .where('closedAt', 'is', null)
      .execute()
  }
}
