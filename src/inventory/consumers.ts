import { sql } from 'kysely'
import type { Clock } from '../kernel/clock.ts'
import { secondsAfter } from '../kernel/clock.ts'
import type { Db } from '../kernel/db.ts'
import { Id } from '../kernel/ids.ts'
import { notFound } from '../kernel/problem.ts'
import { coverageOf } from './coverage.ts'
import { placedId } from './named.ts'
import type { InventoryNeeds } from './needs.ts'
import type { Consumer, Consumers, UseAnswer } from './schemas.ts'
import { useOf } from './use.ts'

/** Uses that are younger say who consumes it now. */
const RECENT_DAYS = 90
/** Consumers that are told one by one. */
const TOLD = 500

/** What it is asked with: who is on the record besides, if anything keeps that. */
type ConsumerNeeds = Pick<InventoryNeeds, 'clock' | 'holdersOf'>

/** What stands for an account at its source, and what proves it there. */
type Stands = {
  readonly principals: readonly string[]
  readonly credentials: readonly string[]
  readonly accountIds: readonly string[]
  /** Of a credential: whom it proves, who may be used by it. */
  readonly proves: readonly string[]
}

/** Who uses something, and whether it was used: without what could not be seen beside it. */
export type ConsumerMap = Omit<Consumers, 'coverage'>

/**
 * Who breaks when the login of an account changes: who holds a copy on the record, where its credentials are kept or used, by id and by the fingerprint
 * of the same secret, and who was seen using it. An empty list means nothing where `use` cannot be said or `coverage` is not whole.
 */
export async function consumersOf(
  db: Db,
  needs: ConsumerNeeds,
  accountId: string,
  days = RECENT_DAYS,
): Promise<ConsumerMap> {
  return mapOf(db, needs, await standsOf(db, [accountId]), days)
}

/**
 * The same of one credential or one principal of the inventory, of an account of the record, or of everything that an identity is; with what was not
 * seen. Throws `notFound`.
 */
export async function consumersOfThing(
  db: Db,
  needs: ConsumerNeeds & { readonly clock: Clock },
  thing: string,
  days = RECENT_DAYS,
): Promise<Consumers> {
  const map = await mapOf(db, needs, await findStands(db, thing), days)
  return { ...map, coverage: await coverageOf(db, needs.clock) }
}

async function findStands(db: Db, thing: string): Promise<Stands> {
  const id = Id.safeParse(thing).success ? thing : await placedId(db, thing)
  const ofIdentity = await standsOfIdentity(db, id ?? thing)
  if (ofIdentity) return ofIdentity
  if (id === undefined) throw unheardOf(thing)
  const { rows } = await sql<Stands & { readonly isAccount: boolean; readonly isKnown: boolean }>`
    select exists (select from account a where a.id = ${id}) as "isAccount",
           exists (select from observed_principal p where p.id = ${id}) or exists (select from observed_credential k where k.id = ${id}) as "isKnown",
           array(select p.account_id from observed_principal p
             where p.account_id is not null and p.gone_at is null
               and (p.id = ${id} or p.id = (select k.principal_id from observed_credential k where k.id = ${id}))) as "accountIds",
           array(select p.id from observed_principal p where p.id = ${id} and p.gone_at is null) as principals,
           array(select k.principal_id from observed_credential k where k.id = ${id} and k.principal_id is not null) as proves,
           array(select k.id from observed_credential k where (k.id = ${id} or k.principal_id = ${id}) and k.gone_at is null and k.type <> 'none'
                  order by k.id) as credentials`.execute(db)
  const [found] = rows
  if (!found?.isAccount && !found?.isKnown) throw unheardOf(thing)
  return found.isAccount ? standsOf(db, [id]) : found
}

/** Everything that an identity is, merges followed: its accounts, and what is linked to it at whatever source. */
async function standsOfIdentity(db: Db, nameOrId: string): Promise<Stands | undefined> {
  const identity = await db
    .selectFrom('identity')
    .select('id')
    .where((is) =>
      is.or([is('name', '=', nameOrId), ...(Id.safeParse(nameOrId).success ? [is('id', '=', nameOrId)] : [])]),
    )
    .executeTakeFirst()
  if (!identity) return undefined
  const { rows } = await sql<Omit<Stands, 'proves'>>`
    with linked as (
      select l.observed_id as id from linked_identity l where l.identity_id = ${identity.id} or l.linked_id = ${identity.id}
    ), mine as (
      select a.id from account a where a.identity_id = ${identity.id} and a.state = 'active'
    ), stands as (
      select p.id from observed_principal p where p.gone_at is null and (p.id in (select id from linked) or p.account_id in (select id from mine))
    )
    select array(select id from stands order by id) as principals, array(select id from mine order by id) as "accountIds",
           array(select k.id from observed_credential k where k.gone_at is null and k.type <> 'none'
                   and (k.principal_id in (select id from stands) or k.id in (select id from linked)) order by k.id) as credentials`.execute(
    db,
  )
  const [found] = rows
  return { proves: [], ...(found ?? { principals: [], credentials: [], accountIds: [] }) }
}

function unheardOf(id: string) {
  return notFound('There is no such account, principal, credential or identity.', { type: 'InventoryItem', id })
}

