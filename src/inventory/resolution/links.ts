import { sql } from 'kysely'
import { actOf, findIdentity } from '../../identities/identities.ts'
import type { Clock } from '../../kernel/clock.ts'
import type { Db, Tx } from '../../kernel/db.ts'
import { idAfter, pageAfter } from '../../kernel/page.ts'
import type { Permit } from '../../kernel/permit.ts'
import { conflict, notFound } from '../../kernel/problem.ts'
import { coverageOf } from '../coverage.ts'
import type { Link, LinkObserved, LinkPage, LinkQuery, Suggestion } from './contract.ts'
import { inventoryLinked, inventoryUnlinked } from './events.ts'
import { linkIdOf, type ResolveNeeds } from './resolve.ts'

const SUGGESTED = 20

const LINK = sql`
  l.id, l.observed_kind as "observedKind", l.observed_id as "observedId", coalesce(p.name, k.name) as observed, s.name as source,
  l.identity_id as "identityId", i.name as identity, l.how, l.evidence, l.state, l.made_at as "madeAt", l.ended_at as "endedAt"
  from record_link l join identity i on i.id = l.identity_id
  left join observed_principal p on p.id = l.observed_id
  left join observed_credential k on k.id = l.observed_id
  left join source_scope c on c.id = coalesce(p.scope_id, k.scope_id)
  left join source s on s.id = c.source_id`

/** What is which identity. */
export async function listLinks(db: Db, clock: Clock, query: LinkQuery): Promise<LinkPage> {
  const { cursor, limit, identity, observed, state } = query
  const after = idAfter(cursor)
  const where = [sql`l.state = ${state}`]
  if (identity !== undefined) where.push(sql`l.identity_id = ${(await findIdentity(db, identity)).id}`)
  if (observed !== undefined) where.push(sql`l.observed_id = ${observed}`)
  if (after !== undefined) where.push(sql`l.id > ${after}`)
  const { rows } = await sql<Link>`
    select ${LINK} where ${sql.join(where, sql` and `)} order by l.id limit ${limit + 1}`.execute(db)
  return { ...pageAfter(rows, limit, ({ id }) => id), coverage: await coverageOf(db, clock) }
}

async function linkOf(db: Db, id: string): Promise<Link> {
  const { rows } = await sql<Link>`select ${LINK} where l.id = ${id}`.execute(db)
  const [row] = rows
  if (!row) throw notFound('There is no such link.', { type: 'RecordLink', id })
  return row
}

/** A person's word. What is another identity by its native id is that; by anything else, the other link is taken apart first. */
export async function linkObserved(
  tx: Tx,
  needs: ResolveNeeds,
  permit: Permit<'inventory.link'>,
  { observed, reason }: LinkObserved,
): Promise<Link> {
  const identity = await findIdentity(tx, permit.resource.id)
  if (identity.state === 'retired') throw conflict('A retired identity is nothing that acts.', stateOf(identity))
  const observedKind = await kindOf(tx, observed)
  const standing = await activeLink(tx, observed)
  if (standing) {
    throw conflict(
      standing.identityId === identity.id
        ? 'It is linked to this identity already.'
        : 'It is linked to another identity: end that link first.',
      { type: 'RecordLink', id: standing.id, state: standing.how },
    )
  }
  const id = await hashedLink(tx, observed, identity.id, 'attested')
  const now = needs.clock.now()
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: inventoryLinked,
    subjectId: identity.id,
    facts: { linkId: id, observedKind, observedId: observed, reason },
  })
  const evidence = JSON.stringify([`a person said so (${permit.subject.id})`])
  await tx
    .insertInto('recordLink')
    .values({
      id,
      observedKind,
      observedId: observed,
      identityId: identity.id,
      how: 'attested',
      evidence,
      state: 'active',
      madeAt: now,
      endedAt: null,
      cause,
    })
    .onConflict((is) => is.column('id').doUpdateSet({ evidence, state: 'active', madeAt: now, endedAt: null, cause }))
    .execute()
  return linkOf(tx, id)
}

