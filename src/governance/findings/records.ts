import type { Selectable } from 'kysely'
import { z } from 'zod'
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

/** A row as everybody reads it. */
export function findingOf({ severity, acceptedSeverity: _severity, cause: _cause, ...row }: Row): Finding {
  const { subjectKind, subjectId, subjectName, evidence, uncertainty, ...rest } = row
  const rule = ruleOf(row.rule)
  return {
    ...rest,
    owasp: rule?.owasp ?? null,
    title: rule?.title ?? row.rule,
    subject: { kind: subjectKind, id: subjectId, name: subjectName },
    severity: severityAt(severity),
    evidence: sentencesOf(evidence),
    uncertainty: sentencesOf(uncertainty),
  }
}
