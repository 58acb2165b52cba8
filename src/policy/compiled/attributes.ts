import { resolve, type Environment } from './environment.ts'
import type { Compiled } from './code.ts'
import { EvaluationFault } from './fault.ts'
import { entity } from './operators.ts'
import { EntityNode, RecordValue, typeName, type Shape, type Value } from './value.ts'

/** Reads one attribute of records; remembers where the last kind of record had it. */
function slotReader(name: string): (record: RecordValue) => Value | undefined {
  let known: Shape | undefined
  let place = -1
  return (record) => {
    if (record.shape !== known) {
      known = record.shape
      place = known.placeOf(name)
    }
    return place < 0 ? undefined : record.slots[place]
  }
}

/** `left.name`: an error for an entity nobody knows and for an attribute that is not there. */
export function attributeReader(left: Compiled, name: string): Compiled {
  const read = slotReader(name)
  const { code } = left
  return {
    code: (env) => {
      const holder = code(env)
      const value = read(recordOf(env, holder, name))
      if (value !== undefined) return value
      throw new EvaluationFault(`${typeName(holder)} has no attribute ${JSON.stringify(name)}`)
    },
    isBoolean: false,
  }
}

function recordOf(env: Environment, holder: Value, name: string): RecordValue {
  if (holder instanceof RecordValue) return holder
  if (!(holder instanceof EntityNode)) {
    throw new EvaluationFault(`${typeName(holder)} has no attributes, so no ${JSON.stringify(name)}`)
  }
  const { facts } = resolve(env, holder)
  if (facts) return facts.attributes
  throw new EvaluationFault(`nothing is known of the ${holder.type} whose ${JSON.stringify(name)} is asked for`)
}

/** `left has name`: false for an entity nobody knows. */
export function attributeTest(left: Compiled, name: string): Compiled {
  const test = holderTest(name)
  const { code } = left
  return { code: (env) => test(env, code(env)) !== undefined, isBoolean: true }
}

/** `left has a.b.c`: each step as by itself, the first that is missing ends it. */
export function extendedTest(left: Compiled, names: readonly string[]): Compiled {
  const steps = names.map(holderTest)
  const { code } = left
  return {
    code: (env) => {
      let holder: Value | undefined = code(env)
      for (const step of steps) {
        holder = step(env, holder)
        if (holder === undefined) return false
      }
      return true
    },
    isBoolean: true,
  }
}

function holderTest(name: string): (env: Environment, holder: Value) => Value | undefined {
  const read = slotReader(name)
  return (env, holder) => {
    if (holder instanceof RecordValue) return read(holder)
    if (holder instanceof EntityNode) {
      const { facts } = resolve(env, holder)
      return facts && read(facts.attributes)
    }
    throw new EvaluationFault(`${typeName(holder)} has no attributes, so has can't be asked`)
  }
}

export function tagReader(left: Compiled, right: Compiled): Compiled {
  const [holder, tag] = [left.code, right.code]
  return {
    code: (env) => {
      const [node, name] = entityAndTag(holder(env), tag(env), 'getTag')
      const value = resolve(env, node).facts?.tags.get(name)
      if (value !== undefined) return value
      throw new EvaluationFault(`${typeName(node)} has no such tag`)
    },
    isBoolean: false,
  }
}

export function tagTest(left: Compiled, right: Compiled): Compiled {
  const [holder, tag] = [left.code, right.code]
  return {
    code: (env) => {
      const [node, name] = entityAndTag(holder(env), tag(env), 'hasTag')
      return resolve(env, node).facts?.tags.has(name) ?? false
    },
    isBoolean: true,
  }
}

function entityAndTag(holder: Value, tag: Value, operator: string): [EntityNode, string] {
  const node = entity(holder, operator)
  if (typeof tag === 'string') return [node, tag]
  throw new EvaluationFault(`${operator} expected a string, got ${typeName(tag)}`)
}
