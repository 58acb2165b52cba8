import type { CompiledPolicy } from './policy.ts'
import type { Scope } from './scope.ts'
import type { EntityNode } from './value.ts'

/** What is filed under one kind of scope or another; who asks walks over what fits. */
class Level<T> {
  #any: T | undefined
  readonly #is = new Map<string, T>()
  readonly #same = new Map<string, T>()
  readonly #within = new Map<string, T>()

  /** The place of a scope, made when it is the first of its kind. */
  at(scope: Scope, make: () => T): T {
    if (scope.kind === 'any') return (this.#any ??= make())
    if (scope.kind === 'is') return placed(this.#is, scope.type, make)
    return placed(scope.kind === '==' ? this.#same : this.#within, scope.key, make)
  }

  /** Calls `visit` with all that is filed where the entity fits. */
  visit(node: EntityNode, visit: (found: T) => void): void {
    if (this.#any !== undefined) visit(this.#any)
    if (this.#is.size > 0) call(this.#is.get(node.type), visit)
    if (this.#same.size > 0) call(this.#same.get(node.key), visit)
    if (this.#within.size === 0) return
    call(this.#within.get(node.key), visit)
    const ancestors = node.facts?.ancestors
    if (ancestors === undefined || ancestors.size === 0) return
    // The shorter of the two: an entity in thousands of groups meets few policies, and the reverse.
    if (ancestors.size <= this.#within.size) {
      for (const key of ancestors) call(this.#within.get(key), visit)
    } else {
      for (const [key, found] of this.#within) if (ancestors.has(key)) visit(found)
    }
  }
}

function placed<T>(map: Map<string, T>, key: string, make: () => T): T {
  const found = map.get(key)
  if (found !== undefined) return found
  const made = make()
  map.set(key, made)
  return made
}

function call<T>(found: T | undefined, visit: (found: T) => void): void {
  if (found !== undefined) visit(found)
}

type Table = Level<Level<CompiledPolicy[]>>

/**
 * Finds the policies whose scope fits a question without looking at the others: by action, then principal, then resource. Scopes never err,
 * so a policy that does not fit has nothing to say.
 */
export class ScopeIndex {
  readonly #ofAnyAction: CompiledPolicy[] = []
  readonly #ofOneAction = new Map<string, CompiledPolicy[]>()
  readonly #ofGroup = new Map<string, CompiledPolicy[]>()
  /** Tables by the action keys they answer for: actions that policies tell apart by nothing share one. */
  readonly #tables = new Map<string, Table>()
  readonly #tableOf = new WeakMap<EntityNode, Table>()

  add(policy: CompiledPolicy): void {
    const { action } = policy
    if (action.kind === 'any') this.#ofAnyAction.push(policy)
    else if (action.kind === '==') placed(this.#ofOneAction, action.key, () => []).push(policy)
    else for (const key of new Set(action.keys)) placed(this.#ofGroup, key, () => []).push(policy)
  }

  /** Builds the table of an action ahead of its first question. */
  prepare(action: EntityNode): void {
    this.#tableFor(action)
  }

  /** Calls `visit` with every policy whose scope fits. `action` is a node of the schema. */
  visit(
    principal: EntityNode,
    action: EntityNode,
    resource: EntityNode,
    visit: (policy: CompiledPolicy) => void,
  ): void {
    this.#tableFor(action).visit(principal, (level) => {
      level.visit(resource, (policies) => {
        for (const policy of policies) {
          if (isOfType(policy.principal, principal) && isOfType(policy.resource, resource)) visit(policy)
        }
      })
    })
  }

  #tableFor(action: EntityNode): Table {
    const known = this.#tableOf.get(action)
    if (known) return known
    const groups = [action.key, ...(action.facts?.ancestors ?? [])].filter((key) => this.#ofGroup.has(key)).sort()
    const own = this.#ofOneAction.get(action.key) ?? []
    const name = JSON.stringify([groups, own.length > 0 ? action.key : null])
    const table = placed(this.#tables, name, () => this.#build(groups, own))
    this.#tableOf.set(action, table)
    return table
  }

  #build(groups: readonly string[], own: readonly CompiledPolicy[]): Table {
    const table: Table = new Level()
    // A policy that names an action and a group of it is one policy.
    const policies = new Set([...this.#ofAnyAction, ...own, ...groups.flatMap((key) => this.#ofGroup.get(key) ?? [])])
    for (const policy of policies) {
      const level = table.at(policy.principal, () => new Level<CompiledPolicy[]>())
      level.at(policy.resource, () => []).push(policy)
    }
    return table
  }
}

function isOfType(scope: Scope, node: EntityNode): boolean {
  return scope.kind !== 'is in' || scope.type === node.type
}
