import type { AccountFacts } from '../facts/facts.ts'
import { clear, found, type Rule } from '../rule.ts'

export const unrotatedLogin: Rule<AccountFacts> = {
  id: 'unrotated-login',
  owasp: 'NHI7:2025',
  title: 'Nothing ends the login that Reeve keeps for it',
  why: 'A copy that was taken once works until somebody thinks of it: there is no way by which it ends.',
  needs: 'the catalog and the schedules of rotation; both are in the record',
  fix: 'Put its login on a schedule (`reeve rotation schedule`), or let it be reached by leases.',
  control: 'Leases where the target can make them, rotation on a schedule where it cannot.',
  judge({ mode, isRotated, tier, now }) {
    if (mode !== 'static' || isRotated) return clear(now)
    return found(tier <= 1 ? 'high' : 'medium', now, ['its login is kept as it was given, and is on no schedule'])
  },
}
