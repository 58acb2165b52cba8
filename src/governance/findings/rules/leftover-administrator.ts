import type { CombinedFacts } from '../facts/facts.ts'
import { combined } from './combined.ts'
import type { Rule } from '../rule.ts'

export const leftoverAdministrator: Rule<CombinedFacts> = {
  id: 'leftover-administrator',
  owasp: 'NHI1:2025',
  title: 'It is over or unused, and still comes to tier 0',
  why: 'Nobody needs it but whoever breaks in, and nobody would notice them.',
  needs: 'the rules it is made of',
  fix: 'Suspend it today; retire it when nothing broke, and drop its accounts.',
  control: 'Identities end with their purpose, and what leads to tier 0 is looked at every month.',
  judge: combined(['reaches-tier-zero'], ['past-its-end', 'past-its-purpose', 'stale-identity', 'stale-account']),
}
