import { booleanOf, combine, constantOf, one, type Compiled } from './code.ts'
import { attributeReader, attributeTest, extendedTest, tagReader, tagTest } from './attributes.ts'
import { extensionFunctions, type ExtensionFunction } from './extension-functions.ts'
import { EvaluationFault, NotCompiled } from './fault.ts'
import { asArray, asEntity, asObject, asText, isObject, onlyEntry, own } from './json-form.ts'
import { toLong } from './long.ts'
import {
  arithmetic,
  comparison,
  containsAll,
  containsAny,
  containsValue,
  equality,
  isEmpty,
  membership,
  negation,
  typeTest,
} from './operators.ts'
import { matcher, type PatternPart } from './pattern.ts'
import { EntityNode, RecordValue, SetValue, Shape, typeName, type Value } from './value.ts'

/** What an expression is compiled with. */
export type Setting = {
  /** Of a link of a template, what its slots stand for. */
  readonly slots: ReadonlyMap<string, EntityNode>
  /** Of numbers too large for JSON, by the number that the parsed form has in their place. */
  readonly longs: ReadonlyMap<number, bigint>
  /** Terms that were compiled before, by their parsed form: policies of one set say many of the same ones. */
  readonly terms: Map<string, Compiled>
}

/** Compiles an expression of the parsed form. Throws `NotCompiled` for what this engine does not know. */
export function compileExpression(expression: unknown, setting: Setting): Compiled {
  const [operator, body] = onlyEntry(expression)
  const extension = extensionFunctions.get(operator)
  if (extension) {
    const parts = asArray(body).map((part) => compileExpression(part, setting))
    return combine(parts, (values) => callWith(extension, operator, values), extension.returns === 'boolean')
  }
  if (operator === 'Value') return compileValue(body, setting)
  if (operator === 'Var') return variable(asText(body))
  if (operator === 'Slot') return constantOf(slotOf(asText(body), setting))
  if (operator === 'Set') return compileSet(asArray(body).map((part) => compileExpression(part, setting)))
  if (operator === 'Record') {
    const fields = Object.entries(asObject(body))
    return compileRecord(fields.map(([name, part]) => [name, compileExpression(part, setting)]))
  }
  return compileOperator(operator, asObject(body), setting)
}

/** The parser takes any number of arguments; a wrong one is an error once they are evaluated. */
function callWith(extension: ExtensionFunction, name: string, values: readonly Value[]): Value {
  const { length } = extension.takes
  if (values.length === length) return extension.call(values)
  throw new EvaluationFault(`${name} takes ${length} arguments, got ${values.length}`)
}

/**
 * An operand of `&&` or `||`, compiled once for all policies that have it. Compiled terms keep nothing of the questions they were asked, and
 * thousands of policies that differ in one term only are much less to hold and to collect.
 */
function compileTerm(expression: unknown, setting: Setting): Compiled {
  const [operator] = onlyEntry(expression)
  const { slots, longs, terms } = setting
  // What a chain is made of is shared, not the chain. What stands for something else in each policy is its own.
  if (operator === '&&' || operator === '||' || slots.size > 0 || longs.size > 0) {
    return compileExpression(expression, setting)
  }
  const name = JSON.stringify(expression)
  const known = terms.get(name)
  if (known) return known
  const compiled = compileExpression(expression, setting)
  terms.set(name, compiled)
  return compiled
}

function compileOperator(operator: string, body: Readonly<Record<string, unknown>>, setting: Setting): Compiled {
  const part = (name: string) => compileExpression(own(body, name), setting)
  const term = (name: string) => compileTerm(own(body, name), setting)
  switch (operator) {
    case '&&':
      return conjunction(term('left'), term('right'))
    case '||':
      return disjunction(term('left'), term('right'))
    case '!':
      return inverse(part('arg'))
    case 'if-then-else':
      return conditional(part('if'), part('then'), part('else'))
    case 'neg':
      return negation(part('arg'))
    case 'isEmpty':
      return isEmpty(part('arg'))
    case '.':
      return attributeReader(part('left'), asText(own(body, 'attr')))
    case 'has':
      return compileHas(part('left'), own(body, 'attr'))
    case 'like':
      return compileLike(part('left'), asArray(own(body, 'pattern')))
    case 'is':
      return compileIs(part('left'), body, setting)
    default:
      return compileBinary(operator, part('left'), () => part('right'))
  }
}

