import type { EntityNode, RecordValue } from './value.ts'

/** Finds what is known of an entity; undefined for one that nothing is known of. */
type Lookup = { find(type: string, id: string): EntityNode | undefined }

/** What a policy is evaluated in. */
export type Environment = {
  readonly principal: EntityNode
  readonly action: EntityNode
  readonly resource: EntityNode
  readonly context: RecordValue
  readonly entities: Lookup
}

/** The entity with its facts, if the store of the question has any. */
export function resolve(env: Environment, node: EntityNode): EntityNode {
  return node.isLiteral ? (env.entities.find(node.type, node.id) ?? node) : node
}

/** Whether an entity is another or somewhere below it. */
export function isWithin(env: Environment, node: EntityNode, other: EntityNode): boolean {
  return node.key === other.key || (resolve(env, node).facts?.ancestors.has(other.key) ?? false)
}
