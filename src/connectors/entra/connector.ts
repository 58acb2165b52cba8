import {
  Denied,
  Unreadable,
  type Connector,
  type Manifest,
  type Missing,
  type OpenSource,
  type Page,
  type ProbedScope,
  type ScopeRef,
  type ScopeReport,
  type ScopesReport,
  type Since,
} from '../connector.ts'
import { PRINCIPAL_ACTIVITY, readActivity } from './activity.ts'
import { AUDITS, readAudits } from './audits.ts'
import {
  azureOf,
  missingAt,
  readSubscription,
  readSubscriptions,
  SUBSCRIPTIONS,
  subscriptionsOf,
  type Azure,
} from './azure.ts'
import { addressesOf, graphOf, pages, type Asked, type Graph } from './api.ts'
import { APPLICATIONS, PRINCIPALS, readApplications, readPrincipals } from './applications.ts'
import { CONSENTS, readConsents } from './consents.ts'
import { readFederation } from './federation.ts'
import { GROUPS, readGroups, readOwners, readTenant, readUsers, TENANT, USERS } from './people.ts'
import { readPermissions } from './permissions.ts'
import { readRoles, ROLES } from './roles.ts'
import { ELIGIBLE, readSchedules } from './schedules.ts'
import { EntraSourceCredential, EntraSourceSettings } from './settings.ts'

type Part = {
  readonly gives: string
  readonly permission: string
  /** Lists without which nothing of it is seen; the first thing of each is asked for before. */
  readonly lists: readonly Asked<unknown>[]
  readonly read: (graph: Graph, since: Since, signal: AbortSignal) => AsyncGenerator<Page, ScopeReport>
}

const PARTS: Readonly<Record<string, Part>> = {
  tenant: {
    gives: 'the tenant and its domains',
    permission: 'Organization.Read.All',
    lists: [TENANT],
    read: (graph, _since, signal) => readTenant(graph, signal),
  },
  applications: {
    gives: 'applications that are registered here: secrets and certificates with their ends',
    permission: 'Application.Read.All',
    lists: [APPLICATIONS],
    read: readApplications,
  },
  federation: {
    gives: 'tokens of other issuers by which applications prove themselves',
    permission: 'Application.Read.All',
    lists: [APPLICATIONS],
    read: readFederation,
  },
  'service-principals': {
    gives: 'service principals: whose application it is, its publisher, managed identities, secrets of their own',
    permission: 'Application.Read.All',
    lists: [PRINCIPALS],
    read: readPrincipals,
  },
  consents: {
    gives: 'what people, or administrators for everybody, let which application do in their name',
    permission: 'Directory.Read.All',
    lists: [CONSENTS, PRINCIPALS],
    read: readConsents,
  },
  permissions: {
    gives: 'what applications may by themselves, and which of that rules the tenant',
    permission: 'Application.Read.All',
    lists: [PRINCIPALS],
    read: readPermissions,
  },
  owners: {
    gives: 'who owns applications and service principals, and so may set their logins',
    permission: 'Application.Read.All',
    lists: [APPLICATIONS],
    read: (graph, _since, signal) => readOwners(graph, signal),
  },
  roles: {
    gives: 'roles of the directory, who has them, and which of them rule the tenant',
    permission: 'RoleManagement.Read.Directory, Directory.Read.All',
    lists: [ROLES],
    read: (graph, _since, signal) => readRoles(graph, signal),
  },
  'role-schedules': {
    gives: 'roles of the directory that somebody may switch on, or has for a time (Privileged Identity Management)',
    permission: 'RoleManagement.Read.Directory, and Microsoft Entra ID P2 or ID Governance',
    lists: [ELIGIBLE],
    read: (graph, _since, signal) => readSchedules(graph, signal),
  },
  groups: {
    gives: 'groups that may hold roles, their members and owners',
    permission: 'Group.Read.All',
    lists: [GROUPS],
    read: (graph, _since, signal) => readGroups(graph, signal),
  },
  users: { gives: 'users and guests', permission: 'User.Read.All', lists: [USERS], read: readUsers },
  activity: {
    gives: 'when service principals, secrets and certificates were used last (beta of Graph)',
    permission: 'AuditLog.Read.All, Application.Read.All, and Microsoft Entra ID P1',
    lists: [PRINCIPAL_ACTIVITY, PRINCIPALS],
    read: (graph, _since, signal) => readActivity(graph, signal),
  },
  audits: {
    gives: 'which user or service principal changed what in the directory, by day',
    permission: 'AuditLog.Read.All',
    lists: [AUDITS],
    read: readAudits,
  },
}

