import { openCedarEngine } from '../evaluate.ts'
import type { Policy, PolicySet } from '../policy-set.ts'
import type { PolicyCase } from './cases.ts'
import { decideCase, obligationText } from './run-cases.ts'

export type PolicyChange = {
  readonly id: string
  readonly kind: 'added' | 'removed' | 'changed'
  readonly effect: 'permit' | 'forbid'
  /** What of a changed one: its text, what is owed for it. */
  readonly note: string
}

type AnswerChange = {
  readonly name: string
  readonly file: string
  readonly before: string
  readonly after: string
}

export type PolicyDiff = {
  readonly policies: readonly PolicyChange[]
  readonly schemaChanged: boolean
  readonly asked: number
  /** Questions of the test files whose answer is another one. */
  readonly answers: readonly AnswerChange[]
}

/** What another set would change: policies by their exact text, and the answers to the questions of the test files. */
export function diffSets(before: PolicySet, after: PolicySet, cases: readonly PolicyCase[]): PolicyDiff {
  using old = openCedarEngine(before)
  using fresh = openCedarEngine(after)
  const answers = cases.flatMap((each) => {
    const [was, is] = [decideCase(old, each), decideCase(fresh, each)].map((decision) =>
      decision.decision ? `permit; owed: ${obligationText(decision.obligations)}` : 'deny',
    )
    return was === is ? [] : [{ name: each.name, file: each.file, before: was ?? '', after: is ?? '' }]
  })
  return {
    policies: changesOf(before.policies, after.policies),
    schemaChanged: before.schema.sha256 !== after.schema.sha256,
    asked: cases.length,
    answers,
  }
}

/** The policies that are in one set only, or not the same in both, by id. */
export function changesOf(before: ReadonlyMap<string, Policy>, after: ReadonlyMap<string, Policy>): PolicyChange[] {
  const ids = [...new Set([...before.keys(), ...after.keys()])].sort()
  return ids.flatMap((id): PolicyChange[] => {
    const [was, is] = [before.get(id), after.get(id)]
    if (!was && is) return [{ id, kind: 'added', effect: is.effect, note: is.why ?? '' }]
    if (was && !is) return [{ id, kind: 'removed', effect: was.effect, note: was.why ?? '' }]
    if (!was || !is || was.sha256 === is.sha256) return []
    return [{ id, kind: 'changed', effect: is.effect, note: noteOf(was, is) }]
  })
}

function noteOf(was: Policy, is: Policy): string {
  if (was.effect !== is.effect) return `a ${was.effect} became a ${is.effect}`
  const [before, after] = [obligationText(was.obligations), obligationText(is.obligations)]
  return before === after ? 'its text' : `owed before: ${before}; now: ${after}`
}
