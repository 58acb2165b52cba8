import type { IdentityFacts } from '../facts/facts.ts'
import { clear, dayOf, found, type Rule } from '../rule.ts'

export const pastItsEnd: Rule<IdentityFacts> = {
  id: 'past-its-end',
  owasp: 'NHI1:2025',
  title: 'It ended, and something still lets it in',
  why: 'A login that outlives what it was made for works for whoever has a copy, and nobody expects it to be used.',
  needs: 'its state and expiry, its tokens, and the accounts that it claims; all are in the record',
  fix: 'Drop or disable the accounts at their targets, revoke its tokens, then release the claim.',
  control: 'Access by leases: they end with the identity, and are proven dead.',
  judge({ state, expiresAt, liveTokens, standing, tier, now }) {
    const isRetired = state === 'retired'
    const isPast = expiresAt !== null && expiresAt <= now
    if (!isRetired && !isPast) return clear(now)
    if (liveTokens === 0 && standing.length === 0) return clear(now)
    return found(tier <= 1 ? 'critical' : 'high', now, [
      isRetired ? 'it is retired' : `it expired on ${dayOf(expiresAt ?? now)}`,
      ...(liveTokens > 0 ? [`${liveTokens} token(s) of it are live`] : []),
      ...standing.map((account) => `${account} stands`),
    ])
  },
}
