import type { Environment } from './environment.ts'
import { EvaluationFault } from './fault.ts'
import { typeName, type Value } from './value.ts'

/** A part of a policy as a function of the question. Throws an `EvaluationFault` where the language has an error. */
type Code = (env: Environment) => Value

/** A compiled expression; a constant is known before any question is asked. */
export type Compiled = {
  readonly code: Code
  /** Whether it can only give a boolean (or an error), so that its type needs no check. */
  readonly isBoolean: boolean
  readonly constant?: Value
}

export function constantOf(value: Value): Compiled {
  return { code: () => value, isBoolean: typeof value === 'boolean', constant: value }
}

/** Evaluates all parts in their order, then combines their values. Of constants the result is computed once, its error thrown each time. */
export function combine(
  parts: readonly Compiled[],
  of: (values: readonly Value[]) => Value,
  isBoolean: boolean,
): Compiled {
  const constants = parts.flatMap(({ constant }) => constant ?? [])
  if (constants.length === parts.length) {
    try {
      return constantOf(of(constants))
    } catch (error) {
      if (!(error instanceof EvaluationFault)) throw error
      return { code: () => raise(error), isBoolean }
    }
  }
  const codes = parts.map(({ code }) => code)
  return { code: (env) => of(codes.map((code) => code(env))), isBoolean }
}

function raise(error: EvaluationFault): never {
  throw error
}

/** As `combine`, of one part. */
export function one(part: Compiled, of: (value: Value) => Value, isBoolean: boolean): Compiled {
  if (part.constant !== undefined) return combine([part], (values) => of(present(values[0])), isBoolean)
  const { code } = part
  return { code: (env) => of(code(env)), isBoolean }
}

/** As `combine`, of two parts. */
export function two(left: Compiled, right: Compiled, of: (a: Value, b: Value) => Value, isBoolean: boolean): Compiled {
  if (left.constant !== undefined && right.constant !== undefined) {
    return combine([left, right], (values) => of(present(values[0]), present(values[1])), isBoolean)
  }
  const [first, second] = [left.code, right.code]
  const { constant } = right
  if (constant !== undefined) return { code: (env) => of(first(env), constant), isBoolean }
  return { code: (env) => of(first(env), second(env)), isBoolean }
}

function present(value: Value | undefined): Value {
  if (value !== undefined) return value
  throw new EvaluationFault('a value is missing')
}

/** The value as a boolean, or the error that the language has for any other. */
export function booleanOf({ code, isBoolean }: Compiled): (env: Environment) => boolean {
  if (isBoolean) return (env) => code(env) === true
  return (env) => {
    const value = code(env)
    if (typeof value === 'boolean') return value
    throw new EvaluationFault(`expected a boolean, got ${typeName(value)}`)
  }
}
