import type { IdentityFacts } from '../facts/facts.ts'
import { clear, found, unknown, type Rule } from '../rule.ts'

export const orphaned: Rule<IdentityFacts> = {
  id: 'orphaned',
  owasp: 'NHI1:2025',
  title: 'Nobody answers for it',
  why: 'What nobody owns is not reviewed, not rotated and not ended: who takes it over stays unseen.',
  needs: 'the owner of the identity and whether that person can act; both are in the record',
  fix: 'Suggest an owner (`reeve identity assign-owner`), who accepts it; or retire the identity.',
  control: 'Owners are attested at registration, and one that is lost ends the grants and opens this.',
  judge({ kind, state, ownerState, ownerIsActive, tier, now }) {
    if (kind === 'human' || state === 'retired') return clear(now)
    const severity = tier <= 1 ? 'high' : 'medium'
    if (ownerState === 'none') return found(severity, now, ['it has no owner'])
    if (ownerState === 'lost') return found(severity, now, ['its owner was lost'])
    if (ownerIsActive === false) return found(severity, now, [`its owner is ${ownerState}, and cannot act`])
    if (ownerState !== 'attested') return unknown('an owner is suggested and did not accept yet')
    return clear(now)
  },
}
