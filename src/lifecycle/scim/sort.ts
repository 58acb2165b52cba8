import { ScimError } from './error.ts'
import { valuesOf } from './filter.ts'
import { placeOf, type Place } from './path.ts'
import { isDoc, type Doc } from './resource.ts'
import type { ResourceType } from './schema.ts'

/** RFC 7644 §3.4.2.3: by which attribute a list is sorted, and which way. */
export type Sort = { readonly on: Place; readonly isDescending: boolean }

const LONGEST_PATH = 2_000

/** Undefined where nothing is asked for. Throws for what a resource of this type cannot be sorted by. */
export function parseSort(type: ResourceType, by: string | undefined, order: string | undefined): Sort | undefined {
  if (by === undefined) return undefined
  if (order !== undefined && order !== 'ascending' && order !== 'descending') {
    throw new ScimError(400, 'invalidValue', 'sortOrder is ascending or descending.')
  }
  const on = by.length > LONGEST_PATH ? undefined : placeOf(type, by)
  if (!on) throw new ScimError(400, 'invalidPath', 'sortBy names no attribute of the resource.')
  const { attribute, sub } = on
  const isWhole = attribute.type === 'complex' && !sub
  const value = isWhole ? attribute.subAttributes?.find(({ name }) => name === 'value') : undefined
  if (isWhole && !(attribute.multiValued && value)) {
    throw new ScimError(400, 'invalidPath', 'sortBy names a part of an attribute that has parts.')
  }
  return { on: value ? { ...on, sub: value } : on, isDescending: order === 'descending' }
}

/** Whether what a list is sorted by has to be read for it. */
export function sortsBy(sort: Sort | undefined, name: string): boolean {
  return sort?.on.attribute.name === name
}

/** What a resource is sorted by, folded as the attribute is compared; undefined where it has none. */
export function sortKey({ on }: Sort, doc: Readonly<Doc>): string | undefined {
  const { attribute, sub, extension } = on
  const all = valuesOf({ attribute, extension, sub: undefined }, doc)
  // Of a list the preferred value counts, else the first.
  const whole = all.find((each) => isDoc(each) && each['primary'] === true) ?? all[0]
  const value = sub && isDoc(whole) ? whole[sub.name] : whole
  if (typeof value !== 'string' && typeof value !== 'boolean' && typeof value !== 'number') return undefined
  const text = String(value)
  return (sub ?? attribute).caseExact ? text : text.normalize('NFKC').toLowerCase()
}

type Sortable = { readonly id: string; readonly key: string | undefined }

/** What has no value stands last where it goes up, and first where it goes down; what is alike stays in the order of ids. */
export function inOrder({ isDescending }: Sort, a: Sortable, b: Sortable): number {
  const way = isDescending ? -1 : 1
  if (a.key === b.key) return a.id < b.id ? -1 : 1
  if (a.key === undefined) return way
  if (b.key === undefined) return -way
  return a.key < b.key ? -way : way
}
