import type { KeepingFacts } from '../facts/facts.ts'
import { clear, found, unknown, type Rule } from '../rule.ts'
import { unread } from './unread.ts'

export const outsideStore: Rule<KeepingFacts> = {
  id: 'outside-store',
  owasp: 'NHI2:2025',
  title: 'It is kept in files or settings, and others are in a store',
  why: 'Nobody is asked before it is read there, nobody sees who did, and backups and logs have copies of it.',
  needs:
    'a store among the sources, what keeps the credential, and a fingerprint of it before it may be said that the store has it too',
  fix: 'Make a new one in the store, let what needs it fetch it there, then end this one.',
  control: 'Secrets are made in the store, and what starts jobs hands them over for the time of the job.',
  judge(facts) {
    const dark = unread(facts)
    if (dark) return dark
    const { type, heldBy, keptIn, isVaulted, isStoreRead, hasFingerprint, isAllWhole, readAt } = facts
    if (!isStoreRead) return unknown('no store of secrets is among the sources')
    // What is public as it is, or believed without a secret, has nothing to keep.
    if (isVaulted || type === 'certificate' || type === 'federated-trust') return clear(readAt)
    const places = heldBy === 'file' && keptIn.length === 0 ? ['a file'] : keptIn
    if (places.length > 0) {
      return found(
        'medium',
        readAt,
        places.map((place) => `it is kept in ${place}`),
        hasFingerprint ? [] : ['a store may have it too: there is nothing to recognise it by'],
      )
    }
    return isAllWhole ? clear(readAt) : unknown('not every source was seen whole, so a place may be unseen')
  },
}