async function standsOf(db: Db, accountIds: readonly string[]): Promise<Stands> {
  const { rows } = await sql<Pick<Stands, 'principals' | 'credentials'>>`
    select array(select p.id from observed_principal p where p.account_id = any (${accountIds}) and p.gone_at is null order by p.id) as principals,
           array(select k.id from observed_credential k join observed_principal p on p.id = k.principal_id
                  where p.account_id = any (${accountIds}) and k.gone_at is null and k.type <> 'none' order by k.id) as credentials`.execute(
    db,
  )
  return { ...(rows[0] ?? { principals: [], credentials: [] }), accountIds, proves: [] }
}

async function mapOf(db: Db, { clock, holdersOf }: ConsumerNeeds, stands: Stands, days: number): Promise<ConsumerMap> {
  const now = clock.now()
  const since = secondsAfter(now, -days * 86_400)
  const { principals, credentials, accountIds, proves } = stands
  const held = holdersOf ? await Promise.all(accountIds.map((accountId) => holdersOf(db, accountId))) : []
  const found = [
    ...held.flat(),
    ...(await referring(db, credentials)),
    ...(await using(db, [...principals, ...credentials, ...proves], since)),
  ]
  // A credential without a use of its own is used when its principal is.
  const subjects = principals.length > 0 ? principals : credentials
  const use: UseAnswer = await useOf(db, subjects, { days, now })
  const consumers = found.slice(0, TOLD)
  return {
    principals: [...principals],
    credentials: [...credentials],
    consumers,
    more: found.length - consumers.length,
    use,
  }
}

/** Places that keep the secret, also under another name: the same fingerprint is the same secret. */
async function referring(db: Db, credentials: readonly string[]): Promise<(Consumer & { referenceId: string })[]> {
  if (credentials.length === 0) return []
  const { rows } = await sql<Consumer & { referenceId: string }>`
    with prints as (select distinct f from observed_credential k, unnest(k.fingerprints) f where k.id = any (${credentials})),
         same as (
           select unnest(${credentials}::uuid[]) as id
           union
           select k.id from observed_credential k
            where k.fingerprints && array(select f from prints) and k.gone_at is null)
    select 'reference' as by, r.id as "referenceId", r.consumer_id as id, coalesce(p.name, o.name, left(r.native_id, 200)) as name,
           s.name as source, r.how, r.location, r.evidence,
           coalesce(r.last_seen_at, greatest(r.changed_at, c.seen_at)) as "lastAt", 0::int as count, r.missed_at is null as "isPresent",
           not (r.credential_id = any (${credentials}) is true) as "isCopy"
      from observed_reference r
      join source_scope c on c.id = r.scope_id
      join source s on s.id = c.source_id
      left join observed_principal p on p.id = r.consumer_id
      left join observed_resource o on o.id = r.consumer_id
     where r.gone_at is null and s.state = 'active'
       and (r.credential_id in (select id from same) or r.fingerprint in (select f from prints))
     order by 5, 4, r.id limit ${TOLD + 1}`.execute(db)
  return rows
}

/** Who was seen using it: by whom, from where, with what. */
async function using(db: Db, subjects: readonly string[], since: Date): Promise<Consumer[]> {
  if (subjects.length === 0) return []
  const { rows } = await sql<Consumer>`
    select 'use' as by, null as "referenceId", u.actor_id as id, coalesce(p.name, u.agent, u.address, 'somebody') as name, s.name as source,
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

/** A place that keeps the secret of an account, and when whoever keeps it there came in last as each of the logins that were asked of. */
export type KeptAt = {
  readonly id: string
  readonly source: string
  readonly location: string
  readonly readAt: Date
  readonly logins: readonly { readonly user: string; readonly at: Date }[]
}

/** Where the secret of an account is kept, as it is told now. `users`: names of logins at its source, of which an account may have two. */
export async function keptAt(db: Db, accountId: string, users: readonly string[]): Promise<KeptAt[]> {
  const { credentials } = await standsOf(db, [accountId])
  const places = await referring(db, credentials)
  const logins = await loginsBy(
    db,
    accountId,
    users,
    places.flatMap(({ id }) => id ?? []),
  )
  return places.flatMap(({ referenceId, id, source, location, lastAt }) =>
    source === null || lastAt === null
      ? []
      : { id: referenceId, source, location, readAt: lastAt, logins: logins.filter(({ actorId }) => actorId === id) },
  )
}

type Login = { readonly actorId: string; readonly user: string; readonly at: Date }

/** Only what a source tells as a login: a statement or an open session says nothing of when its secret was shown. */
async function loginsBy(
  db: Db,
  accountId: string,
  users: readonly string[],
  actors: readonly string[],
): Promise<Login[]> {
  if (actors.length === 0 || users.length === 0) return []
  const { rows } = await sql<Login>`
    select u.actor_id as "actorId", p.name as user, max(u.last_at) as at
      from observed_usage u
      join observed_principal p on p.id = u.subject_id
      join source_scope c on c.id = p.scope_id
      join source s on s.id = c.source_id
     where u.semantics = 'auth' and u.actor_id = any (${actors}) and p.name = any (${users}) and s.state = 'active'
       and s.id in (select y.source_id from observed_principal q join source_scope y on y.id = q.scope_id where q.account_id = ${accountId})
     group by u.actor_id, p.name`.execute(db)
  return rows
}
