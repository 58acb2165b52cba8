import { sql } from 'kysely'
import { secondsAfter } from '../../kernel/clock.ts'
import type { Db } from '../../kernel/db.ts'
import type { Target } from '../../catalog/contract.ts'
import type { ActionFriction, FrictionReport } from './schemas.ts'

const DAY_SECONDS = 86_400

/**
 * What access to a target cost, by action, from rows: nothing is estimated. What is not in rows is said in the warnings, so that an
 * operator who reads zeros knows what they are zeros of.
 */
export async function readFriction(db: Db, target: Target, now: Date, days: number): Promise<FrictionReport> {
  const from = secondsAfter(now, -days * DAY_SECONDS)
  const within = { targetId: target.id, from, to: now }
  const items = await byAction(db, within)
  const { ended, jobs, open } = await sessionsOf(db, within)
  return {
    targetId: target.id,
    target: target.name,
    mode: target.mode,
    from,
    to: now,
    items,
    sessionsEnded: ended,
    jobsEnded: jobs,
    warnings: warningsOf(target, { from, open, isCut: items.length === MOST_ACTIONS }),
  }
}

/** As the schema has it; the catalog of one protocol has a tenth. */
const MOST_ACTIONS = 200

type Within = { readonly targetId: string; readonly from: Date; readonly to: Date }

async function byAction(db: Db, { targetId, from, to }: Within): Promise<ActionFriction[]> {
  const { rows } = await sql<ActionFriction>`
    with asked as (
      select r.*, a.action, extract(epoch from r.decided_at - r.created_at)::float8 as waited
      from access_request r, unnest(r.actions) as a(action)
      where r.target_id = ${targetId} and r.created_at >= ${from} and r.created_at < ${to}
    ), refused as (
      select f.subject_id, f.account_id, f.at, a.action
      from access_refusal f, unnest(f.actions) as a(action)
      where f.target_id = ${targetId} and f.at >= ${from} and f.at < ${to}
      union all
      select subject_id, account_id, decided_at, action from asked where state in ('denied', 'expired', 'void')
    ), requests as (
      select action,
        count(*) as asked,
        count(*) filter (where state = 'granted' and waited > 0) as waited,
        percentile_cont(0.5) within group (order by waited) filter (where state = 'granted' and waited > 0) as median,
        max(waited) filter (where state = 'granted' and waited > 0) as longest,
        count(*) filter (where state = 'expired') as unanswered,
        count(*) filter (where cardinality(waived) > 0) as waived
      from asked group by action
    ), refusals as (
      select f.action, count(*) as refused,
        count(*) filter (where exists (
          select from access_request r
          where r.subject_id = f.subject_id and r.account_id = f.account_id and f.action = any(r.actions)
            and r.state = 'granted' and r.decided_at > f.at)) as later
      from refused f group by f.action
    ), uses as (
      select u.id, s.kind
      from access_grant g
      join grant_use u on u.grant_id = g.id
      join identity s on s.id = g.subject_id
      where g.target_id = ${targetId} and u.closed_at >= ${from} and u.closed_at < ${to}
    ), operations as (
      select f.action,
        coalesce(sum(f.count) filter (where f.outcome = 'refused'), 0) as refused,
        coalesce(sum(f.count) filter (where f.outcome = 'would-refuse'), 0) as would,
        count(distinct u.id) filter (where f.outcome = 'refused' and u.kind <> 'human') as jobs
      from uses u join use_refusal f on f.use_id = u.id group by f.action
    ), holds as (
      select h.action, count(*) as held, count(*) filter (where h.state in ('refused', 'expired', 'dropped')) as vain
      from held_operation h join access_grant g on g.id = h.grant_id
      where g.target_id = ${targetId} and h.created_at >= ${from} and h.created_at < ${to} group by h.action
    ), actions as (
      select action from requests union select action from refusals union select action from operations union select action from holds
    )
    select a.action,
      coalesce(r.asked, 0)::int as asked, coalesce(r.waited, 0)::int as waited,
      r.median as "medianWait", r.longest as "longestWait",
      coalesce(r.unanswered, 0)::int as unanswered,
      coalesce(f.refused, 0)::int as refused, coalesce(f.later, 0)::int as "grantedLater",
      coalesce(r.waived, 0)::int as waived,
      coalesce(o.refused, 0)::int as "operationsRefused", coalesce(o.would, 0)::int as "wouldRefuse",
      coalesce(h.held, 0)::int as held, coalesce(h.vain, 0)::int as "heldInVain",
      coalesce(o.jobs, 0)::int as "jobsBroken"
    from actions a
    left join requests r using (action)
    left join refusals f using (action)
    left join operations o using (action)
    left join holds h using (action)
    order by a.action
    limit ${MOST_ACTIONS}`.execute(db)
  return rows
}

async function sessionsOf(db: Db, { targetId, from, to }: Within) {
  const { rows } = await sql<{ ended: number; jobs: number; open: number }>`
    select
      count(*) filter (where g.end_reason in ('policy-changed', 'risk-rose', 'signal-received') and g.ended_at >= ${from} and g.ended_at < ${to} and g.uses > 0)::int as ended,
      count(*) filter (where g.end_reason in ('policy-changed', 'risk-rose', 'signal-received') and g.ended_at >= ${from} and g.ended_at < ${to} and g.uses > 0
                       and s.kind <> 'human')::int as jobs,
      (select count(*) from grant_use u join access_grant l on l.id = u.grant_id
       where l.target_id = ${targetId} and l.ended_at is null and u.state = 'live')::int as open
    from access_grant g join identity s on s.id = g.subject_id
    where g.target_id = ${targetId}`.execute(db)
  return rows[0] ?? { ended: 0, jobs: 0, open: 0 }
}

function warningsOf(
  target: Target,
  known: { readonly from: Date; readonly open: number; readonly isCut: boolean },
): string[] {
  const { from, open, isCut } = known
  return [
    ...(target.createdAt > from
      ? [`The target is registered since ${target.createdAt.toISOString()}; before, there is nothing to count.`]
      : []),
    ...(open > 0 ? [`${open} session(s) are open: what they are refused is counted when they close.`] : []),
    ...(isCut ? [`Only the first ${MOST_ACTIONS} actions are shown.`] : []),
    'Not counted: operations of sessions whose node died, uses refused at the gateway (grant.use-refused in the ledger), and whoever did not ask at all.',
  ]
}
