/**
 * The graph of privilege over an estate from a generator: every edge read out of the database, the distance of everything to tier 0, kept; a second
 * look at the same; and pages of the list. The estate is made by the database itself and is the same for the same seed.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { sql } from 'kysely'
import { buildGraph } from '../src/governance/graph/build.ts'
import { PathQuery } from '../src/governance/graph/contract.ts'
import { GRAPH_SETTINGS } from '../src/governance/graph/look.ts'
import { keepDistances } from '../src/governance/graph/keep.ts'
import { listPaths, readReach } from '../src/governance/graph/paths.ts'
import { openBulk } from '../src/kernel/bulk.ts'
import { systemClock } from '../src/kernel/clock.ts'
import { openDatabase, type Connection, type Db } from '../src/kernel/db.ts'
import { silentLog } from '../src/kernel/log.ts'
import { migrate } from '../src/kernel/migrate.ts'
import { startEmbeddedPostgres } from '../src/kernel/postgres/embedded.ts'
import { makeEstate, type Size } from './graph/estate.ts'

const FULL: Size = { identities: 1_000_000, grants: 3_000_000, references: 1_000_000 }
const PAGES = 200

export async function run(flags: string[]): Promise<void> {
  const { values } = parseArgs({
    args: flags,
    options: {
      full: { type: 'boolean', default: false },
      seed: { type: 'string', default: '2026' },
      share: { type: 'string', default: '20' },
    },
  })
  const part = values.full ? 1 : Number(values.share)
  const size = {
    identities: Math.round(FULL.identities / part),
    grants: Math.round(FULL.grants / part),
    references: Math.round(FULL.references / part),
  }
  const folder = await mkdtemp(join(tmpdir(), 'reeve-bench-'))
  await chmod(folder, 0o711)
  try {
    await using postgres = await startEmbeddedPostgres({
      folder,
      log: silentLog,
      settings: { fsync: 'off', shared_buffers: '256MB', max_wal_size: '4GB' },
    })
    await migrate(postgres.connection('owner'), postgres.connection('server').user)
    const made = await seconds(() => makeEstate(postgres.connection('owner'), size, values.seed))
    console.log(
      `An estate of ${size.identities} identities, ${size.grants} grants, ${size.references} references (${made.toFixed(1)} s to make)`,
    )
    await measure(postgres.connection('server'), size)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function measure(server: Connection, size: Size): Promise<void> {
  const signal = new AbortController().signal
  const before = process.memoryUsage().rss
  await using bulk = await openBulk(server)
  await bulk.run(GRAPH_SETTINGS)
  const now = new Date()
  let started = performance.now()
  const lap = () => {
    const took = (performance.now() - started) / 1000
    started = performance.now()
    return Math.round(took * 100) / 100
  }
  const { graph, goals } = await buildGraph(bulk, now, signal)
  const readSeconds = lap()
  console.log(`${graph.edges} edges read in ${readSeconds} s`)
  const distances = graph.distancesTo(goals)
  const pathsSeconds = lap()
  console.log(`${distances.reached} of ${graph.nodes.size} nodes measured in ${pathsSeconds} s`)
  const rss = process.memoryUsage().rss
  const moved = await keepDistances(bulk, graph, distances)
  const keepSeconds = lap()
  console.log(`kept in ${keepSeconds} s`)
  const again = await buildGraph(bulk, now, signal)
  const movedAgain = await keepDistances(bulk, again.graph, again.graph.distancesTo(again.goals))
  const secondLookSeconds = lap()
  const memoryMb = Math.round(rss / 1e6)
  await using opened = openDatabase(server, { max: 2, log: silentLog })
  const pages = await pagesOf(opened.db)
  const result = {
    ...size,
    nodes: graph.nodes.size,
    edges: graph.edges,
    goals: goals.length,
    reaching: distances.reached,
    readSeconds,
    pathsSeconds,
    keepSeconds,
    secondLookSeconds,
    moved,
    movedAgain,
    memoryMb,
    memoryBeforeMb: Math.round(before / 1e6),
    ...pages,
  }
  console.table(result)
  console.log(`RESULT ${JSON.stringify(result)}`)
}

/** Pages of the list from the front and from places all over it, as a browser asks for them. */
async function pagesOf(db: Db) {
  const times: number[] = []
  const inventory: number[] = []
  let cursor: string | undefined
  for (let count = 0; count < PAGES; count += 1) {
    const started = performance.now()
    const answer = await listPaths(
      db,
      systemClock,
      PathQuery.parse({ limit: 50, ...(cursor !== undefined && { cursor }) }),
    )
    times.push(performance.now() - started)
    cursor = answer.nextCursor ?? undefined
  }
  const { rows } = await sql<{
    id: string
  }>`select id from observed_credential tablesample system (0.1) limit ${PAGES}`.execute(db)
  for (const { id } of rows.slice(0, 50)) {
    const started = performance.now()
    await readReach(db, systemClock, id)
    inventory.push(performance.now() - started)
  }
  return {
    listP50Ms: at(times, 0.5),
    listP99Ms: at(times, 0.99),
    reachP50Ms: at(inventory, 0.5),
    reachMaxMs: at(inventory, 1),
  }
}

function at(times: readonly number[], part: number): number {
  const sorted = times.toSorted((a, b) => a - b)
  return Math.round((sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0) * 100) / 100
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await work()
  return (performance.now() - started) / 1000
}
