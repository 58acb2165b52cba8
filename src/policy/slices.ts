import { distinctEntities, type Entity } from './entity.ts'

type Part = readonly Entity[]

/** So many slices are kept; the oldest go first. */
const MOST_KEPT = 4096

const numbers = new WeakMap<Part, number>()
let numbered = 0
const kept = new Map<string, Part>()

/**
 * The entities of several parts as one list, each entity once. Parts that are frozen are as they will ever be, so the same parts give the very
 * same list, frozen too: an engine that has read it knows it again.
 */
export function joined(parts: readonly Part[]): Part {
  if (!parts.every((part) => Object.isFrozen(part))) return distinctEntities(parts.flat())
  const key = parts.map(numberOf).join()
  const known = kept.get(key)
  if (known) return known
  const made = Object.freeze(distinctEntities(parts.flat()))
  kept.set(key, made)
  if (kept.size > MOST_KEPT) {
    const [oldest] = kept.keys()
    if (oldest !== undefined) kept.delete(oldest)
  }
  return made
}

function numberOf(part: Part): number {
  const known = numbers.get(part)
  if (known !== undefined) return known
  numbered += 1
  numbers.set(part, numbered)
  return numbered
}
