import type { CredentialFacts } from '../facts/facts.ts'
import { clear, dayOf, found, unknown, type Rule } from '../rule.ts'
import { unread } from './unread.ts'

export const legacyAccountToken: Rule<CredentialFacts> = {
  id: 'legacy-account-token',
  owasp: 'NHI4:2025',
  title: 'A token of a service account lies in a Secret and never expires',
  why: 'It is bound to no pod and to no audience: whoever reads the Secret once, a backup or a log of it is the service account until somebody deletes it.',
  needs: 'the secrets of the cluster by type (`list secrets`), or the expiry of the token',
  fix: 'Let pods use projected tokens and others ask by TokenRequest, see in its last use that nobody needs it, then delete the Secret.',
  control: 'Admission refuses Secrets of type `kubernetes.io/service-account-token`.',
  judge(facts) {
    const { type, neverExpires, expiresAt, createdAt, isWhole, readAt } = facts
    if (type !== 'service-account-token') return clear(readAt)
    const dark = unread(facts)
    if (dark) return dark
    if (neverExpires)
      return found('high', readAt, [createdAt ? `it has been there since ${dayOf(createdAt)}` : 'it never expires'])
    // One that the kubelet renews is told without an end of its own.
    if (expiresAt === null && facts.strength !== 'strong') return unknown('when it expires is not known')
    return isWhole ? clear(readAt) : unknown('its part of the source was not seen whole')
  },
}
