import type { CredentialFacts } from '../facts/facts.ts'
import { clear, dayOf, found, isOlder, unknown, type Rule } from '../rule.ts'
import { unread } from './unread.ts'

const LIMIT_DAYS = 365

export const longLived: Rule<CredentialFacts> = {
  id: 'long-lived',
  owasp: 'NHI7:2025',
  title: 'The credential never ends, or not within a year',
  why: 'The longer a secret lives, the more copies of it there are, and the longer a stolen one works.',
  needs: 'the expiry of the credential, or that it has none',
  fix: 'Give it an end within a year and a rotation before it, or replace it by a lease or federation.',
  control: 'No credential is made without an end.',
  judge(facts) {
    const dark = unread(facts)
    if (dark) return dark
    const { neverExpires, expiresAt, createdAt, rotatedAt, isWhole, readAt, now } = facts
    const since = rotatedAt ?? createdAt
    if (!neverExpires && expiresAt === null) return unknown('when it expires is not known')
    const isFar = expiresAt !== null && expiresAt.getTime() - now.getTime() > LIMIT_DAYS * 86_400_000
    if (!neverExpires && !isFar) return isWhole ? clear(readAt) : unknown('its part of the source was not seen whole')
    const isAged = since !== null && isOlder(since, LIMIT_DAYS, now)
    return found(
      isAged ? 'high' : 'medium',
      readAt,
      [
        expiresAt === null ? 'it never expires' : `it expires on ${dayOf(expiresAt)}`,
        ...(since === null ? [] : [`it is as it was on ${dayOf(since)}`]),
      ],
      since === null ? ['how old it is was not seen'] : [],
    )
  },
}
