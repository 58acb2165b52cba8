import { sql } from 'kysely'
import type { Tx } from '../../kernel/db.ts'
import type { Ledger } from '../../ledger/ledger.ts'
import { overridesSha256, syncActions, withOverrides, type CatalogOverrides } from '../../catalog/catalog.ts'
import type { ActionEntry } from '../../catalog/contract.ts'
import { readAside } from '../aside/document.ts'
import { floorFrom } from '../floor.ts'
import { catalogDifference } from './catalog-difference.ts'
import type { Made, RuleKind } from './kind.ts'
import { loadActive } from './records.ts'

type CatalogRules = Made & {
  readonly overrides: CatalogOverrides
  /** All of the catalog as it is with them. */
  readonly entries: readonly ActionEntry[]
}

type Needs = {
  readonly ledger: Ledger
  /** What this release and its gateways bring. */
  readonly offered: readonly ActionEntry[]
}

/** What is otherwise in the catalog than this release ships it. The catalog itself is a table that every decision reads, so nothing is kept here. */
export function catalogRules(needs: Needs): RuleKind<CatalogRules> {
  const { offered, ledger } = needs
  let now = rulesOf(offered, new Map())
  return {
    name: 'catalog',
    type: 'Catalog',
    called: 'the catalog of actions',
    make: async (files) => {
      const text = files[0]?.text ?? ''
      return rulesOf(offered, await readAside({ kind: 'catalog', text, offered }))
    },
    count: ({ overrides }) => overrides.size,
    current: () => now,
    take: async (next) => {
      now = next
    },
    difference: (before, after) => catalogDifference(before.entries, after.entries),
    world: async ({ entries }) => {
      const floors = new Map(entries.map((entry) => [entry.name, floorFrom(entry)]))
      return { floorOf: (action) => floors.get(action), [Symbol.dispose]: () => {} }
    },
    check: async () => {},
    onActivated: async (tx, { entries }) => void (await syncActions(tx, ledger, entries)),
    mayFollow: () => false,
  }
}

/** What a release ships, as the first version of its overrides: none. */
export const NO_OVERRIDES = 'actions: {}'

/** At a start: what this release brings, as the version that holds in this very transaction overrides it. */
export async function syncCatalog(tx: Tx, { ledger, offered }: Needs): Promise<void> {
  // The same lock as whoever writes the catalog: the version that is read holds until this commits.
  await sql`select pg_advisory_xact_lock(hashtext('catalog.actions'))`.execute(tx)
  const active = await loadActive(tx, 'catalog')
  const text = active?.files[0]?.text ?? NO_OVERRIDES
  await syncActions(tx, ledger, rulesOf(offered, await readAside({ kind: 'catalog', text, offered })).entries)
}

function rulesOf(offered: readonly ActionEntry[], overrides: CatalogOverrides): CatalogRules {
  return { sha256: overridesSha256(overrides), overrides, entries: withOverrides(offered, overrides) }
}
