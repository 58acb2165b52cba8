import { types } from 'node:util'
import { linked, type Entity } from '../entity.ts'
import { NAMESPACE } from '../schema.ts'
import type { DataForm } from './data-reader.ts'
import type { GivenEntity } from './entity-store.ts'
import { DateTime } from './extension-value.ts'
import { DataFault } from './fault.ts'

/** Data as Reeve has it: links are entities, `Date`s are datetimes, numbers are whole. */
export const reeveData: DataForm = {
  entityOf(value) {
    const link = linked(value)
    return link && { type: fullType(link.type), id: link.id }
  },
  extensionOf(value) {
    if (!types.isDate(value)) return undefined
    const ms = value.getTime()
    // The language has a text for these years only. An invalid date is in no year.
    if (ms >= FIRST_MS && ms <= LAST_MS) return new DateTime(ms)
    throw new DataFault('an instant before year 0 or after year 9999')
  },
  longOf: (value) => (typeof value === 'number' && Number.isSafeInteger(value) ? value : undefined),
}

/** 0000-01-01T00:00:00.000Z and 9999-12-31T23:59:59.999Z */
const FIRST_MS = -62_167_219_200_000
const LAST_MS = 253_402_300_799_999

const TYPE = /^[A-Z][A-Za-z0-9]*$/

/** The types met so far, so that a name is put together once. Bounded by what a schema declares: others are refused before they get here. */
const fullTypes = new Map<string, string>()
const MAX_TYPES = 1000

/** A type's name with Reeve's namespace. */
function fullType(type: string): string {
  const known = fullTypes.get(type)
  if (known !== undefined) return known
  if (!TYPE.test(type)) throw new DataFault('an entity has no name')
  const full = `${NAMESPACE}::${type}`
  if (fullTypes.size < MAX_TYPES) fullTypes.set(type, full)
  return full
}

/** An entity with full names. */
export function given({ type, id, attributes, parents = [] }: Entity): GivenEntity {
  return { type: fullType(type), id: textOf(id), attributes, parents: parents.map(ref) }
}

/** A reference with its full name. */
export function ref({ type, id }: { readonly type: string; readonly id: string }): { type: string; id: string } {
  return { type: fullType(type), id: textOf(id) }
}

/** An id, whatever the types claim of it. */
function textOf(id: unknown): string {
  if (typeof id === 'string') return id
  throw new DataFault('an entity has no name')
}
