import { randomBytes } from 'node:crypto'
import type { TestContext } from 'node:test'
import { sql } from 'kysely'
import type { Connector } from '../../src/connectors/connector.ts'
import type { Identity } from '../../src/identities/contract.ts'
import { RegisterSource } from '../../src/inventory/contract.ts'
import {
  collectSource,
  registerSource,
  sourceHttpTo,
  type Collected,
  type InventoryNeeds,
  type Watch,
} from '../../src/inventory/inventory.ts'
import { fingerprintsUnder } from '../../src/kernel/fingerprint.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { Secret } from '../../src/kernel/secret.ts'
import { world, type World } from './world.ts'

const OBJECTS = ['principal', 'credential', 'resource', 'grant', 'trust', 'reference'].map((kind) => `observed_${kind}`)
const TABLES = [...OBJECTS, 'observed_usage', 'usage_window']
const SOMEBODY: Pick<Identity, 'id' | 'kind'> = { id: '00000000-0000-7000-8000-00000000dead', kind: 'human' }

/** An inventory over a fresh database, with the connectors a test brings. */
export type InventoryWorld = {
  readonly w: World
  readonly needs: InventoryNeeds
  /** How long the reconciler waited, in order; nothing waits for real. */
  readonly waits: number[]
  readonly source: (connector: Connector, settings: unknown, more?: Partial<RegisterSource>) => Promise<string>
  readonly collect: (sourceId: string, watch?: Partial<Watch>) => Promise<Collected>
  /** Another connector answers under the same id from now on. */
  readonly swap: (connector: Connector) => void
  /** Every row of the inventory as the database writes it, its cause included. */
  readonly snapshot: () => Promise<string[]>
  readonly count: (table: string, where?: string) => Promise<number>
}

export async function inventoryWorld(t: Pick<TestContext, 'after'>): Promise<InventoryWorld> {
  const w = await world(t)
  const connectors = new Map<string, Connector>()
  const waits: number[] = []
  const needs: InventoryNeeds = {
    ...w.needs,
    log: silentLog,
    fingerprints: fingerprintsUnder(new Secret(randomBytes(32))),
    connectors,
    httpTo: (address) => sourceHttpTo(address, w.needs.clock),
    ours: async () => new Set(),
    wait: async (ms, signal) => {
      signal.throwIfAborted()
      waits.push(ms)
    },
  }
  let made = 0
  return {
    w,
    needs,
    waits,
    swap: (connector) => void connectors.set(connector.manifest.id, connector),
    async source(connector, settings, more) {
      connectors.set(connector.manifest.id, connector)
      made += 1
      const input = RegisterSource.parse({
        name: `source-${made}`,
        connector: connector.manifest.id,
        settings,
        ownerTeam: 'payments',
        environment: 'production',
        ...more,
      })
      const { id } = await w.run((tx) => registerSource(tx, needs, w.permit('source.register', SOMEBODY), input))
      return id
    },
    collect: (sourceId, watch) =>
      collectSource(w.db, needs, sourceId, { actor: SOMEBODY }, { signal: new AbortController().signal, ...watch }),
    async snapshot() {
      const rows = await Promise.all(
        TABLES.map((table) =>
          sql<{ row: string }>`select ${sql.table(table)}::text as row from ${sql.table(table)} order by id`.execute(
            w.db,
          ),
        ),
      )
      return rows.flatMap(({ rows: of }, at) => of.map(({ row }) => `${TABLES[at]} ${row}`))
    },
    async count(table, where = 'true') {
      const { rows } = await sql<{
        n: number
      }>`select count(*)::int as n from ${sql.table(table)} where ${sql.raw(where)}`.execute(w.db)
      return rows[0]?.n ?? -1
    },
  }
}
