/** Users and roles, where the auth manager keeps them itself: that of Flask AppBuilder does. */
import {
  grant,
  inBatches,
  known,
  principal,
  resource,
  unknown,
  type Missing,
  type NativeId,
  type Observation,
  type Page,
  type ScopeReport,
} from '../connector.ts'
import { everyOf, instantOf, roleOf, userOf, whenOf, type Airflow, type Listed } from './api.ts'
import { Role, User } from './shapes.ts'

const USERS_PATH = '/auth/fab/v1/users'
const USERS_NEED = 'reading users: `can_read` on Users (FAB)'

const USERS: Listed<User> = {
  path: USERS_PATH,
  field: 'users',
  order: 'username',
  need: USERS_NEED,
  shape: User,
  idOf: ({ username }) => username,
}
const ROLES: Listed<Role> = {
  path: '/auth/fab/v1/roles',
  field: 'roles',
  order: 'name',
  need: 'reading roles: `can_read` on Roles (FAB)',
  shape: Role,
  idOf: ({ name }) => name,
}

/** Whether the auth manager keeps users that can be asked for; what it keeps instead otherwise. Throws `Denied`. */
export async function withoutPeople(airflow: Airflow, signal: AbortSignal): Promise<Missing | undefined> {
  if ((await airflow.ask(`${USERS_PATH}?limit=1`, USERS_NEED, signal)) !== undefined) return undefined
  const { role } = await airflow.claims(signal)
  const what = 'who may log in, and as what'
  if (role !== undefined)
    return { what, why: 'the simple auth manager has its users in the configuration, and shows them to nobody' }
  return { what, why: 'this auth manager keeps no users here', permission: 'a source for the system that keeps them' }
}

export async function* readPeople(airflow: Airflow, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const without = await withoutPeople(airflow, signal)
  if (without) return { status: 'unsupported', missing: [without] }
  yield* inBatches(peopleOf(airflow, signal))
  return { status: 'complete', missing: [] }
}

async function* peopleOf(airflow: Airflow, signal: AbortSignal): AsyncGenerator<Observation[], void> {
  const parts = new Set<string>()
  yield [resource({ id: DEPLOYMENT, type: 'airflow', name: 'the deployment' })]
  for await (const role of everyOf(airflow, ROLES, signal)) yield tellRole(role, parts)
  for await (const user of everyOf(airflow, USERS, signal)) yield tellUser(user)
}

const DEPLOYMENT: NativeId = { kind: 'deployment', id: 'this' }
const partOf = (name: string): NativeId => ({ kind: 'part', id: name })

const LEVELS: Readonly<Record<string, 'use' | 'read' | 'write'>> = {
  can_read: 'read',
  can_edit: 'write',
  can_create: 'write',
  can_delete: 'write',
}
/** Whoever may change these gives themselves all the rest. */
const RULES = new Set(['Users', 'Roles', 'Permissions'])

function tellRole({ name, actions }: Role, parts: Set<string>): Observation[] {
  const told: Observation[] = [
    principal({ id: roleOf(name), type: 'role', name, state: known('active'), interactive: known(false) }),
  ]
  const seen = new Set<string>()
  let rules = false
  for (const { action, resource: on } of actions ?? []) {
    const id = JSON.stringify([name, action.name, on.name])
    // Menus are what is shown, not what may be done.
    if (action.name === 'menu_access' || seen.has(id)) continue
    seen.add(id)
    const level = LEVELS[action.name] ?? 'use'
    rules ||= level === 'write' && RULES.has(on.name)
    if (!parts.has(on.name)) {
      parts.add(on.name)
      told.push(resource({ id: partOf(on.name), type: 'airflow-part', name: on.name }))
    }
    told.push(
      grant({
        id: { kind: 'permission', id },
        principal: roleOf(name),
        on: partOf(on.name),
        privilege: `${action.name} on ${on.name}`,
        level,
      }),
    )
  }
  if (rules)
    told.push(
      grant({
        id: { kind: 'rules-deployment', id: name },
        principal: roleOf(name),
        on: DEPLOYMENT,
        privilege: 'changes users, roles or permissions',
        level: 'admin',
      }),
    )
  return told
}

function tellUser(user: User): Observation[] {
  const id = userOf(user.username)
  const name = [user.first_name, user.last_name].filter((part) => typeof part === 'string' && part !== '').join(' ')
  const used = instantOf(user.last_login)
  const roles = [...new Set((user.roles ?? []).map((role) => role.name))]
  return [
    principal({
      id,
      type: 'account',
      name: user.username,
      aliases: name === '' ? [] : [name],
      state:
        user.active === undefined || user.active === null
          ? unknown('unsupported')
          : known(user.active ? 'active' : 'disabled'),
      createdAt: whenOf(user.created_on),
      tags: typeof user.email === 'string' && user.email !== '' ? { email: user.email } : {},
    }),
    ...roles.map((role) =>
      grant({
        id: { kind: 'membership', id: JSON.stringify([user.username, role]) },
        principal: id,
        on: roleOf(role),
        privilege: 'MEMBER',
        level: 'use',
      }),
    ),
    ...(used
      ? [{ kind: 'usage' as const, subject: id, semantics: 'auth' as const, at: used, actor: unknown('unsupported') }]
      : []),
  ]
}
