import type { Clock } from '../../kernel/clock.ts'
import type { Tx } from '../../kernel/db.ts'
import { newId, type Random } from '../../kernel/random.ts'
import { SYSTEM, type Ledger } from '../../ledger/ledger.ts'
import { findingFixed, findingOpened, findingReopened, findingRestated } from './events.ts'
import { findingOf, rankOf, severityAt } from './records.ts'
import type { Subject, SubjectKind, Verdict } from './rule.ts'
import { stepOf, type Step } from './state.ts'

export type FindingNeeds = { readonly clock: Clock; readonly random: Random; readonly ledger: Ledger }

/** What one rule said of one subject. */
export type Judged = {
  readonly rule: string
  readonly kind: SubjectKind
  readonly subject: Subject
  readonly verdict: Verdict
}
export type Counts = { opened: number; reopened: number; restated: number; fixed: number }

const COUNTED = { open: 'opened', reopen: 'reopened', restate: 'restated', fix: 'fixed' } as const
const NOT_ACCEPTED = { acceptedById: null, acceptedBecause: null, acceptedBefore: null, acceptedSeverity: null }

/** Makes of verdicts what comes of them, each with an entry; what is known already changes nothing. */
export async function applyVerdicts(
  tx: Tx,
  needs: FindingNeeds,
  judged: readonly Judged[],
  counts: Counts,
): Promise<void> {
  const subjects = [...new Set(judged.map(({ subject }) => subject.id))]
  if (subjects.length === 0) return
  const rows = await tx.selectFrom('finding').selectAll().where('subjectId', 'in', subjects).forUpdate().execute()
  const kept = new Map(rows.map((row) => [`${row.rule} ${row.subjectId}`, row]))
  const now = needs.clock.now()
  for (const each of judged) {
    const row = kept.get(`${each.rule} ${each.subject.id}`)
    const before = row && {
      ...findingOf(row),
      acceptedSeverity: row.acceptedSeverity === null ? null : severityAt(row.acceptedSeverity),
    }
    const step = stepOf(before, each.verdict, now)
    if (!step) continue
    const isDone = row ? await move(tx, needs, each, { id: row.id, step, now }) : await open(tx, needs, each)
    if (isDone) counts[COUNTED[step.does]] += 1
  }
}

type Found = Extract<Verdict, { readonly is: 'found' }>

/** False where another worker was first: the row of it counts. */
async function open(tx: Tx, needs: FindingNeeds, { rule, kind, subject, verdict }: Judged): Promise<boolean> {
  if (verdict.is !== 'found') return false
  const id = newId(needs.clock, needs.random)
  const cause = await needs.ledger.record(tx, {
    event: findingOpened,
    ...bySystem(id),
    facts: { rule, subjectKind: kind, subjectId: subject.id, ...said(verdict) },
  })
  const { numInsertedOrUpdatedRows } = await tx
    .insertInto('finding')
    .values({
      id,
      rule,
      subjectKind: kind,
      subjectId: subject.id,
      state: 'open',
      openedAt: needs.clock.now(),
      cause,
      ...standsOn(subject, verdict),
    })
    .onConflict((conflict) => conflict.columns(['rule', 'subjectId']).doNothing())
    .executeTakeFirst()
  return numInsertedOrUpdatedRows === 1n
}

type Move = { readonly id: string; readonly step: Step; readonly now: Date }

/** The row is locked by who calls. */
async function move(tx: Tx, needs: FindingNeeds, judged: Judged, { id, step, now }: Move): Promise<boolean> {
  const { rule, kind, subject, verdict } = judged
  const facts = verdict.is === 'found' ? standsOn(subject, verdict) : {}
  const set = (cause: number, values: object) =>
    tx
      .updateTable('finding')
      .set((is) => ({ ...facts, ...values, cause, version: is('version', '+', 1) }))
      .where('id', '=', id)
      .execute()
  if (step.does === 'fix') {
    const cause = await needs.ledger.record(tx, { event: findingFixed, ...bySystem(id), facts: { rule } })
    await set(cause, { state: 'fixed', fixedAt: now, reopenedBecause: null, ...NOT_ACCEPTED })
  } else if (step.does === 'reopen') {
    const { because } = step
    const severity = verdict.is === 'found' ? verdict.severity : await severityOf(tx, id)
    const facts_ = { rule, severity, because }
    const cause = await needs.ledger.record(tx, { event: findingReopened, ...bySystem(id), facts: facts_ })
    await set(cause, { state: 'reopened', reopenedBecause: because, fixedAt: null, ...NOT_ACCEPTED })
  } else if (verdict.is === 'found') {
    const stands = { rule, subjectKind: kind, subjectId: subject.id, ...said(verdict) }
    await set(await needs.ledger.record(tx, { event: findingRestated, ...bySystem(id), facts: stands }), {})
  }
  return true
}

function bySystem(id: string) {
  return { actor: SYSTEM, resource: { type: 'Finding', id }, outcome: 'done' as const }
}

const MOST_SENTENCES = 20

function said({ severity, evidence, uncertainty }: Found) {
  return { severity, evidence: evidence.slice(0, MOST_SENTENCES), uncertainty: uncertainty.slice(0, MOST_SENTENCES) }
}

function standsOn(subject: Subject, verdict: Found) {
  return {
    subjectName: subject.name,
    identityId: subject.identityId,
    severity: rankOf(verdict.severity),
    evidence: JSON.stringify(verdict.evidence),
    uncertainty: JSON.stringify(verdict.uncertainty),
    foundAt: verdict.readAt,
  }
}

async function severityOf(tx: Tx, id: string) {
  const { severity } = await tx.selectFrom('finding').select('severity').where('id', '=', id).executeTakeFirstOrThrow()
  return severityAt(severity)
}
