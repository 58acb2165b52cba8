/** What applications may by themselves, with nobody there: application permissions. */
import { z } from 'zod'
import { grant, inPages, known, type Observation, type Page, type ScopeReport, type Since } from '../connector.ts'
import { partiesOf, type Party } from './applications.ts'
import { everyOf, pages, type Graph } from './api.ts'
import { EXPANDED_MAX } from './federation.ts'
import { apiOf, principalOf, RoleAssigned, tenantOf } from './shapes.ts'

const NEED = { what: 'application permissions', permission: 'Application.Read.All' }

/** Microsoft Graph, and Azure AD Graph before it. */
const GRAPHS: ReadonlySet<string> = new Set([
  '00000003-0000-0000-c000-000000000000',
  '00000002-0000-0000-c000-000000000000',
])
/**
 * Each of these ends in everything of the tenant ("Microsoft Graph permissions reference"): by giving itself or others a role or a permission, by
 * setting the login of any application or administrator, or by deciding whom the tenant believes.
 */
const RULING: ReadonlySet<string> = new Set([
  'RoleManagement.ReadWrite.Directory',
  'RoleAssignmentSchedule.ReadWrite.Directory',
  'RoleEligibilitySchedule.ReadWrite.Directory',
  'RoleManagementPolicy.ReadWrite.Directory',
  'PrivilegedAccess.ReadWrite.AzureADGroup',
  'PrivilegedAssignmentSchedule.ReadWrite.AzureADGroup',
  'PrivilegedEligibilitySchedule.ReadWrite.AzureADGroup',
  'AppRoleAssignment.ReadWrite.All',
  'Application.ReadWrite.All',
  'UserAuthenticationMethod.ReadWrite.All',
  'Domain.ReadWrite.All',
  'Organization.ReadWrite.All',
  'Policy.ReadWrite.PermissionGrant',
])

export function levelOf(permission: string): 'use' | 'read' | 'write' {
  if (/write|manage|fullcontrol|full_access|send|create|delete|update/i.test(permission)) return 'write'
  return /read|\.default$|user_impersonation/i.test(permission) ? 'read' : 'use'
}

const With = z.object({ id: z.string().min(1), appRoleAssignments: z.array(RoleAssigned).default([]) })

export async function* readPermissions(
  graph: Graph,
  since: Since,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  const parties = await partiesOf(graph, signal)
  const asked = {
    path: '/v1.0/servicePrincipals?$select=id&$expand=appRoleAssignments&$top=100',
    need: NEED,
    shape: With,
  }
  for await (const { items, next } of pages(graph, asked, since.cursor, signal)) {
    const told: Observation[] = []
    for (const { id, appRoleAssignments: some } of items) {
      if (some.length < EXPANDED_MAX) told.push(...some.map((each) => tellAssigned(each, graph, parties)))
      else {
        const path = `/v1.0/servicePrincipals/${encodeURIComponent(id)}/appRoleAssignments?$top=999`
        for await (const each of everyOf(graph, { path, need: NEED, shape: RoleAssigned, mayBeGone: true }, signal))
          told.push(tellAssigned(each, graph, parties))
      }
    }
    yield* inPages(told, next)
  }
  return { status: 'complete', missing: [] }
}

function tellAssigned(each: RoleAssigned, { settings }: Graph, parties: ReadonlyMap<string, Party>): Observation {
  const api = parties.get(each.resourceId)
  const value = api?.roles.get(each.appRoleId)
  const isRuling = api !== undefined && GRAPHS.has(api.appId) && value !== undefined && RULING.has(value)
  return grant({
    id: { kind: 'application-permission', id: each.id },
    principal: principalOf(each.principalId),
    on: isRuling ? tenantOf(settings.tenant) : apiOf(each.resourceId),
    privilege: value ?? each.appRoleId,
    level: isRuling ? 'admin' : levelOf(value ?? ''),
    grantable: known(isRuling),
    facts: { api: api?.name ?? each.resourceDisplayName ?? null, givenAt: each.createdDateTime ?? null },
  })
}
