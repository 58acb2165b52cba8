import { sql } from 'kysely'
import { secondsAfter } from '../kernel/clock.ts'
import type { Db } from '../kernel/db.ts'
import type { Reached } from './contract.ts'
import { walkToTier0 } from './graph/paths.ts'
import { stepsOf } from './graph/things.ts'

export type Reach = {
  /** The gravest first. */
  readonly reached: readonly Reached[]
  /** Whether everything that could show more was looked at lately; then reach that is not seen is not there. */
  readonly isComplete: boolean
  /** Targets that were not, a few of them. */
  readonly unseen: readonly string[]
  /** What it comes to; null where nothing is seen. */
  readonly tier: number | null
  readonly isInScope: boolean
  /** The shortest way to tier 0 by what it holds, in words; null where none was seen when the graph was last looked at. */
  readonly escalation: string | null
}

/** What was granted within so long may be granted again. */
const GRANTED_DAYS = 90
const GRANTS_READ = 200
/** A target that nobody looked at for so long may hold accounts nobody knows of. */
const SURVEYED_DAYS = 7
const NAMED = 5
const WORDS_MAX = 500
/** A grant carries its actions, and no more of what its account may. */
const NO_RIGHTS = { isSuperuser: false, createsRoles: false }
const DAY_SECONDS = 86_400

/** What an identity reaches, as the record knows it: accounts it holds, with their roles and what was surveyed, and what it was granted. */
export async function reachOf(db: Db, identityId: string, now: Date): Promise<Reach> {
  const found = [...(await accountsOf(db, identityId)), ...(await grantsOf(db, identityId, now))]
  const reached = found
    .map(judged)
    .sort((a, b) => a.tier - b.tier || Number(b.isInScope) - Number(a.isInScope) || (a.account < b.account ? -1 : 1))
  const unseen = await unseenTargets(db, now)
  const escalation = await escalationOf(db, identityId)
  return {
    reached,
    isComplete: unseen.length === 0,
    unseen,
    tier: escalation === null ? (reached[0]?.tier ?? null) : 0,
    isInScope: escalation !== null || reached.some((each) => each.isInScope),
    escalation,
  }
}

/** Only by what is its own: that somebody answers for what reaches tier 0 makes them no machine of tier 0. */
async function escalationOf(db: Db, identityId: string): Promise<string | null> {
  const own = await db
    .selectFrom('escalation')
    .select(['hops', 'goalId'])
    .where('id', '=', identityId)
    .where('edge', 'in', ['holds', 'linked', 'same-as'])
    .executeTakeFirst()
  if (!own) return null
  const steps = await stepsOf(db, (await walkToTier0(db, identityId)) ?? [])
  const way = steps.slice(0, NAMED).map(({ words, to }) => `${words} ${to.name}`)
  const more = steps.length > NAMED ? [`and ${steps.length - NAMED} more steps`] : []
  return `it comes to tier 0 in ${own.hops} steps: ${[...way, ...more].join(', which ')}`.slice(0, WORDS_MAX)
}

type Found = {
  readonly by: Reached['by']
  readonly target: string
  readonly account: string
  readonly environment: Reached['environment']
  readonly sensitivity: number
  readonly accountTier: number
  readonly actions: readonly Action[]
  /** As the survey read it, of the account or of a role it is in. */
  readonly isSuperuser: boolean
  readonly createsRoles: boolean
}

type Action = {
  readonly name: string
  readonly class: string
  readonly tier: number
  readonly tierElsewhere: number | null
}

/**
 * The rule. What may be read there counts whatever the verb: who only reads a store of secrets holds them afterwards. Administration counts by
 * its own tier too, and production is never of the lowest.
 */
function judged(found: Found): Reached {
  const { by, target, account, environment, actions, isSuperuser, createsRoles } = found
  const isProduction = environment === 'production'
  const exposes = Math.min(found.sensitivity, found.accountTier)
  const administers = isSuperuser || createsRoles || actions.some((action) => action.class === 'admin')
  const acts = actions.map(({ tier, tierElsewhere }) => (isProduction ? tier : (tierElsewhere ?? tier)))
  const rights = [...(isSuperuser ? [0] : []), ...(createsRoles ? [1] : [])]
  const does = [...acts, ...rights.map((right) => (isProduction ? right : right + 1))]
  const tier = Math.min(exposes, isProduction ? 2 : 3, ...does)
  const why = [
    ...(isProduction ? ['it is production'] : []),
    ...(exposes <= 1 ? [`what is read there is of tier ${exposes}`] : []),
    ...(administers ? [isSuperuser ? 'it is a superuser there' : 'it administers there'] : []),
  ]
  return {
    by,
    target,
    account,
    environment,
    exposes,
    administers,
    actions: actions.map(({ name }) => name).sort(),
    tier,
    isInScope: why.length > 0,
    fact: `${by === 'account' ? 'it holds' : 'it was granted'} ${account}@${target} (${environment}), which comes to tier ${tier}${why.length === 0 ? '' : `: ${why.join(', ')}`}`,
  }
}

