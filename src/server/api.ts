import {
  accessRoutes,
  approvalsOfCalls,
  bindCalls,
  changeRoutes,
  denialRoutes,
  noTicketVerifier,
  openTicketVerifier,
  signalRoutes,
  type AccessNeeds,
  type ChangeNeeds,
  type Ends,
  type TicketVerifier,
} from '../access/access.ts'
import { catalogRoutes } from '../catalog/catalog.ts'
import {
  credentialRoutes,
  custodyRoutes,
  issuedRoutes,
  rotationRoutes,
  spiffeOpenRoutes,
  spiffeRoutes,
  sshOpenRoutes,
  sshRoutes,
  type CredentialNeeds,
  type HandedWriter,
  type Obligations,
} from '../credentials/credentials.ts'
import { governanceRoutes } from '../governance/governance.ts'
import { identityOpenRoutes, identityRoutes, type CertifyToken, type IdentityNeeds } from '../identities/identities.ts'
import { inventoryRoutes, type InventoryNeeds } from '../inventory/inventory.ts'
import type { Config } from '../kernel/config.ts'
import type { Db } from '../kernel/db.ts'
import type { Deciders } from '../kernel/http/handle.ts'
import type { OpenRoute, Route } from '../kernel/http/route.ts'
import { ledgerRoutes } from '../ledger/ledger.ts'
import { stepUpsOf } from '../login/login.ts'
import { policyRoutes, type PolicyRouteNeeds } from '../policy/policy.ts'
import { sessionRoutes, type LiveNeeds } from '../sessions/sessions.ts'
import { certifier } from './certificates.ts'
import { deciders, type Deciding } from './deciding.ts'
import type { Hooks } from './hooks.ts'
import { openSurvey } from './inventory.ts'
import type { DomainParts } from './parts.ts'
import type { Rules } from './policies.ts'
import type { OpenMachines } from './machines.ts'
import { protocols } from './protocols.ts'
import type { OpenLifecycle } from './lifecycle.ts'
import type { OpenLogin } from './login.ts'
import type { OpenRotations } from './rotations.ts'
import type { OpenTokens } from './tokens.ts'

/** What the API answers with, and how it decides. */
export type Api = Deciders & { readonly routes: readonly Route[]; readonly openRoutes: readonly OpenRoute[] }

type ApiParts = Deciding & {
  readonly base: Omit<CredentialNeeds, 'writers'> &
    Pick<AccessNeeds, 'teams'> &
    Pick<Deciding, 'view' | 'recorded'> & { readonly db: Db }
  readonly rules: Rules
  readonly hooks: Hooks
  readonly inventory: InventoryNeeds
  readonly identities: IdentityNeeds & { readonly certify: CertifyToken }
  readonly access: AccessNeeds
  readonly sessions: LiveNeeds
  readonly ends: Ends
  readonly obligations: Obligations
  readonly rotations: OpenRotations
  readonly versions: readonly Route[]
  readonly tokens: OpenTokens
  readonly login: OpenLogin
  readonly lifecycle: OpenLifecycle
  readonly machines: OpenMachines
  readonly handed: readonly HandedWriter[]
  readonly decided: PolicyRouteNeeds
}

/** Every operation with what it does, and how its calls are decided. */
export function apiOf({ config, ground, authority }: DomainParts, parts: ApiParts): Api {
  const { base, rules, hooks, identities, access, ends, obligations, decided } = parts
  const { db } = ground
  const tickets = ticketsFrom(config)
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
    ...accessRoutes({ ...base, ...access, ends, tickets, certify: certifier(authority, ground) }),
    ...denialRoutes({
      ...base,
      ...access,
      tickets,
      engine: rules.engine,
      drafts: config.authzen.drafts,
      origin: parts.tokens.needs.issuer,
    }),
    ...changeRoutes(changes),
    ...signalRoutes({ ...base, ...access, ends, signalSenders: new Set(config.risk.signalSenders) }),
    ...governanceRoutes({ ...base, db, standard: rules.standard, onIdentityEnded: hooks.onIdentityEnded }),
    ...credentialRoutes({ ...base, wake: () => obligations.wake() }),
    ...custodyRoutes({ ...base, hasTeam: (name) => rules.teams.has(name) }),
    ...rotationRoutes({ ...parts.rotations.needs, db, wake: () => parts.rotations.wake() }),
    ...spiffeRoutes({ ...base, keys: ground.keys, trustDomain: config.spiffe.trustDomain }),
    ...parts.machines.routes,
    ...sshRoutes({ ...base, ...access, db }),
    ...issuedRoutes({ ...base, ...access, db, handed: parts.handed, wake: () => obligations.wake() }),
    ...sessionRoutes(parts.sessions),
    ...ledgerRoutes(base),
    ...parts.versions,
    ...parts.tokens.routes,
    ...parts.login.routes,
    ...parts.lifecycle.routes,
    ...policyRoutes(decided),
  ]
  for (const route of routes) byOperation.set(route.operation.id, route)
  return {
    ...deciders(ground, parts),
    authenticate: parts.login.authenticate,
    approvals: approvalsOfCalls(changes),
    stepUps: stepUpsOf({ ...parts.login.needs, bindCall: bindCalls(access) }),
    routes,
    openRoutes: [
      ...identityOpenRoutes({ ...identities, db }),
      ...spiffeOpenRoutes({ ...base, keys: ground.keys, trustDomain: config.spiffe.trustDomain }),
      ...parts.machines.openRoutes,
      ...sshOpenRoutes({ ...base, ...access, db }),
    ],
  }
}

function ticketsFrom({ tickets: { url, ...system } }: Config): TicketVerifier {
  return url === undefined ? noTicketVerifier : openTicketVerifier({ url, ...system })
}
