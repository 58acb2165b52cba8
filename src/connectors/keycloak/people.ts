import {
  grant,
  Holes,
  inBatches,
  inPages,
  known,
  principal,
  type Observation,
  type Page,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { groupOf, listed, userOf, whenOf, everyOf, type Keycloak, type Listed } from './api.ts'
import { placeOf } from './clients.ts'
import { Group, User } from './shapes.ts'

const NEED = 'view-users'
export const USERS: Listed<User> = {
  path: '/users?briefRepresentation=false',
  need: NEED,
  shape: User,
  idOf: ({ id }) => id,
}
export const GROUPS: Listed<Group> = {
  path: '/groups?briefRepresentation=true',
  need: NEED,
  shape: Group,
  idOf: ({ id }) => id,
}
/** Groups in groups; a tree that is deeper goes round in a circle. */
const DEPTH_MAX = 32
const GROUPS_MAX = 200_000

/** Users; service accounts are told with their clients, and stand in no list of users. */
export async function* readUsers(kc: Keycloak, since: Since, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  for await (const { items, next } of listed(kc, USERS, placeOf(since), signal))
    yield* inPages(items.map(tellUser), next === undefined ? undefined : String(next))
  return { status: 'complete', missing: [] }
}

function tellUser(user: User): Observation {
  const name = [user.firstName, user.lastName].filter((part) => part !== undefined && part !== '').join(' ')
  return principal({
    id: userOf(user.id),
    type: 'account',
    name: user.username,
    aliases: name === '' ? [] : [name],
    ...(user.enabled !== undefined && { state: known(user.enabled ? 'active' : 'disabled') }),
    createdAt: whenOf(user.createdTimestamp),
    interactive: known(true),
    tags: user.email === undefined || user.email === '' ? {} : { email: user.email },
    facts: {
      requiredActions: user.requiredActions,
      hasSecondFactor: user.totp ?? null,
      comesFrom: user.federationLink ?? null,
    },
  })
}

/** Groups with their groups and their members. */
export async function* readGroups(kc: Keycloak, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const holes = new Holes()
  yield* inBatches(groupsOf(kc, holes, signal))
  const missing = holes.all()
  return { status: missing.length > 0 ? 'partial' : 'complete', missing }
}

type Placed = { readonly group: Group; readonly parent: string | undefined; readonly depth: number }

async function* groupsOf(kc: Keycloak, holes: Holes, signal: AbortSignal): AsyncGenerator<Observation[], void> {
  const open: Placed[] = []
  const seen = new Set<string>()
  const add = (placed: Placed) => {
    const { group, depth } = placed
    if (seen.has(group.id)) return
    seen.add(group.id)
    if (depth <= DEPTH_MAX && seen.size <= GROUPS_MAX) open.push(placed)
    else holes.add({ what: 'groups within groups', why: 'they are deeper or more than any realm has' })
  }
  for await (const group of everyOf(kc, GROUPS, signal)) add({ group, parent: undefined, depth: 0 })
  for (let next = open.pop(); next; next = open.pop()) {
    const { group, parent, depth } = next
    const at = `/groups/${encodeURIComponent(group.id)}`
    yield tellGroup(group, parent)
    const inner = { ...GROUPS, path: `${at}/children?briefRepresentation=true` }
    if (group.subGroupCount !== 0)
      for await (const each of everyOf(kc, inner, signal)) add({ group: each, parent: group.id, depth: depth + 1 })
    const members: Listed<User> = { ...USERS, path: `${at}/members?briefRepresentation=true` }
    for await (const { id } of everyOf(kc, members, signal)) yield [memberOf('user', id, group.id)]
  }
}

function tellGroup(group: Group, parent: string | undefined): Observation[] {
  return [
    principal({
      id: groupOf(group.id),
      type: 'group',
      name: group.path ?? group.name,
      state: known('active'),
      interactive: known(false),
    }),
    // Who is in a group has what the groups above it have.
    ...(parent === undefined ? [] : [memberOf('group', group.id, parent)]),
  ]
}

function memberOf(kind: 'user' | 'group', id: string, group: string): Observation {
  return grant({
    id: { kind: 'membership', id: `${group}/${kind}/${id}` },
    principal: kind === 'user' ? userOf(id) : groupOf(id),
    on: groupOf(group),
    privilege: 'MEMBER',
    level: 'use',
  })
}
