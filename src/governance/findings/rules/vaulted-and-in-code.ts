import type { CredentialFacts } from '../facts/facts.ts'
import { clear, found, unknown, type Rule } from '../rule.ts'
import { isKept, notInCode } from './hard-coded.ts'
import { unread } from './unread.ts'

export const vaultedAndInCode: Rule<CredentialFacts> = {
  id: 'vaulted-and-in-code',
  owasp: 'NHI2:2025',
  title: 'A secret of a vault stands in code as well',
  why: 'The vault looks like protection: who reads it is checked and logged there, and the copy in the code passes all of it by.',
  needs: 'a fingerprint of what the vault or pipeline keeps, and the code, images and logs where it may stand',
  fix: 'Replace the secret in the vault, let the code read it there, and end the old one.',
  control: 'A hook refuses commits with secrets, and what a vault keeps is rotated so that a copy ends.',
  judge(facts) {
    const { heldBy, hasFingerprint, inCode, readAt } = facts
    if (!isKept(heldBy)) return clear(readAt)
    const dark = unread(facts)
    if (dark) return dark
    if (!hasFingerprint) return unknown('the source gives nothing to recognise the secret by')
    if (inCode.length === 0) return notInCode(facts)
    return found(
      'high',
      readAt,
      inCode.map((place) => `the same secret is ${place}`),
    )
  },
}
