import type { CredentialFacts } from '../facts/facts.ts'
import { clear, dayOf, found, isOlder, unknown, type Rule } from '../rule.ts'
import { unread } from './unread.ts'

/** As long as half a year: what a provider’s own policy of rotation allows counts where there is one. */
const LIMIT_DAYS = 180
const FAR_DAYS = 365

export const overdueSecret: Rule<CredentialFacts> = {
  id: 'overdue-secret',
  owasp: 'NHI7:2025',
  title: 'A client secret is older than its limit',
  why: 'Everybody who ever set the client up, and every copy of its settings, still has it.',
  needs: 'when the provider made the secret, or the end that it has',
  fix: 'Rotate it now (`reeve rotation`), or let the client prove itself by a key of its own.',
  control: 'A policy of rotation at the provider, or clients that sign (`private_key_jwt`) and have no secret.',
  judge(facts) {
    if (facts.type !== 'client-secret') return clear(facts.readAt)
    const dark = unread(facts)
    if (dark) return dark
    const { rotatedAt, createdAt, expiresAt, isWhole, readAt, now } = facts
    if (expiresAt !== null) {
      if (expiresAt > now) return isWhole ? clear(readAt) : unknown('its part of the source was not seen whole')
      return found('high', readAt, [`it should have ended on ${dayOf(expiresAt)}, and is still taken`])
    }
    const since = rotatedAt ?? createdAt
    if (since === null) return unknown('when it was made is not known')
    if (!isOlder(since, LIMIT_DAYS, now)) {
      return isWhole ? clear(readAt) : unknown('its part of the source was not seen whole')
    }
    return found(isOlder(since, FAR_DAYS, now) ? 'high' : 'medium', readAt, [
      `it is as it was on ${dayOf(since)}`,
      `its limit is ${LIMIT_DAYS} days`,
    ])
  },
}
