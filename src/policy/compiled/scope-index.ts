import type { CompiledPolicy } from './policy.ts'
import type { Scope } from './scope.ts'
import type { EntityNode } from './value.ts'

/** What is filed under one kind of scope or another; who asks gets what fits. */
class Level<T> {
  #any: T | undefined
  // Most levels file under one kind of scope, and there may be one level for each of many thousands of groups.
  #is: Map<string, T> | undefined
  #same: Map<string, T> | undefined
  #within: Map<string, T> | undefined

  /** The place of a scope, made when it is the first of its kind. */
  at(scope: Scope, make: () => T): T {
    if (scope.kind === 'any') return (this.#any ??= make())
    if (scope.kind === 'is') return placed((this.#is ??= new Map()), scope.type, make)
    if (scope.kind === '==') return placed((this.#same ??= new Map()), scope.key, make)
    return placed((this.#within ??= new Map()), scope.key, make)
  }

  /** Adds to `found` all that is filed where the entity fits. */
  collect(node: EntityNode, found: T[]): void {
    if (this.#any !== undefined) found.push(this.#any)
    if (this.#is) add(this.#is.get(node.type), found)
    if (this.#same) add(this.#same.get(node.key), found)
    const within = this.#within
    if (!within) return
    add(within.get(node.key), found)
    const ancestors = node.facts?.ancestors
    if (ancestors === undefined || ancestors.size === 0) return
    // The shorter of the two: an entity in thousands of groups meets few policies, and the reverse.
    if (ancestors.size <= within.size) {
      for (const key of ancestors) add(within.get(key), found)
    } else {
      for (const [key, filed] of within) if (ancestors.has(key)) found.push(filed)
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

function add<T>(filed: T | undefined, found: T[]): void {
  if (filed !== undefined) found.push(filed)
}

type Table = Level<Level<CompiledPolicy[]>>

/** So many policies are filed between two steps of `prepare`. */
const POLICIES_PER_STEP = 250

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
  readonly #tableOf = new Map<EntityNode, Table>()

  add(policy: CompiledPolicy): void {
    const { action } = policy
    if (action.kind === 'any') this.#ofAnyAction.push(policy)
    else if (action.kind === '==') placed(this.#ofOneAction, action.key, () => []).push(policy)
    else for (const key of new Set(action.keys)) placed(this.#ofGroup, key, () => []).push(policy)
  }

  /** Builds the table of an action ahead of its first question, in steps. */
  *prepare(action: EntityNode): Generator<undefined, Table> {
    const known = this.#tableOf.get(action)
    if (known) return known
    const groups = [action.key, ...(action.facts?.ancestors ?? [])].filter((key) => this.#ofGroup.has(key)).sort()
    const own = this.#ofOneAction.get(action.key) ?? []
    const name = JSON.stringify([groups, own.length > 0 ? action.key : null])
    const table = this.#tables.get(name) ?? (yield* this.#build(groups, own))
    this.#tables.set(name, table)
    this.#tableOf.set(action, table)
    return table
  }

  /** Every policy whose scope fits, in lists. `action` is a node of the schema. */
  find(principal: EntityNode, action: EntityNode, resource: EntityNode): readonly (readonly CompiledPolicy[])[] {
    const levels: Level<CompiledPolicy[]>[] = []
    const lists: CompiledPolicy[][] = []
    const table = this.#tableOf.get(action) ?? lastOf(this.prepare(action))
    table.collect(principal, levels)
    for (const level of levels) level.collect(resource, lists)
    return lists
  }

  *#build(groups: readonly string[], own: readonly CompiledPolicy[]): Generator<undefined, Table> {
    const table: Table = new Level()
    // A policy that names an action and a group of it is one policy.
    const policies = new Set([...this.#ofAnyAction, ...own, ...groups.flatMap((key) => this.#ofGroup.get(key) ?? [])])
    let filed = 0
    for (const policy of policies) {
      const level = table.at(policy.principal, () => new Level<CompiledPolicy[]>())
      level.at(policy.resource, () => []).push(policy)
      filed += 1
      if (filed % POLICIES_PER_STEP === 0) yield
    }
    return table
  }
}

/** Runs all steps at once. */
function lastOf<T>(steps: Generator<undefined, T>): T {
  for (;;) {
    const step = steps.next()
    if (step.done) return step.value
  }
}

/** What the index leaves to check: it files by an entity or by a type, and some scopes name both. */
export function fits(policy: CompiledPolicy, principal: EntityNode, resource: EntityNode): boolean {
  return isOfType(policy.principal, principal) && isOfType(policy.resource, resource)
}

function isOfType(scope: Scope, node: EntityNode): boolean {
  return scope.kind !== 'is in' || scope.type === node.type
}
