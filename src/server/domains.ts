import {
  accessRoutes,
  approvalsOfCalls,
  changeRoutes,
  noTicketVerifier,
  openEnds,
  openSecondLook,
  openTicketVerifier,
  signalRoutes,
  type AccessNeeds,
  type ChangeNeeds,
  type Ends,
  type TicketVerifier,
  type SecondLook,
} from '../access/access.ts'
import { catalogRoutes } from '../catalog/catalog.ts'
import {
  countLeases,
  credentialRoutes,
  postgresRoleWriter,
  runObligations,
  sshCertificateWriter,
  spiffeOpenRoutes,
  spiffeRoutes,
  sshOpenRoutes,
  sshRoutes,
  type CredentialNeeds,
  type Obligations,
} from '../credentials/credentials.ts'
import { openCancels, type Cancels } from '../gateways/host.ts'
import { governanceRoutes, standingBy } from '../governance/governance.ts'
import {
  ENTITY_TYPES,
  identityOpenRoutes,
  identityRoutes,
  type CertifyToken,
  type IdentityNeeds,
} from '../identities/identities.ts'
import { inventoryRoutes, type InventoryNeeds } from '../inventory/inventory.ts'
import type { Authority } from '../kernel/ca.ts'
import type { Config } from '../kernel/config.ts'
import { readPublicKey } from '../kernel/crypto.ts'
import type { Db } from '../kernel/db.ts'
import type { PolicyValue } from '../kernel/entity.ts'
import type { Deciders } from '../kernel/http/handle.ts'
import type { OpenRoute, Route } from '../kernel/http/route.ts'
import type { Log } from '../kernel/log.ts'
import type { Metrics } from '../kernel/metrics.ts'
import { openNode, type RunningNode } from '../kernel/nodes.ts'
import { systemRandom } from '../kernel/random.ts'
import type { Stop } from '../kernel/stop.ts'
import { every } from '../kernel/timer.ts'
import { openView, type View } from '../kernel/view.ts'
import {
  ledgerRoutes,
  openAppender,
  openLedger,
  openSequencer,
  openWitnesses,
  settle,
  type Ledger,
  type Sequencer,
} from '../ledger/ledger.ts'
import {
  openDecisionPoint,
  policyRoutes,
  recordFactsOf,
  type PolicyRouteNeeds,
  type RecordFacts,
} from '../policy/policy.ts'
import {
  folderStore,
  openLiveSessions,
  sessionRoutes,
  type LiveNeeds,
  type LiveSessions,
} from '../sessions/sessions.ts'
import { decisionNeeds, decisionObserver } from './decisions.ts'
import type { Ground } from './ground.ts'
import { openHooks, type Hooks } from './hooks.ts'
import { openInventory, openSurvey } from './inventory.ts'
import { loadRules, recordRules, type Rules } from './policies.ts'
import { holdsOf, protocols, recordingOf } from './protocols.ts'
import { followRules, type FollowedRules } from './policy-versions.ts'
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
  readonly api: Deciders & { readonly routes: readonly Route[]; readonly openRoutes: readonly OpenRoute[] }
  readonly tokens: OpenTokens
  readonly work: Omit<WorkNeeds, 'db' | 'connection' | 'log'>
}

export type DomainParts = {
  readonly config: Config
  readonly ground: Ground
  readonly log: Log
  readonly metrics: Metrics
  readonly stop: Stop
  readonly authority: Authority
  readonly version: string
}

/** Opens them from the lowest up; each is stopped by `stop` in the reverse order. */
export async function openDomains(parts: DomainParts): Promise<Domains> {
  const { config, ground, log, metrics, stop } = parts
  const { db, connection, clock, seal } = ground
  const random = systemRandom
  const node = await openNode({ db, clock, random, log }, { ...config.node, version: parts.version })
  stop.add('node', node)
  const ledger = await openTheLedger(parts, node.id)

  const offered = protocols().flatMap(({ protocol, actions, enforcement }) =>
    actions.map((action) => ({ ...action, protocol, enforcement })),
  )
  const rules = await loadRules(config, offered, metrics)
  stop.add('policies', rules.engine)
  const followed = await followRules({ ...parts, ledger }, rules)
  const isCatalogPinned = config.pinned.includes('catalog')
  await recordRules(db, ledger, { ...rules, set: rules.engine.current().set, isCatalogPinned })
  const deciding = await openDeciding(parts, ledger, rules)
  const { decisions, record, view } = deciding

  const hooks = openHooks(clock, ledger)
  const base = { db, clock, random, seal, ledger, log, teams: rules.teams, nodeId: node.id }
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
  const credentials: CredentialNeeds = { ...base, writers: [postgresRoleWriter, sshCertificateWriter({ db, clock })] }
  const sessions: LiveNeeds = { ...base, store: folderStore(config.recordings) }
  const live = openLiveSessions(sessions)
  stop.add('sessions', live, 15_000)
  const secondLook = openSecondLook({ db, access, nodeId: node.id, clock, log, riskSeconds: config.risk.lookSeconds })
  stop.add('second look', secondLook)
  const cancels = openCancels({ db, seal, clock, log })
  let heard = 0
  const onOtherHint = (hint?: string) => {
    heard += 1
    void live.recheck()
    secondLook.heard(hint)
    cancels.heard(hint)
    followed.heard(hint)
  }
  followed.onTaken(() => secondLook.heard())
  const ends = await openEnds({ connection, db, clock, log, onOtherHint }, stop.signal)
  stop.add('ends', ends)
  const obligations = openObligations(parts, credentials)
  countAll(metrics, { live, ends, view })

  const decided = decisionNeeds({
    config,
    ground,
    ledger,
    rules,
    calendar: access.calendar,
    record,
    log,
    heard: () => heard,
  })
  const tokens = await openTokens(parts, { ...base, decisions, record })
  const made = { base, tokens, rules, hooks, inventory, identities, access, sessions, ends, obligations, decided }
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
    api,
    tokens,
    work: { node, ends, access, identities, sessions: live, obligations, inventory },
  }
}

