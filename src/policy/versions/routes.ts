import { transact } from '../../kernel/db.ts'
import { installation, route, type Resource, type Route } from '../../kernel/http/route.ts'
import { conflict, Problem } from '../../kernel/problem.ts'
import type { Permit } from '../../kernel/permit.ts'
import { setOf } from './build.ts'
import * as contract from './contract.ts'
import { differenceOf } from './difference.ts'
import type { LivePolicies, PolicyVersionNeeds } from './needs.ts'
import { findVersion, listVersions, loadActivation, loadActive, loadFiles, type Active } from './records.ts'
import { activateStep, stepBack, stepTo, storeVersion, type Step } from './store.ts'
import { mustLeaveWayBack } from './way-back.ts'

export type PolicyVersionRouteNeeds = PolicyVersionNeeds & {
  /** What follows the active version; undefined where a folder of files decides. */
  readonly live: LivePolicies | undefined
}

/** What the API offers of versions of the policies. */
export function policyVersionRoutes(needs: PolicyVersionRouteNeeds): Route[] {
  const { db } = needs
  const resource = ({ params }: { readonly params: { readonly version: string } }) =>
    versionResource(needs, params.version)
  return [
    route(contract.proposePolicies, {
      resource: async () => installation(),
      run: async ({ input }, permit) => {
        mustFollow(needs)
        const set = await setOf(input.files, needs.schema)
        return transact(db, (tx) => storeVersion(tx, needs, permit, { ...input, set }))
      },
    }),
    route(contract.listPolicyVersions, {
      resource: async () => installation(),
      run: ({ query }) => listVersions(db, query),
    }),
    route(contract.readPolicyVersion, { resource, run: ({ params }) => readVersion(needs, params.version) }),
    route(contract.activatePolicies, {
      resource,
      preview: async ({ params }) => linesOf(needs, await stepOf(needs, params.version)),
      run: async ({ params }, permit) => take(needs, permit, await stepOf(needs, params.version)),
    }),
    route(contract.revertPolicies, {
      resource: () => revertedResource(needs),
      preview: async () => linesOf(needs, await stepBackOf(needs)),
      run: async (_call, permit) => take(needs, permit, await stepBackOf(needs)),
    }),
  ]
}

/** What policies know of a version: who proposed it, so that somebody else approves it. */
async function versionResource({ db }: PolicyVersionRouteNeeds, id: string): Promise<Resource> {
  const { proposedById } = await findVersion(db, id)
  return { type: 'PolicySet', id, attributes: { id, ...(proposedById !== null && { requestedBy: proposedById }) } }
}

/** What a way back would be about; where there is none, that is said after the decision and not before. */
async function revertedResource(needs: PolicyVersionRouteNeeds): Promise<Resource> {
  const active = needs.live && (await loadActive(needs.db))
  const before = typeof active?.backTo === 'number' ? await loadActivation(needs.db, active.backTo) : undefined
  return before ? versionResource(needs, before.versionId) : installation('PolicySet')
}

function mustFollow({ live }: PolicyVersionRouteNeeds): LivePolicies {
  if (live) return live
  throw contract.policiesPinned(
    '`policies` in the configuration names a folder, and its files decide. Change them there and restart, or take the setting out to keep versions here.',
    {},
  )
}

/** What decides now, as this node knows it. */
async function current(needs: PolicyVersionRouteNeeds): Promise<Active> {
  await mustFollow(needs).refresh()
  const active = await loadActive(needs.db)
  if (!active) throw new Error('no version of the policies is active')
  return active
}

async function stepOf(needs: PolicyVersionRouteNeeds, id: string): Promise<Step> {
  const active = await current(needs)
  if (active.versionId === id) {
    throw conflict('This version decides already.', { type: 'PolicySet', id, state: 'active' })
  }
  return stepTo(active, { id, set: await setOf(await loadFiles(needs.db, id), needs.schema) })
}

async function stepBackOf(needs: PolicyVersionRouteNeeds): Promise<Step> {
  return stepBack(needs, await current(needs))
}

async function linesOf(needs: PolicyVersionRouteNeeds, { set }: Step): Promise<string[]> {
  await mustLeaveWayBack(needs.db, needs, set)
  return differenceOf(needs.engine.current().set, set)
}

async function take(
  needs: PolicyVersionRouteNeeds,
  permit: Permit<'policy.activate'> | Permit<'policy.revert'>,
  step: Step,
): Promise<contract.PolicyVersion> {
  const live = mustFollow(needs)
  await mustLeaveWayBack(needs.db, needs, step.set)
  const version = await transact(needs.db, (tx) => activateStep(tx, needs, live, permit, step))
  // Whoever reads the answer is decided by it here; other nodes hear of it.
  await live.refresh()
  return version
}

async function readVersion(needs: PolicyVersionRouteNeeds, id: string) {
  const files = await loadFiles(needs.db, id)
  return { ...(await findVersion(needs.db, id)), files, difference: await differenceNow(needs, files) }
}

async function differenceNow(
  { engine, schema }: PolicyVersionRouteNeeds,
  files: contract.PolicyFiles,
): Promise<string[]> {
  try {
    const set = await setOf(files, schema)
    return differenceOf(engine.current().set, set)
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    return [`This release cannot load it: ${error.message}`]
  }
}
