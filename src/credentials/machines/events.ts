import { z } from 'zod'
import { event, shown } from '../../kernel/event.ts'
import { Id } from '../../kernel/ids.ts'
import { Instant } from '../../kernel/instant.ts'

const Text = shown(z.string())
const Method = shown(z.enum(['token', 'host-key']))
const Sha256 = shown(z.string().regex(/^[0-9a-f]{64}$/))

export const machineInvited = event('machine.invited', 'A machine may join.', {
  invitationId: Id,
  method: Method,
  targetId: Id.nullable(),
  expiresAt: Instant.nullable(),
})
const admitted = {
  attestationId: Id,
  method: Method,
  hostKeySha256: Sha256.nullable(),
  bootId: Id,
  keySha256: Sha256,
  tokenId: Id,
  expiresAt: Instant,
}
export const machineJoined = event('machine.joined', 'The agent of a machine proved itself and was admitted.', {
  ...admitted,
  isActivated: shown(z.boolean()).describe('whether the identity began to act with it'),
})
export const machineRenewed = event('machine.renewed', 'A machine proved the same again and goes on.', admitted)
export const machineSettled = event('machine.settled', 'A machine uses what it was given when it went on.', {
  endedTokenId: Id,
})
export const machineEvicted = event('machine.evicted', 'A machine was admitted no more.', {
  attestationIds: shown(z.array(z.uuid()).max(10)),
  invitationIds: shown(z.array(z.uuid()).max(10)),
  reason: Text,
})
export const placementCreated = event('placement.created', 'A workload was placed on a machine.', {
  placementId: Id,
  machineId: Id,
  selectors: shown(z.array(z.string()).max(16)),
})
export const placementEnded = event('placement.ended', 'A workload is on a machine no more.', {
  placementId: Id,
  machineId: Id,
  reason: Text,
})

export const machineEvents = [
  machineInvited,
  machineJoined,
  machineRenewed,
  machineSettled,
  machineEvicted,
  placementCreated,
  placementEnded,
]
