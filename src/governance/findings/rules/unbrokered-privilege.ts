import { RECENT_DAYS, type AccountFacts } from '../facts/facts.ts'
import { clear, dayOf, found, unknown, type Rule } from '../rule.ts'

export const unbrokeredPrivilege: Rule<AccountFacts> = {
  id: 'unbrokered-privilege',
  owasp: 'NHI5:2025',
  title: 'A privileged account was used, and no session explains it',
  why: 'Who goes past the broker is held by no purpose, approval, limit or recording.',
  needs: `uses that a source told, beside the sessions of Reeve, over ${RECENT_DAYS} days`,
  fix: 'Find out who it was, give the login another secret, and let them ask for access.',
  control: 'Reeve alone knows the logins of privileged accounts, and rotates them.',
  judge({ tier, isSuperuser, createsRoles, outside, isWatched, mode, now }) {
    if (mode === 'lease') return clear(now)
    if (tier > 1 && isSuperuser !== true && createsRoles !== true) {
      return isSuperuser === null ? unknown('what it may do at its target was not seen') : clear(now)
    }
    const [last] = outside
    if (last) {
      return found(
        'high',
        last.at,
        [`it was used on ${dayOf(last.at)} outside of any session`, ...fromWhere(last)],
        isWatched ? [] : ['there may be more uses than were seen'],
      )
    }
    return isWatched ? clear(now) : unknown(`not every use of the last ${RECENT_DAYS} days would have been seen`)
  },
}

function fromWhere({ agent, address }: { readonly agent: string | null; readonly address: string | null }): string[] {
  return [...(address === null ? [] : [`from ${address}`]), ...(agent === null ? [] : [`by ${agent}`])]
}