const manifest: Manifest = {
  id: 'entra',
  version: '1',
  source: 'Microsoft Entra ID, one tenant, by Microsoft Graph',
  observes: ['principal', 'credential', 'resource', 'grant', 'trust', 'usage'],
  reads: [
    ...Object.entries(PARTS).map(([scope, { gives, permission }]) => ({
      scope,
      gives,
      permission,
      isOptional: scope !== 'tenant',
    })),
    { scope: 'azure', gives: SUBSCRIPTIONS.what, permission: SUBSCRIPTIONS.permission, isOptional: true },
    {
      scope: 'azure/*',
      gives: 'who has which role over one subscription and what is in it, and what is denied',
      permission: 'the role Reader there',
      isOptional: true,
    },
  ],
  writes: [],
  blindSpots: [
    'values of secrets, of which Graph shows the first three characters: one secret in two places is not known as one',
    'secrets and certificates of applications that other tenants registered: they are the vendor’s',
    'what has to be done to switch a role on, memberships of groups that can be switched on, and policies of conditional access',
    'who is in an administrative unit',
    'groups that may hold no roles, what is assigned to them, and who is in them',
    'roles of Azure that somebody may switch on, and what is denied to groups by way of their members: a right that a deny may take is told with both',
    'where answers of applications go (redirects), and what their code does; federated credentials of managed identities',
    'each sign-in: the last use and changes are read, and no want of use is proven by them',
    'expressions of federated credentials: what they fit is not worked out, and they are told as fitting more than one',
  ],
  metadataHandling:
    'Names, ids, mail addresses, notes, publishers, permissions, owners, members, roles, issuers with subjects and audiences, times. Of secrets their id, their dates and the first three characters, as the portal shows them. No secret, no key, no token.',
  risks: ['NHI1:2025', 'NHI3:2025', 'NHI4:2025', 'NHI5:2025', 'NHI6:2025', 'NHI7:2025'],
}

/** Reads the applications of a tenant, what they may, who let them in, and who may become them. */
export const entraConnector: Connector = {
  manifest,
  settings: EntraSourceSettings,
  credential: EntraSourceCredential,
  address: (settings) => addressesOf(EntraSourceSettings.parse(settings))[0],
  also: (settings) => addressesOf(EntraSourceSettings.parse(settings)).slice(1),
  async open(given): Promise<OpenSource> {
    const settings = EntraSourceSettings.parse(given.settings)
    const [login, azureHttp] = given.also ?? []
    if (!given.credential || !login) throw new Unreadable('there is no application to log in as')
    const credential = EntraSourceCredential.parse(JSON.parse(given.credential.reveal()))
    const tenant = settings.tenant.toLowerCase()
    const graph = graphOf({ graph: given.http, login, clock: given.clock }, { ...settings, tenant }, credential)
    const azure =
      settings.azure && azureHttp
        ? azureOf({ azure: azureHttp, login, clock: given.clock }, { ...settings, tenant }, credential)
        : undefined
    return {
      async probe(signal) {
        const seen = await probe(graph, signal)
        return azure ? { ...seen, scopes: [...seen.scopes, ...(await probedAzure(azure, signal))] } : seen
      },
      scopes: (signal) => scopes(azure, signal),
      read(scope, since, signal) {
        const [, subscription] = /^azure\/(.+)$/.exec(scope) ?? []
        if (azure && scope === 'azure') return readSubscriptions(azure, signal)
        if (azure && subscription !== undefined) return readSubscription(azure, subscription, signal)
        const part = PARTS[scope]
        if (!part) throw new Unreadable('there is no such scope')
        return part.read(graph, since, signal)
      },
      [Symbol.asyncDispose]: async () => undefined,
    }
  },
}