type Deciding = {
  /** By rows: for commands. */
  readonly decisions: AccessNeeds['decisions']
  /** By what this node remembers: for calls as they come in. */
  readonly doors: AccessNeeds['decisions']
  readonly record: RecordFacts
  readonly view: View
}

async function openDeciding({ ground, log, stop }: DomainParts, ledger: Ledger, rules: Rules): Promise<Deciding> {
  const { db, connection, clock } = ground
  const observe = decisionObserver(ground, ledger, log)
  const deciding = { engine: rules.engine, teams: rules.teams, clock, random: systemRandom, observe }
  const view = await openView({ connection, db, clock, log }, stop.signal)
  stop.add('view', view)
  const record = recordFactsOf(view)
  return { decisions: openDecisionPoint(deciding), doors: openDecisionPoint({ ...deciding, record }), record, view }
}

type ApiParts = Deciding & {
  readonly base: Omit<CredentialNeeds, 'writers'> & Pick<AccessNeeds, 'teams'> & { readonly db: Db }
  readonly rules: Rules
  readonly hooks: Hooks
  readonly inventory: InventoryNeeds
  readonly identities: IdentityNeeds & { readonly certify: CertifyToken }
  readonly access: AccessNeeds
  readonly sessions: LiveNeeds
  readonly ends: Ends
  readonly obligations: Obligations
  readonly versions: readonly Route[]
  readonly tokens: OpenTokens
  readonly decided: PolicyRouteNeeds
}

/** Every operation with what it does, and how its calls are decided. */
function apiOf({ config, ground, authority }: DomainParts, parts: ApiParts): Domains['api'] {
  const { base, rules, hooks, identities, access, ends, obligations, decided } = parts
  const { db } = ground
  const byOperation = new Map<string, Route>()
  const changes: ChangeNeeds = { ...base, ...access, db, routeOf: (operation) => byOperation.get(operation) }
  const routes = [
    ...identityRoutes({ ...identities, db }),
    ...catalogRoutes({
      ...base,
      protocols: new Map(protocols().map((each) => [each.protocol, each])),
      survey: openSurvey(parts.inventory, db),
      onPurposeEnded: hooks.onPurposeEnded,
      onTargetRetired: hooks.onTargetRetired,
      onAccountRetired: hooks.onAccountRetired,
    }),
    ...inventoryRoutes({ ...parts.inventory, db }),
    ...accessRoutes({
      ...base,
      ...access,
      ends,
      tickets: ticketsFrom(config),
      certify: certifier(authority, ground),
    }),
    ...changeRoutes(changes),
    ...signalRoutes({ ...base, ...access, ends, signalSenders: new Set(config.risk.signalSenders) }),
    ...governanceRoutes({ ...base, db, standard: rules.standard }),
    ...credentialRoutes({ ...base, wake: () => obligations.wake() }),
    ...spiffeRoutes({ ...base, trustDomain: config.spiffe.trustDomain }),
    ...sshRoutes({ ...base, ...access, db }),
    ...sessionRoutes(parts.sessions),
    ...ledgerRoutes(base),
    ...parts.versions,
    ...parts.tokens.routes,
    ...policyRoutes(decided),
  ]
  for (const route of routes) byOperation.set(route.operation.id, route)
  return {
    ...deciders(ground, parts),
    authenticate: parts.tokens.authenticate,
    approvals: approvalsOfCalls(changes),
    routes,
    openRoutes: [
      ...identityOpenRoutes({ ...identities, db }),
      ...spiffeOpenRoutes({ ...base, trustDomain: config.spiffe.trustDomain }),
      ...sshOpenRoutes({ ...base, ...access, db }),
    ],
  }
}

