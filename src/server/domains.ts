import { openEnds, openSecondLook, type AccessNeeds, type Ends, type SecondLook } from '../access/access.ts'
import { postgresRoleWriter, sshCertificateWriter, type CredentialNeeds } from '../credentials/credentials.ts'
import { openCancels, type Cancels } from '../gateways/host.ts'
import { standingBy } from '../governance/governance.ts'
import type { IdentityNeeds } from '../identities/identities.ts'
import type { Metrics } from '../kernel/metrics.ts'
import { openNode, type RunningNode } from '../kernel/nodes.ts'
import { systemRandom } from '../kernel/random.ts'
import type { View } from '../kernel/view.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { PolicyRouteNeeds } from '../policy/policy.ts'
import { folderStore, openLiveSessions, type LiveNeeds, type LiveSessions } from '../sessions/sessions.ts'
import { apiOf, type Api } from './api.ts'
import { tokenCertifier } from './certificates.ts'
import { enterRootKeys } from './custody.ts'
import { decisionNeeds } from './decisions.ts'
import { openDeciding } from './deciding.ts'
import { openHooks } from './hooks.ts'
import { openHanded } from './issued.ts'
import { openInventory } from './inventory.ts'
import { openTheLedger } from './ledger.ts'
import { openLifecycle, type OpenLifecycle } from './lifecycle.ts'
import { openLogin, type OpenLogin } from './login.ts'
import { bundlesBy, openMachines } from './machines.ts'
import { openObligations } from './obligations.ts'
import { openRotations, rotationNeeds } from './rotations.ts'
import type { DomainParts } from './parts.ts'
import { loadRules, recordRules, type Rules } from './policies.ts'
import { followRules, type FollowedRules } from './policy-versions.ts'
import { holdsOf, protocols, recordingOf } from './protocols.ts'
import { openTokens, type OpenTokens } from './tokens.ts'
import type { WorkNeeds } from './work.ts'

/** Every domain, opened, with what the doors and the workers take of them. */
export type Domains = {
  readonly node: RunningNode
  readonly rules: FollowedRules
  readonly ends: Ends
  readonly secondLook: SecondLook
  readonly cancels: Cancels
  readonly identities: IdentityNeeds
  readonly access: AccessNeeds
  readonly credentials: CredentialNeeds
  readonly sessions: LiveNeeds
  readonly live: LiveSessions
  /** What questions of enforcement points are decided with. */
  readonly decided: PolicyRouteNeeds
  readonly view: View
  readonly api: Api
  readonly tokens: OpenTokens
  readonly login: OpenLogin
  readonly lifecycle: OpenLifecycle
  readonly work: Omit<WorkNeeds, 'db' | 'connection' | 'log'>
}

/** Opens them from the lowest up; each is stopped by `stop` in the reverse order. */
export async function openDomains(parts: DomainParts): Promise<Domains> {
  const { config, ground, log, metrics, stop } = parts
  const { db, clock, seal } = ground
  const random = systemRandom
  const node = await openNode({ db, clock, random, log }, { ...config.node, version: parts.version })
  stop.add('node', node)
  const ledger = await openTheLedger(parts, node.id)
  await enterRootKeys(db, ledger)

  const { rules, followed } = await openRules(parts, ledger)
  const deciding = await openDeciding(parts, ledger, rules)
  const { decisions, record, view } = deciding

  const rotation = await rotationNeeds(parts, { clock, random, seal, ledger, log }, rules)
  const hooks = openHooks(clock, ledger, rotation)
  const { recorded } = deciding
  const base = { db, clock, random, seal, ledger, log, teams: rules.teams, nodeId: node.id, view, recorded }
  const inventory = await openInventory(base)
  const certify = tokenCertifier(parts.authority, ground)
  const identities = { ...base, certify, onIdentityEnded: hooks.onIdentityEnded }
  const access: AccessNeeds = {
    ...base,
    decisions,
    calendar: rules.calendar,
    recordingOf,
    standing: standingBy(rules.standard),
    onGrantEnded: hooks.onGrantEnded,
    holdsOf,
  }
  const proofs = await openProofs(parts, base, { decisions, record, certify })
  const { tokens, login, handed } = proofs
  const writers = [postgresRoleWriter, sshCertificateWriter({ db, clock }), ...handed]
  const credentials: CredentialNeeds = { ...base, writers }
  const sessions: LiveNeeds = { ...base, store: folderStore(config.recordings) }
  const { live, secondLook, cancels, ends, heard } = await openWhatIsLive(parts, { access, sessions, followed })
  const obligations = openObligations(parts, credentials)
  const rotations = openRotations(parts, rotation)
  countAll(metrics, { live, ends, view })

  const asked = { ledger, rules, calendar: access.calendar, record, heard: () => heard() + view.heard() }
  const decided = decisionNeeds({ config, ground, log, ...asked })
  const lifecycle = await openLifecycle(parts, { ...identities, ...hooks, origin: tokens.needs.issuer })
  const ended = { hooks, sessions, ends, obligations, rotations }
  const made = { base, ...proofs, lifecycle, rules, inventory, identities, access, ...ended, decided }
  const api = apiOf(parts, { ...made, ...deciding, versions: followed.routes })
  return {
    node,
    rules: followed,
    ends,
    secondLook,
    cancels,
    identities,
    access,
    credentials,
    sessions,
    live,
    decided,
    view,
    api,
    tokens,
    login,
    lifecycle,
    work: { node, login: login.needs, ends, access, identities, sessions: live, obligations, inventory },
  }
}

