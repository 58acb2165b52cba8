/**
 * The ledger under load, on a real PostgreSQL that syncs each commit to its disk. Peers run in the same rounds: a row and a commit for each
 * observation, as a plain audit table has it.
 */
import { spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { once } from 'node:events'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { z } from 'zod'
import { openDatabaseClock } from '../src/kernel/database-clock.ts'
import { clientConfig, openDatabase, transact, type Connection, type Db } from '../src/kernel/db.ts'
import { event, shown } from '../src/kernel/event.ts'
import { silentLog } from '../src/kernel/log.ts'
import { migrate } from '../src/kernel/migrate.ts'
import { startEmbeddedPostgres } from '../src/kernel/postgres/embedded.ts'
import { newId, systemRandom } from '../src/kernel/random.ts'
import { sealUnder } from '../src/kernel/seal.ts'
import { Secret } from '../src/kernel/secret.ts'
import { openAppender } from '../src/ledger/appender.ts'
import { openLedger, type Ledger } from '../src/ledger/entry.ts'
import type { Fact, Needs } from '../src/ledger/fact.ts'
import { leafOf } from '../src/ledger/leaf.ts'
import { listLogs } from '../src/ledger/logs.ts'
import { exportLogs } from '../src/ledger/read.ts'
import { openSequencer, type Sequencer } from '../src/ledger/sequencer.ts'
import { writeExport } from '../src/ledger/tree/export.ts'
import { formatVerifierKey } from '../src/ledger/tree/note.ts'

const APPENDERS = 512
const POOL = 16
const OPEN_LOOP_PER_SECOND = 10_000
const VERIFIED_ENTRIES = 1_000_000

const operationDone = event('operation.done', 'A statement was run.', {
  session: shown(z.uuid()),
  statement: shown(z.string()),
  class: shown(z.string()),
  rows: shown(z.int()),
  durationMs: shown(z.int()),
})

type World = {
  readonly db: Db
  readonly peer: pg.Pool
  readonly needs: Needs
  readonly ledger: Ledger
  readonly sequencer: Sequencer
  readonly next: () => Fact<typeof operationDone.facts.shape>
}

type Latency = { readonly p50: number; readonly p99: number; readonly reached: number }
type Round = { observations: number; rows: number; causes: number; open: Latency; openRows: Latency }

export async function run(flags: string[]): Promise<void> {
  const { values } = parseArgs({
    args: flags,
    options: {
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '4' },
      quick: { type: 'boolean', default: false },
    },
  })
  const rounds = values.quick ? 1 : Number(values.rounds)
  const seconds = values.quick ? 1 : Number(values.seconds)
  const entries = values.quick ? 100_000 : VERIFIED_ENTRIES
  const folder = await mkdtemp(join(tmpdir(), 'reeve-bench-'))
  await chmod(folder, 0o711)
  try {
    await using postgres = await startEmbeddedPostgres({ folder, log: silentLog })
    await migrate(postgres.connection('owner'), postgres.connection('server').user)
    await makePeerTable(postgres.connection('owner'), postgres.connection('server').user)
    await measure(postgres.connection('server'), folder, { rounds, seconds, entries })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function measure(
  connection: Connection,
  folder: string,
  { rounds, seconds, entries }: { rounds: number; seconds: number; entries: number },
): Promise<void> {
  await using opened = openDatabase(connection, { max: POOL, log: silentLog })
  const { db } = opened
  using clock = await openDatabaseClock(db, silentLog)
  const needs: Needs = { clock, random: systemRandom, seal: sealUnder(new Secret(systemRandom.bytes(32))) }
  await using sequencer = openSequencer({
    ...needs,
    connection,
    log: silentLog,
    checkpointFile: join(folder, 'outside', 'checkpoint'),
  })
  await using appender = await openAppender({
    connection,
    nodeId: newId(clock, systemRandom),
    ...needs,
    log: silentLog,
    onDurable: () => sequencer.wake(),
  })
  // Without a limit of waiting: the peer's queue is part of what is measured.
  await using pools = new AsyncDisposableStack()
  const peer = new pg.Pool({ ...clientConfig(connection), max: POOL, connectionTimeoutMillis: 0 })
  pools.defer(() => peer.end())
  const world: World = {
    db,
    peer,
    needs,
    sequencer,
    ledger: openLedger(needs, { appender, db, onRecorded: () => sequencer.wake() }),
    next: facts(needs),
  }
  await closedLoop(APPENDERS, 1, () => world.ledger.observe(world.next()))
  const found: Round[] = []
  for (let round = 1; round <= rounds; round++) {
    process.stderr.write(`round ${round} of ${rounds}\n`)
    found.push(await oneRound(world, seconds))
  }
  report(found, await verification(world, connection, folder, entries))
}

async function oneRound(world: World, seconds: number): Promise<Round> {
  const { ledger, next, db } = world
  const observations = await closedLoop(APPENDERS, seconds, () => ledger.observe(next()))
  await placed(db)
  const rows = await closedLoop(APPENDERS, seconds, () => insertRow(world))
  const causes = await closedLoop(POOL, seconds, () => transact(db, (tx) => ledger.record(tx, next())))
  await placed(db)
  const open = await openLoop(seconds, () => ledger.observe(next()))
  await placed(db)
  const openRows = await openLoop(1, () => insertRow(world))
  return { observations, rows, causes, open, openRows }
}

/** The peer: the same leaf in a plain table, a row and a commit of its own, prepared, over a pool; no triggers, no tree. */
async function insertRow({ peer, needs, next }: World): Promise<void> {
  const at = needs.clock.now()
  const fact = next()
  const values = [at, fact.event.kind, fact.actor.id, leafOf(needs.random, fact, at).bytes]
  await peer.query({
    name: 'row',
    text: 'insert into audit_row (at, kind, actor_id, leaf) values ($1, $2, $3, $4)',
    values,
  })
}

async function makePeerTable(owner: Connection, server: string): Promise<void> {
  const client = new pg.Client(clientConfig(owner))
  await client.connect()
  await client.query(`create table audit_row (id bigint generated always as identity primary key, at timestamptz not null,
                        kind text not null, actor_id uuid, leaf bytea not null)`)
  await client.query(`grant insert on audit_row to ${pg.escapeIdentifier(server)}`)
  await client.end()
}

async function closedLoop(callers: number, seconds: number, act: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  const end = start + seconds * 1000
  let done = 0
  await Promise.all(
    Array.from({ length: callers }, async () => {
      while (performance.now() < end) {
        await act()
        done++
      }
    }),
  )
  return (done / (performance.now() - start)) * 1000
}

// Latency counts from when a call was due, so that a stall is seen by every call it delayed.
async function openLoop(seconds: number, act: () => Promise<unknown>): Promise<Latency> {
  const total = seconds * OPEN_LOOP_PER_SECOND
  const latencies = new Float64Array(total)
  const start = performance.now()
  const done: Promise<void>[] = []
  const finished = Promise.withResolvers<void>()
  const turn = () => {
    const due = Math.min(total, Math.floor(((performance.now() - start) / 1000) * OPEN_LOOP_PER_SECOND))
    while (done.length < due) {
      const call = done.length
      const dueAt = start + ((call + 1) / OPEN_LOOP_PER_SECOND) * 1000
      done.push(act().then(() => void (latencies[call] = performance.now() - dueAt)))
    }
    if (done.length < total) setImmediate(turn)
    else finished.resolve()
  }
  turn()
  await finished.promise
  await Promise.all(done)
  const reached = total / ((performance.now() - start) / 1000)
  latencies.sort()
  return { p50: latencies[Math.floor(total * 0.5)] ?? 0, p99: latencies[Math.floor(total * 0.99)] ?? 0, reached }
}

type Verification = { entries: number; exportSeconds: number; verifySeconds: number }

async function verification(
  world: World,
  connection: Connection,
  folder: string,
  entries: number,
): Promise<Verification> {
  const { db, ledger, next, sequencer } = world
  process.stderr.write(`filling up to ${entries} entries\n`)
  let there = await size(db)
  while (there < entries) {
    const wave = Math.min(8192, entries - there)
    await Promise.all(Array.from({ length: wave }, () => ledger.observe(next())))
    there += wave
  }
  sequencer.wake()
  await placed(db)
  await using reader = openDatabase(connection, { max: 2, log: silentLog })
  const file = join(folder, 'export.ndjson')
  const exportStart = performance.now()
  const out = createWriteStream(file)
  for await (const piece of writeExport(exportLogs(reader.db))) if (!out.write(piece)) await once(out, 'drain')
  out.end()
  await once(out, 'finish')
  const exportSeconds = (performance.now() - exportStart) / 1000
  const keys = (await listLogs(db)).flatMap(({ key }) => ['--key', formatVerifierKey(key)])
  const program = join(import.meta.dirname, '..', 'verifier', 'verify.ts')
  const start = performance.now()
  const child = spawn(process.execPath, [program, file, ...keys, '--json'], { stdio: ['ignore', 'pipe', 'inherit'] })
  let answer = ''
  child.stdout.on('data', (chunk: Buffer) => (answer += chunk.toString('utf8')))
  const [code]: unknown[] = await once(child, 'close')
  const verifySeconds = (performance.now() - start) / 1000
  const { ok, logs } = z
    .object({ ok: z.boolean(), logs: z.array(z.object({ entries: z.int() })) })
    .parse(JSON.parse(answer))
  if (code !== 0 || !ok) throw new Error(`the export does not verify: ${answer}`)
  return { entries: logs.reduce((sum, log) => sum + log.entries, 0), exportSeconds, verifySeconds }
}

async function size(db: Db): Promise<number> {
  const row = await db
    .selectFrom('ledgerCheckpoint')
    .select((columns) => columns.fn.max('size').as('size'))
    .executeTakeFirst()
  return row?.size ?? 0
}

/** Everything so far has its place: what follows is not slowed by what went before. */
async function placed(db: Db): Promise<void> {
  while ((await db.selectFrom('ledgerPending').select('id').limit(1).execute()).length > 0) {
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

function facts(needs: Needs): World['next'] {
  const id = () => newId(needs.clock, needs.random)
  const [actor, session, target, grant, decision] = [id(), id(), id(), id(), id()]
  let rows = 0
  return () => ({
    event: operationDone,
    actor: { id: actor, kind: 'workload' },
    action: 'postgres.read',
    resource: { type: 'Target', id: target },
    grantId: grant,
    purpose: 'nightly-report',
    decision: { id: decision, policyVersion: '4f1c9a' },
    outcome: 'done',
    facts: {
      session,
      statement: 'select id, total from orders where customer = $1',
      class: 'read',
      rows: rows++,
      durationMs: 2,
    },
  })
}

function report(rounds: readonly Round[], verified: Verification): void {
  const of = (pick: (round: Round) => number) => median(rounds.map(pick))
  const result = {
    bench: 'ledger',
    rounds: rounds.length,
    cpus: cpus().length,
    observationsPerSecond: Math.round(of((round) => round.observations)),
    rowsPerSecond: Math.round(of((round) => round.rows)),
    causesPerSecond: Math.round(of((round) => round.causes)),
    observationsPerRow: ratio(of((round) => round.observations / round.rows)),
    openLoop: {
      perSecond: OPEN_LOOP_PER_SECOND,
      reachedPerSecond: Math.round(of((round) => round.open.reached)),
      p50Ms: ratio(of((round) => round.open.p50)),
      p99Ms: ratio(of((round) => round.open.p99)),
    },
    openLoopRows: {
      reachedPerSecond: Math.round(of((round) => round.openRows.reached)),
      p50Ms: ratio(of((round) => round.openRows.p50)),
      p99Ms: ratio(of((round) => round.openRows.p99)),
    },
    verifiedEntries: verified.entries,
    exportSeconds: ratio(verified.exportSeconds),
    verifySeconds: ratio(verified.verifySeconds),
    verifySecondsPerMillion: ratio((verified.verifySeconds / verified.entries) * 1_000_000),
  }
  const { openLoop: open, openLoopRows: openRows } = result
  const lines: [string, string, string][] = [
    [`observations, ${APPENDERS} appenders`, `${result.observationsPerSecond}/s`, 'goal 50000/s'],
    [`a row and a commit each, ${APPENDERS} callers, pool ${POOL}`, `${result.rowsPerSecond}/s`, 'peer'],
    ['observations : rows', `${result.observationsPerRow}`, ''],
    [`causes in their own transactions, ${POOL} connections`, `${result.causesPerSecond}/s`, ''],
    ['open loop 10000/s, observations, p50', `${open.p50Ms} ms`, 'goal < 1 ms'],
    ['open loop 10000/s, observations, p99', `${open.p99Ms} ms`, 'goal < 10 ms'],
    [`open loop 10000/s, a row each (reached ${openRows.reachedPerSecond}/s), p50`, `${openRows.p50Ms} ms`, 'peer'],
    [`open loop 10000/s, a row each (reached ${openRows.reachedPerSecond}/s), p99`, `${openRows.p99Ms} ms`, 'peer'],
    [`export of ${verified.entries} entries`, `${result.exportSeconds} s`, ''],
    [`full verification of ${verified.entries} entries`, `${result.verifySeconds} s`, 'goal < 10 s per million'],
  ]
  const width = Math.max(...lines.map(([name]) => name.length))
  for (const [name, value, note] of lines) console.log(`${name.padEnd(width)}  ${value.padStart(12)}  ${note}`)
  console.log(`RESULT ${JSON.stringify(result)}`)
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const high = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? high : ((sorted[middle - 1] ?? Number.NaN) + high) / 2
}

function ratio(value: number): number {
  return Math.round(value * 100) / 100
}
