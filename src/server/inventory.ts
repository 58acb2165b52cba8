import { connectors } from '../connectors/index.ts'
import { siteOf } from '../credentials/credentials.ts'
import { PostgresSettings } from '../credentials/contract.ts'
import { sourceHttpTo, surveyBy, type InventoryNeeds } from '../inventory/inventory.ts'
import type { Survey } from '../catalog/catalog.ts'
import type { Db } from '../kernel/db.ts'
import { openFingerprints } from '../kernel/fingerprint.ts'
import { Secret } from '../kernel/secret.ts'
import { sleep } from '../kernel/timer.ts'
import { holdersOf } from './consumers.ts'

type Base = Pick<InventoryNeeds, 'clock' | 'random' | 'seal' | 'ledger' | 'log' | 'teams'> & { readonly db: Db }

/** What the inventory works with: every connector, and the names of leases that are no accounts of the company. */
export async function openInventory(base: Base): Promise<InventoryNeeds> {
  const { db, clock } = base
  return {
    ...base,
    fingerprints: await openFingerprints(db, base),
    connectors: new Map(connectors.map((connector) => [connector.manifest.id, connector])),
    httpTo: (address) => sourceHttpTo(address, clock),
    wait: sleep,
    holdersOf,
    async ours() {
      const leases = await db.selectFrom('lease').select('principal').where('state', '<>', 'dead').execute()
      return new Set(leases.map(({ principal }) => principal))
    },
  }
}

const POSTGRES = { roles: 'cluster/roles', passwords: 'cluster/passwords', activity: 'cluster/activity' }

/** Which accounts stand at a target of PostgreSQL, read with the login that makes its leases. */
export function openSurvey(needs: InventoryNeeds, db: Db): Survey {
  const connector = needs.connectors.get('postgres')
  if (!connector) throw new Error('there is a connector for PostgreSQL')
  return surveyBy(needs, connector, POSTGRES, async (targetId) => {
    const { settings, provisioner } = await siteOf(db, needs.seal, targetId)
    const { host, port, database, tls } = PostgresSettings.parse(settings)
    const login = { user: provisioner.user, password: provisioner.secret.reveal() }
    return { settings: { host, port, database, tls }, credential: new Secret(JSON.stringify(login)) }
  })
}
