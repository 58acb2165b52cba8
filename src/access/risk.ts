import { sql } from 'kysely'
import type { Db } from '../kernel/db.ts'
import type { ActionEntry } from '../catalog/contract.ts'
import { assessRisk, explainRisk, type PastUse, type Risk } from '../policy/policy.ts'
import { placeOf } from './address.ts'
import type { Asked } from './asked.ts'
import type { RiskShown, RiskTold } from './contract.ts'
import type { AccessNeeds } from './needs.ts'
import { signalsInForce } from './signals/records.ts'
import { findingsOf, standingsOf, type Standings } from './standing.ts'

/** What of a request its risk is read from. */
export type Risky = {
  readonly chain: Pick<Asked['chain'], 'subject' | 'onBehalfOf' | 'proof'>
  readonly target: Pick<Asked['target'], 'id' | 'name' | 'environment' | 'sensitivity'>
  readonly account: Pick<Asked['account'], 'tier'>
}

/**
 * The risk of acting now. It belongs to the moment: the same request has another one tomorrow, so it is context for the decision and
 * never part of what an approval binds (core 6), or the passing of time alone would void every pending request. A policy or a gate
 * that asks for it is bound, by its text.
 */
export async function riskOfAct(
  db: Db,
  needs: Pick<AccessNeeds, 'clock' | 'calendar' | 'decisions' | 'standing'>,
  { chain, target, account }: Risky,
  act: {
    readonly entries: readonly Pick<ActionEntry, 'name' | 'tier' | 'tierElsewhere'>[]
    readonly address: string | undefined
  },
): Promise<RiskOfAct> {
  const now = needs.clock.now()
  const { subject, onBehalfOf, proof } = chain
  const tier = Math.min(target.sensitivity, account.tier)
  const standings = await standingsOf(db, needs.standing, chain, { tier, now })
  const identityIds = [subject.id, ...(onBehalfOf === null ? [] : [onBehalfOf.id])]
  const signals = await signalsInForce(db, { identityIds, targetId: target.id }, now)
  const { credentialSince, history } = await habitsOf(db, subject.id, now)
  const where = { target: target.name, environment: target.environment }
  const risk = assessRisk(needs.decisions.riskModel(), {
    now,
    target,
    tier,
    actions: act.entries.map(({ name, tier, tierElsewhere }) => ({
      name,
      tier: target.environment === 'production' ? tier : (tierElsewhere ?? tier),
    })),
    subject,
    proof,
    credentialSince,
    history,
    place: act.address === undefined ? null : placeOf(act.address),
    window: needs.calendar.window(where, now),
    isFrozen: needs.calendar.isFrozen(where, now),
    delegations: onBehalfOf === null ? 0 : 1,
    findings: findingsOf(standings),
    signals,
  })
  const reported = signals.filter(({ of }) => of === 'identity').map(({ type }) => type)
  return { risk, standings, reported: [...new Set(reported)].sort() }
}

/** The risk of an act, and what it was read from that policies ask about by itself. */
export type RiskOfAct = {
  readonly risk: Risk
  readonly standings: Standings
  /** Types of the signals in force about who acts, or whom it acts for. */
  readonly reported: readonly string[]
}

/** So much of the past is looked at, whatever there is: a service that connects all day costs no more than a person. */
const GRANTS_READ = 20
const USES_READ = 20

type Habits = { readonly credentialSince: Date | null; readonly history: readonly PastUse[] }

async function habitsOf(db: Db, subjectId: string, now: Date): Promise<Habits> {
  const token = await db
    .selectFrom('apiToken')
    .select('createdAt')
    .where('identityId', '=', subjectId)
    .where('revokedAt', 'is', null)
    .where('expiresAt', '>', now)
    .orderBy('createdAt')
    .limit(1)
    .executeTakeFirst()
  const { rows } = await sql<{ at: Date; address: string; state: string }>`
    select u.reserved_at as at, u.address, u.state
    from (
      select id from access_grant
      where subject_id = ${subjectId}
      order by starts_at desc
      limit ${GRANTS_READ}
    ) g
    cross join lateral (
      select reserved_at, address, state from grant_use
      where grant_id = g.id and state in ('live', 'closed')
      order by reserved_at desc
      limit ${USES_READ}
    ) u`.execute(db)
  const history = rows.map(({ at, address, state }) => ({ at, place: placeOf(address), isOver: state === 'closed' }))
  return { credentialSince: token?.createdAt ?? null, history }
}

/** As it is shown to whoever asks or approves. */
export function riskShown(risk: Risk): RiskShown {
  return { ...riskTold(risk), sentences: explainRisk(risk), factors: risk.factors.map((factor) => ({ ...factor })) }
}

/** As it stands in an entry: enough to compute it again with that model. */
export function riskTold(risk: Risk): RiskTold {
  const { score, low, high, model, factors } = risk
  return {
    score,
    low,
    high,
    model: { ...model },
    factors: factors.map(({ name, weight, value }) => ({ name, weight, value })),
  }
}