async function accountsOf(db: Db, identityId: string): Promise<Found[]> {
  const rows = await db
    .selectFrom('account as a')
    .innerJoin('target as t', 't.id', 'a.targetId')
    .select(['a.id', 'a.name as account', 't.name as target', 't.environment', 't.sensitivity'])
    .where('a.identityId', '=', identityId)
    .where('a.state', '=', 'active')
    .where('t.state', '=', 'active')
    .orderBy('a.id')
    .execute()
  if (rows.length === 0) return []
  const actions = await db
    .selectFrom('accountRole as r')
    .innerJoin('privilegedAction as p', 'p.name', 'r.action')
    .innerJoin('account as a', 'a.id', 'r.accountId')
    .select(['r.accountId', 'p.name', 'p.class', 'p.tier', 'p.tierElsewhere'])
    .where('a.identityId', '=', identityId)
    .execute()
  const rights = await rightsOf(db, identityId)
  return rows.flatMap(({ id, ...row }) => {
    const right = rights.get(id)
    if (!right) return []
    return [{ ...row, ...right, by: 'account' as const, actions: actions.filter(({ accountId }) => accountId === id) }]
  })
}

type Rights = Pick<Found, 'accountTier' | 'isSuperuser' | 'createsRoles'>

/** What each account may by itself and by every role it is in at its target, or is lent there, directly or not. */
async function rightsOf(db: Db, identityId: string): Promise<ReadonlyMap<string, Rights>> {
  const { rows } = await sql<Rights & { readonly id: string }>`
    with recursive held (id, target_id, name) as (
      (select a.id, a.target_id, a.name from account a where a.identity_id = ${identityId}
        union
       select a.id, a.target_id, r.role from account a join account_role r on r.account_id = a.id where a.identity_id = ${identityId})
      union
      select h.id, h.target_id, role.name
        from held h
        join account x on x.target_id = h.target_id and x.name = h.name
       cross join lateral jsonb_array_elements_text(
         case jsonb_typeof(x.attributes -> 'memberOf') when 'array' then x.attributes -> 'memberOf' else '[]' end) role (name)
    )
    select h.id, min(x.tier) as "accountTier",
           bool_or(x.attributes @> '{"isSuperuser": true}') as "isSuperuser",
           bool_or(x.attributes @> '{"canCreateRole": true}') as "createsRoles"
      from held h join account x on x.target_id = h.target_id and x.name = h.name
     group by h.id`.execute(db)
  return new Map(rows.map(({ id, ...rights }) => [id, rights]))
}

async function grantsOf(db: Db, identityId: string, now: Date): Promise<Found[]> {
  const rows = await db
    .selectFrom('accessGrant as g')
    .innerJoin('account as a', 'a.id', 'g.accountId')
    .innerJoin('target as t', 't.id', 'g.targetId')
    .select([
      'a.id',
      'a.name as account',
      'a.tier as accountTier',
      'g.actions',
      't.name as target',
      't.environment',
      't.sensitivity',
    ])
    .where('g.subjectId', '=', identityId)
    .where('g.startsAt', '>', secondsAfter(now, -GRANTED_DAYS * DAY_SECONDS))
    .where('a.state', '=', 'active')
    .where('t.state', '=', 'active')
    .orderBy('g.startsAt', 'desc')
    .limit(GRANTS_READ)
    .execute()
  if (rows.length === 0) return []
  const names = [...new Set(rows.flatMap(({ actions }) => actions))]
  const known = await db
    .selectFrom('privilegedAction')
    .select(['name', 'class', 'tier', 'tierElsewhere'])
    .where('name', 'in', names)
    .execute()
  const byAccount = new Map<string, Found>()
  for (const { id, actions, ...row } of rows) {
    const all = new Set([...actions, ...(byAccount.get(id)?.actions ?? []).map(({ name }) => name)])
    byAccount.set(id, { ...row, by: 'grant', actions: known.filter(({ name }) => all.has(name)), ...NO_RIGHTS })
  }
  return [...byAccount.values()]
}

async function unseenTargets(db: Db, now: Date): Promise<string[]> {
  const rows = await db
    .selectFrom('target as t')
    .select('t.name')
    .where('t.state', '=', 'active')
    .where((row) =>
      row.not(
        row.exists(
          row
            .selectFrom('account as a')
            .select('a.id')
            .whereRef('a.targetId', '=', 't.id')
            .where('a.seenAt', '>', secondsAfter(now, -SURVEYED_DAYS * DAY_SECONDS)),
        ),
      ),
    )
    .orderBy('t.name')
    .limit(NAMED)
    .execute()
  return rows.map(({ name }) => name)
}