/** Ends a link. What an account says is taken back at the account; what a fingerprint says is declined for good. */
export async function unlinkObserved(
  tx: Tx,
  needs: ResolveNeeds,
  permit: Permit<'inventory.unlink'>,
  { observed, reason }: LinkObserved,
): Promise<Link> {
  const standing = await activeLink(tx, observed)
  if (!standing || standing.identityId !== permit.resource.id)
    throw notFound('It is not linked to this identity.', { type: 'RecordLink', id: observed })
  const { id, how } = standing
  if (how === 'native-id') {
    throw conflict(
      'It is this identity by its native id: claim its account for another one, or give back what was adopted.',
      {
        type: 'RecordLink',
        id,
        state: how,
      },
    )
  }
  const isDeclined = how === 'fingerprint'
  const cause = await needs.ledger.record(tx, {
    ...actOf(permit),
    event: inventoryUnlinked,
    subjectId: permit.resource.id,
    facts: { linkId: id, observedId: observed, how, isDeclined, reason },
  })
  await tx
    .updateTable('recordLink')
    .set({ state: isDeclined ? 'declined' : 'ended', endedAt: needs.clock.now(), cause })
    .where('id', '=', id)
    .where('state', '=', 'active')
    .execute()
  return linkOf(tx, id)
}

function activeLink(tx: Tx, observed: string) {
  return tx
    .selectFrom('recordLink')
    .select(['id', 'identityId', 'how'])
    .where('observedId', '=', observed)
    .where('state', '=', 'active')
    .forUpdate()
    .executeTakeFirst()
}

async function hashedLink(tx: Tx, observed: string, identity: string, how: string): Promise<string> {
  const { rows } = await sql<{ id: string }>`
    select ${linkIdOf('observed', 'identity', 'how')} as id
      from (values (${observed}::text, ${identity}::text, ${how}::text)) v (observed, identity, how)`.execute(tx)
  const [row] = rows
  if (!row) throw new Error('a link has an id')
  return row.id
}

async function kindOf(db: Db, id: string): Promise<'principal' | 'credential'> {
  const { rows } = await sql<{ kind: 'principal' | 'credential' }>`
    select 'principal' as kind from observed_principal where id = ${id}
    union all select 'credential' from observed_credential where id = ${id}`.execute(db)
  const [row] = rows
  if (!row) throw notFound('There is no such principal or credential.', { type: 'InventoryItem', id })
  return row.kind
}

function stateOf({ id, state }: { readonly id: string; readonly state: string }) {
  return { type: 'Identity', id, state }
}

/** What a principal or credential might be: a key that anybody may know the print of, or a name. Both can be made to look so. */
export async function suggestLinks(db: Db, observed: string): Promise<Suggestion[]> {
  await kindOf(db, observed)
  const { rows } = await sql<Suggestion>`
    with asked as (
      select p.id, p.name, p.aliases from observed_principal p where p.id = ${observed}
      union all select k.id, null, '{}' from observed_credential k where k.id = ${observed}
    ), prints as (
      select distinct f from observed_credential k cross join unnest(k.fingerprints) f
       where (k.id = ${observed} or k.principal_id = ${observed}) and f not like 'hmac-%'
    )
    select distinct l.identity_id as "identityId", i.name as identity, 'public-fingerprint' as by,
           'it shows the public key of a credential that this identity holds' as evidence
      from observed_credential k
      join linked_identity l on l.observed_id in (k.id, k.principal_id)
      join identity i on i.id = l.identity_id
     where k.fingerprints && array(select f from prints) and k.id <> ${observed} and k.principal_id is distinct from ${observed}
    union all
    select i.id, i.name, 'same-name', 'it has the name of this identity; names are given twice, and on purpose'
      from asked a join identity i on i.name = lower(a.name) or i.name = any (a.aliases)
     where i.state <> 'retired'
    order by 3, 2 limit ${SUGGESTED}`.execute(db)
  return rows
}
