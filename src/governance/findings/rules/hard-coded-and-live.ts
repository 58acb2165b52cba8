import type { CredentialFacts } from '../facts/facts.ts'
import { clear, found, unknown, type Rule } from '../rule.ts'
import { isKept, notInCode } from './hard-coded.ts'
import { unread } from './unread.ts'

export const hardCodedAndLive: Rule<CredentialFacts> = {
  id: 'hard-coded-and-live',
  owasp: 'NHI2:2025',
  title: 'The credential of an account stands in code, and lives',
  why: 'It is not a string that looks like a secret: its account has it now, so whoever reads the code is that account.',
  needs: 'a fingerprint or public half of the credential, and the code, images and logs where it may stand',
  fix: 'Rotate it now, see who breaks in its consumers, and look at its uses since it was first committed.',
  control: 'Programs get leases or federate, so that there is nothing to write down.',
  judge(facts) {
    const { heldBy, hasFingerprint, inCode, readAt } = facts
    if (heldBy === 'source' || isKept(heldBy)) return clear(readAt)
    const dark = unread(facts)
    if (dark) return dark
    if (!hasFingerprint) return unknown('the source gives nothing to recognise the secret by')
    if (inCode.length === 0) return notInCode(facts)
    return found(
      'critical',
      readAt,
      inCode.map((place) => `the same secret is ${place}`),
    )
  },
}
