import type { KeepingFacts } from '../facts/facts.ts'
import { clear, found, unknown, type Rule } from '../rule.ts'
import { unread } from './unread.ts'

export const vendorHeld: Rule<KeepingFacts> = {
  id: 'vendor-held',
  owasp: 'NHI3:2025',
  title: 'Somebody outside holds it whom the record does not know, or not any more',
  why: 'When that company is broken into, or the contract is over, nobody here knows that this has to be ended.',
  needs: 'who holds the credential, and the identities of the record with their vendor',
  fix: 'End the grant where nobody needs it (`reeve vendor revoke` for all of one); otherwise register an identity with its vendor and an owner.',
  control: 'Applications of others are let in by approval, after the vendor is in the record.',
  judge(facts) {
    const dark = unread(facts)
    if (dark) return dark
    const { heldBy, vendor, vendorState, type, isWhole, readAt, now } = facts
    if (heldBy === null || heldBy === 'unknown-holder') return unknown('who holds it was not seen')
    if (heldBy !== 'third-party') return isWhole ? clear(readAt) : unknown('its part of the source was not seen whole')
    if (vendorState === 'active') return clear(now)
    if (vendorState === 'ended') {
      return found('critical', readAt, [`${vendor ?? 'its vendor'} was off-boarded, and still holds it`])
    }
    return found(type === 'webhook-secret' ? 'low' : 'medium', readAt, [
      'it is held outside',
      vendor === null ? 'nothing says by whom' : `no identity of the record acts for ${vendor}`,
    ])
  },
}
