import type { CredentialFacts } from '../facts/facts.ts'
import { clear, found, unknown, type Rule } from '../rule.ts'
import { unread } from './unread.ts'

export const weakAuthentication: Rule<CredentialFacts> = {
  id: 'weak-authentication',
  owasp: 'NHI4:2025',
  title: 'The credential is of a weak kind',
  why: 'It can be guessed, replayed, or worked out from what the system keeps of it.',
  needs: 'the kind of the credential as the source keeps it',
  fix: 'Make a new one of a kind that the source calls strong, and end this one.',
  control: 'The system refuses to keep weak kinds: for PostgreSQL `password_encryption = scram-sha-256`.',
  judge(facts) {
    const dark = unread(facts)
    if (dark) return dark
    const { strength, strengthWhy, isWhole, readAt } = facts
    if (strength === null) return unknown('of which kind it is could not be seen')
    if (strength === 'strong') return isWhole ? clear(readAt) : unknown('its part of the source was not seen whole')
    return found(strength === 'weak' ? 'high' : 'medium', readAt, [
      `the source keeps it as ${strength}`,
      ...strengthWhy,
    ])
  },
}
