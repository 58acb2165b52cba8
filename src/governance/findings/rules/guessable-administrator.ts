import type { CombinedFacts } from '../facts/facts.ts'
import { combined } from './combined.ts'
import type { Rule } from '../rule.ts'

export const guessableAdministrator: Rule<CombinedFacts> = {
  id: 'guessable-administrator',
  owasp: 'NHI4:2025',
  title: 'It administers at all times by a weak or shared login',
  why: 'The way in is the easiest one, and what lies behind it is everything.',
  needs: 'the rules it is made of',
  fix: 'Make a strong login of its own for it and end this one; then take the rights away.',
  control: 'Administration by leases only: their logins are made for one grant and are strong.',
  judge: combined(['standing-privilege'], ['weak-authentication', 'shared-credential', 'across-environments']),
}
