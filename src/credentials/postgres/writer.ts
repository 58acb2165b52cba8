import type { LeaseWriter } from '../writer.ts'
import { endRole } from './end.ts'
import { endMany } from './end-many.ts'
import { probeRole } from './probe.ts'
import { residueOf } from './residue.ts'
import { announceRole } from './role.ts'
import { PostgresSettings } from './settings.ts'
import { makeSoon } from './together.ts'

/**
 * An ephemeral database role per grant (core 19–21). Whoever holds one can always change its password, since PostgreSQL lets every role
 * do so for itself once it leaves its group by SET ROLE NONE; so nothing in its end relies on the password.
 */
export const postgresRoleWriter: LeaseWriter = {
  kind: 'postgres-role',
  protocol: 'postgres',
  capability: {
    revocability: 'immediate',
    coexisting: null,
    isReversible: false,
    permissions: ['CREATEROLE', 'ADMIN OPTION on the group roles', 'pg_signal_backend'],
  },
  needsSite: true,
  plan: (random) => ({ ...announceRole(random), revocability: 'immediate' }),
  async apply(site, lease, { isWanted }, signal) {
    const settings = PostgresSettings.parse(site.settings)
    return { details: await makeSoon(site, { settings, lease, isWanted }, signal) }
  },
  async end(site, lease, signal) {
    const settings = PostgresSettings.parse(site.settings)
    await endRole(site, settings, lease, signal)
    return residueOf(site, settings, lease, signal)
  },
  endMany: (site, leases, signal) => endMany(site, PostgresSettings.parse(site.settings), leases, signal),
  verify: (site, lease, signal) => probeRole(site, PostgresSettings.parse(site.settings), lease, signal),
}
