import { transact } from '../../kernel/db.ts'
import { installation, route, type Resource, type Route } from '../../kernel/http/route.ts'
import { conflict, Problem } from '../../kernel/problem.ts'
import type { Permit } from '../../kernel/permit.ts'
import * as contract from './contract.ts'
import type { KindNamed, Made, RuleKind } from './kind.ts'
import type { LiveRules, RuleNeeds, SimulateRules } from './needs.ts'
import { basisOf, findVersion, listVersions, loadActivation, loadActive, loadFiles, type Active } from './records.ts'
import { activateStep, stepBack, stepTo, storeVersion, type Step } from './store.ts'

export type RuleRouteNeeds = RuleNeeds & {
  /** What follows the active version; undefined where files decide. */
  readonly live: LiveRules | undefined
  readonly simulate: SimulateRules
}

type DocumentOperations =
  | typeof contract.teamVersions
  | typeof contract.calendarVersions
  | typeof contract.catalogVersions
type Operations = DocumentOperations | typeof contract.policyVersions

/** What the API offers of versions of the policies. */
export function policyVersionRoutes<M extends Made>(needs: RuleRouteNeeds, kind: RuleKind<M>): Route[] {
  const { propose, read } = contract.policyVersions
  return [
    route(propose, {
      resource: async () => installation(),
      run: ({ input }, permit) => keep(needs, kind, permit, input),
    }),
    route(read, {
      resource: ({ params }) => versionResource(needs, kind, params.version),
      run: async ({ params }) => readVersion(needs, kind, params.version),
    }),
    ...movingRoutes(needs, kind, contract.policyVersions),
  ]
}

/** What the API offers of versions of rules that are one document: teams, calendar, catalog. */
export function documentVersionRoutes<M extends Made>(
  needs: RuleRouteNeeds,
  kind: RuleKind<M>,
  operations: DocumentOperations,
): Route[] {
  return [
    route<DocumentOperations['propose']>(operations.propose, {
      resource: async () => installation(),
      run: ({ input: { text, note } }, permit) => keep(needs, kind, permit, { files: filesOf(kind, text), note }),
    }),
    route<DocumentOperations['read']>(operations.read, {
      resource: ({ params }) => versionResource(needs, kind, params.version),
      run: async ({ params }) => {
        const { files, ...version } = await readVersion(needs, kind, params.version)
        return { ...version, text: files[0]?.text ?? '' }
      },
    }),
    ...movingRoutes(needs, kind, operations),
  ]
}

/** How a document stands in its version. */
export function filesOf({ name }: KindNamed, text: string): contract.RuleFiles {
  return [{ name: `${name}.yaml`, text }]
}

function movingRoutes<M extends Made>(needs: RuleRouteNeeds, kind: RuleKind<M>, operations: Operations): Route[] {
  const back = async () => stepBack(needs, kind, await current(needs, kind))
  return [
    route<Operations['list']>(operations.list, {
      resource: async () => installation(),
      run: ({ query }) => listVersions(needs.db, kind.name, query),
    }),
    route<Operations['activate']>(operations.activate, {
      resource: ({ params }) => versionResource(needs, kind, params.version),
      preview: async ({ params }) => linesOf(needs, kind, await stepOf(needs, kind, params.version)),
      simulation: async ({ params }) => simulated(needs, kind, await stepOf(needs, kind, params.version)),
      run: async ({ params }, permit) => take(needs, kind, permit, await stepOf(needs, kind, params.version)),
    }),
    route<Operations['revert']>(operations.revert, {
      resource: () => revertedResource(needs, kind),
      preview: async () => linesOf(needs, kind, await back()),
      simulation: async () => simulated(needs, kind, await back()),
      run: async (_call, permit) => take(needs, kind, permit, await back()),
    }),
  ]
}

async function keep<M extends Made>(
  needs: RuleRouteNeeds,
  kind: RuleKind<M>,
  permit: Permit,
  version: { readonly files: contract.RuleFiles; readonly note?: string | undefined },
): Promise<contract.RuleVersion> {
  mustFollow(needs, kind)
  const made = await kind.make(version.files)
  return transact(needs.db, (tx) => storeVersion(tx, needs, kind, permit, { ...version, made }))
}

/** What policies know of a version: who proposed it, and to whom it would give more, so that somebody else approves it. */
async function versionResource<M extends Made>(
  { db }: RuleRouteNeeds,
  kind: RuleKind<M>,
  id: string,
): Promise<Resource> {
  const { proposedById } = await findVersion(db, kind, id)
  const tiedIds = await givenBy(kind, await loadFiles(db, kind, id), db)
  return {
    type: kind.type,
    id,
    attributes: { id, tiedIds, ...(proposedById !== null && { requestedBy: proposedById }) },
  }
}

