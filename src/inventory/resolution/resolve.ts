import { sql } from 'kysely'
import { installation } from '../../kernel/http/route.ts'
import type { Clock } from '../../kernel/clock.ts'
import type { Tx } from '../../kernel/db.ts'
import type { Fact, Ledger } from '../../ledger/ledger.ts'
import type { Resolved } from './contract.ts'
import { inventoryResolved } from './events.ts'

export type ResolveNeeds = { readonly clock: Clock; readonly ledger: Ledger }
type Act = Pick<Fact, 'actor' | 'onBehalfOf' | 'action' | 'decision'>

/** One at a time, what is adopted too: what two would make at once would be the same. */
export const LOCK = sql`select pg_advisory_xact_lock(hashtextextended('reeve.resolution', 0))`

/** How a link is kept, so that the same one is the same row each time. */
export const linkIdOf = (observed: string, identity: string, how: string) =>
  sql.raw<string>(`hashed_id('link:' || ${observed} || ':' || ${identity} || ':' || ${how})`)

/**
 * What should be linked by itself. A native id first: a principal is the identity that claims the account which it is at its own source, as the first
 * and only one of that name there, or that was made of it or of the definition it is an instance of. Then a keyed fingerprint: a secret that exactly one identity holds is that identity's wherever it turns up. A person's word for the same stays as it is, and is
 * worth more than a fingerprint. A name says nothing here.
 */
const DESIRED = sql`
  live as materialized (
    select c.id from source_scope c join source s on s.id = c.source_id where c.state = 'active' and s.state = 'active'
  ), stood as (
    select l.observed_id, l.identity_id, p.account_id
      from record_link l join observed_principal p on p.id = l.observed_id
     where l.how = 'native-id' and l.state <> 'declined' and p.account_id is not null
  ), named as (
    select p.id as observed_id, a.id as account_id, a.identity_id, 'account ' || a.name || ' at ' || t.name || ', which it claims' as evidence,
           count(*) over (partition by a.id) as alike
      from observed_principal p
      join account a on a.id = p.account_id and a.state = 'active' and a.identity_id is not null
      join target t on t.id = a.target_id
     where p.gone_at is null and p.scope_id in (select id from live)
  ), claimed as (
    -- An account is a name. Whoever stood for it first is known by its own id from then on; another one of that name is somebody else, and of
    -- several at first nobody says which.
    select n.observed_id, n.identity_id, n.evidence
      from named n
     where exists (select from stood s where s.observed_id = n.observed_id and s.identity_id = n.identity_id)
        or n.alike = 1 and not exists (select from stood s where s.account_id = n.account_id and s.identity_id = n.identity_id)
  ), native as (
    select observed_id, identity_id, jsonb_build_array(evidence) as evidence from claimed
    union all
    select p.id, d.identity_id, d.evidence
      from observed_principal p join adoption d on d.thing_id = coalesce(p.instance_of_id, p.id) and d.state = 'active'
      join source_scope c on c.id = p.scope_id and c.source_id = d.source_id
     where p.gone_at is null and p.scope_id in (select id from live) and not exists (select from claimed c where c.observed_id = p.id)
  ), attested as (
    select l.observed_id, l.identity_id from record_link l where l.state = 'active' and l.how = 'attested'
  ), known as (
    select observed_id, identity_id from native
    union all
    select a.observed_id, a.identity_id from attested a where not exists (select from native n where n.observed_id = a.observed_id)
  ), print as (
    select k.id, k.principal_id, f from observed_credential k cross join unnest(k.fingerprints) f
     where f like 'hmac-sha256:%' and k.gone_at is null and k.scope_id in (select id from live)
  ), held as (
    select p.f, (array_agg(distinct n.identity_id))[1] as identity_id, min(p.id::text) as by_id
      -- Each of the two by itself: together they would be compared with everything that is known.
      from print p cross join lateral (values (p.principal_id), (p.id)) v (id) join known n on n.observed_id = v.id
     group by p.f having count(distinct n.identity_id) = 1
  ), same as (
    select p.id as observed_id, (array_agg(distinct h.identity_id))[1] as identity_id, min(h.by_id) as by_id
      from print p join held h on h.f = p.f
     where not exists (select from known n where n.observed_id = p.id) and not exists (select from known n where n.observed_id = p.principal_id)
     group by p.id having count(distinct h.identity_id) = 1
  ), desired as (
    select ${linkIdOf('n.observed_id', 'n.identity_id', `'native-id'`)} as id, 'principal' as observed_kind, n.observed_id, n.identity_id,
           'native-id' as how, n.evidence
      from native n
     where not exists (select from attested a where a.observed_id = n.observed_id and a.identity_id = n.identity_id)
    union all
    select ${linkIdOf('s.observed_id', 's.identity_id', `'fingerprint'`)}, 'credential', s.observed_id, s.identity_id, 'fingerprint',
           jsonb_build_array('the same secret as credential ' || s.by_id || ', which only this identity holds')
      from same s
     where not exists (select from record_link l where l.state = 'declined'
                          and l.id = ${linkIdOf('s.observed_id', 's.identity_id', `'fingerprint'`)})
  ), made as (
    select d.* from desired d left join record_link l on l.id = d.id where l.id is null or l.state = 'ended'
  ), over as (
    select l.id from record_link l
     where l.state = 'active'
       and (l.how <> 'attested' and not exists (select from desired d where d.id = l.id)
         or l.how = 'attested' and exists (select from native n where n.observed_id = l.observed_id and n.identity_id <> l.identity_id))
  )`

/** Links everything anew, set by set in the database. A second run over the same changes nothing and enters nothing. */
export async function resolveInventory(tx: Tx, { clock, ledger }: ResolveNeeds, act: Act): Promise<Resolved> {
  await LOCK.execute(tx)
  // Whole tables are joined with one another, of which nothing is known beforehand: taken for a handful of rows, each would be compared with each.
  await sql`set local enable_nestloop = off`.execute(tx)
  await sql`set local jit = off`.execute(tx)
  const { rows } = await sql<{ native: number; prints: number; ended: number }>`
    with ${DESIRED}
    select (select count(*) from made where how = 'native-id')::int as native, (select count(*) from made where how = 'fingerprint')::int as prints,
           (select count(*) from over)::int as ended`.execute(tx)
  const { native = 0, prints = 0, ended = 0 } = rows[0] ?? {}
  const made = native + prints
  if (made === 0 && ended === 0) return { made, ended }
  const now = clock.now()
  const cause = await ledger.record(tx, {
    ...act,
    event: inventoryResolved,
    resource: installation(),
    outcome: 'done',
    facts: { made, ended, byNativeId: native, byFingerprint: prints },
  })
  await sql`
    with ${DESIRED}
    update record_link l set state = 'ended', ended_at = ${now}, cause = ${cause} from over where over.id = l.id`.execute(
    tx,
  )
  await sql`
    with ${DESIRED}
    insert into record_link as l (id, observed_kind, observed_id, identity_id, how, evidence, state, made_at, ended_at, cause)
    select m.id, m.observed_kind, m.observed_id, m.identity_id, m.how, m.evidence, 'active', ${now}, null, ${cause} from made m
    on conflict (id) do update
       set evidence = excluded.evidence, state = 'active', made_at = excluded.made_at, ended_at = null, cause = excluded.cause`.execute(
    tx,
  )
  return { made, ended }
}
