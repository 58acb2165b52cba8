import { z } from 'zod'
import { event, shown } from '../../kernel/event.ts'
import { Id } from '../../kernel/ids.ts'
import { Instant } from '../../kernel/instant.ts'

const Text = shown(z.string())
const Sha256 = shown(z.string().regex(/^[0-9a-f]{64}$/))

export const sshCertificateIssued = event('ssh-certificate.issued', 'A key was signed for a host.', {
  leaseId: Id,
  useId: Id,
  authorityId: Id,
  keySha256: Sha256.describe('of the public key'),
  principals: shown(z.array(z.string()).max(10)),
  sourceAddresses: shown(z.array(z.string()).max(16)),
  /** What runs is what was done, so it stands in the entry; secrets do not belong on a command line. */
  command: Text.nullable(),
  validBefore: Instant,
})
export const sshAuthorityMade = event('ssh-authority.made', 'A key that signs certificates for hosts was made.', {
  publicKeySha256: Sha256,
})
export const sshAuthorityRetired = event('ssh-authority.retired', 'A key signs no more certificates for hosts.', {
  publicKeySha256: Sha256,
  distrusted: shown(z.boolean()),
  reason: Text,
})

export const sshEvents = [sshCertificateIssued, sshAuthorityMade, sshAuthorityRetired]
