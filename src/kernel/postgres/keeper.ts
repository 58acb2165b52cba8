import pg from 'pg'
import { clientConfig, type Connection } from '../db.ts'
import type { Log } from '../log.ts'
import { sleep } from '../timer.ts'
import { CannotStartPostgres, codeOf } from './failure.ts'
import { launchPostmaster, type Launched, type Site } from './launch.ts'
import { clearStaleLocks, findPostmaster, stopPostmaster } from './postmaster.ts'

/** What the keeper says. */
export type KeeperLog = Pick<Log, 'info' | 'warn' | 'error'>

/** Any two numbers nobody else uses in the database `postgres` of our own cluster. */
const PRESENCE = [0x5245_4556, 1] as const
/** Recovery after a crash answers "starting up", which starts this again; silence is a fault. */
const LONGEST_SILENCE_MS = 60_000
const POLL_MS = 20
/** What was killed leaves within a few of these. */
const RACE_PAUSE_MS = 100
const LONGEST_PAUSE_MS = 10_000
/** A postmaster that lived this long did not die of how it was started, so the next pause is the shortest again. */
const STABLE_MS = 30_000

/** SQLSTATEs after which trying again cannot help: our passwords are not this cluster's. */
const HOPELESS = new Set(['28P01', '28000', '3D000'])
/** cannot_connect_now: starting, recovering or stopping. */
const NOT_NOW = '57P03'

/**
 * Keeps the postmaster of one cluster running as long as this process lives. Every node of a machine has a keeper, and all are equal:
 *
 * - its control connection tells it at once when the postmaster ends; whoever notices starts one, and PostgreSQL's own lock lets one through;
 * - the connection holds a shared advisory lock, which says "I need this postmaster"; the system drops it with the process, also after SIGKILL;
 * - on leaving, a keeper gives up its share and asks for the whole lock: who gets it was the last, and stops the postmaster.
 *
 * So there is no file that says who supervises, and nothing to repair after a crash.
 */
export class Keeper {
  readonly #site: Site
  readonly #owner: Connection
  readonly #log: KeeperLog
  readonly #closing = new AbortController()
  #control: pg.Client | undefined
  /** Set while a postmaster of ours has not answered yet. */
  #launched: Launched | undefined
  #ended: Promise<void> = Promise.resolve()
  #watching: Promise<void> = Promise.resolve()
  #closed: Promise<void> | undefined

  constructor(site: Site, owner: Connection, log: KeeperLog) {
    this.#site = site
    this.#owner = owner
    this.#log = log
  }

  /** Returns when the database answers. Throws `CannotStartPostgres`; on abort the postmaster is stopped again unless others need it. */
  async open(signal: AbortSignal): Promise<void> {
    try {
      await this.#reach(AbortSignal.any([signal, this.#closing.signal]))
      this.#watching = this.#watch()
    } catch (error) {
      await this[Symbol.asyncDispose]()
      throw error
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    this.#closing.abort(new Error('the keeper is closing'))
    await this.#watching
    const control = this.#control
    if (control === undefined) return this.#launched?.stop()
    if (await isLastOut(control)) await stopPostmaster(this.#site.dataFolder)
    await control.end().catch(() => undefined)
  }

  async #watch(): Promise<void> {
    let failures = 0
    while (!this.#closing.signal.aborted) {
      const since = performance.now()
      await Promise.race([this.#ended, aborted(this.#closing.signal)])
      if (this.#closing.signal.aborted) return
      this.#control = undefined
      this.#log.warn({ logFile: this.#site.logFile }, 'the embedded PostgreSQL went away; bringing it back')
      if (performance.now() - since > STABLE_MS) failures = 0
      failures = await this.#bringBack(failures)
    }
  }

  /** There is no last attempt: a full disk may have room again. Answers how often it failed of late. */
  async #bringBack(failures: number): Promise<number> {
    const { signal } = this.#closing
    for (let count = failures; ; count++) {
      try {
        if (count > 0) await sleep(Math.min(RACE_PAUSE_MS * 2 ** count, LONGEST_PAUSE_MS), signal)
        await this.#reach(signal)
        this.#log.info({ failures: count }, 'the embedded PostgreSQL is back')
        return count + 1
      } catch (error) {
        if (signal.aborted) return count
        this.#log.error(
          { err: error, logFile: this.#site.logFile },
          'the embedded PostgreSQL does not come back; trying on',
        )
      }
    }
  }

  /** Attaches to the running postmaster, or starts one. */
  async #reach(signal: AbortSignal): Promise<void> {
    let heardAt = performance.now()
    let last: unknown
    this.#launched = undefined
    for (;;) {
      signal.throwIfAborted()
      const over = this.#launched?.over()
      if (over instanceof CannotStartPostgres) throw over
      if (over === 'race') {
        this.#launched = undefined
        await sleep(RACE_PAUSE_MS, signal)
      }
      if (this.#launched === undefined && findPostmaster(this.#site.dataFolder) === undefined) {
        clearStaleLocks(this.#site.dataFolder, this.#site.socketFolder)
        this.#launched = launchPostmaster(this.#site)
      }
      try {
        await this.#connect()
        this.#launched = undefined
        return
      } catch (error) {
        if (error instanceof CannotStartPostgres) throw error
        if (codeOf(error) === NOT_NOW) heardAt = performance.now()
        last = error
      }
      if (performance.now() - heardAt > LONGEST_SILENCE_MS) throw this.#silent(last)
      await sleep(POLL_MS, signal)
    }
  }

  async #connect(): Promise<void> {
    const control = new pg.Client({
      ...clientConfig(this.#owner),
      connectionTimeoutMillis: 5_000,
      application_name: 'reeve keeper',
    })
    const ended = new Promise<void>((resolve) => control.once('end', resolve))
    // Said by `end` too, which always follows.
    control.on('error', () => undefined)
    try {
      await control.connect()
      await control.query('select pg_advisory_lock_shared($1, $2)', [...PRESENCE])
    } catch (error) {
      await control.end().catch(() => undefined)
      if (HOPELESS.has(codeOf(error) ?? '')) throw this.#stranger(error)
      throw error
    }
    this.#control = control
    this.#ended = ended
  }

  #stranger(cause: unknown): CannotStartPostgres {
    return new CannotStartPostgres(
      'damaged-folder',
      `The PostgreSQL in ${this.#site.dataFolder} does not know the passwords kept beside it. Restore the whole folder from one backup.`,
      { cause },
    )
  }

  #silent(cause: unknown): CannotStartPostgres {
    return new CannotStartPostgres(
      'timeout',
      `The embedded PostgreSQL does not answer. Its log is ${this.#site.logFile}.`,
      { cause },
    )
  }
}

/** True when no other keeper needs the postmaster; from then until it is stopped none can attach. */
async function isLastOut(control: pg.Client): Promise<boolean> {
  try {
    await control.query('select pg_advisory_unlock_shared($1, $2)', [...PRESENCE])
    const answer = await control.query<{ last: boolean }>('select pg_try_advisory_lock($1, $2) as last', [...PRESENCE])
    return answer.rows[0]?.last === true
  } catch {
    // The postmaster died under us. Whoever else needs it starts it; nobody has to stop it.
    return false
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
