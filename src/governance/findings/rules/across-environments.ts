import type { CredentialFacts } from '../facts/facts.ts'
import { clear, found, unknown, type Rule } from '../rule.ts'
import { unread } from './unread.ts'

export const acrossEnvironments: Rule<CredentialFacts> = {
  id: 'across-environments',
  owasp: 'NHI8:2025',
  title: 'The same secret is in several environments',
  why: 'Who breaks into a test system, which is guarded less, has the credential of production.',
  needs: 'a fingerprint of the secret, and every source seen whole before it may be said that it stays in one',
  fix: 'Make one of its own for each environment, then end this one.',
  control: 'An identity belongs to one environment, and policies refuse the crossing.',
  judge(facts) {
    const dark = unread(facts)
    if (dark) return dark
    const { hasFingerprint, environments, isAllWhole, readAt } = facts
    if (!hasFingerprint) return unknown('the source gives nothing to recognise the secret by')
    if (environments.length > 1) {
      const severity = environments.includes('production') ? 'high' : 'medium'
      return found(severity, readAt, [`the same secret is in ${environments.join(', ')}`])
    }
    return isAllWhole ? clear(readAt) : unknown('not every source was seen whole, so another place may be unseen')
  },
}
