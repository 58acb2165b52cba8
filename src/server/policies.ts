import { z } from 'zod'
import { readFile } from 'node:fs/promises'
import { syncActions, withShipped } from '../catalog/catalog.ts'
import { ActionEntry } from '../catalog/contract.ts'
import type { GatewayAction } from '../gateways/gateway.ts'
import { recordStandard, type Standard } from '../governance/governance.ts'
import { liveTeams, openTeams, readTeamsText, recordTeams, type LiveTeams } from '../identities/identities.ts'
import type { Config } from '../kernel/config.ts'
import { transact, type Db } from '../kernel/db.ts'
import type { Metrics } from '../kernel/metrics.ts'
import { SYSTEM, type Ledger } from '../ledger/ledger.ts'
import { policiesLoaded } from '../policy/events.ts'
import { loadCatalog, loadStandard } from './standard.ts'
import {
  EMPTY_CALENDAR,
  liveCalendar,
  liveEngine,
  loadPolicySchema,
  openCompiledEngine,
  parseCalendar,
  readPolicyFiles,
  setOfHere,
  syncCatalog,
  type Engine,
  type LiveCalendar,
  type LiveEngine,
  vocabularyOf,
  type PolicySet,
  type RuleFiles,
} from '../policy/policy.ts'

/** An action that can be granted, with the protocol it belongs to and who enforces it. */
export type OfferedAction = GatewayAction & { readonly protocol: string; readonly enforcement: 'gateway' | 'target' }

/** Read from files at start. Versions in the database take the place of some of them: `followRules`. */
export type Rules = {
  readonly teams: LiveTeams
  readonly calendar: LiveCalendar
  /** What files say of teams and calendar, for the first version of each. */
  readonly texts: { readonly teams: string; readonly calendar: string }
  /** The policies of the folder, and what they make. */
  readonly files: RuleFiles
  readonly set: PolicySet
  readonly engine: LiveEngine
  /** Makes an engine for a version; what it leaves to the reference engine is counted. */
  readonly openEngine: (set: PolicySet) => Promise<Engine>
  readonly standard: Standard
  /** The catalog as this release and its gateways bring it. */
  readonly offered: readonly ActionEntry[]
}

/** What decides: files read at start (core 7), and the actions that the gateways offer. */
export async function loadRules(config: Config, actions: readonly OfferedAction[], metrics: Metrics): Promise<Rules> {
  const teams = liveTeams(await openTeams(config.teams))
  const texts = {
    teams: await readTeamsText(config.teams),
    calendar: config.calendar === undefined ? EMPTY_CALENDAR : await readFile(config.calendar, 'utf8'),
  }
  const files = await readPolicyFiles(config.policies)
  const schema = await loadPolicySchema(
    config.policies,
    actions.map((action) => ({
      name: action.name,
      groups: [`privileged.${action.class}`],
      resources: ['Account', 'Target'],
    })),
  )
  const set = setOfHere(files, schema)
  const fallbacks = metrics.counter(
    'reeve_policy_fallbacks_total',
    'Questions to the policies that the reference engine answered, since the compiled one does not know some part of them.',
  )
  const openEngine = (version: PolicySet) => openCompiledEngine(version, () => fallbacks.inc())
  const engine = liveEngine(await openEngine(set))
  const [standard, catalog] = await Promise.all([loadStandard(config.policies), loadCatalog(config.policies)])
  const calendar = liveCalendar(parseCalendar(texts.calendar))
  return { teams, calendar, texts, files, set, engine, openEngine, standard, offered: offeredFrom(actions, catalog) }
}

/** What the gateways enforce, and what is listed before one does. */
function offeredFrom(actions: readonly OfferedAction[], catalog: readonly ActionEntry[]): ActionEntry[] {
  const own = actions.map(({ name, protocol, class: group, tier, enforcement, summary, obligations }) => ({
    name,
    protocol,
    class: group,
    tier,
    enforcement,
    summary,
    obligations: { ...obligations },
  }))
  return withShipped(own, catalog).map((entry) => ActionEntry.parse(entry))
}

/** Enters what changed since the last start: the teams, the policies, the catalog of actions. */
export async function recordRules(
  db: Db,
  ledger: Ledger,
  rules: Pick<Rules, 'teams' | 'set' | 'standard' | 'offered'> & { readonly isCatalogPinned: boolean },
): Promise<void> {
  const { offered, isCatalogPinned } = rules
  await transact(db, (tx) => recordTeams(tx, { ledger }, rules.teams))
  await transact(db, (tx) => recordStandard(tx, { ledger }, rules.standard))
  await transact(db, async (tx) => {
    if (isCatalogPinned) await syncActions(tx, ledger, offered)
    else await syncCatalog(tx, { ledger, offered })
  })
  await transact(db, async (tx) => {
    const { set } = rules
    const vocabulary = vocabularyOf(set)
    const last = await lastPolicies(tx)
    if (last?.sha256 === set.sha256 && last.vocabularySha256 === vocabulary.sha256) return
    await ledger.record(tx, {
      event: policiesLoaded,
      actor: SYSTEM,
      resource: { type: 'Installation', id: 'installation' },
      outcome: 'done',
      facts: {
        sha256: set.sha256,
        policies: [...set.policies.keys()].slice(0, 1000),
        vocabularySha256: vocabulary.sha256,
      },
    })
  })
}

const Leaf = z.object({ facts: z.object({ sha256: z.string(), vocabularySha256: z.string().optional() }) })

async function lastPolicies(db: Db): Promise<z.output<typeof Leaf>['facts'] | undefined> {
  const row = await db
    .selectFrom('ledgerEntry')
    .select('leaf')
    .where('kind', '=', policiesLoaded.kind)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row && Leaf.parse(JSON.parse(row.leaf.toString('utf8'))).facts
}
