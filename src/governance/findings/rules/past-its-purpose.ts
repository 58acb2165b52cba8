import type { IdentityFacts } from '../facts/facts.ts'
import { clear, found, unknown, type Rule } from '../rule.ts'

export const pastItsPurpose: Rule<IdentityFacts> = {
  id: 'past-its-purpose',
  owasp: 'NHI1:2025',
  title: 'Every purpose it acted for is over, and it can still act',
  why: 'What it was made for is done; nobody would ask what it does now.',
  needs: 'the purposes of what it asked for, its tokens, and the accounts that it claims; all are in the record',
  fix: 'Ask its owner whether it has another purpose; retire it where it has none.',
  control: 'When a purpose ends, its owner says what of its identities goes on.',
  judge({ kind, state, livePurposes, pastPurposes, liveTokens, standing, tier, now }) {
    if (kind === 'human' || state !== 'active' || livePurposes > 0) return clear(now)
    if (pastPurposes.length === 0) return unknown('it never acted for a registered purpose')
    if (liveTokens === 0 && standing.length === 0) return clear(now)
    return found(tier <= 1 ? 'high' : 'medium', now, [
      ...pastPurposes.map((purpose) => `the purpose ${purpose} is over`),
      ...(liveTokens > 0 ? ['it has live tokens'] : []),
      ...standing.map((account) => `${account} stands`),
    ])
  },
}
