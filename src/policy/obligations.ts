import { isSatisfied, missingApprovals, type Approval, type ApprovalFacts } from './approval.ts'
import { printApproval, type ApprovalExpression } from './approval-grammar.ts'
import { printHold, type Hold, type HoldClass } from './hold.ts'
import { matchesTicket } from './ticket-pattern.ts'

/** From the weakest to the strongest; joining takes the later one. */
export const STEP_UPS = ['none', 'mfa', 'phishing-resistant'] as const
type StepUp = (typeof STEP_UPS)[number]

/** From nothing kept, over who did what when, to every byte replayable. */
export const RECORDINGS = ['none', 'meta', 'full'] as const
type Recording = (typeof RECORDINGS)[number]

/** What a permit asks for in return. Every member only ever gets stricter when obligations join. */
export type Obligations = {
  /** All of them must be satisfied; no two have the same canonical text. */
  readonly approval: readonly ApprovalExpression[]
  /** Null: no bound from here. */
  readonly ttlSeconds: number | null
  readonly uses: number | null
  readonly stepUp: StepUp
  readonly recording: Recording
  readonly reasonRequired: boolean
  /** The ticket must match every pattern. */
  readonly tickets: readonly string[]
  /** Operations of these classes wait for another person; no two are alike. */
  readonly hold: readonly Hold[]
}

/** Asks for nothing: the neutral element of joining. */
export const noObligations: Obligations = Object.freeze({
  approval: Object.freeze([]),
  ttlSeconds: null,
  uses: null,
  stepUp: 'none',
  recording: 'none',
  reasonRequired: false,
  tickets: Object.freeze([]),
  hold: Object.freeze([]),
})

/** Everything each of them asks for (core 1): nothing waives, so the order and repetitions do not matter. */
export function joinObligations(all: readonly Obligations[]): Obligations {
  const hold = new Map(all.flatMap((each) => each.hold.map((one) => [printHold(one), one])))
  const approval = new Map(all.flatMap((each) => each.approval.map((gate) => [printApproval(gate), gate])))
  return {
    approval: [...approval.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, gate]) => gate),
    ttlSeconds: least(all.map((each) => each.ttlSeconds)),
    uses: least(all.map((each) => each.uses)),
    stepUp: strongest(
      STEP_UPS,
      all.map((each) => each.stepUp),
    ),
    recording: strongest(
      RECORDINGS,
      all.map((each) => each.recording),
    ),
    reasonRequired: all.some((each) => each.reasonRequired),
    tickets: [...new Set(all.flatMap((each) => each.tickets))].sort(),
    hold: [...hold.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, one]) => one),
  }
}

function least(numbers: readonly (number | null)[]): number | null {
  const bounds = numbers.filter((each) => each !== null)
  return bounds.length === 0 ? null : Math.min(...bounds)
}

function strongest<Level extends string>(order: readonly [Level, ...Level[]], levels: readonly Level[]): Level {
  const rank = Math.max(0, ...levels.map((level) => order.indexOf(level)))
  return order[rank] ?? order[0]
}

/** What has been shown to meet obligations. All of it verified by the caller, none of it taken from a request's body. */
export type Evidence = {
  readonly approvals: readonly Approval[]
  readonly approvalFacts: ApprovalFacts
  readonly stepUp: StepUp
  /** What the enforcement point will record. */
  readonly recording: Recording
  readonly reasonGiven: boolean
  readonly ticket: string | null
  /** Classes of operations that the enforcement point can hold. */
  readonly holds: readonly HoldClass[]
}

/** Evidence of a caller who has shown nothing. */
export const noEvidence: Evidence = Object.freeze({
  approvals: Object.freeze([]),
  approvalFacts: Object.freeze({ ownerOfTarget: null, ownerOfSubject: null, excluded: new Set<string>() }),
  stepUp: 'none',
  recording: 'none',
  reasonGiven: false,
  ticket: null,
  holds: Object.freeze([]),
})

/** What is still owed, a sentence each; empty means the obligations are met. `ttlSeconds` and `uses` bound, see `withinLimits`. */
export function outstanding(obligations: Obligations, evidence: Evidence): string[] {
  const owed: string[] = []
  if (!isSatisfied(obligations.approval, evidence.approvals, evidence.approvalFacts)) {
    const ways = missingApprovals(obligations.approval, evidence.approvals, evidence.approvalFacts)
    owed.push(`Approval is needed: ${ways.join('; or ')}.`)
  }
  if (STEP_UPS.indexOf(evidence.stepUp) < STEP_UPS.indexOf(obligations.stepUp)) {
    owed.push(`A fresh ${obligations.stepUp} proof of the person is needed.`)
  }
  if (RECORDINGS.indexOf(evidence.recording) < RECORDINGS.indexOf(obligations.recording)) {
    owed.push(`It must be recorded (${obligations.recording}).`)
  }
  if (obligations.reasonRequired && !evidence.reasonGiven) owed.push('A reason is needed.')
  for (const pattern of obligations.tickets) {
    if (evidence.ticket === null || !matchesTicket(pattern, evidence.ticket)) {
      owed.push(`A ticket that matches ${pattern} is needed.`)
    }
  }
  for (const name of unheld(obligations, evidence))
    owed.push(`Something that holds ${name} operations for a person is needed.`)
  return owed
}

function unheld({ hold }: Obligations, { holds }: Evidence): Iterable<string> {
  return hold.length === 0 ? [] : new Set(hold.map((each) => each.class)).difference(new Set(holds))
}

/** The time and the number of uses to grant: what was asked for, cut to what the obligations allow. */
export function withinLimits(
  obligations: Obligations,
  asked: { readonly ttlSeconds: number; readonly uses: number | null },
): { ttlSeconds: number; uses: number | null } {
  return {
    ttlSeconds: least([obligations.ttlSeconds, asked.ttlSeconds]) ?? asked.ttlSeconds,
    uses: least([obligations.uses, asked.uses]),
  }
}
