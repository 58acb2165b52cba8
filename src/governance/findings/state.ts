import { SEVERITIES, type Severity, type Verdict } from './rule.ts'

export const FINDING_STATES = ['open', 'accepted', 'fixed', 'reopened'] as const
export type FindingState = (typeof FINDING_STATES)[number]

/** What is kept of a finding, as far as it decides what comes of it. */
export type Kept = {
  readonly state: FindingState
  readonly severity: Severity
  readonly foundAt: Date
  readonly evidence: readonly string[]
  readonly uncertainty: readonly string[]
  readonly acceptedBefore: Date | null
  readonly acceptedSeverity: Severity | null
}

/** What a verdict does to a finding. */
export type Step =
  | { readonly does: 'open' }
  | { readonly does: 'reopen'; readonly because: string }
  /** The same finding, on other facts. */
  | { readonly does: 'restate' }
  | { readonly does: 'fix' }

/**
 * What comes of a verdict; nothing where it says what is known already. What is not known fixes nothing, and neither do facts that are not newer
 * than those it was found by. Only an acceptance that ran out does not wait for facts.
 */
export function stepOf(kept: Kept | undefined, verdict: Verdict, now: Date): Step | undefined {
  if (!kept) return verdict.is === 'found' ? { does: 'open' } : undefined
  if (kept.state === 'fixed') {
    return verdict.is === 'found' ? { does: 'reopen', because: 'it was found again' } : undefined
  }
  if (verdict.is === 'clear' && verdict.readAt > kept.foundAt) return { does: 'fix' }
  if (kept.state === 'accepted') {
    if (kept.acceptedBefore !== null && kept.acceptedBefore <= now) {
      return { does: 'reopen', because: 'its acceptance ended' }
    }
    if (verdict.is === 'found' && kept.acceptedSeverity !== null && isWorse(verdict.severity, kept.acceptedSeverity)) {
      return { does: 'reopen', because: 'it is graver than what was accepted' }
    }
  }
  return verdict.is === 'found' && !saysTheSame(kept, verdict) ? { does: 'restate' } : undefined
}

function isWorse(a: Severity, b: Severity): boolean {
  return SEVERITIES.indexOf(a) < SEVERITIES.indexOf(b)
}

function saysTheSame(kept: Kept, verdict: Pick<Kept, 'severity' | 'evidence' | 'uncertainty'>): boolean {
  const text = ({ severity, evidence, uncertainty }: Pick<Kept, 'severity' | 'evidence' | 'uncertainty'>) =>
    JSON.stringify([severity, evidence, uncertainty])
  return text(kept) === text(verdict)
}
