import { z } from 'zod'
import { event, shown } from '../../kernel/event.ts'
import { Id } from '../../kernel/ids.ts'
import { Instant } from '../../kernel/instant.ts'

const Text = shown(z.string())
const Kind = shown(z.enum(['x509', 'jwt']))
const MachineId = Id.nullable().describe('the machine whose agent asked for a workload on it')
const Sha256 = shown(z.string().regex(/^[0-9a-f]{64}$/))

export const x509SvidIssued = event('svid.issued', 'A key was certified as an X509-SVID.', {
  spiffeId: Text,
  serial: Text,
  keySha256: Sha256,
  expiresAt: Instant,
  machineId: MachineId,
})
export const jwtSvidIssued = event('jwt-svid.issued', 'A JWT-SVID was issued.', {
  spiffeId: Text,
  tokenId: Text.describe('its jti'),
  audience: shown(z.array(z.string()).max(10)),
  expiresAt: Instant,
  machineId: MachineId,
})
export const spiffeKeyMade = event('spiffe-key.made', 'A key of the trust domain was made; it does not sign yet.', {
  kind: Kind,
  publicKeySha256: Sha256,
  heldIn: Text.describe('its private half: `sealed` here, or where else it is'),
})
export const spiffeKeysTurned = event('spiffe-key.turned', 'The next keys of the trust domain sign from here on.', {
  distrusted: shown(z.boolean()).describe('whatever the old ones signed is refused'),
  reason: Text,
})

export const spiffeEvents = [x509SvidIssued, jwtSvidIssued, spiffeKeyMade, spiffeKeysTurned]
