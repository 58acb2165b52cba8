import { inPages, known, resource, type Observation, type Page, type ScopeReport, type Since } from '../connector.ts'
import { assetPages, TYPES, type Asset, type Gcp } from './assets.ts'
import { lineOf, nodeOf, textAt } from './things.ts'

const SORTS: Readonly<Record<string, string>> = {
  [TYPES.organization]: 'gcp-organization',
  [TYPES.folder]: 'gcp-folder',
  [TYPES.project]: 'gcp-project',
}

/** What is read and the folders and projects below it. What is read is the whole system: who rules it has everything in it. */
export async function* readHierarchy(gcp: Gcp, since: Since, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const wanted = { content: 'RESOURCE' as const, types: Object.keys(SORTS) }
  let odd = 0
  for await (const { items, next } of assetPages(gcp, wanted, since.cursor, signal)) {
    odd += items.filter(({ ancestors }) => ancestors.length === 0).length
    yield* inPages(
      items.flatMap((asset) => tellNode(asset, gcp.parent)),
      // As of accounts: a reading that goes on behind what was not understood would forget it.
      odd === 0 ? next : undefined,
    )
  }
  if (odd === 0) return { status: 'complete', missing: [] }
  return {
    status: 'partial',
    missing: [{ what: `${odd} folders and projects`, why: 'they do not say where they are' }],
  }
}

function tellNode(asset: Asset, parent: string): Observation[] {
  const data = asset.resource?.data ?? {}
  const [node, above] = lineOf(asset, parent)
  if (node === undefined) return []
  const labels = data['labels']
  const tags = typeof labels === 'object' && labels !== null ? Object.entries(labels) : []
  const environment = tags.find(([name]) => /^env(?:ironment)?$/.test(name))?.[1]
  return [
    resource({
      id: nodeOf(node),
      type: node === parent ? 'cloud-account' : (SORTS[asset.assetType] ?? 'gcp-project'),
      name: textAt(data, 'projectId', 'displayName', 'name') ?? node,
      ...(above !== undefined && { parent: nodeOf(above) }),
      ...(typeof environment === 'string' && { environment: known(environment) }),
      tags: Object.fromEntries(tags.flatMap(([name, value]) => (typeof value === 'string' ? [[name, value]] : []))),
      facts: { node, state: textAt(data, 'state', 'lifecycleState') ?? null },
    }),
  ]
}
