import type { CombinedFacts } from '../facts/facts.ts'
import { combined } from './combined.ts'
import type { Rule } from '../rule.ts'

export const lastingLeak: Rule<CombinedFacts> = {
  id: 'lasting-leak',
  owasp: 'NHI2:2025',
  title: 'It comes to tier 0 by a login that never ends and lies in the open',
  why: 'A copy of it that somebody took long ago still leads to everything.',
  needs: 'the rules it is made of',
  fix: 'Change the secret now, take away the step to tier 0, then move the new one into a store.',
  control: 'What comes to tier 0 has credentials of minutes, and none that a person or file ever holds.',
  judge: combined(
    ['reaches-tier-zero', 'long-lived'],
    ['outside-store', 'hard-coded', 'hard-coded-and-live', 'vaulted-and-in-code', 'person-and-job'],
  ),
}
