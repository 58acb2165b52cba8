import {
  Denied,
  loginOf,
  sourceOfParts,
  Unreadable,
  type Connector,
  type Given,
  type Manifest,
  type OpenSource,
  type Page,
  type ProbedScope,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { keycloakOf, missingOf, one, type Keycloak } from './api.ts'
import { readClients, type Reading } from './clients.ts'
import { EVENTS_MISSING, readEvents } from './events.ts'
import { readGrants } from './grants.ts'
import { readGroups, readUsers } from './people.ts'
import { readProviders } from './providers.ts'
import { readHolders, readRealm, readRoles } from './roles.ts'
import { KeycloakSourceCredential, KeycloakSourceSettings } from './settings.ts'
import { Realm } from './shapes.ts'

type Part = {
  readonly gives: string
  /** Roles of `realm-management` without which some of it would silently be left out. */
  readonly roles: readonly string[]
  readonly isFeed?: boolean
  readonly read: (reading: Reading, since: Since, signal: AbortSignal) => AsyncGenerator<Page, ScopeReport>
}

const PARTS: Readonly<Record<string, Part>> = {
  realm: {
    gives: 'the realm and its settings',
    roles: ['view-realm'],
    read: (reading, _since, signal) => readRealm(reading, signal),
  },
  clients: {
    gives: 'clients, what they prove themselves by, redirects, flows, service accounts',
    roles: ['view-clients'],
    read: readClients,
  },
  roles: {
    gives: 'roles of the realm and of clients, what each has in it, which rule the realm',
    roles: ['view-realm', 'view-clients'],
    read: (reading, _since, signal) => readRoles(reading, signal),
  },
  'role-holders': {
    gives: 'users, service accounts and groups by role',
    roles: ['view-realm', 'view-clients', 'view-users'],
    read: (reading, _since, signal) => readHolders(reading, signal),
  },
  users: {
    gives: 'users, what they still have to do before they come in',
    roles: ['view-users'],
    read: ({ kc }, since, signal) => readUsers(kc, since, signal),
  },
  groups: {
    gives: 'groups, groups in them, members',
    roles: ['view-users'],
    read: ({ kc }, _since, signal) => readGroups(kc, signal),
  },
  grants: {
    gives: 'offline sessions and consents, by client and user',
    roles: ['view-clients', 'view-users'],
    read: readGrants,
  },
  'identity-providers': {
    gives: 'whom the realm believes about people, and clients that prove themselves by others',
    roles: ['view-identity-providers', 'view-clients'],
    read: (reading, _since, signal) => readProviders(reading, signal),
  },
  events: {
    gives: 'logins of users and clients by day, with the window they cover',
    roles: ['view-events', 'view-clients'],
    isFeed: true,
    read: readEvents,
  },
}

const manifest: Manifest = {
  id: 'keycloak',
  version: '1',
  source: 'OpenID providers: a realm of Keycloak, by its administration',
  observes: ['principal', 'credential', 'resource', 'grant', 'trust', 'usage', 'usage-window'],
  reads: Object.entries(PARTS).map(([scope, { gives, roles }]) => ({
    scope,
    gives,
    permission: roles.map((role) => `role ${role} of realm-management`).join(', '),
    isOptional: scope !== 'realm',
  })),
  writes: [],
  blindSpots: [
    'how old a secret is that was brought in with its client: Keycloak keeps that of secrets it made itself',
    'which of a client’s addresses are still its own: a redirect to a name that nobody owns any more looks like any other',
    'what scripts, custom authenticators, mappers and policies of clients do; steps within login flows',
    'tokens and sessions that are not offline: they end by themselves, and are not listed',
    'rights by fine-grained permissions and by resources of authorization services',
    'credentials of users, and users of a directory who never came in',
    'other realms of the server, and whoever rules this one from the realm master',
    'events of the time before they were switched on; whether they were switched off in between',
  ],
  metadataHandling:
    'Names, ids, mail addresses, redirects, flows, scopes, roles, members, providers with their addresses, addresses of logins, times. Of client secrets a keyed fingerprint; no token, no password, no key, no value of a secret.',
  risks: ['NHI1:2025', 'NHI3:2025', 'NHI4:2025', 'NHI5:2025', 'NHI6:2025', 'NHI7:2025', 'NHI9:2025'],
}

/** Reads the clients of a realm, what they may, whom it believes, and who gave what to whom. */
export const keycloakConnector: Connector = {
  manifest,
  settings: KeycloakSourceSettings,
  credential: KeycloakSourceCredential,
  address: (settings) => KeycloakSourceSettings.parse(settings).url,
  async open(given): Promise<OpenSource> {
    const settings = KeycloakSourceSettings.parse(given.settings)
    const credential = loginOf(given, KeycloakSourceCredential, 'client to log in as')
    const kc = keycloakOf(given, settings, credential)
    return sourceOfParts(PARTS, {
      probe: (signal) => probe(kc, signal),
      read: (part, since, signal) => readPart(kc, part, given, since, signal),
    })
  },
}

/** What it may view is asked before and behind: a list from which something was left out on the way is not taken for whole. */
async function* readPart(
  kc: Keycloak,
  part: Part,
  given: Given,
  since: Since,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  await holds(kc, part, signal)
  const realm = await realmSeen(kc, signal)
  const report = yield* part.read({ kc, realm, fingerprint: given.fingerprint }, since, signal)
  if (await holds(kc, part, signal)) return report
  const missing = {
    what: 'whether everything was shown',
    why: 'the token of the login does not name its roles',
    permission: 'the client scope `roles` for the client that reads, and no lightweight access token',
  }
  const isLess = report.status === 'complete' || report.status === 'partial'
  return { ...report, status: isLess ? 'partial' : report.status, missing: [...report.missing, missing] }
}

/** Throws `Denied` where a role is lacking; false where that cannot be told. */
async function holds(kc: Keycloak, { roles, gives }: Part, signal: AbortSignal): Promise<boolean> {
  const lacking = await kc.lacking(roles, signal)
  if (lacking?.[0] !== undefined) throw new Denied(missingOf(kc, lacking.join(', '), gives))
  return lacking !== undefined
}

async function realmSeen(kc: Keycloak, signal: AbortSignal): Promise<Realm & { readonly id: string }> {
  const realm = await one(kc, { path: '', need: 'view-realm', shape: Realm }, signal)
  if (realm === undefined) throw new Unreadable('there is no such realm')
  const { id } = realm
  // Keycloak shows the name of a realm to whoever administers anything, and the rest to who may view it.
  if (id === undefined) throw new Denied(missingOf(kc, 'view-realm', 'which realm this is'))
  return { ...realm, id }
}

async function probe(kc: Keycloak, signal: AbortSignal) {
  const realm = await realmSeen(kc, signal)
  const all = [...new Set(Object.values(PARTS).flatMap(({ roles }) => roles))]
  const lacking = (await kc.lacking(all, signal)) ?? []
  const probed = Object.entries(PARTS).map(([scope, { roles, gives }]): ProbedScope => {
    const missing = roles.filter((role) => lacking.includes(role)).map((role) => missingOf(kc, role, gives))
    if (scope === 'events' && realm.eventsEnabled !== true) missing.push(EVENTS_MISSING)
    return { scope, isVisible: missing.length === 0, missing }
  })
  return { authority: `keycloak:${realm.id}`, system: 'Keycloak', scopes: probed }
}
