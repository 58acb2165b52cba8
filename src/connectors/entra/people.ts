/** Users, groups that may hold roles, and who owns applications. */
import { z } from 'zod'
import {
  grant,
  inBatches,
  inPages,
  known,
  principal,
  resource,
  type NativeId,
  type Observation,
  type Page,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { everyOf, pages, whenOf, type Asked, type Graph } from './api.ts'
import { EXPANDED_MAX } from './federation.ts'
import {
  applicationOf,
  DirectoryObject,
  Group,
  groupOf,
  objectOf,
  Organization,
  principalOf,
  tenantOf,
  User,
  userOf,
} from './shapes.ts'

export const TENANT = {
  path: '/v1.0/organization?$select=id,displayName,createdDateTime,verifiedDomains',
  need: { what: 'the tenant', permission: 'Organization.Read.All' },
  shape: Organization,
}

export async function* readTenant(graph: Graph, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  for await (const tenant of everyOf(graph, TENANT, signal)) {
    yield {
      observations: [
        resource({
          id: tenantOf(tenant.id.toLowerCase()),
          type: 'directory',
          name: tenant.displayName ?? tenant.id,
          // Who rules it is whoever they like, wherever it is believed.
          sensitivity: known(0),
          facts: { domains: tenant.verifiedDomains.map(({ name }) => name).toSorted() },
        }),
      ],
    }
  }
  return { status: 'complete', missing: [] }
}

export const USERS: Asked<User> = {
  path: '/v1.0/users?$select=id,userPrincipalName,displayName,mail,accountEnabled,userType,createdDateTime,onPremisesSyncEnabled&$top=999',
  need: { what: 'users', permission: 'User.Read.All' },
  shape: User,
}

export async function* readUsers(graph: Graph, since: Since, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  for await (const { items, next } of pages(graph, USERS, since.cursor, signal))
    yield* inPages(items.map(tellUser), next)
  return { status: 'complete', missing: [] }
}

function tellUser(user: User): Observation {
  return principal({
    id: userOf(user.id),
    type: 'account',
    name: user.userPrincipalName ?? user.id,
    aliases: user.displayName ? [user.displayName] : [],
    ...(typeof user.accountEnabled === 'boolean' && { state: known(user.accountEnabled ? 'active' : 'disabled') }),
    createdAt: whenOf(user.createdDateTime),
    interactive: known(true),
    tags: user.mail ? { email: user.mail } : {},
    facts: { isGuest: user.userType === 'Guest', isSynced: user.onPremisesSyncEnabled ?? null },
  })
}

export const GROUPS: Asked<Group> = {
  path: '/v1.0/groups?$filter=isAssignableToRole%20eq%20true&$select=id,displayName,description,createdDateTime&$top=999',
  need: { what: 'groups that may hold roles', permission: 'Group.Read.All' },
  shape: Group,
}

/** Of other groups an owner may be anybody, and no role can be given to them. */
export async function* readGroups(graph: Graph, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  yield* inBatches(groupsOf(graph, signal))
  return { status: 'complete', missing: [] }
}

async function* groupsOf(graph: Graph, signal: AbortSignal): AsyncGenerator<Observation[], void> {
  for await (const group of everyOf(graph, GROUPS, signal)) {
    const id = groupOf(group.id)
    yield [
      principal({
        id,
        type: 'group',
        name: group.displayName ?? group.id,
        state: known('active'),
        createdAt: whenOf(group.createdDateTime),
        interactive: known(false),
        tags: group.description ? { description: group.description } : {},
        facts: { mayHoldRoles: true },
      }),
    ]
    for (const [list, privilege] of [
      ['members', 'MEMBER'],
      ['owners', 'OWNER'],
    ] as const) {
      const path = `/v1.0/groups/${encodeURIComponent(group.id)}/${list}?$select=id&$top=999`
      const need = { what: `${list} of groups that may hold roles`, permission: 'GroupMember.Read.All' }
      for await (const each of everyOf(graph, { path, need, shape: DirectoryObject, mayBeGone: true }, signal))
        yield [holdsOf(id, objectOf(each), privilege)]
    }
  }
}

/** Who owns an application or a group may set its logins, or let others in. */
function holdsOf(on: NativeId, holder: NativeId, privilege: 'MEMBER' | 'OWNER'): Observation {
  return grant({
    id: { kind: privilege.toLowerCase(), id: `${on.kind}/${on.id}/${holder.kind}/${holder.id}` },
    principal: holder,
    on,
    privilege,
    level: privilege === 'OWNER' ? 'admin' : 'use',
  })
}

const Owned = z.object({
  id: z.string().min(1),
  appId: z.string().min(1),
  owners: z.array(DirectoryObject).default([]),
})
const LISTS = [
  ['applications', ({ appId }: { readonly appId: string }) => applicationOf(appId)],
  ['servicePrincipals', ({ id }: { readonly id: string }) => principalOf(id)],
] as const

export async function* readOwners(graph: Graph, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  yield* inBatches(ownersOf(graph, signal))
  return { status: 'complete', missing: [] }
}

async function* ownersOf(graph: Graph, signal: AbortSignal): AsyncGenerator<Observation[], void> {
  const need = { what: 'owners of applications', permission: 'Application.Read.All' }
  for (const [list, idOf] of LISTS) {
    const path = `/v1.0/${list}?$select=id,appId&$expand=owners($select=id)&$top=100`
    for await (const thing of everyOf(graph, { path, need, shape: Owned }, signal)) {
      const { owners } = thing
      if (owners.length < EXPANDED_MAX) {
        yield owners.map((owner) => holdsOf(idOf(thing), objectOf(owner), 'OWNER'))
        continue
      }
      const all = `/v1.0/${list}/${encodeURIComponent(thing.id)}/owners?$select=id&$top=999`
      for await (const owner of everyOf(graph, { path: all, need, shape: DirectoryObject, mayBeGone: true }, signal))
        yield [holdsOf(idOf(thing), objectOf(owner), 'OWNER')]
    }
  }
}
