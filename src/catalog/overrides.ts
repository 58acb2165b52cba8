import { z } from 'zod'
import { sha256 } from '../kernel/crypto.ts'
import { readDocument } from '../kernel/document.ts'
import { canonicalJson } from '../kernel/canonical-json.ts'
import { ActionEntry } from './schemas.ts'

const { name: ActionName, tier, tierElsewhere, summary, obligations, deciders } = ActionEntry.shape
const Override = z.strictObject({
  tier: tier.optional(),
  tierElsewhere: z.nullable(tierElsewhere.unwrap()).optional(),
  summary: summary.optional(),
  obligations: obligations.optional().describe('all of the floor: what is not named here is not owed any more'),
  deciders: deciders.unwrap().partial().optional(),
})
const OverridesFile = z.strictObject({ actions: z.record(ActionName, Override).default({}) })

/** What is otherwise in the catalog than a release ships it, by the name of the action. */
export type CatalogOverrides = ReadonlyMap<string, z.output<typeof Override>>

/** Reads overrides against what is offered. Throws `DocumentInvalid` with the place of each fault. */
export function readOverrides(
  text: string,
  name: string,
  against: {
    readonly offered: readonly ActionEntry[]
    /** What is wrong with obligations that an action shall always owe; undefined when they are understood. */
    readonly faultOf: (entry: Pick<ActionEntry, 'name' | 'obligations'>) => string | undefined
  },
): CatalogOverrides {
  const { value, refuse } = readDocument(text, name, OverridesFile)
  const offered = new Map(against.offered.map((entry) => [entry.name, entry]))
  for (const [action, override] of Object.entries(value.actions)) {
    const entry = offered.get(action)
    if (!entry) return refuse(['actions', action], 'the catalog has no such action')
    const merged = mergedWith(entry, override)
    if (merged.tierElsewhere !== null && merged.tierElsewhere < merged.tier) {
      refuse(['actions', action], 'it would be more sensitive outside production than in it')
    }
    const fault = against.faultOf(merged)
    if (fault !== undefined) refuse(['actions', action, 'obligations'], fault)
  }
  return new Map(Object.entries(value.actions).sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** The catalog with what is otherwise in it. Of an action that is not offered here nothing is said. */
export function withOverrides(offered: readonly ActionEntry[], overrides: CatalogOverrides): ActionEntry[] {
  return offered.map((entry) => mergedWith(entry, overrides.get(entry.name) ?? {}))
}

function mergedWith(entry: ActionEntry, { deciders: own, ...rest }: z.output<typeof Override>): ActionEntry {
  const named = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined))
  const decided = Object.fromEntries(Object.entries(own ?? {}).filter(([, value]) => value !== undefined))
  return ActionEntry.parse({ ...entry, ...named, deciders: { ...entry.deciders, ...decided } })
}

/** One hash per meaning. */
export function overridesSha256(overrides: CatalogOverrides): string {
  const plain: unknown = JSON.parse(JSON.stringify([...overrides]))
  return sha256(canonicalJson(plain)).toString('hex')
}
