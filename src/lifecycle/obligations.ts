import { sql } from 'kysely'
import { secondsAfter } from '../kernel/clock.ts'
import type { Db } from '../kernel/db.ts'
import type { AccountUse, Dependencies, Obligation } from './contract.ts'
import type { LifecycleNeeds } from './needs.ts'

/** Of each kind, this many are told by name; more than this and the case is open anyway. */
const MOST = 500
/** Accounts whose users are looked up, and users told of each. */
const MOST_LOOKED = 50
const MOST_USERS = 20
/** The longest life of an SVID. None is issued to who is suspended, and none is remembered by name. */
const SVID_SECONDS = 3600

/**
 * All that an identity held, each alive or known to be dead, as the record says it now. Nothing is remembered here: what comes up later (a token
 * that somebody issued in between) counts as well.
 */
export async function obligationsOf(
  db: Db,
  of: { caseId: string; identityId: string; now: Date },
): Promise<Obligation[]> {
  const { caseId, identityId, now } = of
  const svidsFrom = secondsAfter(now, -SVID_SECONDS)
  const { rows } = await sql<Obligation>`
    (select 'grant' as kind, g.id, 'a grant on ' || t.name as label, g.ended_at is not null as "isDead",
            coalesce('ended: ' || g.end_reason, 'the grant has to end') as evidence
       from access_grant g join target t on t.id = g.target_id
      where g.subject_id = ${identityId} or g.on_behalf_of_id = ${identityId}
      order by "isDead", g.id desc limit ${MOST})
    union all
    (select 'session', s.id, 'a session on ' || t.name, s.ended_at is not null,
            coalesce('ended: ' || s.end_reason, 'the session has to end')
       from session s join target t on t.id = s.target_id
      where s.subject_id = ${identityId}
      order by 4, s.id desc limit ${MOST})
    union all
    (select 'lease', l.id,
            l.principal || ' at ' || t.name || case when h.lease_id is null then '' else ', handed out until ' || coalesce(h.valid_before::text, 'its end') end, l.state = 'dead',
            case when l.state = 'dead' then 'refused when it was tried at ' || l.dead_at
                 when l.residual_before > ${now} then 'ended, and its target may take it until ' || l.residual_before
                 else coalesce('not proven dead: ' || left(l.last_error, 300), 'not proven dead yet') end
       from lease l join access_grant g on g.id = l.grant_id join target t on t.id = l.target_id
            left join issued_credential h on h.lease_id = l.id
      where g.subject_id = ${identityId} or g.on_behalf_of_id = ${identityId}
      order by 4, l.id desc limit ${MOST})
    union all
    (select 'token', k.id, left(k.label, 200), k.revoked_at is not null or k.expires_at <= ${now},
            case when k.revoked_at is not null then 'revoked' when k.expires_at <= ${now} then 'ran out' else 'the token has to end' end
       from api_token k
      where k.identity_id = ${identityId} or k.on_behalf_of_id = ${identityId}
      order by 4, k.id desc limit ${MOST})
    union all
    (select 'trust-rule', r.id, r.name, r.state = 'retired',
            case when r.state = 'retired' then 'retired' else 'another issuer can still prove it: reeve trust-rule retire' end
       from trust_rule r where r.identity_id = ${identityId} order by 4, r.id limit ${MOST})
    union all
    (select 'account', a.id, t.name || '/' || a.name, a.state = 'retired' or a.identity_id <> ${identityId},
            case when a.state = 'retired' then 'retired' else 'it stands at the target and is claimed by it: reeve account retire' end
       from account a join target t on t.id = a.target_id where a.identity_id = ${identityId} order by 4, a.id limit ${MOST})
    union all
    (select 'svid', i.id, 'SVIDs of ' || i.name, coalesce(c.suspended_at <= ${svidsFrom}, false),
            case when c.suspended_at <= ${svidsFrom} then 'none was issued since it was suspended, and those before it ran out'
                 else coalesce('run out by ' || (c.suspended_at + make_interval(secs => ${SVID_SECONDS})), 'it has to be suspended first') end
       from lifecycle_case c join identity i on i.id = c.identity_id
      where c.id = ${caseId} and i.kind <> 'human' and exists (select from spiffe_authority where signs_at is not null))
    union all
    (select i.kind, i.id, i.label, i.closed_at is not null,
            coalesce(i.evidence, case i.kind when 'login' then 'who left may know its secret: reeve rotation start'
                                             when 'deposit' then 'who left may know it: replace it where it is used, then reeve deposit put'
                                             else 'a connector still sees it there' end)
       from lifecycle_item i where i.case_id = ${caseId} order by 4, i.id limit 1000)`.execute(db)
  return rows
}

