import type { LeaseWriter } from '../writer.ts'
import { endRole } from './end.ts'
import { probeRole } from './probe.ts'
import { residueOf } from './residue.ts'
import { announceRole, makeRole } from './role.ts'
import { PostgresSettings } from './settings.ts'
import { enter } from './upstream.ts'

/**
 * An ephemeral database role per grant (core 19–21). Whoever holds one can always change its password, since PostgreSQL lets every role
 * do so for itself once it leaves its group by SET ROLE NONE; so nothing in its end relies on the password.
 */
export const postgresRoleWriter: LeaseWriter = {
  kind: 'postgres-role',
  protocol: 'postgres',
  revocability: 'immediate',
  needsSite: true,
  announce: (random) => announceRole(random),
  async issue(site, lease, isWanted, signal) {
    const settings = PostgresSettings.parse(site.settings)
    await using upstream = await enter(site, settings, settings.database, signal)
    return await makeRole(upstream, settings, lease, isWanted)
  },
  async end(site, lease, signal) {
    const settings = PostgresSettings.parse(site.settings)
    await endRole(site, settings, lease, signal)
    return residueOf(site, settings, lease, signal)
  },
  probe: (site, lease, signal) => probeRole(site, PostgresSettings.parse(site.settings), lease, signal),
}
