/**
 * Jobs wake obligations (core 16). An obligation is a row of its own with the time of its next try, so a job that is lost, late, repeated or given
 * up costs a moment and nothing else; the library's 25 attempts and its four-hour lock must never matter.
 */
import { EventEmitter } from 'node:events'
import { Logger, run, runMigrations, type Runner, type Task, type WorkerEvents } from 'graphile-worker'
import { sql } from 'kysely'
import pg from 'pg'
import { clientConfig, type Connection, type Db, type Tx } from './db.ts'
import type { Log } from './log.ts'
import { silentLog } from './log.ts'
import { sleep } from './timer.ts'

/** What a job does. Safe to run twice and at once; `payload` says where to look, never what to do. */
type JobTask = (payload: unknown, signal: AbortSignal) => Promise<void>

export type JobOptions = {
  /** Several with one key that have not begun become one. */
  readonly key?: string
  readonly runAt?: Date
}

type RunOptions = {
  readonly connection: Connection
  readonly tasks: Readonly<Record<string, JobTask>>
  readonly log: Log
  /** Told under which name this process locks its jobs, each time that name changes. */
  readonly onPool: (pool: string) => Promise<void>
  readonly concurrency?: number
}

const SCHEMA = 'graphile_worker'
const CONCURRENCY = 4
/** The backstop when a notification is lost. */
const POLL_MS = 1_000
const RESTART_MS = 1_000
/**
 * So many failed looks for work in a row start the runner anew: the library remembers the answer to its very first query, also when that was that
 * the connection broke, and would go on failing for ever.
 */
const FAILURES = 8
/** A node that has not said anything for so long is dead, and so are its locks (core 16). */
const DEAD_SECONDS = 15

/** Puts a job into the caller's transaction: it runs when that commits, or never. */
export async function enqueue(tx: Tx, task: string, payload: unknown, options: JobOptions = {}): Promise<void> {
  await sql`
    select from graphile_worker.add_job(
      identifier := ${task},
      payload := ${JSON.stringify(payload ?? {})}::json,
      run_at := ${options.runAt ?? null}::timestamptz,
      job_key := ${options.key ?? null}::text)`.execute(tx)
}

/** Runs jobs until disposed, whatever happens to the database in between; disposal waits for those that run, five seconds at most. */
export async function runJobs(options: RunOptions): Promise<AsyncDisposable> {
  const pool = openPool(options.connection, (options.concurrency ?? CONCURRENCY) + 2, options.log)
  const stop = new AbortController()
  let runner = await startRunner(pool, options, stop.signal)
  const over = (async () => {
    while (!stop.signal.aborted) {
      await runner.promise.catch((error: unknown) => options.log.warn({ err: error }, 'the jobs stopped'))
      if (stop.signal.aborted) return
      runner = await restart(pool, options, stop.signal)
    }
  })().catch((error: unknown) => {
    if (!stop.signal.aborted) throw error
  })
  return {
    async [Symbol.asyncDispose]() {
      stop.abort(new Error('this node stops'))
      await runner.stop().catch((error: unknown) => options.log.debug({ err: error }, 'the jobs had stopped'))
      await over
      await pool.end()
    },
  }
}

/** Frees the jobs that a dead process had locked; returns how many processes that were. */
export async function unlockDeadJobs(db: Db): Promise<number> {
  const { rows } = await sql<{ freed: number }>`
    with held as (
      select distinct j.locked_by as pool
        from graphile_worker._private_jobs j
       where j.locked_at < now() - make_interval(secs => ${DEAD_SECONDS})
         and not exists (
           select from node n
            where n.worker_pool = j.locked_by
              and n.stopped_at is null
              and n.heartbeat_at > now() - make_interval(secs => ${DEAD_SECONDS}))),
    freed as (
      select graphile_worker.force_unlock_workers(array_agg(pool)) from held having count(*) > 0)
    select (select count(*)::int from held) as freed from (select count(*) from freed) once`.execute(db)
  return rows[0]?.freed ?? 0
}

/** Brings the library's own schema to its release, as the role that owns ours, and lets the server's role work with it. */
export async function installJobs(owner: Connection, serverRole: string): Promise<void> {
  const pool = openPool(owner, 2, silentLog)
  try {
    await runMigrations({ pgPool: pool, logger: loggerTo(silentLog) })
    await pool.query(rightsFor(pg.escapeIdentifier(serverRole)))
  } finally {
    await pool.end()
  }
}

/** A connection may break while idle or in use; the library asks for an ear at both. */
function openPool(connection: Connection, max: number, log: Log): pg.Pool {
  const pool = new pg.Pool({ ...clientConfig(connection), max })
  const onBroken = (error: Error) => log.warn({ err: error }, 'a connection of the jobs broke')
  pool.on('error', onBroken)
  pool.on('connect', (client) => client.on('error', onBroken))
  return pool
}

async function restart(pool: pg.Pool, options: RunOptions, signal: AbortSignal): Promise<Runner> {
  for (;;) {
    await sleep(RESTART_MS, signal)
    try {
      return await startRunner(pool, options, signal)
    } catch (error) {
      options.log.warn({ err: error }, 'the jobs could not start again')
    }
  }
}

async function startRunner(pool: pg.Pool, options: RunOptions, stopped: AbortSignal): Promise<Runner> {
  const events: WorkerEvents = new EventEmitter()
  let named: Promise<void> = Promise.resolve()
  events.once('pool:create', ({ workerPool }) => {
    named = options.onPool(workerPool.id)
    // Awaited below; until then a failure must not count as nobody's.
    named.catch(() => undefined)
  })
  const runner = await run({
    pgPool: pool,
    concurrency: options.concurrency ?? CONCURRENCY,
    pollInterval: POLL_MS,
    noHandleSignals: true,
    parsedCronItems: [],
    logger: loggerTo(options.log),
    events,
    taskList: Object.fromEntries(
      Object.entries(options.tasks).map(([name, task]): [string, Task] => [
        name,
        (payload, helpers) => task(payload, AbortSignal.any([stopped, helpers.abortSignal])),
      ]),
    ),
  })
  let failures = 0
  events.on('worker:getJob:empty', () => (failures = 0))
  events.on('job:start', () => (failures = 0))
  events.on('worker:getJob:error', () => {
    failures += 1
    if (failures !== FAILURES || stopped.aborted) return
    runner.stop().catch((error: unknown) => options.log.debug({ err: error }, 'the jobs had stopped'))
  })
  await named
  return runner
}

function loggerTo(log: Log): Logger {
  return new Logger(() => (level, message) => {
    if (level === 'error') log.warn({ from: 'jobs' }, message)
    else log.debug({ from: 'jobs' }, message)
  })
}

/** Row security is on in that schema and lets only the owner through, so the role gets a policy on each table. */
function rightsFor(role: string): string {
  return `
    begin;
    select pg_advisory_xact_lock(hashtext('reeve jobs'));
    grant usage on schema ${SCHEMA} to ${role};
    grant select, insert, update, delete on all tables in schema ${SCHEMA} to ${role};
    grant usage on all sequences in schema ${SCHEMA} to ${role};
    revoke insert, update, delete on ${SCHEMA}.migrations from ${role};
    do $$
    declare held regclass;
    begin
      for held in
        select c.oid::regclass from pg_class c
         where c.relnamespace = '${SCHEMA}'::regnamespace and c.relkind = 'r' and c.relrowsecurity
      loop
        execute format('drop policy if exists server_works on %s', held);
        execute format('create policy server_works on %s to ${role.replaceAll("'", "''").replaceAll('%', '%%')} using (true) with check (true)', held);
      end loop;
    end $$;
    commit`
}
