import type { GrantFacts } from '../facts/facts.ts'
import { clear, found, unknown, type Rule } from '../rule.ts'

export const wildcardRight: Rule<GrantFacts> = {
  id: 'wildcard-right',
  owasp: 'NHI5:2025',
  title: 'A right is given by a star',
  why: 'It holds for everything there and for all that will be there tomorrow; who took over a holder has much more than the job needs.',
  needs: 'roles or policies with what they say, and who has them',
  fix: 'See in the log of uses what is used, and name actions and things in place of the star.',
  control:
    'Roles and policies with `*` are refused when they are written, and what administers is asked for as a lease.',
  judge({ isPresent, isWhole, isSourceWhole, isBuiltIn, isAdministrator, isEverybodys, holders, readAt, ...facts }) {
    if (!isPresent) return unknown('it was not in the last complete reading, and is gone only after the next')
    if (!facts.privilege.includes('*') && !facts.on.includes('*')) {
      return isWhole ? clear(readAt) : unknown('its part of the source was not seen whole')
    }
    const isHeld = holders.length > 0
    if (isBuiltIn && !isHeld) {
      return isSourceWhole ? clear(readAt) : unknown('who has it was not seen whole')
    }
    const heldSeverity = isAdministrator ? 'high' : 'medium'
    const severity = isEverybodys ? 'critical' : isHeld ? heldSeverity : 'low'
    return found(
      severity,
      readAt,
      [
        `${facts.privilege} on ${facts.on}`,
        isHeld ? `it is held by ${holders.join(', ')}` : 'nobody was seen to have it',
      ],
      isSourceWhole ? [] : ['not every part of the source was seen whole: there may be more holders'],
    )
  },
}
