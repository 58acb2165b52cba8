import type { CombinedFacts } from '../facts/facts.ts'
import { combined } from './combined.ts'
import type { Rule } from '../rule.ts'

export const openDoorToTierZero: Rule<CombinedFacts> = {
  id: 'open-door-to-tier-zero',
  owasp: 'NHI6:2025',
  title: 'Many can prove that they are it, and it comes to tier 0',
  why: 'A job on any branch, or one that a stranger proposed, is enough to come to everything.',
  needs: 'the rules it is made of',
  fix: 'Narrow the rule of trust to one subject now, then take away the step to tier 0.',
  control: 'What is proven by federation to more than one subject has no privilege.',
  judge: combined(['loose-trust-rule'], ['reaches-tier-zero', 'standing-privilege', 'wildcard-right']),
}