type Base = Parameters<typeof openMachines>[1]
type Deciding = Awaited<ReturnType<typeof openDeciding>>

/** How those who call prove themselves, and what is handed to them. */
async function openProofs(
  parts: DomainParts,
  base: Base,
  given: Pick<Deciding, 'decisions' | 'record'> & { readonly certify: ReturnType<typeof tokenCertifier> },
) {
  const { decisions, record, certify } = given
  const tokens = await openTokens(parts, { ...base, decisions, record, bundleOf: bundlesBy(parts, base) })
  const machines = openMachines(parts, base, { certify, egress: tokens.needs.egress })
  const handed = await openHanded({
    config: parts.config,
    clock: base.clock,
    signs: () => ({ ...tokens.needs.ring, issuer: tokens.needs.issuer }),
  })
  return { tokens, machines, handed, login: await openLogin(parts, tokens) }
}

/** What decides: loaded, followed, and entered where it is not what the last start had. */
async function openRules(parts: DomainParts, ledger: Ledger): Promise<{ rules: Rules; followed: FollowedRules }> {
  const { config, ground, metrics, stop } = parts
  const offered = protocols().flatMap(({ protocol, actions, enforcement }) =>
    actions.map((action) => ({ ...action, protocol, enforcement })),
  )
  const rules = await loadRules(config, offered, metrics)
  stop.add('policies', rules.engine)
  const followed = await followRules({ ...parts, ledger }, rules)
  const isCatalogPinned = config.pinned.includes('catalog')
  await recordRules(ground.db, ledger, { ...rules, set: rules.engine.current().set, isCatalogPinned })
  return { rules, followed }
}

type LiveParts = {
  readonly access: AccessNeeds
  readonly sessions: LiveNeeds & { readonly nodeId: string }
  readonly followed: FollowedRules
}

/** What goes on while grants last, and who hears of their ends; `heard` counts the hints that came. */
async function openWhatIsLive(parts: DomainParts, { access, sessions, followed }: LiveParts) {
  const { config, ground, log, stop } = parts
  const { db, connection, clock, seal } = ground
  const live = openLiveSessions(sessions)
  stop.add('sessions', live, 15_000)
  const riskSeconds = config.risk.lookSeconds
  const looksAtUnused = config.node.roles.includes('worker')
  const secondLook = openSecondLook({ db, access, nodeId: sessions.nodeId, clock, log, riskSeconds, looksAtUnused })
  stop.add('second look', secondLook)
  const cancels = openCancels({ db, seal, clock, log })
  let count = 0
  const onOtherHint = (hint?: string) => {
    count += 1
    void live.recheck()
    secondLook.heard(hint)
    cancels.heard(hint)
    followed.heard(hint)
  }
  followed.onTaken(() => secondLook.heard())
  const ends = await openEnds({ connection, db, clock, log, onOtherHint }, stop.signal)
  stop.add('ends', ends)
  return { live, secondLook, cancels, ends, heard: () => count }
}

function countAll(metrics: Metrics, { live, ends, view }: { live: LiveSessions; ends: Ends; view: View }): void {
  metrics.gauge('reeve_sessions_live', 'Sessions that this node brokers now.', [], () => live.counts().live)
  metrics.gauge('reeve_grants_watched', 'Grants whose end this node listens for.', [], () => ends.size())
  metrics.gauge('reeve_record_remembered', 'Parts of the record that this node remembers.', [], () => view.size())
  metrics.gauge(
    'reeve_record_current',
    'Whether this node decides by what it remembers (1) or reads each time (0).',
    [],
    () => (view.isCurrent() ? 1 : 0),
  )
}
