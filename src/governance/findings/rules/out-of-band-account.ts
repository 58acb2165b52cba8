import type { AccountFacts } from '../facts/facts.ts'
import { clear, dayOf, found, unknown, type Rule } from '../rule.ts'

export const outOfBandAccount: Rule<AccountFacts> = {
  id: 'out-of-band-account',
  owasp: 'NHI1:2025',
  title: 'It stands at its target, and nobody claims it',
  why: 'An account that was made beside the process has no owner, no purpose and no end; a back door looks the same.',
  needs: 'a survey of the target',
  fix: 'Claim it for the identity that uses it (`reeve account claim`), or drop it at the target.',
  control: 'Only the login of Reeve may make accounts at the target.',
  judge({ mode, identityId, isBuiltIn, canLogIn, seenAt, tier, isSuperuser, lastUsedAt, isWatchedLong, now }) {
    if (mode !== 'seen' || identityId !== null || isBuiltIn) return clear(now)
    if (seenAt === null) return unknown('its target was not looked at')
    if (canLogIn === false) return clear(seenAt)
    const isGrave = isSuperuser === true || tier <= 1
    return found(
      isGrave ? 'high' : 'medium',
      seenAt,
      [
        'no identity of the record claims it',
        ...(isSuperuser === true ? ['it is a superuser'] : []),
        ...(lastUsedAt === null ? [] : [`it was used on ${dayOf(lastUsedAt)}`]),
      ],
      [
        ...(canLogIn === null ? ['whether it can log in was not seen'] : []),
        ...(lastUsedAt === null && !isWatchedLong ? ['uses may have gone unseen'] : []),
      ],
    )
  },
}
