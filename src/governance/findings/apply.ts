import { sql, type Selectable } from 'kysely'
import type { Clock } from '../../kernel/clock.ts'
import { copyLine } from '../../kernel/copy.ts'
import { copyInto, transact, violatedConstraint, type Db, type Tx } from '../../kernel/db.ts'
import { newId, type Random } from '../../kernel/random.ts'
import type { Database } from '../../kernel/schema.gen.ts'
import { SYSTEM, type Fact, type Ledger } from '../../ledger/ledger.ts'
import { findingFixed, findingOpened, findingReopened, findingRestated } from './events.ts'
import { keptFinding, keptOf, type KeptFinding } from './kept.ts'
import { rankOf, severityAt } from './records.ts'
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
/** How often what another worker wrote first is looked at again. */
const AGAIN = 3

type Row = Selectable<Database['finding']>
/** A verdict with what comes of it, and the finding that there is of it already. */
export type Due = { readonly judged: Judged; readonly step: Step; readonly kept?: KeptFinding }

/** What comes of a verdict beside what is kept of its subject; nothing where it is known already. */
export function dueOf(judged: Judged, ofSubject: readonly KeptFinding[] | undefined, now: Date): Due | undefined {
  const kept = ofSubject?.find(({ rule }) => rule === judged.rule)
  const step = comesOf(kept, judged, now)
  return step && { judged, step, ...(kept && { kept }) }
}

/** What was claimed, linked or renamed since is the same finding of somebody else: a combination looks at it by whose it is. */
function comesOf(kept: KeptFinding | undefined, { subject, verdict }: Judged, now: Date): Step | undefined {
  const step = stepOf(kept, verdict, now)
  if (step || !kept || kept.state === 'fixed' || verdict.is !== 'found') return step
  return kept.identityId === subject.identityId && kept.subjectName === subject.name ? undefined : { does: 'restate' }
}

/** Makes of verdicts what comes of them, each with an entry. What is moved is decided once more on rows that are held. */
export async function applyDue(db: Db, needs: FindingNeeds, due: readonly Due[]): Promise<Counts> {
  if (due.length === 0) return { opened: 0, reopened: 0, restated: 0, fixed: 0 }
  for (let left = AGAIN, seen = due; ; left -= 1) {
    try {
      const held = seen
      return await transact(db, (tx) => applyIn(tx, needs, held))
    } catch (error) {
      // Another worker opened one of them: what it found counts, and no entry of ours says otherwise.
      if (left === 0 || violatedConstraint(error) !== 'one_per_rule_and_subject') throw error
      const judged = due.map((each) => each.judged)
      const kept = await keptOf(
        db,
        judged.map(({ subject }) => subject.id),
      )
      const now = needs.clock.now()
      seen = judged.flatMap((each) => dueOf(each, kept.get(each.subject.id), now) ?? [])
    }
  }
}

async function applyIn(tx: Tx, needs: FindingNeeds, due: readonly Due[]): Promise<Counts> {
  const counts: Counts = { opened: 0, reopened: 0, restated: 0, fixed: 0 }
  const now = needs.clock.now()
  const rows = await held(
    tx,
    due.flatMap(({ kept }) => kept?.id ?? []),
  )
  const moves = due.flatMap(({ judged, kept }) => {
    const row = kept && rows.get(kept.id)
    const step = row && comesOf(keptFinding(row), judged, now)
    if (!row || !step || step.does === 'open') return []
    counts[COUNTED[step.does]] += 1
    return [moved(row, { judged, step }, now)]
  })
  await moveAll(tx, needs, moves)
  counts.opened = await openAll(
    tx,
    needs,
    due.flatMap(({ judged, kept }) => (kept ? [] : judged)),
  )
  return counts
}

async function held(tx: Tx, ids: readonly string[]): Promise<Map<string, Row>> {
  if (ids.length === 0) return new Map()
  const { rows } = await sql<Row>`
    select * from finding where id = any (${`{${ids.join()}}`}::uuid[]) order by id for update`.execute(tx)
  return new Map(rows.map((row) => [row.id, row]))
}

type Found = Extract<Verdict, { readonly is: 'found' }>

const COLUMNS = [
  'id',
  'rule',
  'subject_kind',
  'subject_id',
  'subject_name',
  'identity_id',
  'severity',
  'evidence',
  'uncertainty',
  'state',
  'opened_at',
  'found_at',
  'cause',
]

/** How many there are more now. */
async function openAll(tx: Tx, needs: FindingNeeds, judged: readonly Judged[]): Promise<number> {
  const fresh = judged.flatMap(({ verdict, ...of }) =>
    verdict.is === 'found' ? [{ ...of, verdict, id: newId(needs.clock, needs.random) }] : [],
  )
  const causes = await needs.ledger.recordAll(
    tx,
    fresh.map(({ id, rule, kind, subject, verdict }) => ({
      event: findingOpened,
      ...bySystem(id),
      facts: { rule, subjectKind: kind, subjectId: subject.id, ...said(verdict) },
    })),
  )
  const openedAt = needs.clock.now()
  const lines = fresh.map(({ id, rule, kind, subject, verdict }, at) => {
    const { severity, evidence, uncertainty, readAt } = verdict
    const stands = [rankOf(severity), JSON.stringify(evidence), JSON.stringify(uncertainty)]
    const of = [kind, subject.id, subject.name, subject.identityId]
    return copyLine([id, rule, ...of, ...stands, 'open', openedAt, readAt, causeAt(causes, at)])
  })
  await copyInto(tx, { table: 'finding', columns: COLUMNS }, lines)
  return fresh.length
}

type Moved = { readonly values: Omit<Row, 'cause'>; readonly fact: Fact }

/** The rows are locked by who calls, and there; one statement gives all of them what they come to. */
async function moveAll(tx: Tx, needs: FindingNeeds, moves: readonly Moved[]): Promise<void> {
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
function moved(row: Row, { judged, step }: Omit<Due, 'kept'>, now: Date): Moved {
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
