import type { Policy } from '../policy-set.ts'
import { policyToText, type Clause, type Expr, type PolicyJson } from '@cedar-policy/cedar-wasm/nodejs'

/** One thing that a policy's conditions ask for: they all have to hold. */
export type Condition = { readonly clause: Clause; readonly text: string }

/** JSON has no exact form for a whole number of more digits: what was parsed is not what was written. */
const INEXACT = /\d{16}/

/**
 * The conditions of a policy, taken apart at every `&&` of its `when`; an `unless` stands whole. Undefined for a policy that its parsed form
 * does not say exactly.
 */
export function conditionsOf({ text, json }: Pick<Policy, 'text' | 'json'>): Condition[] | undefined {
  if (INEXACT.test(text)) return undefined
  const { conditions } = json
  const clauses = conditions.flatMap((clause): Clause[] =>
    clause.kind === 'when' ? conjunctsOf(clause.body).map((body) => ({ kind: 'when', body })) : [clause],
  )
  return clauses.map((clause) => ({ clause, text: textOf(clause) }))
}

function conjunctsOf(expression: Expr): Expr[] {
  if (!isConjunction(expression)) return [expression]
  const { left, right } = expression['&&']
  return [...conjunctsOf(left), ...conjunctsOf(right)]
}

function isConjunction(expression: Expr): expression is { '&&': { left: Expr; right: Expr } } {
  return '&&' in expression && !Array.isArray(expression['&&'])
}

/** A policy of this effect for everybody and everything with these conditions, as text. */
export function policyText(
  json: Pick<PolicyJson, 'effect' | 'principal' | 'action' | 'resource' | 'conditions'>,
): string {
  const answer = policyToText({ ...json, annotations: {} })
  if (answer.type === 'failure') throw new Error(`an accepted policy has no text: ${answer.errors[0]?.message ?? ''}`)
  return answer.text
}

/** A scope that everything is in. */
export const ANYTHING = {
  principal: { op: 'All' },
  action: { op: 'All' },
  resource: { op: 'All' },
} as const satisfies Pick<PolicyJson, 'principal' | 'action' | 'resource'>

function textOf(clause: Clause): string {
  const whole = policyText({ effect: 'permit', ...ANYTHING, conditions: [clause] })
  const body = whole.slice(whole.indexOf('{') + 1, whole.lastIndexOf('}'))
  const text = body.replaceAll(/\s+/g, ' ').trim()
  return clause.kind === 'when' ? text : `not (${text})`
}
