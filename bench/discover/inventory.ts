import { randomBytes } from 'node:crypto'
import type { Connector } from '../../src/connectors/connector.ts'
import { RegisterSource } from '../../src/inventory/contract.ts'
import { collectSource, registerSource, sourceHttpTo, type InventoryNeeds } from '../../src/inventory/inventory.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { transact, type Db } from '../../src/kernel/db.ts'
import { fingerprintsUnder } from '../../src/kernel/fingerprint.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { systemRandom } from '../../src/kernel/random.ts'
import { sealUnder } from '../../src/kernel/seal.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { sleep } from '../../src/kernel/timer.ts'
import { openLedger } from '../../src/ledger/ledger.ts'
import { openTeams } from '../../src/identities/identities.ts'
import { permitFor } from '../../test/support/permit.ts'

export type Inventory = {
  readonly db: Db
  readonly needs: InventoryNeeds
  readonly register: (connector: Connector) => Promise<string>
  readonly collect: (sourceId: string) => Promise<void>
  /** Another connector answers under the same id from now on. */
  readonly swap: (connector: Connector) => void
}

const SOMEBODY = { id: '00000000-0000-7000-8000-00000000dead', kind: 'human' } as const

/** An inventory as a node has it, over a database of its own. */
export async function openInventory(db: Db, name: string): Promise<Inventory> {
  const seal = sealUnder(new Secret(randomBytes(32)))
  const basis = { clock: systemClock, random: systemRandom, seal }
  const connectors = new Map<string, Connector>()
  const needs: InventoryNeeds = {
    ...basis,
    ledger: openLedger(basis),
    log: silentLog,
    teams: await openTeams({ platform: { members: [] } }),
    fingerprints: fingerprintsUnder(new Secret(randomBytes(32))),
    connectors,
    httpTo: (address) => sourceHttpTo(address, systemClock),
    ours: async () => new Set(),
    wait: sleep,
  }
  const swap = (connector: Connector) => void connectors.set(connector.manifest.id, connector)
  return {
    db,
    needs,
    swap,
    async register(connector) {
      swap(connector)
      const input = RegisterSource.parse({
        name: `estate-${name}`,
        connector: connector.manifest.id,
        settings: {},
        ownerTeam: 'platform',
        environment: 'production',
      })
      const permit = permitFor(
        'source.register',
        { type: 'Person', id: SOMEBODY.id },
        { type: 'Installation', id: 'installation' },
      )
      return transact(db, async (tx) => (await registerSource(tx, needs, permit, input)).id)
    },
    async collect(sourceId) {
      const { outcome, problem } = await collectSource(
        db,
        needs,
        sourceId,
        { actor: SOMEBODY },
        {
          signal: new AbortController().signal,
        },
      )
      if (outcome !== 'complete') throw new Error(`the reading was ${outcome}: ${problem}`)
    },
  }
}
