import { NotCompiled } from './fault.ts'
import { asArray, asEntity, asObject, asText, own } from './json-form.ts'
import { type EntityNode, keyOfEntity } from './value.ts'

/** Whom a policy is about, or on what: everything, one entity, those below an entity, those of a type, or both of these. */
export type Scope =
  | { readonly kind: 'any' }
  | { readonly kind: 'is'; readonly type: string }
  | { readonly kind: '=='; readonly key: string }
  | { readonly kind: 'in'; readonly key: string }
  | { readonly kind: 'is in'; readonly type: string; readonly key: string }

/** Which actions a policy is about: every one, one, or those that are or are in one of some. */
export type ActionScope =
  | { readonly kind: 'any' }
  | { readonly kind: '=='; readonly key: string }
  | { readonly kind: 'in'; readonly keys: readonly string[] }

export type Slots = ReadonlyMap<string, EntityNode>

export function readScope(constraint: unknown, slots: Slots): Scope {
  const body = asObject(constraint)
  switch (own(body, 'op')) {
    case 'All':
      return { kind: 'any' }
    case '==':
      return { kind: '==', key: keyIn(body, slots) }
    case 'in':
      return { kind: 'in', key: keyIn(body, slots) }
    case 'is': {
      const type = asText(own(body, 'entity_type'))
      const within = own(body, 'in')
      return within === undefined ? { kind: 'is', type } : { kind: 'is in', type, key: keyIn(asObject(within), slots) }
    }
    default:
      throw new NotCompiled('A scope of an unknown kind.')
  }
}

function keyIn(body: Readonly<Record<string, unknown>>, slots: Slots): string {
  const slot = own(body, 'slot')
  if (slot === undefined) return keyOf(own(body, 'entity'))
  const filled = slots.get(asText(slot))
  if (!filled) throw new NotCompiled('A slot is empty.')
  return filled.key
}

export function readActionScope(constraint: unknown): ActionScope {
  const body = asObject(constraint)
  const op = own(body, 'op')
  if (op === 'All') return { kind: 'any' }
  if (op === '==') return { kind: '==', key: keyOf(own(body, 'entity')) }
  if (op !== 'in') throw new NotCompiled('A scope of an unknown kind.')
  const several = own(body, 'entities')
  return { kind: 'in', keys: several === undefined ? [keyOf(own(body, 'entity'))] : asArray(several).map(keyOf) }
}

function keyOf(entity: unknown): string {
  const { type, id } = asEntity(entity)
  return keyOfEntity(type, id)
}
