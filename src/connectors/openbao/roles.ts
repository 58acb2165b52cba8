import { z } from 'zod'
import {
  Holes,
  credential,
  known,
  principal,
  Unreadable,
  type Item,
  type NativeId,
  type Observation,
  type Page,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { endOf, list, lookUp, read, whenOf, type Bao } from './api.ts'
import { Asks, issuerOf, trustsOf, type Issuer } from './believes.ts'
import { mountOf, mountsAt, type Mount } from './mounts.ts'
import { holdsPolicy } from './policies.ts'
import { orMissing, tellEach } from './walk.ts'

/** Under which names auth methods list whom they let in. */
const LISTS: Readonly<Record<string, readonly string[]>> = {
  approle: ['role'],
  kubernetes: ['role'],
  jwt: ['role'],
  oidc: ['role'],
  cert: ['certs'],
  userpass: ['users'],
  ldap: ['users', 'groups'],
  radius: ['users'],
  token: ['roles'],
  aws: ['role'],
  azure: ['role'],
  gcp: ['role'],
}

const Texts = z.union([
  z.array(z.string()),
  z.string().transform((text) => text.split(',').filter((each) => each !== '')),
])
const Role = z.looseObject({
  token_policies: z.array(z.string()).nullish(),
  policies: Texts.nullish(),
  allowed_policies: z.array(z.string()).nullish(),
  token_ttl: z.number().nullish(),
  token_max_ttl: z.number().nullish(),
  token_period: z.number().nullish(),
  token_type: z.string().nullish(),
  token_bound_cidrs: z.array(z.string()).nullish(),
  secret_id_bound_cidrs: z.array(z.string()).nullish(),
  bind_secret_id: z.boolean().optional(),
  secret_id_ttl: z.number().nullish(),
  secret_id_num_uses: z.number().nullish(),
  orphan: z.boolean().nullish(),
  ...Asks.shape,
})
type Role = z.output<typeof Role>

type Place = {
  readonly mount: Mount
  readonly folder: string
  readonly name: string
  readonly issuer?: Issuer | undefined
}
const roleOf = ({ mount, folder, name }: Place): NativeId => ({
  kind: 'auth-role',
  id: `${mount.accessor}/${folder}/${name}`,
})

/** Every role of every auth method that lists them. */
async function placesOf(bao: Bao, types: readonly string[], holes: Holes, signal: AbortSignal): Promise<Place[]> {
  const places: Place[] = []
  for (const mount of await mountsAt(bao, 'sys/auth', signal)) {
    const folders = types.includes(mount.type) ? (LISTS[mount.type] ?? []) : []
    for (const folder of folders) {
      const names = await orMissing(bao, () => list(bao, `auth/${mount.path}${folder}`, signal), holes, signal)
      const issuer = names.length > 0 ? await issuerOf(bao, mount, holes, signal) : undefined
      for (const name of names) places.push({ mount, folder, name, issuer })
    }
  }
  return places
}

/** Whom auth methods let in, on what terms, and with which policies. */
export async function* readRoles(bao: Bao, since: Since, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const holes = new Holes()
  const places = await placesOf(bao, Object.keys(LISTS), holes, signal)
  const items = places.map((place): Item => ({
    key: roleOf(place).id,
    tell: async () => {
      const { mount, folder, name } = place
      const role = await read(bao, `auth/${mount.path}${folder}/${name}`, Role, signal)
      return role ? tellRole(place, asOf(mount, role)) : []
    },
  }))
  return yield* tellEach(bao, { items, holes }, since, signal)
}

/** Every role says what those who come by it may, if only that it is nothing, and one of AppRole whether it takes a secret id. */
function asOf({ type }: Mount, role: Role): Role {
  const { token_policies: first, policies, allowed_policies: allowed, bind_secret_id: bound } = role
  const isWhole = [first, policies, allowed].some((each) => each !== undefined)
  if (!isWhole || (type === 'approle' && bound === undefined))
    throw new Unreadable('the server answered in another way than its API has it')
  return role
}

function tellRole(place: Place, role: Role): Observation[] {
  const { mount, folder, name } = place
  const id = roleOf(place)
  const isPerson = folder === 'users'
  const cidrs = [...(role.token_bound_cidrs ?? []), ...(role.secret_id_bound_cidrs ?? [])]
  const policies = role.token_policies ?? role.policies ?? role.allowed_policies ?? []
  return [
    principal({
      id,
      type: isPerson ? 'account' : folder === 'groups' ? 'group' : 'role',
      name: `auth/${mount.path}${folder}/${name}`,
      state: known('active'),
      interactive: known(isPerson || mount.type === 'oidc'),
      facts: {
        method: mount.type,
        mount: mountOf(mount.accessor).id,
        ttlSeconds: role.token_ttl ?? null,
        maxTtlSeconds: role.token_max_ttl ?? null,
        periodSeconds: role.token_period ?? null,
        tokenType: role.token_type ?? null,
        needsSecretId: role.bind_secret_id ?? null,
        secretIdTtlSeconds: role.secret_id_ttl ?? null,
        secretIdUses: role.secret_id_num_uses ?? null,
        addresses: cidrs,
        makesOrphans: role.orphan ?? null,
      },
    }),
    ...[...new Set(policies)].map((policy) => holdsPolicy(id, policy)),
    ...loginOf(place, role, cidrs),
    ...trustsOf({ id, mount, issuer: place.issuer }, role),
  ]
}

/** What a role is entered with by itself: a password, or nothing at all. Secret ids have a scope of their own. */
function loginOf(place: Place, role: Role, cidrs: readonly string[]): Observation[] {
  const { mount, folder, name } = place
  const isOpen = mount.type === 'approle' && role.bind_secret_id === false
  if (!isOpen && !(mount.type === 'userpass' && folder === 'users')) return []
  return [
    credential({
      id: { kind: isOpen ? 'role-id' : 'password', id: roleOf(place).id },
      principal: known(roleOf(place)),
      type: isOpen ? 'none' : 'password',
      name: `auth/${mount.path}${folder}/${name}`,
      expiresAt: known('never'),
      bindings: known(cidrs.length > 0 ? ['ip'] : []),
      ...(isOpen && { strength: known('weak'), strengthWhy: ['whoever knows the id of the role is let in'] }),
    }),
  ]
}

const SecretId = z.object({
  creation_time: z.string().nullish(),
  expiration_time: z.string().nullish(),
  last_updated_time: z.string().nullish(),
  cidr_list: z.array(z.string()).nullish(),
  token_bound_cidrs: z.array(z.string()).nullish(),
  secret_id_num_uses: z.number().nullish(),
  metadata: z.record(z.string(), z.string()).nullish(),
})

/** Secret ids of AppRoles by their accessors; what they are is never given by any path that is asked. */
export async function* readSecretIds(bao: Bao, since: Since, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const holes = new Holes()
  const items = (await placesOf(bao, ['approle'], holes, signal)).map((place): Item => ({
    key: roleOf(place).id,
    tell: async () => {
      const path = `auth/${place.mount.path}${place.folder}/${place.name}`
      const told: Observation[] = []
      for (const accessor of await list(bao, `${path}/secret-id`, signal)) {
        const asked = {
          path: `${path}/secret-id-accessor/lookup`,
          body: { secret_id_accessor: accessor },
          shape: SecretId,
        }
        const found = await lookUp(bao, asked, signal)
        if (found) told.push(tellSecretId(place, accessor, found))
      }
      return told
    },
  }))
  return yield* tellEach(bao, { items, holes }, since, signal)
}

function tellSecretId(place: Place, accessor: string, found: z.output<typeof SecretId>): Observation {
  const cidrs = [...(found.cidr_list ?? []), ...(found.token_bound_cidrs ?? [])]
  return credential({
    id: { kind: 'secret-id', id: accessor },
    principal: known(roleOf(place)),
    type: 'client-secret',
    name: `auth/${place.mount.path}${place.folder}/${place.name}: secret id`,
    createdAt: whenOf(found.creation_time),
    expiresAt: endOf(found.expiration_time),
    bindings: known(cidrs.length > 0 ? ['ip'] : []),
    heldBy: known('unknown-holder'),
    facts: {
      usesAllowed: found.secret_id_num_uses ?? null,
      addresses: cidrs,
      metadata: Object.keys(found.metadata ?? {}),
    },
  })
}