async function openTheLedger(parts: DomainParts, nodeId: string) {
  const { config, ground, log, stop } = parts
  const { db, connection, clock, seal } = ground
  const needs = { clock, random: systemRandom, seal }
  await settle(db, log)
  const sequencer = config.node.roles.includes('worker') ? openSigning(parts) : undefined
  const appender = await openAppender({
    connection,
    nodeId,
    clock,
    random: systemRandom,
    log,
    onDurable: () => sequencer?.wake(),
  })
  // What others still have to say goes before the appender closes.
  stop.add('appender', appender)
  return openLedger(needs, { appender, db, onRecorded: () => sequencer?.wake() })
}

/** The sequencer, and the witnesses that cosign what it signs. */
function openSigning({ config, ground, log, metrics, stop }: DomainParts): Sequencer {
  const { db, connection, clock, seal } = ground
  const losses = metrics.counter('reeve_ledger_witness_losses', 'Checkpoints that a witness did not cosign.', [
    'witness',
  ])
  const witnesses = openWitnesses(
    { db, clock, log, onWitnessLoss: (witness) => losses.inc({ witness }) },
    config.ledger.witnesses,
  )
  stop.add('witnesses', witnesses)
  const sequencer = openSequencer({
    clock,
    random: systemRandom,
    seal,
    connection,
    log,
    origin: config.ledger.origin,
    checkpointFile: config.ledger.checkpointFile,
    onSigned: (signed) => witnesses.offer(signed),
  })
  stop.add('sequencer', sequencer)
  return sequencer
}

/** How often the open obligations are counted for the metrics. */
const COUNT_MS = 5_000

function openObligations({ config, ground, log, metrics, stop }: DomainParts, needs: CredentialNeeds): Obligations {
  if (!config.node.roles.includes('worker')) return { wake: () => undefined, done: Promise.resolve() }
  const ending = new AbortController()
  const obligations = runObligations(ground.db, needs, ending.signal)
  const open = metrics.gauge('reeve_leases_open', 'Leases that are not yet proven dead, by state.', ['state'])
  const timer = every(COUNT_MS, () => {
    countLeases(ground.db, needs).then(
      (counts) => {
        for (const [state, count] of Object.entries(counts)) if (typeof count === 'number') open.set({ state }, count)
      },
      (error: unknown) => log.warn({ err: error }, 'leases could not be counted'),
    )
  })
  stop.add('obligations', {
    async [Symbol.asyncDispose]() {
      timer[Symbol.dispose]()
      ending.abort(new Error('this node stops'))
      await obligations.done
    },
  })
  return obligations
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

function deciders(
  ground: Ground,
  { doors, view }: Pick<ApiParts, 'doors' | 'view'>,
): Pick<Deciders, 'decide' | 'settled'> {
  return {
    settled: () => view.caughtUp(),
    decide: (caller, action, resource, context) => {
      const reasonGiven = context['reasonGiven'] === true
      return doors.permit(
        ground.db,
        {
          subject: { type: ENTITY_TYPES[caller.kind], id: caller.id, proof: caller.proof },
          action,
          resource,
          context: plain(context),
        },
        { reasonGiven, ticket: typeof context['ticket'] === 'string' ? context['ticket'] : null },
      )
    },
  }
}

/** Routes give plain values; anything else is left out, and a policy that needs it denies. */
function plain(context: Readonly<Record<string, unknown>>): Record<string, PolicyValue> {
  return Object.fromEntries(
    Object.entries(context).flatMap(([name, value]) =>
      typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? [[name, value]] : [],
    ),
  )
}

function certifier(authority: Authority, { clock }: Ground): Parameters<typeof accessRoutes>[0]['certify'] {
  return async ({ spki, subjectName, expiresAt }) => {
    const ttlSeconds = Math.max(1, Math.ceil((expiresAt.getTime() - clock.now().getTime()) / 1000))
    const { cert } = authority.issueClient({ spki, commonName: subjectName, ttlSeconds })
    return { certificate: cert, authority: authority.certificate }
  }
}

function tokenCertifier(authority: Authority, { clock }: Ground): CertifyToken {
  return (publicKey, { identityId, expiresAt }) => {
    const spki = readPublicKey(publicKey)?.spki
    if (!spki) throw new Error('a token was bound to a key that is none')
    const ttlSeconds = Math.ceil((expiresAt.getTime() - clock.now().getTime()) / 1000)
    return authority.issueClient({ spki, commonName: identityId, ttlSeconds }).cert
  }
}

function ticketsFrom({ tickets: { url, ...system } }: Config): TicketVerifier {
  return url === undefined ? noTicketVerifier : openTicketVerifier({ url, ...system })
}
