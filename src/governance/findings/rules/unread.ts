import { clear, unknown, type Verdict } from '../rule.ts'
import type { CredentialFacts } from '../facts/facts.ts'

/** What every rule over credentials says first: of what is no live credential nothing is wrong, and of what was missed nothing is known. */
export function unread({
  type,
  state,
  isPresent,
  isWhole,
  readAt,
}: Pick<CredentialFacts, 'type' | 'state' | 'isPresent' | 'isWhole' | 'readAt'>): Verdict | undefined {
  if (!isPresent) return unknown('it was not in the last complete reading, and is gone only after the next')
  const isDead = type === 'none' || (state !== null && state !== 'active')
  if (!isDead) return undefined
  return isWhole ? clear(readAt) : unknown('its part of the source was not seen whole')
}
