import { sql } from 'kysely'
import { csvCoverage, csvLine, loadSource } from '../../inventory/inventory.ts'
import type { Coverage } from '../../inventory/contract.ts'
import type { Clock } from '../../kernel/clock.ts'
import type { Db } from '../../kernel/db.ts'
import type { PathExportQuery, Thing } from './contract.ts'
import { EDGE_KINDS, EDGES } from './edge-kinds.ts'
import { thingAt, thingsOf } from './things.ts'
import { waysCoverage } from './unseen.ts'

const PAGE = 1_000
/** What one answer holds; more is asked for by source. */
const EDGES_MAX = 50_000

type Row = {
  readonly id: string
  readonly hops: number
  readonly edge: string | null
  readonly nextId: string | null
  readonly evidenceId: string | null
  readonly goalId: string
}
type Told = {
  readonly from: Thing
  readonly to: Thing | null
  readonly row: Row
  readonly words: string
}

/** The first step of everything that comes to tier 0: together, all the ways. Each format begins with what could not be seen. */
export async function exportPaths(db: Db, clock: Clock, { format, source }: PathExportQuery): Promise<string> {
  const of = source === undefined ? undefined : await loadSource(db, source)
  const coverage = await waysCoverage(db, clock, of?.id)
  const told: Told[] = []
  let isCut = false
  for (let after: string | undefined; ;) {
    const rows = await rowsAfter(db, of?.id, after)
    const things = await thingsOf(db, [
      ...new Set(rows.flatMap(({ id, nextId }) => (nextId === null ? [id] : [id, nextId]))),
    ])
    for (const row of rows) {
      const kind = EDGE_KINDS.find((each) => each === row.edge)
      const to = row.nextId === null ? null : thingAt(things, row.nextId, 'where several meet')
      told.push({
        from: thingAt(things, row.id, 'where several meet'),
        to,
        row,
        words: kind ? EDGES[kind].words : 'is tier 0',
      })
    }
    after = rows.at(-1)?.id
    if (rows.length < PAGE) break
    isCut = told.length >= EDGES_MAX
    if (isCut) break
  }
  if (format === 'opengraph') return openGraph(told, coverage, isCut, of?.id ?? (await firstSource(db)))
  return format === 'csv' ? csv(told, coverage, isCut) : jsonLines(told, coverage, isCut)
}

async function rowsAfter(db: Db, sourceId: string | undefined, after: string | undefined): Promise<Row[]> {
  const { rows } = await sql<Row>`
    select id, hops, edge, next_id as "nextId", evidence_id as "evidenceId", goal_id as "goalId" from escalation
     where ${after === undefined ? sql`true` : sql`id > ${after}`} and ${sourceId === undefined ? sql`true` : sql`source_id = ${sourceId}`}
     order by id limit ${PAGE}`.execute(db)
  return rows
}

/** Stands for the installation: two that are put into one graph do not say what each other saw. */
async function firstSource(db: Db): Promise<string> {
  const first = await db.selectFrom('source').select('id').orderBy('id').limit(1).executeTakeFirst()
  return first?.id ?? 'none'
}

const NODE_KINDS = {
  principal: 'ReevePrincipal',
  credential: 'ReeveCredential',
  resource: 'ReeveResource',
  identity: 'ReeveIdentity',
  other: 'ReeveMeeting',
} as const

/** BloodHound OpenGraph: nodes with at most three kinds, edges between ids, properties that are plain values. */
function openGraph(told: readonly Told[], coverage: Coverage, isCut: boolean, of: string): string {
  const nodes = new Map<string, object>()
  const put = (thing: Thing, isTier0: boolean) => {
    if (nodes.has(thing.id) && !isTier0) return
    nodes.set(thing.id, {
      id: thing.id,
      kinds: [NODE_KINDS[thing.node], 'ReeveBase'],
      properties: {
        name: thing.name,
        displayname: thing.name,
        ...(thing.type !== null && { type: thing.type }),
        ...(thing.source !== null && { source: thing.source }),
        ...(isTier0 && { system_tags: 'admin_tier_0' }),
      },
    })
  }
  for (const { from, row } of told) put(from, row.hops === 0)
  const edges = told.flatMap(({ from, to, row, words }) => {
    if (!to || row.edge === null) return []
    put(to, false)
    return [
      {
        kind: `Reeve${pascal(row.edge)}`,
        start: { value: from.id, match_by: 'id' },
        end: { value: to.id, match_by: 'id' },
        properties: {
          words,
          ...(row.evidenceId !== null && { evidence: row.evidenceId }),
          hops: row.hops,
          goal: row.goalId,
        },
      },
    ]
  })
  // What the format has no place for is a node of its own, so that nobody has the graph without it.
  const id = `reeve-coverage-${of}`
  nodes.set(id, {
    id,
    kinds: ['ReeveCoverage'],
    properties: {
      name:
        coverage.isWhole && !isCut ? 'every scope of every source was seen whole' : 'what is here is not everything',
      unseen: unseenOf(coverage),
      more: coverage.more,
      cut: isCut,
    },
  })
  return `${JSON.stringify({ metadata: { source_kind: 'ReeveBase' }, graph: { nodes: [...nodes.values()], edges } })}\n`
}

function pascal(kind: string): string {
  return kind.replace(/(?:^|-)([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}

function unseenOf({ unseen }: Coverage): string[] {
  return unseen.map(({ source, scope, status, what, why }) => `${source} ${scope ?? ''} ${status}: ${what}: ${why}`)
}

const COLUMNS = ['from', 'fromKind', 'source', 'hops', 'edge', 'words', 'to', 'evidence', 'goal', 'fromId', 'toId']

function csv(told: readonly Told[], coverage: Coverage, isCut: boolean): string {
  const lines = told.map(({ from, to, row, words }) =>
    csvLine([
      from.name,
      from.node,
      from.source ?? '',
      String(row.hops),
      row.edge ?? '',
      words,
      to?.name ?? '',
      row.evidenceId ?? '',
      row.goalId,
      from.id,
      to?.id ?? '',
    ]),
  )
  const cut = isCut ? [csvLine([`# cut after ${EDGES_MAX} rows; ask by source`])] : []
  return `${[...csvCoverage(coverage), csvLine(COLUMNS), ...lines, ...cut].join('\r\n')}\r\n`
}

function jsonLines(told: readonly Told[], coverage: Coverage, isCut: boolean): string {
  const lines = told.map(({ from, to, row, words }) =>
    JSON.stringify({ from, edge: row.edge, words, to, hops: row.hops, evidenceId: row.evidenceId, goalId: row.goalId }),
  )
  return `${[JSON.stringify({ coverage }), ...lines, ...(isCut ? [JSON.stringify({ cutAfter: EDGES_MAX })] : [])].join('\n')}\n`
}
