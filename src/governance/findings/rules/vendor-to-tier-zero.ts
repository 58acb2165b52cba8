import type { CombinedFacts } from '../facts/facts.ts'
import { combined } from './combined.ts'
import type { Rule } from '../rule.ts'

export const vendorToTierZero: Rule<CombinedFacts> = {
  id: 'vendor-to-tier-zero',
  owasp: 'NHI3:2025',
  title: 'A stranger to the record holds a credential that leads to tier 0',
  why: 'A break-in at a company that nobody here watches is one here, with everything.',
  needs: 'the rules it is made of',
  fix: 'End what the vendor holds first, then ask what it was for.',
  control: 'What vendors hold is narrowed until no way leads from it to tier 0.',
  judge: combined(['vendor-held'], ['reaches-tier-zero', 'standing-privilege', 'wildcard-right']),
}
