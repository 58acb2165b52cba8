import { booleanOf } from './code.ts'
import type { Environment } from './environment.ts'
import { exactLongs } from './exact-longs.ts'
import { compileExpression, type Setting } from './expression.ts'
import { NotCompiled } from './fault.ts'
import { asArray, asObject, own } from './json-form.ts'
import { readActionScope, readScope, type ActionScope, type Scope, type Slots } from './scope.ts'

/** A policy in its parsed form. `Slots` of a link of a template say what it is linked to. */
export type ParsedPolicy = {
  readonly id: string
  readonly json: unknown
  /** The policy as written, for what its parsed form can't hold. */
  readonly text?: string
  readonly slots?: Slots
}

/** Whether the conditions hold. */
type Conditions = (env: Environment) => boolean

export type CompiledPolicy = {
  readonly id: string
  /** Its place in the set, so that answers name policies in the order of their files. */
  readonly place: number
  readonly permits: boolean
  readonly principal: Scope
  readonly action: ActionScope
  readonly resource: Scope
  /** Set by the first question that the scope matches; `conditionsOf` reads it. */
  conditions: Conditions | null | undefined
  readonly parsed: ParsedPolicy
}

const noSlots: Slots = new Map()

/** Reads one policy's scope. Throws `NotCompiled` when it is not understood. */
export function readPolicy(parsed: ParsedPolicy, place: number): CompiledPolicy {
  const { id, json, slots = noSlots } = parsed
  const body = asObject(json)
  const effect = own(body, 'effect')
  if (effect !== 'permit' && effect !== 'forbid') throw new NotCompiled('A policy of an unknown effect.')
  return {
    id,
    place,
    permits: effect === 'permit',
    principal: readScope(own(body, 'principal'), slots),
    action: readActionScope(own(body, 'action')),
    resource: readScope(own(body, 'resource'), slots),
    conditions: undefined,
    parsed,
  }
}

/**
 * Whether a policy's conditions hold, as code; the scope is the index's to check. Null of a policy that only the reference engine can
 * evaluate: every question that its scope matches goes there. Compiled when first asked for: of ten thousand policies most questions meet
 * a few, and the code of all at once is so much that the collector would hold the process for longer than a decision may.
 */
export function conditionsOf(policy: CompiledPolicy, terms: Setting['terms']): Conditions | null {
  if (policy.conditions === undefined) policy.conditions = compileConditions(policy.parsed, terms)
  return policy.conditions
}

function compileConditions(
  { json: policy, text, slots = noSlots }: ParsedPolicy,
  terms: Setting['terms'],
): Conditions | null {
  try {
    const { json, longs } = exactLongs(own(asObject(policy), 'conditions'), text)
    const clauses = asArray(json).map((clause) => compileClause(clause, { slots, terms, longs }))
    const [first, second] = clauses
    if (!first) return () => true
    if (!second) return first
    return (env) => clauses.every((holds) => holds(env))
  } catch (error) {
    // A condition nested deeper than the stack is one as well.
    if (error instanceof NotCompiled || error instanceof RangeError) return null
    throw error
  }
}

function compileClause(clause: unknown, setting: Setting): (env: Environment) => boolean {
  const body = asObject(clause)
  const holds = booleanOf(compileExpression(own(body, 'body'), setting))
  const kind = own(body, 'kind')
  if (kind === 'when') return holds
  if (kind === 'unless') return (env) => !holds(env)
  throw new NotCompiled('A clause of an unknown kind.')
}
