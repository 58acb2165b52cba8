import { sql } from 'kysely'
import type { Clock } from '../kernel/clock.ts'
import { secondsAfter } from '../kernel/clock.ts'
import type { Db } from '../kernel/db.ts'
import { notFound } from '../kernel/problem.ts'
import { coverageOf } from './coverage.ts'
import type { Consumer, Consumers } from './schemas.ts'
import { useOf } from './use.ts'

/** Uses that are younger say who consumes it now. */
const RECENT_DAYS = 90
/** Consumers that are told one by one. */
const TOLD = 500

/** What stands for an account at its source, and what proves it there. */
type Stands = { readonly principals: readonly string[]; readonly credentials: readonly string[] }

/**
 * Who breaks when the login of an account changes: where its credentials are kept or used, by id and by the fingerprint of the same secret, and who
 * was seen using it. An empty list means nothing where `use` cannot be said or `coverage` is not whole.
 */
export async function consumersOf(db: Db, clock: Clock, accountId: string, days = RECENT_DAYS): Promise<Consumers> {
  const { rows } = await sql<Stands>`
    select array(select p.id from observed_principal p where p.account_id = ${accountId} and p.gone_at is null order by p.id) as principals,
           array(select k.id from observed_credential k join observed_principal p on p.id = k.principal_id
                  where p.account_id = ${accountId} and k.gone_at is null and k.type <> 'none' order by k.id) as credentials`.execute(
    db,
  )
  return consumersOfStands(db, clock, rows[0] ?? { principals: [], credentials: [] }, days)
}

/** The same of one credential or one principal of the inventory, or of an account of the record; throws `notFound`. */
export async function consumersOfThing(db: Db, clock: Clock, id: string, days = RECENT_DAYS): Promise<Consumers> {
  const { rows } = await sql<Stands & { readonly isAccount: boolean; readonly isKnown: boolean }>`
    select exists (select from account a where a.id = ${id}) as "isAccount",
           exists (select from observed_principal p where p.id = ${id}) or exists (select from observed_credential k where k.id = ${id}) as "isKnown",
           array(select p.id from observed_principal p where p.id = ${id} and p.gone_at is null) as principals,
           array(select k.id from observed_credential k where (k.id = ${id} or k.principal_id = ${id}) and k.gone_at is null and k.type <> 'none'
                  order by k.id) as credentials`.execute(db)
  const [found] = rows
  if (found?.isAccount) return consumersOf(db, clock, id, days)
  if (!found?.isKnown)
    throw notFound('There is no such account, principal or credential.', { type: 'InventoryItem', id })
  return consumersOfStands(db, clock, found, days)
}

async function consumersOfStands(db: Db, clock: Clock, stands: Stands, days: number): Promise<Consumers> {
  const now = clock.now()
  const since = secondsAfter(now, -days * 86_400)
  const { principals, credentials } = stands
  const found = [...(await referring(db, credentials)), ...(await using(db, [...principals, ...credentials], since))]
  // A credential without a use of its own is used when its principal is.
  const subjects = principals.length > 0 ? principals : credentials
  const use = await useOf(db, subjects, { days, now })
  const consumers = found.slice(0, TOLD)
  return {
    principals: [...principals],
    credentials: [...credentials],
    consumers,
    more: found.length - consumers.length,
    use,
    coverage: await coverageOf(db, clock),
  }
}

/** Places that keep the secret, also under another name: the same fingerprint is the same secret. */
async function referring(db: Db, credentials: readonly string[]): Promise<Consumer[]> {
  if (credentials.length === 0) return []
  const { rows } = await sql<Consumer>`
    with prints as (select distinct f from observed_credential k, unnest(k.fingerprints) f where k.id = any (${credentials})),
         same as (
           select unnest(${credentials}::uuid[]) as id
           union
           select k.id from observed_credential k
            where k.fingerprints && array(select f from prints) and k.gone_at is null)
    select 'reference' as by, r.consumer_id as id, coalesce(p.name, o.name, left(r.native_id, 200)) as name, s.name as source, r.how, r.location, r.evidence,
           coalesce(r.last_seen_at, greatest(r.changed_at, c.seen_at)) as "lastAt", 0::int as count, r.missed_at is null as "isPresent",
           not (r.credential_id = any (${credentials}) is true) as "isCopy"
      from observed_reference r
      join source_scope c on c.id = r.scope_id
      join source s on s.id = c.source_id
      left join observed_principal p on p.id = r.consumer_id
      left join observed_resource o on o.id = r.consumer_id
     where r.gone_at is null and s.state = 'active'
       and (r.credential_id in (select id from same) or r.fingerprint in (select f from prints))
     order by 4, 3, r.id limit ${TOLD + 1}`.execute(db)
  return rows
}

/** Who was seen using it: by whom, from where, with what. */
async function using(db: Db, subjects: readonly string[], since: Date): Promise<Consumer[]> {
  if (subjects.length === 0) return []
  const { rows } = await sql<Consumer>`
    select 'use' as by, u.actor_id as id, coalesce(p.name, u.agent, u.address, 'somebody') as name, s.name as source,
           max(u.semantics) as how, concat_ws(' ', u.agent, u.address) as location, 'runtime' as evidence, max(u.last_at) as "lastAt",
           least(sum(u.count), 2147483647)::int as count, true as "isPresent", false as "isCopy"
      from observed_usage u
      join source_scope c on c.id = u.scope_id
      join source s on s.id = c.source_id
      left join observed_principal p on p.id = u.actor_id
     where u.subject_id = any (${subjects}) and u.last_at >= ${since} and s.state = 'active'
     group by u.actor_id, p.name, u.agent, u.address, s.name
     order by max(u.last_at) desc limit ${TOLD + 1}`.execute(db)
  return rows
}
