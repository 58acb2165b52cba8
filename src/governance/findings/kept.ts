import { sql, type Selectable } from 'kysely'
import type { Db } from '../../kernel/db.ts'
import type { Database } from '../../kernel/schema.gen.ts'
import { sentencesOf, severityAt } from './records.ts'
import type { Kept } from './state.ts'

/** What is kept of a finding, as far as a verdict is compared with it. */
export type KeptFinding = Kept & {
  readonly id: string
  readonly rule: string
  readonly subjectName: string
  readonly identityId: string | null
}

const COMPARED = [
  'id',
  'rule',
  'subjectId',
  'subjectName',
  'identityId',
  'state',
  'severity',
  'foundAt',
  'evidence',
  'uncertainty',
  'acceptedBefore',
  'acceptedSeverity',
] as const
type Row = Pick<Selectable<Database['finding']>, (typeof COMPARED)[number]>

/** What is kept of these subjects. */
export async function keptOf(db: Db, subjects: readonly string[]): Promise<ReadonlyMap<string, KeptFinding[]>> {
  const { rows } = await sql<Row>`
    select id, rule, subject_id as "subjectId", subject_name as "subjectName", identity_id as "identityId", state, severity, found_at as "foundAt", evidence, uncertainty,
           accepted_before as "acceptedBefore", accepted_severity as "acceptedSeverity"
      from finding where subject_id = any (${`{${subjects.join()}}`}::uuid[])`.execute(db.withoutPlugins())
  const kept = new Map<string, KeptFinding[]>()
  for (const row of rows) {
    const others = kept.get(row.subjectId)
    if (others) others.push(keptFinding(row))
    else kept.set(row.subjectId, [keptFinding(row)])
  }
  return kept
}

/** A row as a verdict is compared with it. */
export function keptFinding({ id, rule, state, foundAt, acceptedBefore, ...row }: Row): KeptFinding {
  return {
    id,
    rule,
    subjectName: row.subjectName,
    identityId: row.identityId,
    state,
    foundAt,
    acceptedBefore,
    severity: severityAt(row.severity),
    evidence: sentencesOf(row.evidence),
    uncertainty: sentencesOf(row.uncertainty),
    acceptedSeverity: row.acceptedSeverity === null ? null : severityAt(row.acceptedSeverity),
  }
}