/** What hangs on an identity, and what it holds: for the person who decides whether it may go. */
export async function dependenciesOf(
  db: Db,
  needs: Pick<LifecycleNeeds, 'clock' | 'usersOf' | 'notSeen'>,
  identityId: string,
): Promise<Dependencies> {
  const now = needs.clock.now()
  const { rows } = await sql<Omit<Dependencies, 'lookedAt' | 'uses' | 'unseen' | 'moreUnseen'>>`
    select
      array(select o.name from identity o where o.owner_id = ${identityId} and o.state <> 'retired' and o.owner_state <> 'lost' order by 1 limit ${MOST}) as owns,
      array(select o.name from identity o where o.sponsor_id = ${identityId} and o.state not in ('retired', 'suspended') order by 1 limit ${MOST}) as sponsors,
      array(select t.name || '/' || a.name from account a join target t on t.id = a.target_id
             where a.identity_id = ${identityId} and a.state = 'active' order by 1 limit ${MOST}) as accounts,
      array(select r.name from trust_rule r where r.identity_id = ${identityId} and r.state = 'active' order by 1 limit ${MOST}) as "trustRules",
      (select count(*)::int from access_grant g where (g.subject_id = ${identityId} or g.on_behalf_of_id = ${identityId}) and g.ended_at is null) as "liveGrants",
      (select count(*)::int from session s where s.subject_id = ${identityId} and s.ended_at is null) as "openSessions",
      (select count(*)::int from lease l join access_grant g on g.id = l.grant_id
        where (g.subject_id = ${identityId} or g.on_behalf_of_id = ${identityId}) and l.state <> 'dead') as "openLeases",
      (select count(*)::int from api_token k where k.identity_id = ${identityId} and k.revoked_at is null and k.expires_at > ${now}) as "liveTokens",
      (select max(s.started_at) from session s where s.subject_id = ${identityId}) as "usedAt"`.execute(db)
  const [found] = rows
  if (!found) throw new Error('a row of counts was not there')
  const uses = await usesOf(db, needs, identityId)
  const unseen = uses.length > 0 ? await needs.notSeen?.(db) : undefined
  return { lookedAt: now, ...found, uses, ...(unseen ?? { unseen: [], moreUnseen: 0 }) }
}

/** Who would notice if its accounts went. */
async function usesOf(db: Db, { usersOf }: Pick<LifecycleNeeds, 'usersOf'>, identityId: string): Promise<AccountUse[]> {
  if (!usersOf) return []
  const { rows } = await sql<{ id: string; account: string }>`
    select a.id, t.name || '/' || a.name as account from account a join target t on t.id = a.target_id
     where a.identity_id = ${identityId} and a.state = 'active' order by 2 limit ${MOST_LOOKED}`.execute(db)
  const uses: AccountUse[] = []
  for (const { id, account } of rows) {
    const { consumers, more, ...use } = await usersOf(db, id)
    const told = consumers.slice(0, MOST_USERS)
    uses.push({ account, ...use, consumers: told, more: more + consumers.length - told.length })
  }
  return uses
}
