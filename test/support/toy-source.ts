import { z } from 'zod'
import {
  known,
  unknown,
  type Connector,
  type Observation,
  type Page,
  type ProbedScope,
  type ScopeReport,
} from '../../src/connectors/connector.ts'

/** A source in memory. Tests change it between readings, and what it does while it is read. */
export type ToySource = {
  readonly connector: Connector
  /** Scope → what it tells, page by page. */
  readonly scopes: Map<string, Iterable<readonly Observation[]>>
  /** Called before each page; may throw, wait or change things. */
  onPage: (scope: string, page: number) => Promise<void> | void
  report: (scope: string) => ScopeReport
  /** Scopes are told with cursors: the number of the page. */
  hasCursors: boolean
  feeds: Set<string>
  isAll: boolean
  authority: string
  system: string
  /** Of pages that were made and may still be held: the most at once. */
  readonly reads: { scope: string; cursor: string | undefined; validator: string | undefined }[]
}

export function toySource(): ToySource {
  const toy: ToySource = {
    scopes: new Map(),
    onPage: () => undefined,
    report: () => ({ status: 'complete', missing: [] }),
    hasCursors: true,
    feeds: new Set(),
    isAll: true,
    authority: 'toy:1',
    system: 'Toy 1',
    reads: [],
    connector: {
      manifest: {
        id: 'toy',
        version: '1',
        source: 'a toy',
        observes: ['principal'],
        reads: [{ scope: '*', gives: 'everything', permission: 'none', isOptional: false }],
        writes: [],
        blindSpots: ['it is a toy'],
        metadataHandling: 'names only',
        risks: ['NHI1:2025'],
      },
      settings: z.strictObject({}),
      credential: undefined,
      address: () => 'toy://here',
      open: async () => ({
        probe: async () => ({
          authority: toy.authority,
          system: toy.system,
          scopes: [...toy.scopes.keys()].map(visible),
        }),
        async *scopes() {
          for (const scope of toy.scopes.keys()) yield { scope, isFeed: toy.feeds.has(scope) }
          return { isAll: toy.isAll, missing: [] }
        },
        read: (scope, since) => pagesOf(toy, scope, since),
        async [Symbol.asyncDispose]() {},
      }),
    },
  }
  return toy
}

const visible = (scope: string): ProbedScope => ({ scope, isVisible: true, missing: [] })

async function* pagesOf(
  toy: ToySource,
  scope: string,
  since: { readonly cursor?: string | undefined; readonly validator?: string | undefined },
): AsyncGenerator<Page, ScopeReport> {
  toy.reads.push({ scope, cursor: since.cursor, validator: since.validator })
  const report = toy.report(scope)
  if (report.status === 'unchanged' || report.status === 'unsupported') return report
  let page = 0
  for (const observations of toy.scopes.get(scope) ?? []) {
    page += 1
    if (since.cursor !== undefined && page <= Number(since.cursor)) continue
    await toy.onPage(scope, page)
    yield { observations, ...(toy.hasCursors && { cursor: String(page) }) }
  }
  return report
}

const NOTHING = unknown('unsupported')

export function toyPrincipal(id: string, more: object = {}): Observation {
  return {
    kind: 'principal',
    id: { kind: 'toy', id },
    type: 'account',
    name: `toy ${id}`,
    state: known('active'),
    createdAt: NOTHING,
    createdBy: NOTHING,
    interactive: known(false),
    environment: NOTHING,
    ...more,
  }
}

/** `count` of them, in pages of `size`, made when they are asked for and not kept. */
export function* toyPages(
  count: number,
  size: number,
  make: (at: number) => Observation,
): Generator<readonly Observation[]> {
  for (let at = 0; at < count; at += size) {
    yield Array.from({ length: Math.min(size, count - at) }, (_, in_) => make(at + in_))
  }
}
