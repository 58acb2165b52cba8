import type { EntityRef } from '../../kernel/permit.ts'
import { decide, type Decision, type DecisionFacts, type Question } from '../decide.ts'
import { openCedarEngine, type Engine, type EvaluationRequest } from '../evaluate.ts'
import { couldPermit } from '../near-miss.ts'
import type { Policy, PolicySet } from '../policy-set.ts'
import { ANYTHING, conditionsOf, policyText } from './conditions.ts'
import { obligationText } from './run-cases.ts'

/** A policy that bears on a question: what of it holds, and what does not. */
type Bearing = {
  readonly id: string
  readonly effect: 'permit' | 'forbid'
  readonly why: string | null
  readonly file: string
  readonly line: number
  readonly applies: boolean
  readonly holds: readonly string[]
  readonly fails: readonly string[]
}

export type Explanation = {
  readonly decision: Decision
  /** For each link of the chain, the policies that bear on it. */
  readonly links: readonly { readonly link: EntityRef; readonly bearings: readonly Bearing[] }[]
  /** The whole reason in sentences, and what would have to change. */
  readonly lines: readonly string[]
}

/** Near misses beyond this confuse more than they help; those that lack least come first. */
const MAX_MISSES = 5

/**
 * Takes a decision apart: which permits and forbids apply, which nearly do, and what of their conditions does not hold. Asks the reference
 * engine about each condition by itself, so it is for people and not for the way of every decision.
 */
export function explain(engine: Engine, question: Question, facts: DecisionFacts): Explanation {
  const decision = decide(engine, question, facts)
  const chain = [question.subject, ...(question.onBehalfOf ?? [])]
  const links = chain.map((link, at) => ({
    link,
    bearings: bearingsOf(engine.set, link, chain[at + 1], question, facts),
  }))
  return { decision, links, lines: linesOf(decision, links) }
}

function bearingsOf(
  set: PolicySet,
  principal: EntityRef,
  next: EntityRef | undefined,
  question: Question,
  facts: DecisionFacts,
): Bearing[] {
  const permits = new Set(couldPermit(set, principal.type, question.action.name))
  const bearing = [...set.policies.values()].filter((policy) => policy.effect === 'forbid' || permits.has(policy))
  const probes = bearing.flatMap((policy) => probesOf(policy))
  using engine = openCedarEngine({ ...set, policies: new Map(probes.map((probe) => [probe.id, probe])) })
  const { onBehalfOf: _claimed, ...context } = question.context
  const request = {
    principal,
    action: question.action.name,
    resource: question.resource,
    context: { ...context, now: facts.now, ...(next && { onBehalfOf: { type: next.type, id: next.id } }) },
    entities: facts.entities,
  }
  const holding = new Set(engine.evaluate(request).determining.map(({ id }) => id))
  return bearing.flatMap((policy) => {
    // Whoever or whatever a policy is not about has nothing to learn from it.
    if (!holding.has(`${policy.id}#scope`)) return []
    const conditions = conditionsOf(policy)
    if (!conditions) return [{ ...told(policy), ...asWhole(set, policy, request) }]
    const holds = conditions.filter((_, at) => holding.has(`${policy.id}#${at}`)).map(({ text }) => text)
    const fails = conditions.filter((_, at) => !holding.has(`${policy.id}#${at}`)).map(({ text }) => text)
    return [{ ...told(policy), applies: fails.length === 0, holds, fails }]
  })
}

function told({ id, effect, why, file, line }: Policy) {
  return { id, effect, why, file, line }
}

/** A policy that cannot be taken apart, asked by itself. */
function asWhole(set: PolicySet, policy: Policy, request: EvaluationRequest) {
  using engine = openCedarEngine({ ...set, policies: new Map([[policy.id, policy]]) })
  const applies = engine.evaluate(request).determining.length > 0
  const whole = ['its conditions, which hold numbers too long to be taken apart']
  return { applies, holds: applies ? whole : [], fails: applies ? [] : whole }
}

/** A permit for the scope of a policy alone, and one for each of its conditions alone. */
function probesOf(policy: Policy): Policy[] {
  const { principal, action, resource } = policy.json
  const scope = policyText({ effect: 'permit', principal, action, resource, conditions: [] })
  const conditions = (conditionsOf(policy) ?? []).map(({ clause }, at) => {
    return { name: String(at), text: policyText({ effect: 'permit', ...ANYTHING, conditions: [clause] }) }
  })
  return [{ name: 'scope', text: scope }, ...conditions].map(({ name, text }) => ({
    ...policy,
    id: `${policy.id}#${name}`,
    effect: 'permit',
    text,
  }))
}

function linesOf(decision: Decision, links: Explanation['links']): string[] {
  const lines = [headline(decision)]
  for (const error of decision.errors) lines.push(`Error: ${error}`)
  for (const { link, bearings } of links) {
    if (links.length > 1) lines.push(`For ${link.type} ${link.id}:`)
    lines.push(...linesOfLink(bearings))
  }
  if (decision.decision) lines.push(`Owed: ${obligationText(decision.obligations)}.`)
  return lines
}

function headline({ decision, errors, reasons }: Decision): string {
  if (decision) return 'Permitted.'
  if (errors.length > 0) return 'Denied: a policy could not be evaluated.'
  const [first = ''] = reasons
  return first.startsWith('Forbidden') ? 'Denied: a policy forbids it.' : `Denied. ${first}`.trim()
}

function linesOfLink(bearings: readonly Bearing[]): string[] {
  const permits = bearings.filter(({ effect }) => effect === 'permit')
  const forbids = bearings.filter(({ effect, applies }) => effect === 'forbid' && applies)
  const applying = permits.filter(({ applies }) => applies)
  const misses = permits
    .filter(({ applies }) => !applies)
    .toSorted((a, b) => a.fails.length - b.fails.length)
    .slice(0, MAX_MISSES)
  const lines = [
    ...applying.map((bearing) => `Permit ${described(bearing)} applies.`),
    ...forbids.map((bearing) => `Forbid ${described(bearing)} applies, and one forbid beats every permit.`),
    ...forbids.map(({ id, holds }) =>
      holds.length === 0
        ? `To change: ${id} has no condition, so only a change of that policy would end it.`
        : `To change: ${id} would end if one of these did not hold: ${holds.join('; ')}.`,
    ),
  ]
  if (applying.length > 0) return lines
  if (misses.length === 0)
    return [...lines, 'No permit is about this subject, action and resource: a new one would be needed.']
  return [
    ...lines,
    ...misses.map(
      (bearing) => `To change: permit ${described(bearing)} would apply if also: ${bearing.fails.join('; ')}.`,
    ),
  ]
}

function described({ id, why, file, line }: Bearing): string {
  return `${id} (${why === null ? '' : `${why}; `}${file}:${line})`
}
