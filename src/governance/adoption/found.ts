import { sql } from 'kysely'
import { isProfileOf, type Discovered } from '../../identities/identities.ts'
import { sha256 } from '../../kernel/crypto.ts'
import type { Clock } from '../../kernel/clock.ts'
import type { Db } from '../../kernel/db.ts'
import { classesWhere } from '../classes/classify.ts'
import type { Classification } from '../classes/contract.ts'
import type { AdoptPrincipals } from './contract.ts'
import type { LeftWhy } from './filter.ts'
import type { AdoptionRule } from './run-contract.ts'

/** Something nobody claims: a principal, or the definition that principals of its source are instances of. */
export type Thing = {
  readonly thingId: string
  readonly sourceId: string
  readonly source: string
  readonly principalId: string
  readonly principal: string
  readonly instances: number
  readonly accountIds: readonly string[]
  readonly earlier: number
  readonly isBuiltIn: boolean
  readonly isMissed: boolean
  readonly isDeleted: boolean
  readonly sharesSecret: boolean
  /** Of another that stood under this name when an identity claimed the account. */
  readonly sharesName: boolean
}
export type Judged = { readonly thing: Thing; readonly class: Classification }
export type Leaving = { readonly why: LeftWhy; readonly principal: string }

/** A place in the list: behind a thing of a source. */
export type Place = { readonly thingId: string; readonly sourceId: string }
type Query = Omit<AdoptionRule, 'source'> & {
  readonly principals?: readonly string[] | undefined
  readonly sourceId?: string | undefined
  readonly after?: Place | undefined
}

/** Of what acts and is no identity of the record: `p`, `c` and `s` are a principal, its scope and its source. */
function nobodys({ principals, sourceId, ownerTeam, type, environment, answeredFor, after }: Query) {
  const where = [
    sql`p.gone_at is null and s.state = 'active' and c.state = 'active' and p.type not in ('group', 'role')`,
    sql`not exists (select from record_link l where l.observed_id = p.id and l.state = 'active')`,
    sql`not exists (select from adoption d where d.thing_id = coalesce(p.instance_of_id, p.id) and d.source_id = s.id and d.state = 'active')`,
    sql`not exists (select from account a where a.id = p.account_id and a.identity_id is not null and not ${IS_ANOTHER})`,
  ]
  if (principals) where.push(sql`p.id = any (${principals})`)
  if (sourceId !== undefined) where.push(sql`s.id = ${sourceId}`)
  if (ownerTeam !== undefined) where.push(sql`s.owner_team = ${ownerTeam}`)
  if (type !== undefined) where.push(sql`p.type = ${type}`)
  if (environment !== undefined) where.push(sql`coalesce(p.environment, s.environment) = ${environment}`)
  if (answeredFor === true) where.push(ANSWERED_FOR)
  if (after)
    where.push(sql`coalesce(p.instance_of_id, p.id) >= ${after.thingId}
      and (coalesce(p.instance_of_id, p.id), s.id) > (${after.thingId}::uuid, ${after.sourceId}::uuid)`)
  return sql.join(where, sql` and `)
}

/** Somebody else stood under the name of account `a` when it was claimed, and is known by their own id. */
export const IS_ANOTHER = sql<boolean>`exists (
  select from record_link l join observed_principal q on q.id = l.observed_id and q.account_id = a.id
   where l.identity_id = a.identity_id and l.how = 'native-id' and q.id <> p.id)`

/** A person made it, or something did, or keeps its login, that a person accepted to answer for. */
const ANSWERED_FOR = sql`exists (
  select from linked_identity l join identity i on i.id = l.identity_id
   where (i.kind = 'human' and i.state = 'active' or i.owner_state = 'attested' and i.state <> 'retired')
     and (l.observed_id = p.created_by_id or i.kind <> 'human' and l.observed_id in (
       select r.consumer_id from observed_credential k join observed_reference r on r.credential_id = k.id and r.gone_at is null
        where k.principal_id = p.id and k.gone_at is null)))`

/** What is nobody's, in the order of its ids; the definition stands for its instances where it was seen itself. */
export async function findThings(db: Db, query: Query, limit: number): Promise<Thing[]> {
  const { rows } = await sql<Thing>`
    with thing as (
      select distinct on (coalesce(p.instance_of_id, p.id), s.id)
             coalesce(p.instance_of_id, p.id) as thing_id, s.id as source_id, s.name as source, p.id, p.name, p.facts, p.missed_at, p.state, p.account_id
        from observed_principal p join source_scope c on c.id = p.scope_id join source s on s.id = c.source_id
       where ${nobodys(query)}
       order by coalesce(p.instance_of_id, p.id), s.id, p.instance_of_id nulls first, p.id limit ${limit}
    )
    select t.thing_id as "thingId", t.source_id as "sourceId", t.source, t.id as "principalId", t.name as principal,
           o.instances, o.accounts as "accountIds",
           (select count(*)::int from adoption d where d.thing_id = t.thing_id) as earlier,
           t.facts @> '{"isBuiltIn": true}' as "isBuiltIn", t.missed_at is not null as "isMissed", coalesce(t.state = 'deleted', false) as "isDeleted",
           exists (select from account a where a.id = t.account_id and a.identity_id is not null) as "sharesName",
           exists (select from observed_credential k join record_link l on l.observed_id = k.id and l.state = 'active'
                    where k.principal_id = t.id and k.gone_at is null) as "sharesSecret"
      from thing t
     cross join lateral (
       select count(*)::int as instances, coalesce(array_agg(distinct a.id) filter (where a.id is not null), '{}') as accounts
         from observed_principal p join source_scope c on c.id = p.scope_id and c.source_id = t.source_id
         left join account a on a.id = p.account_id and a.identity_id is null and a.state = 'active'
        where coalesce(p.instance_of_id, p.id) = t.thing_id and p.gone_at is null) o
     order by t.thing_id, t.source_id`.execute(db)
  return rows
}

