import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync } from 'node:fs'
import { after } from '../timer.ts'
import { asAccount, type Account } from './account.ts'
import { CannotStartPostgres, codeOf, ELSEWHERE, explainOutput } from './failure.ts'
import { FAST_STOP_MS } from './postmaster.ts'
import { openServerLog, sizeOf, tailOf } from './server-log.ts'

/** Everything that is needed to start the postmaster of one cluster. */
export type Site = {
  readonly binFolder: string
  readonly dataFolder: string
  readonly socketFolder: string
  readonly logFile: string
  readonly account: Account
  /** On top of the fixed settings, which they win over. */
  readonly settings: Readonly<Record<string, string>>
}

/** A postmaster we started. It outlives us when we are killed; the next node finds it and goes on with it. */
export type Launched = {
  /** Why it is over: `race` when another postmaster has the data folder, or leftovers of the last one are still going. */
  readonly over: () => 'race' | CannotStartPostgres | undefined
  /** Ends this very process, however far it got; another node's postmaster is not touched. */
  readonly stop: () => Promise<void>
}

/** What every cluster of ours is started with. Statement text and details stay out of the log: they hold literals and passwords. */
const FIXED: Readonly<Record<string, string>> = {
  listen_addresses: '',
  unix_socket_permissions: '0700',
  password_encryption: 'scram-sha-256',
  log_line_prefix: '%m [%p] %e %q%u@%d ',
  log_min_error_statement: 'panic',
  log_error_verbosity: 'terse',
  log_checkpoints: 'off',
  log_timezone: 'UTC',
  timezone: 'UTC',
  max_connections: '200',
  max_wal_size: '2GB',
  wal_compression: 'on',
  jit: 'off',
}

/** PostgreSQL's own lock decides between two that start at once. */
export function launchPostmaster(site: Site): Launched {
  const log = openServerLog(site.logFile)
  const from = sizeOf(site.logFile)
  const settings = { ...FIXED, ...site.settings, unix_socket_directories: site.socketFolder }
  const args = [
    '-D',
    site.dataFolder,
    ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  ]
  // The log is read when somebody asks, not in an event, where a log that was deleted meanwhile would end the process.
  let why: (() => CannotStartPostgres | 'race') | undefined
  try {
    // A session of its own: Ctrl-C in a terminal is for us, and we stop the database last.
    const options = { ...asAccount(site.account), detached: true }
    const child = spawn(`${site.binFolder}/postgres`, args, { ...options, stdio: ['ignore', log, log] })
    child.unref()
    child.once('error', (error) => (why = () => cannotRun(site, error)))
    child.once('exit', () => (why = () => whyOver(site, child, from)))
    return { over: () => why?.(), stop: async () => (why === undefined ? stopChild(child) : undefined) }
  } finally {
    closeSync(log)
  }
}

async function stopChild(child: ChildProcess): Promise<void> {
  child.ref()
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  using _ = after(FAST_STOP_MS, () => child.kill('SIGQUIT'))
  child.kill('SIGINT')
  await gone
}

/** F0001 lock_file_exists: another postmaster, or the shared memory of one that was killed while its children still leave. */
function whyOver(site: Site, child: ChildProcess, from: number): CannotStartPostgres | 'race' {
  const lines = tailOf(site.logFile, from).split('\n')
  const own = lines.filter((line) => line.includes(` [${child.pid}] `))
  if (own.some((line) => / F0001 |pre-existing shared memory block/.test(line))) return 'race'
  return explainOutput('postgres', (own.length > 0 ? own : lines).join('\n'), site.dataFolder)
}

function cannotRun(site: Site, error: Error): CannotStartPostgres {
  const why = codeOf(error) === 'ENOENT' ? 'its binaries need glibc, which this system lacks' : error.message
  return new CannotStartPostgres(
    'exited',
    `The embedded PostgreSQL cannot run: ${why}. Use another machine image, ${ELSEWHERE}.`,
    { cause: error },
  )
}
