import {
  tokenIssuer,
  grant,
  Holes,
  inBatches,
  known,
  principal,
  resource,
  segment,
  type NativeId,
  type Observation,
  type Page,
  type ScopeReport,
} from '../connector.ts'
import { everyOf, groupOf, realmOf, roleOf, userOf, type Listed } from './api.ts'
import { CLIENTS, isAdministrative, type Reading } from './clients.ts'
import { GROUPS, USERS } from './people.ts'
import { Role, type Group, type Realm, type User } from './shapes.ts'

type Place = { readonly client: { readonly id: string; readonly clientId: string } | undefined; readonly path: string }

/** Where roles stand: in the realm, and in each of its clients. */
async function* placesOf({ kc }: Reading, signal: AbortSignal): AsyncGenerator<Place, void> {
  yield { client: undefined, path: '/roles' }
  for await (const client of everyOf(kc, CLIENTS, signal))
    yield { client, path: `/clients/${encodeURIComponent(client.id)}/roles` }
}

function rolesAt({ client, path }: Place): Listed<Role> {
  const need = client ? 'view-clients' : 'view-realm'
  return { path: `${path}?briefRepresentation=true`, need, shape: Role, idOf: ({ id }) => id }
}

/** Keycloak, "Admin console", roles of the realm-management client: each of these ends in everything that the realm protects. */
const RULES: Readonly<Record<string, 'admin' | 'impersonate' | 'read'>> = {
  'realm-admin': 'admin',
  'manage-realm': 'admin',
  'manage-users': 'admin',
  'manage-clients': 'admin',
  'manage-identity-providers': 'admin',
  impersonation: 'impersonate',
  // Secrets of clients are in what it shows.
  'view-clients': 'read',
}
const PARTS = [
  'realm',
  'users',
  'clients',
  'groups',
  'events',
  'identity-providers',
  'authorization',
  'client',
  'organizations',
]

/** The realm, and the parts of it that lesser rights are on. */
export async function* readRealm({ kc, realm }: Reading, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const issuer = await kc.issuer(signal)
  const whole = realmOf(realm.id)
  const parts = PARTS.map((part) =>
    resource({ id: partOf(realm.id, part), type: 'realm-part', name: `${realm.realm}: ${part}`, parent: whole }),
  )
  yield {
    observations: [
      resource({
        id: whole,
        type: 'oidc-realm',
        name: realm.realm,
        // Who rules it is whoever they like, wherever it is believed.
        sensitivity: known(0),
        facts: {
          isEnabled: realm.enabled ?? null,
          tls: realm.sslRequired ?? null,
          letsAnybodyRegister: realm.registrationAllowed ?? null,
          slowsGuessing: realm.bruteForceProtected ?? null,
          hasFineGrainedRights: realm.adminPermissionsEnabled ?? null,
          keepsEvents: realm.eventsEnabled ?? null,
          eventsSeconds: realm.eventsExpiration ?? null,
          offlineIdleSeconds: realm.offlineSessionIdleTimeout ?? null,
          offlineSeconds:
            realm.offlineSessionMaxLifespanEnabled === true ? (realm.offlineSessionMaxLifespan ?? null) : null,
          usesRefreshTokensOnce: realm.revokeRefreshToken ?? null,
        },
      }),
      ...parts,
      ...(issuer === undefined ? [] : [tokenIssuer(issuer)]),
    ],
  }
  const missing = { what: 'the issuer of its tokens', why: 'the realm does not tell it' }
  return issuer === undefined ? { status: 'partial', missing: [missing] } : { status: 'complete', missing: [] }
}

const partOf = (realm: string, part: string): NativeId => ({ kind: 'realm-part', id: `${realm}/${part}` })

/** Roles of the realm and of clients, what each has in it, and which of them rule the realm. */
export async function* readRoles(reading: Reading, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  yield* inBatches(rolesOf(reading, signal))
  return { status: 'complete', missing: [] }
}

