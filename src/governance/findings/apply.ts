import { sql, type Selectable } from 'kysely'
import type { Clock } from '../../kernel/clock.ts'
import { transact, type Db, type Tx } from '../../kernel/db.ts'
import { newId, type Random } from '../../kernel/random.ts'
import type { Database } from '../../kernel/schema.gen.ts'
import { SYSTEM, type Fact, type Ledger } from '../../ledger/ledger.ts'
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

const COUNTED = { reopen: 'reopened', restate: 'restated', fix: 'fixed' } as const
const NOT_ACCEPTED = { acceptedById: null, acceptedBecause: null, acceptedBefore: null, acceptedSeverity: null }

type Kept = Selectable<Database['finding']>
/** A verdict with what comes of it. */
type Due = { readonly judged: Judged; readonly step: Step; readonly row?: Kept }

/**
 * Makes of verdicts what comes of them, each with an entry. What is known already changes nothing and locks nothing: it is looked for first, and what
 * was due then is decided once more on rows that are held.
 */
export async function applyVerdicts(db: Db, needs: FindingNeeds, judged: readonly Judged[]): Promise<Counts> {
  const now = needs.clock.now()
  const seen = dueOf(judged, await keptOf(db, judged), now)
  if (seen.length === 0) return { opened: 0, reopened: 0, restated: 0, fixed: 0 }
  const isDue = new Set(seen.map((each) => each.judged.subject.id))
  const about = judged.filter(({ subject }) => isDue.has(subject.id))
  return transact(db, async (tx) => {
    const counts: Counts = { opened: 0, reopened: 0, restated: 0, fixed: 0 }
    const due = dueOf(about, await keptOf(tx, about, sql`order by id for update`), now)
    const [known, fresh] = [due.filter(({ row }) => row), due.filter(({ row }) => !row)]
    counts.opened += await openAll(tx, needs, fresh)
    await moveAll(tx, needs, known, now)
    for (const { step } of known) if (step.does !== 'open') counts[COUNTED[step.does]] += 1
    return counts
  })
}

/** What is kept of the subjects, by rule and subject. */
async function keptOf(db: Db, judged: readonly Judged[], end = sql``): Promise<Map<string, Kept>> {
  const subjects = `{${[...new Set(judged.map(({ subject }) => subject.id))].join()}}`
  const { rows } = await sql<Kept>`select * from finding where subject_id = any (${subjects}::uuid[]) ${end}`.execute(
    db,
  )
  return new Map(rows.map((row) => [`${row.rule} ${row.subjectId}`, row]))
}

function dueOf(judged: readonly Judged[], kept: ReadonlyMap<string, Kept>, now: Date): Due[] {
  const due: Due[] = []
  for (const each of judged) {
    const row = kept.get(`${each.rule} ${each.subject.id}`)
    const before = row && {
      ...findingOf(row),
      acceptedSeverity: row.acceptedSeverity === null ? null : severityAt(row.acceptedSeverity),
    }
    const step = stepOf(before, each.verdict, now)
    if (step) due.push({ judged: each, step, ...(row && { row }) })
  }
  return due
}

type Found = Extract<Verdict, { readonly is: 'found' }>

/** How many there are more now; where another worker was first, the row of it counts. */
async function openAll(tx: Tx, needs: FindingNeeds, due: readonly Due[]): Promise<number> {
  const fresh = due.flatMap(({ judged: { verdict, ...of } }) =>
    verdict.is === 'found' ? [{ ...of, verdict, id: newId(needs.clock, needs.random) }] : [],
  )
  if (fresh.length === 0) return 0
  const causes = await needs.ledger.recordAll(
    tx,
    fresh.map(({ id, rule, kind, subject, verdict }) => ({
      event: findingOpened,
      ...bySystem(id),
      facts: { rule, subjectKind: kind, subjectId: subject.id, ...said(verdict) },
    })),
  )
  const openedAt = needs.clock.now()
  const values = fresh.map(({ id, rule, kind, subject, verdict }, at) => ({
    id,
    rule,
    subjectKind: kind,
    subjectId: subject.id,
    state: 'open' as const,
    openedAt,
    cause: causeAt(causes, at),
    ...standsOn(subject, verdict),
  }))
  let opened = 0n
  for (let from = 0; from < values.length; from += MOST_AT_ONCE) {
    const { numInsertedOrUpdatedRows } = await tx
      .insertInto('finding')
      .values(values.slice(from, from + MOST_AT_ONCE))
      .onConflict((conflict) => conflict.columns(['rule', 'subjectId']).doNothing())
      .executeTakeFirst()
    opened += numInsertedOrUpdatedRows ?? 0n
  }
  return Number(opened)
}

