import { UNUSED_DAYS, type KeepingFacts } from '../facts/facts.ts'
import { clear, dayOf, found, isOlder, unknown, type Rule } from '../rule.ts'
import { unread } from './unread.ts'

export const lastingGrant: Rule<KeepingFacts> = {
  id: 'lasting-grant',
  owasp: 'NHI3:2025',
  title: 'A vendor holds a grant that works while nobody is there, and has no end',
  why: 'It acts as the person who once agreed, at night and after they forgot, and whoever breaks into the vendor does so too.',
  needs: 'offline sessions and consents with their ends, and who holds them',
  fix: 'End it where nobody needs it (`reeve vendor revoke` for all of a vendor); give offline sessions a longest life.',
  control: 'Offline access is not among the scopes that a vendor’s client may ask for, or ends within 30 days.',
  judge(facts) {
    const dark = unread(facts)
    if (dark) return dark
    const { type, heldBy, isOffline, neverExpires, lastUsedAt, vendor, isWhole, readAt, now } = facts
    if (type !== 'oauth-grant' || !isOffline) {
      return isWhole || type !== 'oauth-grant' ? clear(readAt) : unknown('its part of the source was not seen whole')
    }
    if (heldBy === null || heldBy === 'unknown-holder') return unknown('who holds it was not seen')
    if (heldBy !== 'third-party' || !neverExpires) {
      return isWhole ? clear(readAt) : unknown('its part of the source was not seen whole')
    }
    const isUnused = lastUsedAt !== null && isOlder(lastUsedAt, UNUSED_DAYS, now)
    return found(isUnused ? 'high' : 'medium', readAt, [
      `${vendor ?? 'somebody outside'} holds it`,
      'nothing ends it as long as it is used',
      ...(isUnused ? [`it was last used on ${dayOf(lastUsedAt)}`] : []),
    ])
  },
}
