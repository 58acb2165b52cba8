/**
 * Discovery of a large estate: a source from a generator is read through the reconciler as any other is: first load, a second reading of the
 * same, one with one thing in a hundred changed, and a feed of uses by short-lived instances. Then every rule looks at all of it, twice.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { sql } from 'kysely'
import { evaluateFindings } from '../src/governance/findings/evaluate.ts'
import { openDatabase } from '../src/kernel/db.ts'
import { silentLog } from '../src/kernel/log.ts'
import { migrate } from '../src/kernel/migrate.ts'
import { startEmbeddedPostgres } from '../src/kernel/postgres/embedded.ts'
import { estateSource, INSTANCES, type Size } from './discover/estate.ts'
import { openInventory, type Inventory } from './discover/inventory.ts'
import { timePages } from './discover/pages.ts'

const FULL: Size = { identities: 1_000_000, grants: 3_000_000, references: 1_000_000 }

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
    await using postgres = await startEmbeddedPostgres({ folder, log: silentLog })
    await migrate(postgres.connection('owner'), postgres.connection('server').user)
    await using opened = openDatabase(postgres.connection('server'), { max: 4, log: silentLog })
    const inventory = await openInventory(opened.db, values.seed)
    await measure(inventory, size, values.seed)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function measure({ db, needs, register, collect, swap }: Inventory, size: Size, seed: string): Promise<void> {
  const estate = (changed: number) => estateSource(size, seed, changed)
  let mostBytes = 0
  const timer = setInterval(() => (mostBytes = Math.max(mostBytes, process.memoryUsage().rss)), 50)
  const id = await register(estate(0))
  const timed = async (work: () => Promise<unknown>): Promise<number> => {
    const started = performance.now()
    await work()
    return Math.round((performance.now() - started) / 10) / 100
  }
  const signal = new AbortController().signal
  const firstSeconds = await timed(() => collect(id))
  say(`first load ${firstSeconds} s`)
  const unchangedSeconds = await timed(() => collect(id))
  say(`second load ${unchangedSeconds} s`)
  swap(estate(1))
  const changedSeconds = await timed(() => collect(id))
  say(`changed load ${changedSeconds} s`)
  const findingsSeconds = await timed(() => evaluateFindings(db, needs, signal))
  say(`first look ${findingsSeconds} s`)
  const findingsAgainSeconds = await timed(() => evaluateFindings(db, needs, signal))
  say(`again ${findingsAgainSeconds} s`)
  clearInterval(timer)
  const pages = await timePages(db, id)
  console.table(pages)
  const count = async (table: string, what = 'count(*)') => {
    const { rows } = await sql<{ n: number }>`select ${sql.raw(what)}::int as n from ${sql.table(table)}`.execute(db)
    return rows[0]?.n ?? -1
  }
  const principals = await count('observed_principal')
  const instances = await count('observed_usage', 'coalesce(sum(instances), 0)')
  if (principals !== size.identities + 1) throw new Error(`${principals} principals were kept`)
  // Three readings told the same feed, which counts once.
  if (instances !== INSTANCES) throw new Error(`${instances} instances were counted of ${INSTANCES}`)
  const result = {
    ...size,
    firstSeconds,
    unchangedSeconds,
    changedSeconds,
    findingsSeconds,
    findingsAgainSeconds,
    findings: await count('finding'),
    memoryMb: Math.round(mostBytes / 1e6),
    slowestPageP99Ms: Math.max(...Object.values(pages).map(({ p99 }) => p99)),
  }
  console.table(result)
  console.log(`RESULT ${JSON.stringify({ bench: 'discover', ...result })}`)
}

function say(what: string): void {
  process.stderr.write(`${what}\n`)
}
