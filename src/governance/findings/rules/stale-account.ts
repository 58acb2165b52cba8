import { UNUSED_DAYS, type AccountFacts } from '../facts/facts.ts'
import { clear, dayOf, found, isOlder, unknown, type Rule } from '../rule.ts'

export const staleAccount: Rule<AccountFacts> = {
  id: 'stale-account',
  owasp: 'NHI1:2025',
  title: `It was not used for ${UNUSED_DAYS} days`,
  why: 'A login that nobody needs is only of use to an attacker.',
  needs: `a source that would have told of every use, without a gap, for ${UNUSED_DAYS} days`,
  fix: 'Take away its right to log in; drop it when nothing broke.',
  control: 'Accounts with an expiry, or leases in their place.',
  judge({ mode, canLogIn, seenAt, firstSeenAt, lastUsedAt, isWatchedLong, tier, now }) {
    if (mode === 'lease') return clear(now)
    if (canLogIn === false && seenAt !== null) return clear(seenAt)
    if (lastUsedAt !== null && !isOlder(lastUsedAt, UNUSED_DAYS, now)) return clear(lastUsedAt)
    if (!isWatchedLong) return unknown(`not every use of the last ${UNUSED_DAYS} days would have been seen`)
    if (firstSeenAt === null || !isOlder(firstSeenAt, UNUSED_DAYS, now)) {
      return unknown(`it is not known to have stood for ${UNUSED_DAYS} days`)
    }
    const last = lastUsedAt === null ? 'no use was ever seen' : `its last use was on ${dayOf(lastUsedAt)}`
    return found(tier <= 1 ? 'medium' : 'low', now, [last, `every use of ${UNUSED_DAYS} days would have been seen`])
  },
}
