import type { OwaspId } from './frameworks.ts'

/** Of a sentence of evidence: names in it come from sources, which choose how long they are. */
export const SENTENCE_MAX = 500

/** The worst first. */
export const SEVERITIES = ['critical', 'high', 'medium', 'low'] as const
export type Severity = (typeof SEVERITIES)[number]

export const SUBJECT_KINDS = [
  'identity',
  'account',
  'principal',
  'credential',
  'trust',
  'grant',
  'trust-rule',
  'tool',
] as const
export type SubjectKind = (typeof SUBJECT_KINDS)[number]

/**
 * What a rule says of one subject. `readAt` is when the facts were read at their source: only facts of a later reading than those a finding
 * stands on can say that it is fixed. Where facts are not known the rule says neither, and why.
 */
export type Verdict =
  | {
      readonly is: 'found'
      readonly severity: Severity
      readonly evidence: readonly string[]
      /** What could not be seen and might change the picture. */
      readonly uncertainty: readonly string[]
      readonly readAt: Date
    }
  | { readonly is: 'clear'; readonly readAt: Date }
  | { readonly is: 'unknown'; readonly why: string }

/** One thing that can be wrong with one subject. Pure: the same facts give the same verdict. */
export type Rule<Facts> = {
  readonly id: string
  readonly owasp: OwaspId
  readonly title: string
  /** Why it matters: what somebody could do with it. */
  readonly why: string
  /** What has to be seen for the rule to say anything. */
  readonly needs: string
  readonly fix: string
  /** What keeps it from coming about again. */
  readonly control: string
  readonly judge: (facts: Facts) => Verdict
}

/** What every subject has. */
export type Subject = {
  readonly id: string
  readonly name: string
  /** The identity of the record that it is or belongs to. */
  readonly identityId: string | null
  /** Set once it is not there any more by two complete readings, or was retired in the record. */
  readonly goneAt: Date | null
  readonly now: Date
}

export function clear(readAt: Date): Verdict {
  return { is: 'clear', readAt }
}

export function unknown(why: string): Verdict {
  return { is: 'unknown', why }
}

export function found(
  severity: Severity,
  readAt: Date,
  evidence: readonly string[],
  uncertainty: readonly string[] = [],
): Verdict {
  return { is: 'found', severity, evidence: evidence.map(bounded), uncertainty: uncertainty.map(bounded), readAt }
}

function bounded(sentence: string): string {
  return sentence.length <= SENTENCE_MAX ? sentence : `${sentence.slice(0, SENTENCE_MAX - 1).toWellFormed()}…`
}

export function dayOf(at: Date): string {
  return at.toISOString().slice(0, 10)
}

/** Whether `then` is at least `days` before `now`. */
export function isOlder(then: Date, days: number, now: Date): boolean {
  return now.getTime() - then.getTime() >= days * 86_400_000
}