function compileBinary(operator: string, left: Compiled, rightOf: () => Compiled): Compiled {
  switch (operator) {
    case '==':
      return equality(left, rightOf())
    case '!=':
      return inverse(equality(left, rightOf()))
    case '<':
    case '<=':
      return comparison(operator, left, rightOf())
    // As the reference has it: a > b is !(a <= b).
    case '>':
      return inverse(comparison('<=', left, rightOf()))
    case '>=':
      return inverse(comparison('<', left, rightOf()))
    case '+':
    case '-':
    case '*':
      return arithmetic(operator, left, rightOf())
    case 'in':
      return membership(left, rightOf())
    case 'contains':
      return containsValue(left, rightOf())
    case 'containsAll':
      return containsAll(left, rightOf())
    case 'containsAny':
      return containsAny(left, rightOf())
    case 'getTag':
      return tagReader(left, rightOf())
    case 'hasTag':
      return tagTest(left, rightOf())
    default:
      throw new NotCompiled(`The operator ${operator} is not known.`)
  }
}

function variable(name: string): Compiled {
  switch (name) {
    case 'principal':
      return { code: (env) => env.principal, isBoolean: false }
    case 'action':
      return { code: (env) => env.action, isBoolean: false }
    case 'resource':
      return { code: (env) => env.resource, isBoolean: false }
    case 'context':
      return { code: (env) => env.context, isBoolean: false }
    default:
      throw new NotCompiled(`The variable ${name} is not known.`)
  }
}

function slotOf(name: string, { slots }: Setting): EntityNode {
  const filled = slots.get(name)
  if (!filled) throw new NotCompiled(`The slot ${name} is empty.`)
  return filled
}

/** A literal in the parsed form's spelling of values. */
function compileValue(value: unknown, setting: Setting): Compiled {
  if (typeof value === 'string' || typeof value === 'boolean') return constantOf(value)
  if (typeof value === 'number') return constantOf(exactLong(value, setting))
  if (Array.isArray(value)) return compileSet(value.map((each) => compileValue(each, setting)))
  if (!isObject(value)) throw new NotCompiled('A literal of an unknown kind.')
  if (Object.hasOwn(value, '__entity')) {
    const { type, id } = asEntity(value)
    return constantOf(new EntityNode(type, id, true))
  }
  if (Object.keys(value).some((name) => name.startsWith('__'))) {
    const call = asObject(own(value, '__extn'))
    const given = own(call, 'args') ?? [own(call, 'arg')]
    const args = asArray(given).map((each) => ({ Value: each }))
    return compileExpression({ [asText(own(call, 'fn'))]: args }, setting)
  }
  return compileRecord(Object.entries(value).map(([name, each]) => [name, compileValue(each, setting)]))
}

function exactLong(value: number, { longs }: Setting): Value {
  const meant = longs.get(Math.abs(value))
  const long = meant === undefined ? value : toLong(value < 0 ? -meant : meant)
  if (long === undefined || (meant === undefined && !Number.isSafeInteger(long))) {
    throw new NotCompiled('A number that the parsed form could not hold.')
  }
  return long
}

function compileSet(parts: readonly Compiled[]): Compiled {
  return combine(parts, (values) => new SetValue(values), false)
}

function compileRecord(fields: readonly (readonly [name: string, part: Compiled])[]): Compiled {
  const shape = new Shape(fields.map(([name]) => name))
  const parts = fields.map(([, part]) => part)
  return combine(parts, (values) => new RecordValue(shape, values), false)
}

function conjunction(left: Compiled, right: Compiled): Compiled {
  const [first, second] = [booleanOf(left), booleanOf(right)]
  return { code: (env) => first(env) && second(env), isBoolean: true }
}

function disjunction(left: Compiled, right: Compiled): Compiled {
  const [first, second] = [booleanOf(left), booleanOf(right)]
  return { code: (env) => first(env) || second(env), isBoolean: true }
}

function inverse(part: Compiled): Compiled {
  const holds = booleanOf(part)
  return { code: (env) => !holds(env), isBoolean: true }
}

function conditional(test: Compiled, yes: Compiled, no: Compiled): Compiled {
  const holds = booleanOf(test)
  return { code: (env) => (holds(env) ? yes.code(env) : no.code(env)), isBoolean: yes.isBoolean && no.isBoolean }
}

function compileHas(left: Compiled, attribute: unknown): Compiled {
  if (typeof attribute === 'string') return attributeTest(left, attribute)
  return extendedTest(left, asArray(attribute).map(asText))
}

function compileLike(left: Compiled, pattern: readonly unknown[]): Compiled {
  const matches = matcher(
    pattern.map((part): PatternPart => {
      if (part === 'Wildcard') return { kind: 'any' }
      return { kind: 'text', text: asText(own(asObject(part), 'Literal')) }
    }),
  )
  const test = (value: Value) => {
    if (typeof value === 'string') return matches(value)
    throw new EvaluationFault(`like expected a string, got ${typeName(value)}`)
  }
  return one(left, test, true)
}

function compileIs(left: Compiled, body: Readonly<Record<string, unknown>>, setting: Setting): Compiled {
  const is = typeTest(left, asText(own(body, 'entity_type')))
  const within = own(body, 'in')
  return within === undefined ? is : conjunction(is, membership(left, compileExpression(within, setting)))
}