/** Rows of one statement: a dozen parameters each, and the protocol counts them in 16 bits. */
const MOST_AT_ONCE = 1_000

/** The rows are locked by who calls, and there; one statement gives all of them what they come to. */
async function moveAll(tx: Tx, needs: FindingNeeds, due: readonly Due[], now: Date): Promise<void> {
  const moves = due.flatMap(({ row, ...of }) => (row ? [moved(row, of, now)] : []))
  if (moves.length === 0) return
  const causes = await needs.ledger.recordAll(
    tx,
    moves.map(({ fact }) => fact),
  )
  const rows = moves.map(({ values }, at) => ({ ...values, cause: causeAt(causes, at) }))
  await sql`
    update finding f set version = f.version + 1, (state, severity, evidence, uncertainty, found_at, fixed_at, reopened_because,
           accepted_by_id, accepted_because, accepted_before, accepted_severity, subject_name, identity_id, cause)
         = (m.state, m.severity, m.evidence, m.uncertainty, m."foundAt", m."fixedAt", m."reopenedBecause",
           m."acceptedById", m."acceptedBecause", m."acceptedBefore", m."acceptedSeverity", m."subjectName", m."identityId", m.cause)
      from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb)
           m (id uuid, state text, severity int, evidence jsonb, uncertainty jsonb, "foundAt" timestamptz, "fixedAt" timestamptz,
              "reopenedBecause" text, "acceptedById" uuid, "acceptedBecause" text, "acceptedBefore" timestamptz, "acceptedSeverity" int,
              "subjectName" text, "identityId" uuid, cause bigint)
     where f.id = m.id`.execute(tx)
}

function causeAt(causes: readonly number[], at: number): number {
  const cause = causes[at]
  if (cause === undefined) throw new Error('a change of a finding has no entry')
  return cause
}

/** A kept finding after a step, and the entry of that. */
function moved(row: Kept, { judged, step }: Omit<Due, 'row'>, now: Date): { values: Omit<Kept, 'cause'>; fact: Fact } {
  const { rule, kind, subject, verdict } = judged
  const { cause: _cause, ...before } = row
  const stands = verdict.is === 'found' ? { ...before, ...standing(subject, verdict) } : before
  const by = bySystem(row.id)
  if (step.does === 'fix') {
    return {
      fact: { event: findingFixed, ...by, facts: { rule } },
      values: { ...stands, state: 'fixed', fixedAt: now, reopenedBecause: null, ...NOT_ACCEPTED },
    }
  }
  if (step.does === 'reopen') {
    const severity = verdict.is === 'found' ? verdict.severity : severityAt(row.severity)
    return {
      fact: { event: findingReopened, ...by, facts: { rule, severity, because: step.because } },
      values: { ...stands, state: 'reopened', reopenedBecause: step.because, fixedAt: null, ...NOT_ACCEPTED },
    }
  }
  if (verdict.is !== 'found') throw new Error('only what is found is restated')
  const facts = { rule, subjectKind: kind, subjectId: subject.id, ...said(verdict) }
  return { fact: { event: findingRestated, ...by, facts }, values: stands }
}

function bySystem(id: string) {
  return { actor: SYSTEM, resource: { type: 'Finding', id }, outcome: 'done' as const }
}

const MOST_SENTENCES = 20

function said({ severity, evidence, uncertainty }: Found) {
  return { severity, evidence: evidence.slice(0, MOST_SENTENCES), uncertainty: uncertainty.slice(0, MOST_SENTENCES) }
}

function standing(subject: Subject, verdict: Found) {
  return {
    subjectName: subject.name,
    identityId: subject.identityId,
    severity: rankOf(verdict.severity),
    evidence: verdict.evidence,
    uncertainty: verdict.uncertainty,
    foundAt: verdict.readAt,
  }
}

/** As an insert takes it: lists as JSON texts. */
function standsOn(subject: Subject, verdict: Found) {
  const { evidence, uncertainty, ...rest } = standing(subject, verdict)
  return { ...rest, evidence: JSON.stringify(evidence), uncertainty: JSON.stringify(uncertainty) }
}
