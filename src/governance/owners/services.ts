import { sql, type RawBuilder } from 'kysely'
import type { Identity } from '../../identities/contract.ts'
import { acceptService, findIdentity } from '../../identities/identities.ts'
import { coverageOf } from '../../inventory/inventory.ts'
import type { Clock } from '../../kernel/clock.ts'
import type { Db, Tx } from '../../kernel/db.ts'
import { decodeCursor, page } from '../../kernel/http/cursor.ts'
import { invalid } from '../../kernel/invalid.ts'
import type { Permit } from '../../kernel/permit.ts'
import type { Ledger } from '../../ledger/ledger.ts'
import { ATTESTED_MAX, Evidences, type AttestServices, type ServicePage, type ServiceQuery } from './contract.ts'
import { HALF_LIFE_DAYS } from './evidence.ts'
import { SERVICE_EVIDENCE } from './service-evidence.ts'

const KEPT = 10
const SCORE_MIN = 5
const WEIGHT_MAX = 0.99
const NAME_MAX = 200
const WORDS_MAX = 500

/**
 * Weighs what speaks for a business service as owners are weighed. What somebody accepted who can still act is left out; when they leave, or the record
 * says something else, it is proposed again. Two spellings in other letters are one service.
 */
export async function evaluateServices(
  tx: Tx,
  { clock }: { readonly clock: Clock },
  only?: readonly string[],
): Promise<{ readonly candidates: number; readonly changed: number }> {
  const now = clock.now()
  const among = (id: RawBuilder<unknown>) => (only ? sql`${id} = any (${only})` : sql`true`)
  const each = SERVICE_EVIDENCE.map(
    ({ id, weight, query }) =>
      sql`select ${sql.lit(id)} as rule, ${sql.lit(weight)}::float8 as weight, * from (${sql.raw(query)}) e (identity_id, service, of_at, words) where ${among(sql`e.identity_id`)}`,
  )
  const weighed = sql`
    told as (${sql.join(each, sql` union all `)}
    ), spoken as (
      select t.rule, t.identity_id, left(btrim(t.service), ${NAME_MAX}) as service, t.words, t.of_at,
             least(${WEIGHT_MAX}, t.weight * power(0.5, greatest(0, extract(day from ${now}::timestamptz - t.of_at)) / ${HALF_LIFE_DAYS})) as weight
        from told t where btrim(t.service) <> ''
    ), once as (
      select distinct on (s.identity_id, lower(s.service), s.rule) s.* from spoken s
       order by s.identity_id, lower(s.service), s.rule, s.weight desc, s.of_at desc, s.service
    ), ranked as (
      select o.*, row_number() over (partition by o.identity_id, lower(o.service) order by o.weight desc, o.rule) as place from once o
    ), candidate as (
      select r.identity_id, (array_agg(r.service order by r.weight desc, r.rule, r.service))[1] as service,
             round(100 * (1 - exp(sum(ln(1 - r.weight)))))::smallint as score,
             jsonb_agg(jsonb_build_object('rule', r.rule, 'weight', round(r.weight::numeric, 2), 'at', to_char(r.of_at at time zone 'UTC', 'YYYY-MM-DD'),
               'words', r.words) order by r.weight desc, r.rule) filter (where r.place <= ${KEPT}) as evidence
        from ranked r join identity i on i.id = r.identity_id and i.kind <> 'human' and i.state <> 'retired'
       where not exists (select from attested_service s where s.identity_id = r.identity_id)
       group by r.identity_id, lower(r.service)
    ), fit as (select * from candidate where score >= ${SCORE_MIN})`
  const { numAffectedRows: gone = 0n } = await sql`
    with ${weighed}
    delete from service_candidate c where ${among(sql`c.identity_id`)}
       and not exists (select from fit f where f.identity_id = c.identity_id and f.service = c.service)`.execute(tx)
  const { numAffectedRows: made = 0n } = await sql`
    with ${weighed}
    insert into service_candidate as c (identity_id, service, score, evidence) select identity_id, service, score, evidence from fit
    on conflict (identity_id, service) do update set score = excluded.score, evidence = excluded.evidence
     where (c.score, c.evidence) is distinct from (excluded.score, excluded.evidence)`.execute(tx)
  const { count } = await tx
    .selectFrom('serviceCandidate')
    .select((is) => is.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  return { candidates: count, changed: Number(gone + made) }
}

/** The likeliest first. */
export async function listServices(db: Db, clock: Clock, query: ServiceQuery): Promise<ServicePage> {
  const { cursor, limit, identity, owner } = query
  const where = [sql`true`]
  if (identity !== undefined) where.push(sql`c.identity_id = ${(await findIdentity(db, identity)).id}`)
  if (owner !== undefined)
    where.push(sql`i.owner_id = ${(await findIdentity(db, owner)).id} and i.owner_state = 'attested'`)
  if (cursor !== undefined) {
    const [score, identityId = '', service = ''] = decodeCursor(cursor, ['number', 'id', 'text'])
    where.push(sql`(-c.score, c.identity_id, c.service) > (${-Number(score)}, ${identityId}::uuid, ${service})`)
  }
  const { rows } = await sql<Omit<ServicePage['items'][number], 'evidence'> & { readonly evidence: unknown }>`
    select c.identity_id as "identityId", i.name as identity, c.service, c.score, c.evidence,
           case when i.owner_state = 'attested' then o.name end as owner
      from service_candidate c join identity i on i.id = c.identity_id left join identity o on o.id = i.owner_id
     where ${sql.join(where, sql` and `)} order by -c.score, c.identity_id, c.service limit ${limit + 1}`.execute(db)
  const { items, nextCursor } = page(rows, limit, (row) => [row.score, row.identityId, row.service])
  return {
    items: items.map((row) => ({ ...row, evidence: Evidences.parse(row.evidence) })),
    nextCursor,
    coverage: await coverageOf(db, clock),
  }
}

type Row = { readonly id: string; readonly service: string; readonly evidence: unknown }

/** One act over a list: the first of what is proposed for what one answers for, or the service that is named. */
export async function attestServices(
  tx: Tx,
  needs: { readonly clock: Clock; readonly ledger: Ledger },
  permit: Permit<'business-service.attest'>,
  input: AttestServices,
): Promise<Identity[]> {
  const named =
    input.identities && (await Promise.all(input.identities.map(async (each) => (await findIdentity(tx, each)).id)))
  const { rows } = await sql<Row>`
    select distinct on (i.id) i.id, c.service, c.evidence
      from service_candidate c join identity i on i.id = c.identity_id
     where i.owner_id = ${permit.subject.id} and i.owner_state = 'attested' and i.state <> 'retired'
       and ${named ? sql`i.id = any (${named})` : sql`c.score >= ${input.minScore}`}
       and ${input.service === undefined ? sql`true` : sql`lower(c.service) = lower(${input.service})`}
     order by i.id, c.score desc, c.service limit ${ATTESTED_MAX}`.execute(tx)
  if (named && rows.length !== new Set(named).size)
    throw invalid('identities', 'you do not answer for one of them, or nothing like that is proposed for it')
  if (rows.length === 0) throw invalid('every', 'no business service is proposed for anything you answer for')
  const accepted: Identity[] = []
  for (const { id: identityId, service, evidence: told } of rows) {
    const words = Evidences.parse(told).map((each) => each.words)
    const evidence = words.join('; ').slice(0, WORDS_MAX)
    const { identity, cause } = await acceptService(tx, needs, permit, { identityId, service, evidence })
    const says = { service, personId: permit.subject.id, evidence, attestedAt: needs.clock.now(), cause }
    await tx
      .insertInto('serviceAttestation')
      .values({ identityId, ...says })
      .onConflict((is) => is.column('identityId').doUpdateSet(says))
      .execute()
    accepted.push(identity)
  }
  const ids = rows.map(({ id }) => id)
  await tx.deleteFrom('serviceCandidate').where('identityId', 'in', ids).execute()
  return accepted
}
