import type { CombinedFacts } from '../facts/facts.ts'
import { clear, found, type Verdict } from '../rule.ts'

/**
 * A rule over rules: all of `every`, and one of `any`, found on one identity or on what it holds and not fixed. What a rule could not see leaves
 * its finding as it was, so a combination is not gone before each part of it is proven to be.
 */
export function combined(every: readonly string[], any: readonly string[]) {
  return ({ rules, now }: CombinedFacts): Verdict => {
    const further = any.filter((rule) => rules.has(rule))
    if (further.length === 0 || !every.every((rule) => rules.has(rule))) return clear(now)
    return found(
      'critical',
      now,
      [...every, ...further].map((rule) => `${rule} is found on it`),
    )
  }
}
