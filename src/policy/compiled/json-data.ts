import { ExtensionCall, type DataForm } from './data-reader.ts'
import { NotCompiled } from './fault.ts'
import { isObject, own } from './json-form.ts'
import { toLong, type Long } from './long.ts'

/** Data in the language's own JSON. Whole numbers beyond 2^53 come as bigints: a number could not hold them. */
export const jsonData: DataForm = {
  entityOf(value) {
    const escaped = escapeIn(value, '__entity')
    if (escaped === undefined) return undefined
    const [type, id] = isObject(escaped) ? [own(escaped, 'type'), own(escaped, 'id')] : []
    if (typeof type === 'string' && typeof id === 'string') return { type, id }
    throw new NotCompiled('An entity in the data in an unusual form.')
  },
  extensionOf(value) {
    if (escapeIn(value, '__expr') !== undefined) throw new NotCompiled('An expression in the data.')
    const escaped = escapeIn(value, '__extn')
    if (escaped === undefined) return undefined
    const name = isObject(escaped) ? own(escaped, 'fn') : undefined
    if (!isObject(escaped) || typeof name !== 'string') throw new NotCompiled('A call in the data in an unusual form.')
    const args: unknown = Object.hasOwn(escaped, 'arg') ? [escaped['arg']] : own(escaped, 'args')
    if (!Array.isArray(args)) throw new NotCompiled('A call in the data in an unusual form.')
    return new ExtensionCall(name, args)
  },
  longOf(value): Long | undefined {
    if (typeof value === 'bigint') return toLong(value)
    if (typeof value !== 'number' || Number.isSafeInteger(value)) return typeof value === 'number' ? value : undefined
    if (Number.isInteger(value)) throw new NotCompiled('A number in the data that may not be what was written.')
    return undefined
  },
}

function escapeIn(value: object, name: string): unknown {
  return isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined
}
