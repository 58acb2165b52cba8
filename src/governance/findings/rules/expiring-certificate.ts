import type { CredentialFacts } from '../facts/facts.ts'
import { clear, dayOf, found, unknown, type Rule } from '../rule.ts'

const SOON_DAYS = 30
const AT_ONCE_DAYS = 7

export const expiringCertificate: Rule<CredentialFacts> = {
  id: 'expiring-certificate',
  owasp: 'NHI7:2025',
  title: `A certificate ends within ${SOON_DAYS} days, or did`,
  why: 'What depends on it stops on that day; renewals made in a hurry are where checks are switched off.',
  needs: 'the end of the certificate',
  fix: 'Renew it now, and see that whatever uses it has taken the new one.',
  control: 'Certificates that live for days and are renewed by a program.',
  judge({ type, isPresent, isWhole, expiresAt, neverExpires, readAt, now }) {
    if (type !== 'certificate') return clear(readAt)
    if (!isPresent) return unknown('it was not in the last complete reading, and is gone only after the next')
    if (expiresAt === null) return neverExpires ? clear(readAt) : unknown('when it expires is not known')
    const days = (expiresAt.getTime() - now.getTime()) / 86_400_000
    if (days > SOON_DAYS) return isWhole ? clear(readAt) : unknown('its part of the source was not seen whole')
    const severity = days <= AT_ONCE_DAYS ? 'high' : 'medium'
    return found(severity, readAt, [`it ${days <= 0 ? 'ended' : 'ends'} on ${dayOf(expiresAt)}`])
  },
}
