import { schemaToJson, type SchemaJson } from '@cedar-policy/cedar-wasm/nodejs'
import { z } from 'zod'
import { canonicalJson } from '../kernel/canonical-json.ts'
import { sha256 } from '../kernel/crypto.ts'
import { problem } from '../kernel/problem.ts'

/** The namespace of every type and action that policies name. */
export const NAMESPACE = 'Reeve'

/** Who may act: the four kinds of identity as policies see them. */
const PRINCIPAL_TYPES = ['Person', 'Machine', 'Workload', 'Agent'] as const

/** The record every action's context has; declared in the base schema. */
const CONTEXT_TYPE = 'Context'

const Name = z
  .string()
  .regex(/^[a-z0-9]+([._-][a-z0-9]+)*$/)
  .max(128)
const TypeName = z
  .string()
  .regex(/^[A-Z][A-Za-z0-9]*$/)
  .max(64)

/**
 * One action as policies know it. The list comes from the catalog of privileged actions and from the operations, at load
 * time; this folder knows none of them. Policies name groups, so that an action added to a group needs no policy change.
 */
export const ActionDeclaration = z.strictObject({
  name: Name.describe('as in Reeve::Action::"grant.revoke"'),
  groups: z.array(Name).max(16).describe('groups of the base schema, such as "privileged.read"'),
  resources: z.array(TypeName).min(1).max(32).describe('types of what it acts on'),
  principals: z
    .array(TypeName)
    .min(1)
    .max(8)
    .optional()
    .describe('who may ever do it; all kinds of identity if absent'),
})
export type ActionDeclaration = z.output<typeof ActionDeclaration>

/** A schema that was accepted: immutable, hashed, and what the decision point needs to know of its actions. */
export type PolicySchema = {
  readonly sha256: string
  readonly json: SchemaJson<string>
  /** Of every action, itself and all groups it is in, directly or not. */
  readonly actionGroups: ReadonlyMap<string, ReadonlySet<string>>
}

export const policySchemaInvalid = problem('policy-schema-invalid', 422, 'The schema of the policies is not valid', {
  faults: z.array(z.string()).max(100),
})

/** The base schema (types, context, groups of actions) with the given actions in it. Throws `policySchemaInvalid`. */
export function buildSchema(baseText: string, actions: readonly ActionDeclaration[]): PolicySchema {
  const parsed = schemaToJson(baseText)
  if (parsed.type === 'failure') refuse(parsed.errors.map((error) => describeFault(baseText, error)))
  const base = parsed.json[NAMESPACE]
  if (!base) refuse([`The namespace ${NAMESPACE} is missing.`])
  const faults: string[] = []
  const declared = { ...base.actions }
  const fault = (name: string, message: string) => faults.push(`Action ${name}: ${message}.`)
  for (const action of actions) {
    const { name, groups, resources, principals = [...PRINCIPAL_TYPES] } = ActionDeclaration.parse(action)
    if (Object.hasOwn(declared, name)) fault(name, 'it is declared twice or is the name of a group')
    for (const group of groups) if (!Object.hasOwn(base.actions, group)) fault(name, `there is no group ${group}`)
    for (const type of [...resources, ...principals]) {
      if (!Object.hasOwn(base.entityTypes, type)) fault(name, `there is no type ${type}`)
    }
    declared[name] = {
      memberOf: groups.map((id) => ({ id })),
      appliesTo: {
        principalTypes: principals,
        resourceTypes: resources,
        context: { type: 'EntityOrCommon', name: CONTEXT_TYPE },
      },
    }
  }
  if (faults.length > 0) refuse(faults)
  return schemaOf({ [NAMESPACE]: { ...base, actions: declared } })
}

function schemaOf(json: SchemaJson<string>): PolicySchema {
  const actions = json[NAMESPACE]?.actions ?? {}
  return { sha256: sha256(canonicalJson(json)).toString('hex'), json, actionGroups: closeGroups(actions) }
}

/** A schema that was accepted elsewhere, in the form in which it is passed on; whether it is that one its hash tells. */
export function schemaFrom(json: unknown): PolicySchema {
  return schemaOf(PassedSchema.parse(json))
}

const PassedSchema = z.custom<SchemaJson<string>>((json) => {
  const Space = z.object({ entityTypes: z.record(z.string(), z.unknown()), actions: z.record(z.string(), z.unknown()) })
  return z.object({ [NAMESPACE]: Space }).safeParse(json).success
})

function refuse(faults: string[]): never {
  throw policySchemaInvalid(`The schema of the policies is not valid: ${faults.join(' ')}`, { faults })
}

function describeFault(text: string, error: { message: string; sourceLocations?: { start: number }[] }): string {
  const start = error.sourceLocations?.[0]?.start
  if (start === undefined) return error.message
  const before = Buffer.from(text).subarray(0, start).toString().split('\n')
  return `line ${before.length}, column ${(before.at(-1) ?? '').length + 1}: ${error.message}`
}

type DeclaredActions = Readonly<Record<string, { memberOf?: { id: string }[] }>>

function closeGroups(actions: DeclaredActions): ReadonlyMap<string, ReadonlySet<string>> {
  const closed = new Map<string, ReadonlySet<string>>()
  for (const name of Object.keys(actions)) {
    const seen = new Set([name])
    // A set hands out what is added while it is walked, so this reaches every ancestor and ends on a cycle.
    for (const each of seen) for (const { id } of actions[each]?.memberOf ?? []) seen.add(id)
    closed.set(name, seen)
  }
  return closed
}
