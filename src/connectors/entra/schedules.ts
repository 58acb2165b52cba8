/** Roles that somebody may switch on, and those that are on for a time: Privileged Identity Management. */
import { z } from 'zod'
import {
  grant,
  Holes,
  inBatches,
  known,
  type NativeId,
  type Observation,
  type Page,
  type ScopeReport,
} from '../connector.ts'
import { everyOf, NoLicence, whenOf, type Graph } from './api.ts'
import { DirectoryObject, objectOf, roleOf } from './shapes.ts'

// unifiedRoleEligibilityScheduleInstance, unifiedRoleAssignmentScheduleInstance.
const Instance = z.object({
  id: z.string().min(1),
  roleDefinitionId: z.string().min(1),
  principalId: z.string().min(1),
  directoryScopeId: z.string().nullish(),
  startDateTime: z.string().nullish(),
  endDateTime: z.string().nullish(),
  memberType: z.string().nullish(),
  assignmentType: z.string().nullish(),
  principal: DirectoryObject.nullish(),
})
type Instance = z.output<typeof Instance>

const need = {
  what: 'roles of the directory that are eligible or on for a time',
  permission: 'RoleManagement.Read.Directory',
}
export const ELIGIBLE = {
  path: '/v1.0/roleManagement/directory/roleEligibilityScheduleInstances?$expand=principal',
  need,
  shape: Instance,
}
const ACTIVE = {
  path: '/v1.0/roleManagement/directory/roleAssignmentScheduleInstances?$expand=principal',
  need,
  shape: Instance,
}

export async function* readSchedules(graph: Graph, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const holes = new Holes()
  try {
    yield* inBatches(schedulesOf(graph, holes, signal))
  } catch (error) {
    if (!(error instanceof NoLicence)) throw error
    return { status: 'unsupported', missing: [error.missing] }
  }
  const missing = holes.all()
  return { status: missing.length > 0 ? 'partial' : 'complete', missing }
}

async function* schedulesOf(graph: Graph, holes: Holes, signal: AbortSignal): AsyncGenerator<Observation[], void> {
  for (const [list, isEligible] of [
    [ELIGIBLE, true],
    [ACTIVE, false],
  ] as const)
    for await (const each of everyOf(graph, list, signal)) {
      // What is assigned without an end stands among the roles already.
      if (!isEligible && each.assignmentType !== 'Activated' && !each.endDateTime) continue
      const on = placeOf(each)
      if (!on) {
        holes.add({ what: 'what one of the roles is held over', why: 'it is of no kind that is known' })
        continue
      }
      yield [tellHeld(each, on, isEligible)]
    }
}

/** The role itself where it is held over all of the tenant; else what it is held over. */
function placeOf({ directoryScopeId, roleDefinitionId }: Instance): NativeId | undefined {
  const scope = directoryScopeId ?? '/'
  if (scope === '/') return roleOf(roleDefinitionId)
  const unit = /^\/administrativeUnits\/([\w-]+)$/.exec(scope)?.[1]
  if (unit !== undefined) return { kind: 'administrative-unit', id: unit }
  const object = /^\/([\w-]+)$/.exec(scope)?.[1]
  return object === undefined ? undefined : { kind: 'directory-object', id: object }
}

/** Whoever may switch a role on has it when they like: it is a way, and said to be one that asks for a step. */
function tellHeld(each: Instance, on: NativeId, isEligible: boolean): Observation {
  const isOfTenant = on.kind === 'role'
  const how = isEligible ? 'eligible' : 'on for a time'
  return grant({
    id: { kind: isEligible ? 'role-eligibility' : 'role-activation', id: each.id },
    principal: objectOf(each.principal ?? { id: each.principalId, '@odata.type': null, appId: null }),
    on,
    privilege: isOfTenant ? `MEMBER (${how})` : `role ${each.roleDefinitionId} (${how})`,
    level: 'use',
    expiresAt: each.endDateTime ? whenOf(each.endDateTime) : known('never'),
    facts: {
      isEligible,
      memberType: each.memberType ?? null,
      assignmentType: each.assignmentType ?? null,
      startsAt: each.startDateTime ?? null,
      role: each.roleDefinitionId,
    },
  })
}
