import type { CredentialFacts } from '../facts/facts.ts'
import { clear, found, unknown, type Rule } from '../rule.ts'
import { unread } from './unread.ts'

export const sharedCredential: Rule<CredentialFacts> = {
  id: 'shared-credential',
  owasp: 'NHI9:2025',
  title: 'Several hold the same secret',
  why: 'One that leaks opens all of them, what was done cannot be told apart, and it cannot be ended for one alone.',
  needs: 'a fingerprint of the secret, and every source seen whole before it may be said that nobody shares it',
  fix: 'Make one of its own for each holder, then end this one.',
  control: 'One identity for each application, and credentials that are made for it and handed over once.',
  judge(facts) {
    const dark = unread(facts)
    if (dark) return dark
    const { hasFingerprint, holders, isAllWhole, readAt } = facts
    if (!hasFingerprint) return unknown('the source gives nothing to recognise the secret by')
    if (holders.length > 1) {
      return found('medium', readAt, [`the same secret is held by ${holders.join(', ')}`], othersUnseen(isAllWhole))
    }
    return isAllWhole ? clear(readAt) : unknown('not every source was seen whole, so another holder may be unseen')
  },
}

function othersUnseen(isAllWhole: boolean): string[] {
  return isAllWhole ? [] : ['not every source was seen whole: there may be more holders']
}
