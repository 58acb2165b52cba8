import type { Engine } from '../evaluate.ts'
import type { LiveEngine } from '../live-engine.ts'
import type { PolicySet } from '../policy-set.ts'
import type { PolicySchema } from '../schema.ts'
import { setOf } from './build.ts'
import type { RuleFiles } from './contract.ts'
import { differenceOf } from './difference.ts'
import type { RuleKind } from './kind.ts'
import { mustLeaveWayBack, type WayBackNeeds } from './way-back.ts'

type Needs = WayBackNeeds & {
  readonly engine: LiveEngine
  /** Of this release and its gateways: what every version is checked against. */
  readonly schema: PolicySchema
  readonly open: (set: PolicySet) => Promise<Engine>
  /** What a start has built already. */
  readonly built?: { readonly files: RuleFiles; readonly set: PolicySet }
}

/** The Cedar policies, with the weights of the risk and the words of enforcement points. */
export function policyRules(needs: Needs): RuleKind<PolicySet> {
  const { engine, schema, open, built } = needs
  const builder = remembering((files) => setOf(files, schema), built)
  return {
    name: 'policies',
    type: 'PolicySet',
    called: 'the policies',
    make: (files) => builder(files),
    count: (set) => set.policies.size,
    current: () => engine.current().set,
    take: async (set) => engine.swap(await open(set)),
    difference: differenceOf,
    world: async (set) => {
      const opened = await open(set)
      return { engine: opened, [Symbol.dispose]: () => opened[Symbol.dispose]() }
    },
    check: async (db, set) => {
      using opened = await open(set)
      await mustLeaveWayBack(db, needs, { engine: opened, teams: needs.teams })
    },
    onActivated: async () => {},
    // A later release's policies follow the shipped ones.
    mayFollow: () => true,
  }
}

/** The same version is made several times in a row: when it is shown, asked for, simulated and taken. A set never changes, so it may be kept. */
function remembering(
  make: (files: RuleFiles) => Promise<PolicySet>,
  built: Needs['built'],
): (files: RuleFiles) => Promise<PolicySet> {
  let last: { readonly key: string; readonly made: Promise<PolicySet> } | undefined
  if (built) last = { key: JSON.stringify(built.files), made: Promise.resolve(built.set) }
  return async (files) => {
    const key = JSON.stringify(files)
    const found = last?.key === key ? last : { key, made: make(files) }
    last = found
    try {
      return await found.made
    } catch (error) {
      if (last === found) last = undefined
      throw error
    }
  }
}
