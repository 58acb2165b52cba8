import { decide, type Decision } from '../decide.ts'
import type { Engine } from '../evaluate.ts'
import { printApproval } from '../approval-grammar.ts'
import type { Obligations } from '../obligations.ts'
import type { PolicyCase } from './cases.ts'

type CaseResult = {
  readonly name: string
  readonly file: string
  readonly line: number
  /** What is not as expected, a sentence each; empty when it passed. */
  readonly failures: readonly string[]
  readonly decision: Decision
}

export type CaseReport = {
  readonly results: readonly CaseResult[]
  /** Policies that no case is determined by, with where they stand. */
  readonly untouched: readonly { readonly id: string; readonly file: string; readonly line: number }[]
  readonly policies: number
}

/** Asks every question of the test files, and says which policies none of them touches. */
export function runCases(engine: Engine, cases: readonly PolicyCase[]): CaseReport {
  const results = cases.map((each) => resultOf(engine, each))
  const touched = new Set(results.flatMap(({ decision }) => decision.policies.map(({ id }) => id)))
  const untouched = [...engine.set.policies.values()].filter(({ id }) => !touched.has(id))
  return {
    results,
    untouched: untouched.map(({ id, file, line }) => ({ id, file, line })),
    policies: engine.set.policies.size,
  }
}

/** The decision of one version of the policies on a question of a test file. */
export function decideCase(engine: Engine, asked: PolicyCase): Decision {
  const { subject, onBehalfOf, action, resource, context, now, entities } = asked
  return decide(
    engine,
    { subject, onBehalfOf, action: { name: action }, resource, context },
    { decisionId: asked.name, now, epoch: engine.set.sha256, entities },
  )
}

function resultOf(engine: Engine, asked: PolicyCase): CaseResult {
  const decision = decideCase(engine, asked)
  const { name, file, line } = asked
  return { name, file, line, failures: failuresOf(asked, decision), decision }
}

function failuresOf({ expect }: PolicyCase, decision: Decision): string[] {
  const failures: string[] = []
  const answer = decision.decision ? 'permit' : 'deny'
  if (answer !== expect.decision) {
    failures.push(`expected ${expect.decision}, and it is a ${answer}: ${decision.reasons.join(' ') || 'no reason'}`)
  }
  const found = decision.policies.map(({ id }) => id).sort()
  const wanted = expect.policies && [...expect.policies].sort()
  if (wanted && wanted.join('\n') !== found.join('\n')) {
    failures.push(`expected the policies ${listed(wanted)}, and it was determined by ${listed(found)}`)
  }
  const { owes } = expect
  if (owes && obligationText(owes) !== obligationText(decision.obligations)) {
    failures.push(`expected to be owed: ${obligationText(owes)}; owed is: ${obligationText(decision.obligations)}`)
  }
  if (expect.says !== undefined && !decision.reasons.some((reason) => reason.includes(expect.says ?? ''))) {
    failures.push(`expected the reasons to say “${expect.says}”; they say: ${decision.reasons.join(' ') || 'nothing'}`)
  }
  return failures
}

/** What is owed in one line, in the words of annotations. */
export function obligationText(obligations: Obligations): string {
  const { approval, ttlSeconds, uses, stepUp, recording, reasonRequired, tickets } = obligations
  const words = [
    ...approval.map((gate) => `approval ${printApproval(gate)}`),
    ...(ttlSeconds === null ? [] : [`ttl ${ttlSeconds}s`]),
    ...(uses === null ? [] : [`uses ${uses}`]),
    ...(stepUp === 'none' ? [] : [`step_up ${stepUp}`]),
    ...(recording === 'none' ? [] : [`record ${recording}`]),
    ...(reasonRequired ? ['reason'] : []),
    ...tickets.map((pattern) => `ticket ${pattern}`),
  ]
  return words.join(', ') || 'nothing'
}

function listed(ids: readonly string[]): string {
  return ids.join(', ') || '(none)'
}
