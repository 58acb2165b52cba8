import { sql, type Selectable } from 'kysely'
import { z } from 'zod'
import type { Db } from '../../kernel/db.ts'
import type { Database } from '../../kernel/schema.gen.ts'
import type { Finding } from './contract.ts'
import { ruleOf } from './rules/index.ts'
import { SEVERITIES, type Severity } from './rule.ts'

const Sentences = z.array(z.string())

type Row = Selectable<Database['finding']>

export function severityAt(rank: number): Severity {
  const severity = SEVERITIES[rank]
  if (!severity) throw new Error(`${rank} is no severity`)
  return severity
}

export function rankOf(severity: Severity): number {
  return SEVERITIES.indexOf(severity)
}

/** What a row keeps as JSON. */
export function sentencesOf(kept: unknown): string[] {
  return Sentences.parse(kept)
}

/** Rows as everybody reads them. */
export async function findingsOf(db: Db, rows: readonly Row[]): Promise<Finding[]> {
  const sources = await sourcesOf(
    db,
    rows.map(({ subjectId }) => subjectId),
  )
  return rows.map((row) => findingOf(row, sources.get(row.subjectId) ?? null))
}

/** The same of one. */
export async function oneFinding(db: Db, row: Row): Promise<Finding> {
  const sources = await sourcesOf(db, [row.subjectId])
  return findingOf(row, sources.get(row.subjectId) ?? null)
}

/** Which source told of each: two of one name at two of them are two. */
async function sourcesOf(db: Db, subjects: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const { rows } = await sql<{ id: string; name: string }>`
    select o.id, s.name
      from unnest(${`{${subjects.join()}}`}::uuid[]) asked (id)
     cross join lateral (
       select p.id, p.scope_id from observed_principal p where p.id = asked.id
       union all select k.id, k.scope_id from observed_credential k where k.id = asked.id
       union all select r.id, r.scope_id from observed_trust r where r.id = asked.id
       union all select g.id, g.scope_id from observed_grant g where g.id = asked.id
       union all select t.id, t.scope_id from observed_resource t where t.id = asked.id) o
      join source_scope c on c.id = o.scope_id
      join source s on s.id = c.source_id`.execute(db)
  return new Map(rows.map(({ id, name }) => [id, name]))
}

function findingOf(
  { severity, acceptedSeverity: _severity, cause: _cause, ...row }: Row,
  source: string | null,
): Finding {
  const { subjectKind, subjectId, subjectName, evidence, uncertainty, ...rest } = row
  const rule = ruleOf(row.rule)
  return {
    ...rest,
    owasp: rule?.owasp ?? null,
    title: rule?.title ?? row.rule,
    subject: { kind: subjectKind, id: subjectId, name: subjectName, source },
    severity: severityAt(severity),
    evidence: sentencesOf(evidence),
    uncertainty: sentencesOf(uncertainty),
  }
}