/** About how many there are; each source that tells a thing counts it. */
export async function countThings(db: Db, query: Query): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(distinct (coalesce(p.instance_of_id, p.id), s.id))::int as count
      from observed_principal p join source_scope c on c.id = p.scope_id join source s on s.id = c.source_id
     where ${nobodys(query)}`.execute(db)
  return rows[0]?.count ?? 0
}

/** Whether the filters by class mean it; what no fact says is not meant by one that asks. */
export function isMeant(
  { class: judged }: Judged,
  { ofKind, ofProfile, ofTier, ofTrait }: Pick<AdoptionRule, 'ofKind' | 'ofProfile' | 'ofTier' | 'ofTrait'>,
): boolean {
  return (
    (ofKind === undefined || judged.kind === ofKind) &&
    (ofProfile === undefined || judged.profile === ofProfile) &&
    (ofTier === undefined || judged.tier === ofTier) &&
    (ofTrait === undefined || judged.traits.includes(ofTrait))
  )
}

/** Each with what it is by the facts. */
export async function judgeThings(db: Db, clock: Clock, things: readonly Thing[]): Promise<Judged[]> {
  const ids = things.map(({ principalId }) => principalId)
  const classes = await classesWhere(db, clock, [sql`p.id = any (${ids})`], ids.length)
  const byId = new Map(classes.map((each) => [each.id, each]))
  return things.flatMap((thing) => {
    const of = byId.get(thing.principalId)
    return of ? [{ thing, class: of }] : []
  })
}

/** Until its reach was looked at. */
const TIER = 2

/** What it would be in the record, or why it is left. Pure: the same facts, the same answer. */
export function draftOf(
  { thing, class: judged }: Judged,
  { kind: givenKind, profile: givenProfile, principals }: Pick<AdoptPrincipals, 'kind' | 'profile' | 'principals'>,
): Discovered | Leaving {
  const left = (why: LeftWhy) => ({ why, principal: `${thing.principal} (${thing.source})` })
  if (thing.isMissed) return left('missed')
  if (thing.isDeleted) return left('deleted')
  const kind = judged.kind ?? givenKind
  const profile = judged.profile ?? givenProfile
  if (kind === 'human' || profile === 'person') return left('person')
  if (kind === undefined) return left('kind-unknown')
  if (profile === undefined) return left('profile-unknown')
  if (!isProfileOf(kind, profile)) return left('misfit-profile')
  if (!principals && thing.isBuiltIn) return left('built-in')
  if (!principals && thing.sharesName) return left('shares-a-name')
  if (!principals && thing.sharesSecret) return left('shares-a-secret')
  const { evidence, environment, tier, traits } = judged
  return {
    thingId: thing.thingId,
    kind,
    profile,
    name: nameOf(thing),
    environment: environment ?? 'production',
    tier: tier ?? TIER,
    traits: [...traits],
    evidence: [
      'adopted by its native id',
      ...evidence.map(({ says, why }) => `${says}: ${why}`),
      ...(judged.kind === null ? [`kind ${kind}: who adopted it said so`] : []),
      ...(judged.profile === null ? [`profile ${profile}: who adopted it said so`] : []),
      ...(tier === null ? [`tier ${TIER}: its reach was not looked at yet`] : []),
    ],
  }
}

const SOURCE_SHOWN = 18
const NAME_SHOWN = 32
const MARK = 10

/**
 * A name of our own. Who makes an account decides its name, and names are what teams and policies list, so the end is a hash that nobody lists
 * beforehand; the number of earlier adoptions makes one that comes again another one.
 */
function nameOf({ source, principal, thingId, sourceId, earlier }: Thing): string {
  const mark = sha256(`${thingId} ${sourceId} ${earlier}`).toString('hex').slice(0, MARK)
  return `${slugged(source, SOURCE_SHOWN)}.${slugged(principal, NAME_SHOWN)}-${mark}`
}

function slugged(text: string, max: number): string {
  const plain = text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .slice(0, max)
    .replaceAll(/^-+|-+$/g, '')
  return plain === '' ? 'unnamed' : plain
}
