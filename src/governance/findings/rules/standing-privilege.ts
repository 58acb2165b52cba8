import type { AccountFacts } from '../facts/facts.ts'
import { clear, found, unknown, type Rule } from '../rule.ts'

export const standingPrivilege: Rule<AccountFacts> = {
  id: 'standing-privilege',
  owasp: 'NHI5:2025',
  title: 'It administers its target at all times',
  why: 'Whoever takes over the workload, or finds a copy of its login, administers the system at once and for good.',
  needs: 'a survey of the target that shows the rights of the account and of the roles it is in',
  fix: 'Take the rights away and let it ask for a lease when it needs them.',
  control: 'Administration by leases that are approved, short and recorded; no standing account has it.',
  judge({ mode, claimedBy, isSuperuser, createsRoles, canLogIn, seenAt, now }) {
    if (mode === 'lease' || claimedBy === 'human') return clear(now)
    if (seenAt === null) return unknown('its target was not looked at')
    if (canLogIn === false) return clear(seenAt)
    if (isSuperuser !== true && createsRoles !== true) {
      if (isSuperuser === null || createsRoles === null) return unknown('what it may do there was not seen')
      return clear(seenAt)
    }
    if (claimedBy === null) return unknown('nobody claims it, so it is not known whether a workload holds it')
    const what = isSuperuser === true ? 'it is a superuser, itself or by a role' : 'it makes and changes other roles'
    return found(isSuperuser === true ? 'high' : 'medium', seenAt, [what, `a ${claimedBy} holds it`])
  },
}
