import type { Ending as GrantEnding } from '../access/access.ts'
import type { Ending } from './gateway.ts'

/** What a client is told when its grant is over, by the reason of the end. */
const SENTENCES: Readonly<Record<GrantEnding['reason'], string>> = {
  done: 'The task of this grant was reported done.',
  expired: 'The time of this grant is over. Request again if it is still needed.',
  revoked: 'This grant was revoked.',
  'identity-suspended': 'The identity that holds this grant was suspended.',
  'identity-retired': 'The identity that holds this grant was retired.',
  'owner-lost': 'Nobody answers any more for the identity that holds this grant.',
  'heartbeat-missed': 'The command this grant was made for stopped saying that it lives.',
  'used-up': 'This grant is used up. Request again if it is still needed.',
  'purpose-ended': 'The purpose of this grant has ended.',
  'policy-changed': 'The policies permit this grant no more.',
  'risk-rose': 'The risk of this session rose over what its grant allows.',
  'signal-received': 'What was reported of this session, or of who or what is in it, ends this grant.',
  'target-retired': 'The target of this grant was retired.',
  'account-retired': 'The account of this grant was retired.',
  'control-lost': 'This gateway lost touch with the control plane, so it can no longer know that the grant is alive.',
}

/** Of a grant's end, what a gateway passes on. */
export function endingOf(ending: GrantEnding | undefined): Ending {
  const reason = ending?.reason ?? 'control-lost'
  const said = ending?.comment ?? null
  return {
    reason,
    sentence: said === null ? SENTENCES[reason] : `${SENTENCES[reason].slice(0, -1)}, with the reason: ${said}`,
  }
}
