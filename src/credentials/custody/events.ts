import { z } from 'zod'
import { event, shown } from '../../kernel/event.ts'
import { Instant } from '../../kernel/instant.ts'
import { Reason } from '../../catalog/contract.ts'

const Text = shown(z.string())
const version = shown(z.int())

export const depositPut = event('deposit.put', 'A secret was taken into custody.', { name: Text, version })
export const depositRevealed = event('deposit.revealed', 'The value of a secret in custody was opened.', {
  name: Text,
  version,
  reason: Reason,
})
export const depositExported = event('deposit.exported', 'A secret in custody was sealed to a public key.', {
  name: Text,
  version,
  recipient: Text,
})
export const depositRetired = event('deposit.retired', 'Every version of a secret in custody was destroyed.', {
  name: Text,
  versions: version,
  reason: Reason,
})
export const depositBroken = event('deposit.broken', 'A sealed value of a secret in custody did not open.', {
  name: Text,
  version,
})

export const rootKeyTaken = event('root-key.taken', 'Everything sealed is under this root key from now on.', {
  generation: version,
  keyId: Text.describe('tells it from others without knowing it'),
  since: Instant,
})

export const custodyEvents = [
  depositPut,
  depositRevealed,
  depositExported,
  depositRetired,
  depositBroken,
  rootKeyTaken,
] as const
