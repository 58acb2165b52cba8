import { secondsAfter, type Clock } from '../../kernel/clock.ts'
import type { Db } from '../../kernel/db.ts'
import type { LeaseWriter } from '../writer.ts'
import { SSH } from './actions.ts'

/** The kind of lease that is one or more certificates for a host. */
export const SSH_CERTIFICATE = 'ssh-certificate'

/** Clocks of hosts may be behind ours by this much: only then has a certificate run out everywhere. */
const SKEW_SECONDS = 60

/**
 * Certificates are signed when they are asked for, so nothing is made at the host. Ending them puts them on the list of revoked ones, which is
 * derived from the leases. Whether a host has read that list is not ours to see: what proves them dead is that they have run out.
 */
export function sshCertificateWriter(needs: { readonly db: Db; readonly clock: Pick<Clock, 'now'> }): LeaseWriter {
  const { db, clock } = needs
  return {
    kind: SSH_CERTIFICATE,
    protocol: SSH,
    capability: {
      revocability: 'next-login',
      coexisting: null,
      isReversible: false,
      permissions: ['TrustedUserCAKeys names our key', 'RevokedKeys names our list'],
    },
    needsSite: false,
    plan() {
      throw new Error('a certificate is signed for the key of whoever asks')
    },
    apply: async () => ({ details: {} }),
    end: async () => ({ appeared: [], unread: [] }),
    async verify(_site, { id }) {
      const row = await db
        .selectFrom('sshCertificate')
        .select(({ fn }) => [fn.max('validBefore').as('last'), fn.countAll<number>().as('certificates')])
        .where('leaseId', '=', id)
        .executeTakeFirst()
      const last = row?.last
      if (!last) return { kind: 'dead', evidence: { certificates: 0 } }
      if (clock.now().getTime() > last.getTime() + SKEW_SECONDS * 1000) {
        return { kind: 'dead', evidence: { certificates: row.certificates, ranOutAt: last.toISOString() } }
      }
      return {
        kind: 'alive',
        why: `it is on the list of revoked certificates, and runs out at ${last.toISOString()}`,
        until: secondsAfter(last, SKEW_SECONDS + 1),
      }
    },
  }
}
