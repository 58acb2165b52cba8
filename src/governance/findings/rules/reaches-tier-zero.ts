import type { IdentityFacts } from '../facts/facts.ts'
import { clear, found, unknown, type Rule } from '../rule.ts'

export const reachesTierZero: Rule<IdentityFacts> = {
  id: 'reaches-tier-zero',
  owasp: 'NHI5:2025',
  title: 'It comes to tier 0 by a way of its standing rights',
  why: 'Whoever takes it over needs nothing more than what it has already: each step of the way is a right that stands.',
  needs:
    'a look at the graph, something at a source that is tied to it, and every source seen whole before it may be said that no way is there',
  fix: 'Read the way (`reeve path read`) and take away the step that the job does not need.',
  control: 'Tier 0 is reached by leases alone, and a change that makes a way to it is reviewed.',
  judge({ kind, state, tierSet, graphAt, isTied, isAllWhole, hops, firstStep, goal, now }) {
    if (kind === 'human' || state === 'retired') return clear(now)
    if (graphAt === null) return unknown('the graph was not looked at yet')
    if (hops !== null) {
      return found(
        // A person said that it is of tier 0: that it gets there surprises nobody.
        tierSet === 0 ? 'medium' : 'high',
        graphAt,
        [
          `it is ${hops} step(s) from ${goal ?? 'something of tier 0'}`,
          ...(firstStep === null ? [] : [`the first: it ${firstStep}`]),
        ],
        isAllWhole ? [] : ['not every source was seen whole: there may be a shorter way'],
      )
    }
    if (!isTied) return unknown('nothing at a source is tied to it, so its ways are not seen')
    return isAllWhole ? clear(graphAt) : unknown('not every source was seen whole, so a way may be unseen')
  },
}
