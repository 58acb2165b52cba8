/**
 * Discovery of a large estate: a source from a generator is read through the reconciler as any other is: first load, a second reading of the
 * same, one with one thing in a hundred changed, and a feed of uses by short-lived instances. Then every rule looks at all of it, twice.
 *
 * The generator is timed alone first: what it takes is in each reading. With `--only-loads` no rule is run.
 * With `--keep folder` what was loaded stays there: the next run with that folder reads nothing and looks at a copy of it.
 */
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { sql } from 'kysely'
import { z } from 'zod'
import { evaluateFindings } from '../src/governance/findings/evaluate.ts'
import { openDatabase, type Connection } from '../src/kernel/db.ts'
import { silentLog } from '../src/kernel/log.ts'
import { migrate } from '../src/kernel/migrate.ts'
import { startEmbeddedPostgres } from '../src/kernel/postgres/embedded.ts'
import { childrenCpuSeconds } from './discover/cpu.ts'
import { estateSource, INSTANCES, tellEstate, type Size } from './discover/estate.ts'
import { openInventory } from './discover/inventory.ts'
import { timePages } from './discover/pages.ts'

const FULL: Size = { identities: 1_000_000, grants: 3_000_000, references: 1_000_000 }

export async function run(flags: string[]): Promise<void> {
  const { values } = parseArgs({
    args: flags,
    options: {
      full: { type: 'boolean', default: false },
      seed: { type: 'string', default: '2026' },
      keep: { type: 'string' },
      'only-loads': { type: 'boolean', default: false },
      share: { type: 'string', default: '20' },
    },
  })
  const part = values.full ? 1 : Number(values.share)
  const size = {
    identities: Math.round(FULL.identities / part),
    grants: Math.round(FULL.grants / part),
    references: Math.round(FULL.references / part),
  }
  if (values.keep !== undefined) return runKept(values.keep, size, values.seed)
  const folder = await mkdtemp(join(tmpdir(), 'reeve-bench-'))
  await chmod(folder, 0o711)
  try {
    await using postgres = await startEmbeddedPostgres({ folder, log: silentLog })
    await migrate(postgres.connection('owner'), postgres.connection('server').user)
    const loads = await load(postgres.connection('server'), size, values.seed)
    if (values['only-loads']) sayResult({ ...size, ...loads.times })
    else await measure(postgres.connection('server'), { size, seed: values.seed, loads })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

type Loads = { readonly source: string; readonly times: Readonly<Record<string, number>> }

const Loads = z.object({ source: z.uuid(), times: z.record(z.string(), z.number()) })

/** Loads into a cluster that stays, unless that was done; the rules look at a copy, so that each run finds everything as new. */
async function runKept(folder: string, size: Size, seed: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o711 })
  await using postgres = await startEmbeddedPostgres({ folder, log: silentLog })
  const note = join(folder, `loaded-${seed}-${size.identities}.json`)
  if (!existsSync(note)) {
    await migrate(postgres.connection('owner'), postgres.connection('server').user)
    await writeFile(note, JSON.stringify(await load(postgres.connection('server'), size, seed)))
  }
  const loads = Loads.parse(JSON.parse(await readFile(note, 'utf8')))
  const { database } = postgres.connection('owner')
  await using postmaster = openDatabase(postgres.connection('owner', 'postgres'), { max: 1, log: silentLog })
  const copy = 'looked_at'
  const drop = () => sql`drop database if exists ${sql.id(copy)} with (force)`.execute(postmaster.db)
  await drop()
  await sql`create database ${sql.id(copy)} template ${sql.id(database)} strategy file_copy`.execute(postmaster.db)
  try {
    await migrate(postgres.connection('owner', copy), postgres.connection('server').user)
    await measure(postgres.connection('server', copy), { size, seed, loads })
  } finally {
    await drop()
  }
}

async function load(connection: Connection, size: Size, seed: string): Promise<Loads> {
  await using opened = openDatabase(connection, { max: 4, log: silentLog })
  const { register, collect, swap } = await openInventory(opened.db, seed)
  const estate = (changed: number) => estateSource(size, seed, changed)
  const memory = watchMemory()
  const source = await register(estate(0))
  await timed('the generator alone', () => tellEstate(size, seed))
  const firstSeconds = await timed('first load', () => collect(source))
  const unchangedSeconds = await timed('second load', () => collect(source))
  swap(estate(1))
  const changedSeconds = await timed('changed load', () => collect(source))
  return { source, times: { firstSeconds, unchangedSeconds, changedSeconds, loadMemoryMb: memory() } }
}

type Loaded = { readonly size: Size; readonly seed: string; readonly loads: Loads }

async function measure(connection: Connection, { size, seed, loads }: Loaded): Promise<void> {
  await using opened = openDatabase(connection, { max: 4, log: silentLog })
  const { db, needs } = await openInventory(opened.db, seed)
  const memory = watchMemory()
  const signal = new AbortController().signal
  const findingsSeconds = await timed('first look', () => evaluateFindings(db, needs, signal))
  const findingsAgainSeconds = await timed('again', () => evaluateFindings(db, needs, signal))
  const lookMemoryMb = memory()
  const pages = await timePages(db, loads.source)
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
    ...loads.times,
    findingsSeconds,
    findingsAgainSeconds,
    findings: await count('finding'),
    lookMemoryMb,
    slowestPageP99Ms: Math.max(...Object.values(pages).map(({ p99 }) => p99)),
  }
  sayResult(result)
}

function sayResult(result: Readonly<Record<string, number>>): void {
  console.table(result)
  console.log(`RESULT ${JSON.stringify({ bench: 'discover', ...result })}`)
}

/** In seconds; said at once, with the CPU seconds of this process and of the database in it, as the next step may take long. */
async function timed(what: string, work: () => Promise<unknown>): Promise<number> {
  const cpu = process.cpuUsage()
  const ofDatabase = childrenCpuSeconds() ?? NaN
  const started = performance.now()
  await work()
  const seconds = Math.round((performance.now() - started) / 10) / 100
  const { user, system } = process.cpuUsage(cpu)
  const [own, database] = [(user + system) / 1e6, (childrenCpuSeconds() ?? NaN) - ofDatabase]
  process.stderr.write(
    `${what} ${seconds} s; CPU: this process ${own.toFixed(2)} s, the database ${database.toFixed(2)} s\n`,
  )
  return seconds
}

/** Most memory that this process had, in megabytes, until it is asked. */
function watchMemory(): () => number {
  let mostBytes = 0
  const timer = setInterval(() => (mostBytes = Math.max(mostBytes, process.memoryUsage().rss)), 50)
  return () => {
    clearInterval(timer)
    return Math.round(mostBytes / 1e6)
  }
}