async function givenBy<M extends Made>(
  kind: RuleKind<M>,
  files: contract.RuleFiles,
  db: RuleRouteNeeds['db'],
): Promise<string[]> {
  if (!kind.gives) return []
  try {
    return [...(await kind.gives(db, await kind.make(files)))]
  } catch (error) {
    // What cannot be loaded gives nobody anything, and is refused where it would be activated.
    if (error instanceof Problem) return []
    throw error
  }
}

/** What a way back would be about; where there is none, that is said after the decision and not before. */
async function revertedResource<M extends Made>(needs: RuleRouteNeeds, kind: RuleKind<M>): Promise<Resource> {
  const active = needs.live && (await loadActive(needs.db, kind.name))
  const before =
    typeof active?.backTo === 'number' ? await loadActivation(needs.db, kind.name, active.backTo) : undefined
  if (before) return versionResource(needs, kind, before.versionId)
  return { type: kind.type, id: 'installation', attributes: { id: 'installation', tiedIds: [] } }
}

function mustFollow({ live }: RuleRouteNeeds, { name, called }: KindNamed): LiveRules {
  if (live) return live
  throw contract.rulesPinned(
    name === 'policies'
      ? '`policies` in the configuration names a folder, and its files decide. Change them there and restart, or take the setting out to keep versions here.'
      : `\`pinned\` in the configuration names ${name}: its files decide ${called}. Change them there and restart, or take the setting out to keep versions here.`,
    {},
  )
}

/** What decides now, as this node knows it. */
async function current<M extends Made>(needs: RuleRouteNeeds, kind: RuleKind<M>): Promise<Active> {
  await mustFollow(needs, kind).refresh()
  const active = await loadActive(needs.db, kind.name)
  if (!active) throw new Error(`no version of ${kind.called} is active`)
  return active
}

async function stepOf<M extends Made>(needs: RuleRouteNeeds, kind: RuleKind<M>, id: string): Promise<Step<M>> {
  const active = await current(needs, kind)
  if (active.versionId === id) {
    throw conflict('This version decides already.', { type: kind.type, id, state: 'active' })
  }
  return stepTo(active, { id, made: await kind.make(await loadFiles(needs.db, kind, id)) })
}

/**
 * The difference, over exactly what decides now. The first line names every kind of rules by its activation, and what approvers read is bound: when
 * anything of it changes, so that difference and simulation would be others, the change is void and has to be asked for again.
 */
async function linesOf<M extends Made>(needs: RuleRouteNeeds, kind: RuleKind<M>, { made }: Step<M>): Promise<string[]> {
  await kind.check(needs.db, made)
  const before = kind.current()
  const lines = kind.difference(before, made)
  return [
    `from ${before.sha256} to ${made.sha256}, over ${await basisOf(needs.db)}`,
    ...(lines.length === 0 ? [`nothing of ${kind.called} changes`] : lines),
  ]
}

async function simulated<M extends Made>(
  needs: RuleRouteNeeds,
  kind: RuleKind<M>,
  { made }: Step<M>,
): Promise<readonly string[]> {
  using world = await kind.world(made)
  return await needs.simulate(world)
}

async function take<M extends Made>(
  needs: RuleRouteNeeds,
  kind: RuleKind<M>,
  permit: Permit,
  step: Step<M>,
): Promise<contract.RuleVersion> {
  const live = mustFollow(needs, kind)
  await kind.check(needs.db, step.made)
  const version = await transact(needs.db, (tx) => activateStep(tx, needs, kind, { live, permit, step }))
  // Whoever reads the answer is decided by it here; other nodes hear of it.
  await live.refresh()
  return version
}

async function readVersion<M extends Made>(needs: RuleRouteNeeds, kind: RuleKind<M>, id: string) {
  const files = [...(await loadFiles(needs.db, kind, id))]
  return { ...(await findVersion(needs.db, kind, id)), files, difference: await differenceNow(kind, files) }
}

async function differenceNow<M extends Made>(kind: RuleKind<M>, files: contract.RuleFiles): Promise<string[]> {
  try {
    const made = await kind.make(files)
    const lines = kind.difference(kind.current(), made)
    return lines.length === 0 ? [`nothing of ${kind.called} changes`] : [...lines]
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    return [`This release cannot load it: ${error.message}`]
  }
}