async function* rolesOf(reading: Reading, signal: AbortSignal): AsyncGenerator<Observation[], void> {
  const { kc, realm } = reading
  for await (const place of placesOf(reading, signal)) {
    const need = place.client ? 'view-clients' : 'view-realm'
    for await (const role of everyOf(kc, rolesAt(place), signal)) {
      yield tellRole(role, place, realm)
      if (!role.composite) continue
      const path = `/roles-by-id/${encodeURIComponent(role.id)}/composites`
      for await (const inner of everyOf(kc, { path, need, shape: Role, idOf: ({ id }: Role) => id }, signal))
        yield [hasRole(roleOf(role.id), inner.id)]
    }
  }
}

function tellRole(role: Role, { client }: Place, realm: Realm & { readonly id: string }): Observation[] {
  const id = roleOf(role.id)
  const rules = client && isAdministrative(client.clientId, realm.realm)
  return [
    principal({
      id,
      type: 'role',
      name: client ? `${client.clientId}/${role.name}` : role.name,
      state: known('active'),
      interactive: known(false),
      tags:
        role.description === undefined || role.description.startsWith('${') ? {} : { description: role.description },
      facts: {
        // Everybody who is made in the realm has it.
        ...(realm.defaultRole?.id === role.id && { everybody: true }),
        isBuiltIn: rules === true || role.description?.startsWith('${') === true,
      },
    }),
    ...(rules === true ? [tellRule(role, client.clientId, realm)] : []),
  ]
}

/** In the realm of administrators each other realm has a client of its own for this. */
function tellRule(role: Role, clientId: string, realm: Realm & { readonly id: string }): Observation {
  const isOwn = clientId === 'realm-management' || clientId === `${realm.realm}-realm`
  const level = RULES[role.name]
  const part = PARTS.find((each) => role.name.endsWith(`-${each}`)) ?? 'realm'
  const other: NativeId = { kind: 'realm-by-name', id: clientId.replace(/-realm$/, '') }
  return grant({
    id: { kind: 'rules-realm', id: role.id },
    principal: roleOf(role.id),
    on: !isOwn ? other : level ? realmOf(realm.id) : partOf(realm.id, part),
    privilege: role.name,
    level: level ?? (/^(?:manage|create)-/.test(role.name) ? 'write' : 'read'),
  })
}

function hasRole(holder: NativeId, role: string): Observation {
  return grant({
    id: { kind: 'role-holder', id: `${role}/${holder.kind}/${holder.id}` },
    principal: holder,
    on: roleOf(role),
    privilege: 'MEMBER',
    level: 'use',
  })
}

/** Who has which role by themselves: users, service accounts and groups. The role that everybody has is left out. */
export async function* readHolders(reading: Reading, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const holes = new Holes()
  yield* inBatches(holdersOf(reading, holes, signal))
  const missing = holes.all()
  return { status: missing.length > 0 ? 'partial' : 'complete', missing }
}

async function* holdersOf(reading: Reading, holes: Holes, signal: AbortSignal): AsyncGenerator<Observation[], void> {
  const { kc, realm } = reading
  for await (const place of placesOf(reading, signal)) {
    for await (const role of everyOf(kc, rolesAt(place), signal)) {
      if (role.id === realm.defaultRole?.id) continue
      const at = pathTo(place, role)
      if (at === undefined) {
        holes.add({ what: 'who has one of the roles', why: 'it has a name that no path can hold' })
        continue
      }
      const users: Listed<User> = { ...USERS, path: `${at}/users?briefRepresentation=true` }
      for await (const { id } of everyOf(kc, users, signal)) yield [hasRole(userOf(id), role.id)]
      const groups: Listed<Group> = { ...GROUPS, path: `${at}/groups?briefRepresentation=true` }
      for await (const { id } of everyOf(kc, groups, signal)) yield [hasRole(groupOf(id), role.id)]
    }
  }
}

/** A role may be called `..`, which would be another path. */
function pathTo({ path }: Place, { name }: Role): string | undefined {
  return segment(name) === undefined ? undefined : `${path}/${segment(name)}`
}
