import { z } from 'zod'
import { Reason } from '../../identities/contract.ts'
import { event, shown } from '../../kernel/event.ts'
import { Id } from '../../kernel/ids.ts'
import { Instant } from '../../kernel/instant.ts'
import { ActionName, Sha256Hex } from '../schemas.ts'

const Text = shown(z.string())
const said = { boundSha256: Sha256Hex, comment: Reason.nullable() }

export const holdMade = event('hold.made', 'An operation of a session waits for another person.', {
  useId: Id,
  class: Text,
  privilegedAction: ActionName,
  label: Text,
  gates: shown(z.array(z.string())),
  boundSha256: Sha256Hex,
  expiresAt: Instant,
})
export const holdReleased = event('hold.released', 'A person let a held operation run.', {
  ...said,
  isEnough: shown(z.boolean()).describe('it may run; otherwise others still have to agree'),
})
export const holdRefused = event('hold.refused', 'A person refused a held operation.', said)
export const holdUsed = event('hold.used', 'The release of a held operation was spent: it goes to the target, once.', {
  boundSha256: Sha256Hex,
})
export const holdExpired = event('hold.expired', 'Nobody released a held operation in time.', {})
export const holdDropped = event('hold.dropped', 'A held operation will not run.', { why: Text })

export const holdEvents = [holdMade, holdReleased, holdRefused, holdUsed, holdExpired, holdDropped]
