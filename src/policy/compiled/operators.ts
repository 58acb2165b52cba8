import { isWithin, type Environment } from './environment.ts'
import { one, two, type Compiled } from './code.ts'
import { DateTime, Duration } from './extension-value.ts'
import { EvaluationFault } from './fault.ts'
import { add, multiply, negate, subtract, type Long } from './long.ts'
import { EntityNode, isEqual, SetValue, typeName, type Value } from './value.ts'

export function equality(left: Compiled, right: Compiled): Compiled {
  const { code } = left
  const { constant } = right
  // The common case: something compared with a plain literal.
  if (constant !== undefined && typeof constant !== 'object' && left.constant === undefined) {
    return { code: (env) => code(env) === constant, isBoolean: true }
  }
  return two(left, right, isEqual, true)
}

export function comparison(operator: '<' | '<=', left: Compiled, right: Compiled): Compiled {
  const holds = operator === '<' ? (a: Long, b: Long) => a < b : (a: Long, b: Long) => a <= b
  const test = (a: Value, b: Value) => {
    if (isLong(a) && isLong(b)) return holds(a, b)
    if (a instanceof DateTime && b instanceof DateTime) return holds(a.ms, b.ms)
    if (a instanceof Duration && b instanceof Duration) return holds(a.ms, b.ms)
    throw new EvaluationFault(`${operator} can't compare ${typeName(a)} with ${typeName(b)}`)
  }
  return two(left, right, test, true)
}

const OPERATIONS = { '+': add, '-': subtract, '*': multiply } as const

export function arithmetic(operator: keyof typeof OPERATIONS, left: Compiled, right: Compiled): Compiled {
  const operate = OPERATIONS[operator]
  const compute = (a: Value, b: Value) => {
    const result = operate(long(a, operator), long(b, operator))
    if (result === undefined) throw new EvaluationFault(`the result of ${operator} is out of range`)
    return result
  }
  return two(left, right, compute, false)
}

export function negation(part: Compiled): Compiled {
  const compute = (value: Value) => {
    const result = negate(long(value, '-'))
    if (result === undefined) throw new EvaluationFault('the result of - is out of range')
    return result
  }
  return one(part, compute, false)
}

export function isEmpty(part: Compiled): Compiled {
  return one(part, (value) => set(value, 'isEmpty').size === 0, true)
}

export function containsValue(left: Compiled, right: Compiled): Compiled {
  return two(left, right, (a, b) => set(a, 'contains').has(b), true)
}

export function containsAll(left: Compiled, right: Compiled): Compiled {
  const test = (a: Value, b: Value) => {
    const outer = set(a, 'containsAll')
    return set(b, 'containsAll').isSubsetOf(outer)
  }
  return two(left, right, test, true)
}

export function containsAny(left: Compiled, right: Compiled): Compiled {
  const test = (a: Value, b: Value) => {
    const these = set(a, 'containsAny')
    return !these.isDisjointFrom(set(b, 'containsAny'))
  }
  return two(left, right, test, true)
}

/** `in`: the entity is the other or below it, or so for one of a set. What it is below, only the question's entities know. */
export function membership(left: Compiled, right: Compiled): Compiled {
  const { code } = left
  const { constant, code: other } = right
  if (constant instanceof EntityNode) {
    return { code: (env) => isWithin(env, entity(code(env), 'in'), constant), isBoolean: true }
  }
  return {
    code: (env) => {
      const [value, groups] = [code(env), other(env)]
      const node = entity(value, 'in')
      if (groups instanceof EntityNode) return isWithin(env, node, groups)
      if (groups instanceof SetValue) return isWithinAny(env, node, groups)
      throw new EvaluationFault(`in expected an entity or a set of them on its right, got ${typeName(groups)}`)
    },
    isBoolean: true,
  }
}

function isWithinAny(env: Environment, node: EntityNode, groups: SetValue): boolean {
  for (const stranger of groups.primitives) throw new EvaluationFault(`in found ${typeName(stranger)} among entities`)
  // Every element must be an entity, even when an earlier one decides.
  let found = false
  for (const group of groups.others.values()) {
    const other = entity(group, 'in')
    found ||= isWithin(env, node, other)
  }
  return found
}

export function typeTest(part: Compiled, type: string): Compiled {
  return one(part, (value) => entity(value, 'is').type === type, true)
}

function isLong(value: Value): value is Long {
  return typeof value === 'number' || typeof value === 'bigint'
}

function long(value: Value, operator: string): Long {
  if (isLong(value)) return value
  throw mistyped(operator, 'a long', value)
}

function set(value: Value, operator: string): SetValue {
  if (value instanceof SetValue) return value
  throw mistyped(operator, 'a set', value)
}

/** The value as an entity, or the error that the language has for any other. */
export function entity(value: Value, operator: string): EntityNode {
  if (value instanceof EntityNode) return value
  throw mistyped(operator, 'an entity', value)
}

function mistyped(operator: string, expected: string, value: Value): EvaluationFault {
  return new EvaluationFault(`${operator} expected ${expected}, got ${typeName(value)}`)
}
