import type { CombinedFacts } from '../facts/facts.ts'
import { combined } from './combined.ts'
import type { Rule } from '../rule.ts'

export const abandonedAdministrator: Rule<CombinedFacts> = {
  id: 'abandoned-administrator',
  owasp: 'NHI5:2025',
  title: 'It administers at all times by a login that never ends, and nobody answers for it',
  why: 'Each of the three alone is bad; together nobody would notice that somebody else administers.',
  needs: 'the rules it is made of',
  fix: 'Take the rights away first, then end the login, then find an owner or retire it.',
  control: 'No administration without an attested owner, and none by a standing login.',
  judge: combined(['orphaned', 'standing-privilege'], ['long-lived', 'unrotated-login']),
}