async function* scopes(azure: Azure | undefined, signal: AbortSignal): AsyncGenerator<ScopeRef, ScopesReport> {
  for (const [scope, { gives }] of Object.entries(PARTS))
    yield { scope, title: gives, ...(scope === 'audits' && { isFeed: true }) }
  if (!azure) return { isAll: true, missing: [] }
  yield { scope: 'azure', title: SUBSCRIPTIONS.what }
  try {
    for (const { subscriptionId, displayName } of await subscriptionsOf(azure, signal))
      yield { scope: `azure/${subscriptionId}`, title: `roles over ${displayName ?? subscriptionId}` }
    return { isAll: true, missing: [] }
  } catch (error) {
    if (!(error instanceof Denied)) throw error
    return { isAll: false, missing: [error.missing] }
  }
}

async function probedAzure(azure: Azure, signal: AbortSignal): Promise<ProbedScope[]> {
  try {
    const all = await subscriptionsOf(azure, signal)
    const isShown = all.length > 0
    const { what, permission } = SUBSCRIPTIONS
    const probed: ProbedScope[] = [
      { scope: 'azure', isVisible: isShown, missing: isShown ? [] : [{ what, why: 'none is shown', permission }] },
    ]
    for (const { subscriptionId } of all) {
      const missing = await missingAt(azure, subscriptionId, signal)
      probed.push({ scope: `azure/${subscriptionId}`, isVisible: missing.length === 0, missing })
    }
    return probed
  } catch (error) {
    if (!(error instanceof Denied)) throw error
    return [{ scope: 'azure', isVisible: false, missing: [error.missing] }]
  }
}

async function probe(graph: Graph, signal: AbortSignal) {
  const { tenant } = graph.settings
  const tried = new Map<string, Missing | undefined>()
  const probed: ProbedScope[] = []
  for (const [scope, { lists }] of Object.entries(PARTS)) {
    const missing: Missing[] = []
    for (const list of lists) {
      if (!tried.has(list.path)) tried.set(list.path, await missingOf(graph, list, signal))
      const without = tried.get(list.path)
      if (without) missing.push(without)
    }
    probed.push({ scope, isVisible: missing.length === 0, missing })
  }
  const name = tried.get(TENANT.path) === undefined ? await nameOf(graph, signal) : tenant
  return { authority: `entra:${tenant}`, system: `Microsoft Entra ID, ${name}`, scopes: probed }
}

/** The login is of one tenant, and Graph answers for that alone: another one behind the address is not read. */
async function nameOf(graph: Graph, signal: AbortSignal): Promise<string> {
  const { tenant } = graph.settings
  for await (const { items } of pages(graph, TENANT, undefined, signal))
    for (const { id, displayName } of items) {
      if (id.toLowerCase() !== tenant) throw new Unreadable('another tenant answers than the settings name')
      return displayName ?? tenant
    }
  return tenant
}

async function missingOf(graph: Graph, list: Asked<unknown>, signal: AbortSignal): Promise<Missing | undefined> {
  const first = { ...list, path: list.path.replace(/\$top=\d+/, '$$top=1') }
  try {
    await pages(graph, first, undefined, signal).next()
    return undefined
  } catch (error) {
    if (error instanceof Denied) return error.missing
    // One list that makes no sense does not keep the others from being read.
    if (error instanceof Unreadable) return { what: list.need.what, why: error.message }
    throw error
  }
}
