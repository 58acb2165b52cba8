/** Roles of the directory, who has them, and where. */
import {
  grant,
  Holes,
  inBatches,
  known,
  principal,
  resource,
  type NativeId,
  type Observation,
  type Page,
  type ScopeReport,
} from '../connector.ts'
import { everyOf, one, type Graph } from './api.ts'
import { DirectoryObject, objectOf, RoleAssignment, RoleDefinition, roleOf, tenantOf } from './shapes.ts'

export const ROLES = {
  path: '/v1.0/roleManagement/directory/roleDefinitions',
  need: { what: 'roles of the directory and who has them', permission: 'RoleManagement.Read.Directory' },
  shape: RoleDefinition,
}
const ASSIGNMENTS = {
  path: '/v1.0/roleManagement/directory/roleAssignments?$expand=principal',
  need: ROLES.need,
  shape: RoleAssignment,
}

/** "Microsoft Entra built-in roles": each of these ends in everything, by roles, by logins of administrators or applications, or by whom it believes. */
const RULING: ReadonlySet<string> = new Set([
  '62e90394-69f5-4237-9190-012177145e10', // Global Administrator
  'e8611ab8-c189-46e8-94e1-60213ab1f814', // Privileged Role Administrator
  '7be44c8a-adaf-4e2a-84d6-ab2649e08a13', // Privileged Authentication Administrator
  '9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3', // Application Administrator
  '158c047a-c907-4556-b7ef-446551a6b5f7', // Cloud Application Administrator
  '8ac3fc64-6eca-42ea-9e69-59f4c7b60eb2', // Hybrid Identity Administrator
  'e00e864a-17c5-4a4b-9c06-f5b95a8d5bd8', // Partner Tier2 Support
  '8329153b-31d0-4727-b945-745eb3bc5f31', // Domain Name Administrator
  'be2f45a1-457d-42af-a067-6ec1fa63bc45', // External Identity Provider Administrator
])
/** What a role of the company's own would have to hold for the same. */
const ACTIONS =
  /^microsoft\.directory\/(?:roleAssignments\/(?:allProperties\/allTasks|create)|roleDefinitions\/(?:allProperties\/allTasks|create)|(?:applications|servicePrincipals)\/(?:credentials\/update|owners\/update|allProperties\/(?:update|allTasks))|servicePrincipals\/appRoleAssignedTo\/update|groupsAssignableToRoles\/(?:allProperties\/update|allProperties\/allTasks|restore))$/

export async function* readRoles(graph: Graph, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const holes = new Holes()
  yield* inBatches(rolesOf(graph, holes, signal))
  const missing = holes.all()
  return { status: missing.length > 0 ? 'partial' : 'complete', missing }
}

async function* rolesOf(graph: Graph, holes: Holes, signal: AbortSignal): AsyncGenerator<Observation[], void> {
  const names = new Map<string, RoleDefinition>()
  for await (const role of everyOf(graph, ROLES, signal)) {
    names.set(role.id, role)
    yield tellRole(role, graph.settings.tenant)
  }
  const places = new Map<string, { readonly on: NativeId; readonly told: readonly Observation[] } | undefined>()
  for await (const assignment of everyOf(graph, ASSIGNMENTS, signal)) {
    const role = names.get(assignment.roleDefinitionId)
    const holder = objectOf(assignment.principal ?? { id: assignment.principalId, '@odata.type': null, appId: null })
    const scope = assignment.directoryScopeId ?? '/'
    if (scope === '/') {
      yield [memberOf(assignment.id, holder, assignment.roleDefinitionId)]
      continue
    }
    const isNew = !places.has(scope)
    if (isNew) places.set(scope, await placeOf(graph, scope, signal))
    const place = places.get(scope)
    if (!place)
      holes.add({ what: 'what one of the roles is held over', why: 'it is not there, or of no kind that is known' })
    else yield [...(isNew ? place.told : []), overOf(assignment, { holder, on: place.on, role })]
  }
}

function isRuling({ templateId, id, isBuiltIn, isEnabled, rolePermissions }: RoleDefinition): boolean {
  if (isEnabled === false) return false
  if (RULING.has((templateId ?? id).toLowerCase())) return true
  const actions = rolePermissions.flatMap(({ allowedResourceActions }) => allowedResourceActions)
  return isBuiltIn !== true && actions.some((action) => ACTIONS.test(action))
}

function tellRole(role: RoleDefinition, tenant: string): Observation[] {
  const rules = isRuling(role)
  const name = role.displayName ?? role.id
  return [
    principal({
      id: roleOf(role.id),
      type: 'role',
      name,
      state: known(role.isEnabled === false ? 'disabled' : 'active'),
      interactive: known(false),
      tags: role.description ? { description: role.description } : {},
      facts: { isBuiltIn: role.isBuiltIn ?? null, templateId: role.templateId ?? null },
    }),
    ...(rules
      ? [
          grant({
            id: { kind: 'rules-tenant', id: role.id },
            principal: roleOf(role.id),
            on: tenantOf(tenant),
            privilege: name,
            level: 'admin',
          }),
        ]
      : []),
  ]
}

function memberOf(assignment: string, holder: NativeId, role: string): Observation {
  return grant({
    id: { kind: 'role-assignment', id: assignment },
    principal: holder,
    on: roleOf(role),
    privilege: 'MEMBER',
    level: 'use',
  })
}

type Over = { readonly holder: NativeId; readonly on: NativeId; readonly role: RoleDefinition | undefined }

/** A role over one thing is a right to it and not to the tenant. */
function overOf(assignment: RoleAssignment, { holder, on, role }: Over): Observation {
  return grant({
    id: { kind: 'role-assignment', id: assignment.id },
    principal: holder,
    on,
    privilege: role?.displayName ?? assignment.roleDefinitionId,
    level: role && isRuling(role) ? 'admin' : 'use',
    grantable: known(false),
    facts: { role: assignment.roleDefinitionId },
  })
}

async function placeOf(graph: Graph, scope: string, signal: AbortSignal) {
  const unit = /^\/administrativeUnits\/([\w-]+)$/.exec(scope)?.[1]
  if (unit !== undefined) {
    const on: NativeId = { kind: 'administrative-unit', id: unit }
    return { on, told: [resource({ id: on, type: 'administrative-unit', name: unit })] }
  }
  const id = /^\/([\w-]+)$/.exec(scope)?.[1]
  if (id === undefined) return undefined
  const need = { what: 'what roles are held over', permission: 'Directory.Read.All' }
  const asked = { path: `/v1.0/directoryObjects/${id}`, need, shape: DirectoryObject }
  const found = await one(graph, asked, signal)
  return found && { on: objectOf(found), told: [] }
}
