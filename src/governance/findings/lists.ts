import { sql } from 'kysely'
import { findIdentity, tiedPeople } from '../../identities/identities.ts'
import { coverageOf } from '../../inventory/inventory.ts'
import type { Clock } from '../../kernel/clock.ts'
import type { Db } from '../../kernel/db.ts'
import { linkTo } from '../../kernel/entity.ts'
import { beyond, decodeCursor, page, type CursorValue } from '../../kernel/http/cursor.ts'
import type { Resource } from '../../kernel/http/route.ts'
import { notFound } from '../../kernel/problem.ts'
import { Looks, type FindingDetail, type FindingPage, type FindingQuery } from './contract.ts'
import { CONTROLS_OF } from './frameworks.ts'
import { findingsOf, oneFinding, rankOf } from './records.ts'
import { SEVERITIES } from './rule.ts'
import { ruleOf } from './rules/index.ts'

const SHOWN = 50

/** The worst first. Beside them what the rules could not judge and what sources did not show: an empty list alone says nothing. */
export async function listFindings(db: Db, clock: Clock, query: FindingQuery): Promise<FindingPage> {
  const { cursor, limit, state, severity, rule, identity } = query
  let rows = db.selectFrom('finding').selectAll()
  rows = state === undefined ? rows.where('state', '<>', 'fixed') : rows.where('state', '=', state)
  if (severity !== undefined) rows = rows.where('severity', '=', rankOf(severity))
  if (rule !== undefined) rows = rows.where('rule', '=', rule)
  if (identity !== undefined) rows = rows.where('identityId', '=', (await findIdentity(db, identity)).id)
  if (cursor !== undefined) rows = rows.where(beyond(['severity', 'id'], placeOf(cursor)))
  const found = await rows
    .orderBy('severity')
    .orderBy('id')
    .limit(limit + 1)
    .execute()
  const { items, nextCursor } = page(found, limit, (row) => [row.severity, row.id])
  const pass = await db.selectFrom('findingPass').select(['beganAt', 'endedAt', 'looks']).executeTakeFirst()
  return {
    items: await findingsOf(db, items),
    nextCursor,
    pass: pass ? { ...pass, looks: Looks.parse(pass.looks) } : null,
    coverage: await coverageOf(db, clock),
  }
}

/** A made-up severity is taken for the nearest place that there is: the column holds small numbers only. */
function placeOf(cursor: string): CursorValue[] {
  const [severity, id = ''] = decodeCursor(cursor, ['number', 'id'])
  return [Math.min(Math.max(Number(severity), -1), SEVERITIES.length), id]
}

/** Throws `notFound`. */
export async function readFinding(db: Db, id: string): Promise<FindingDetail> {
  const finding = await oneFinding(db, await mustLoad(db, id))
  const history = await db
    .selectFrom('ledgerEntry')
    .select(['at', 'kind', 'actorId'])
    .where('resourceId', '=', id)
    .orderBy('id', 'desc')
    .limit(SHOWN)
    .execute()
  const { why = '', needs = '', fix = '', control = '', owasp } = ruleOf(finding.rule) ?? {}
  const frameworks = owasp
    ? Object.fromEntries(Object.entries(CONTROLS_OF[owasp]).map(([name, ids]) => [name, [...ids]]))
    : {}
  return { ...finding, why, needs, fix, control, frameworks, history }
}

export async function mustLoad(db: Db, id: string) {
  const row = await db.selectFrom('finding').selectAll().where('id', '=', id).executeTakeFirst()
  if (!row) throw notFound('There is no such finding.', { type: 'Finding', id })
  return row
}

/** What is open on an identity and on what it holds, the worst first: what was accepted for now does not count. */
export async function openOn(db: Db, identityId: string): Promise<{ id: string; rule: string; severity: number }[]> {
  return db
    .selectFrom('finding')
    .select(['id', 'rule', 'severity'])
    .where('identityId', '=', identityId)
    .where('state', 'in', ['open', 'reopened'])
    .orderBy('severity')
    .orderBy('id')
    .limit(SHOWN)
    .execute()
}

/** What policies know of a finding: how grave, and who is not to decide over it alone, being its owner. */
export async function findingResource(db: Db, id: string): Promise<Resource> {
  const { rule, severity, state, identityId, subjectId } = await mustLoad(db, id)
  const { rows } = await sql<{ team: string | null }>`
    select coalesce(
      (select i.owner_team from identity i where i.id = ${identityId}),
      (select t.owner_team from account a join target t on t.id = a.target_id where a.id = ${subjectId}),
      (select s.owner_team from source s join source_scope c on c.source_id = s.id where c.id = coalesce(
        (select p.scope_id from observed_principal p where p.id = ${subjectId}),
        (select k.scope_id from observed_credential k where k.id = ${subjectId}),
        (select r.scope_id from observed_trust r where r.id = ${subjectId}),
        (select g.scope_id from observed_grant g where g.id = ${subjectId}),
        (select o.scope_id from observed_resource o where o.id = ${subjectId})))) as team`.execute(db)
  const team = rows[0]?.team ?? null
  const tiedIds = identityId === null ? [] : [...(await tiedPeople(db, identityId))]
  return {
    type: 'Finding',
    id,
    attributes: { id, rule, state, severity, tiedIds, ...(team !== null && { ownerTeam: linkTo('Team', team) }) },
  }
}
