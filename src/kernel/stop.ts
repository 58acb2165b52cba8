import type { Log } from './log.ts'
import { after } from './timer.ts'

/**
 * Ordered stop. Components are added as they start and closed the other way round, each with a deadline, so that what others stand on goes last.
 */
export type Stop = {
  /** Aborted when the stop begins. */
  readonly signal: AbortSignal
  /** Adds a component that has started; without a deadline it gets five seconds. One that comes while the stop runs is closed next. */
  add(name: string, component: AsyncDisposable | Disposable, deadlineMs?: number): void
  /** Runs when the stop begins, before anything closes: readiness goes false here. */
  onBegin(run: () => void): void
  /** Begins the stop and resolves when everything is closed: true when nothing failed and no deadline passed. Again: the same stop. */
  now(reason: string): Promise<boolean>
  /** Resolves when a stop is over, whoever began it. */
  readonly over: Promise<boolean>
}

/** What of the process the stop listens to and ends; a test gives its own. */
export type StoppingProcess = {
  on(event: 'SIGTERM' | 'SIGINT', run: () => void): unknown
  on(event: 'unhandledRejection' | 'uncaughtException', run: (error: unknown) => void): unknown
  exit(code: number): void
}

const DEADLINE_MS = 5_000
/** As a shell counts a death by SIGINT. */
const FORCED = 130

export function openStop(log: Log): Stop {
  const components: { name: string; component: AsyncDisposable | Disposable; deadlineMs: number }[] = []
  const begin: (() => void)[] = []
  const begun = new AbortController()
  const { promise: over, resolve } = Promise.withResolvers<boolean>()
  let isClean = true
  const closeAll = async () => {
    for (let last = components.pop(); last; last = components.pop()) {
      if (!(await close(last.name, last.component, last.deadlineMs, log))) isClean = false
    }
    resolve(isClean)
  }
  return {
    signal: begun.signal,
    over,
    add(name, component, deadlineMs = DEADLINE_MS) {
      components.push({ name, component, deadlineMs })
    },
    onBegin: (run) => void begin.push(run),
    now(reason) {
      if (begun.signal.aborted) return over
      log.info({ reason }, 'stopping')
      for (const run of begin) run()
      begun.abort(new Error(`stopping: ${reason}`))
      void closeAll()
      return over
    },
  }
}

/**
 * Ends the process in order: at the first SIGTERM or SIGINT, or when an error reached nobody (the state is unknown then, and a supervisor starts
 * us again). A second signal forces. Exit code 0 after a clean stop that was asked for, 1 otherwise.
 */
export function stopOnSignals(stop: Stop, process: StoppingProcess, log: Log): void {
  const onSignal = (name: string) => () => {
    if (stop.signal.aborted) {
      log.warn({ name }, 'forced to stop')
      process.exit(FORCED)
      return
    }
    void stop.now(name).then((isClean) => process.exit(isClean ? 0 : 1))
  }
  process.on('SIGTERM', onSignal('SIGTERM'))
  process.on('SIGINT', onSignal('SIGINT'))
  const onLost = (lost: unknown) => {
    log.error({ err: lost }, 'an error reached nobody')
    void stop.now('an error reached nobody').then(() => process.exit(1))
  }
  process.on('unhandledRejection', onLost)
  process.on('uncaughtException', onLost)
}

async function close(
  name: string,
  component: AsyncDisposable | Disposable,
  deadlineMs: number,
  log: Log,
): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<'late'>()
  using timer = after(deadlineMs, () => resolve('late'))
  void timer
  try {
    const ended = await Promise.race([dispose(component), late])
    if (ended === 'late') log.warn({ name, deadlineMs }, 'did not close in time')
    else log.debug({ name }, 'closed')
    return ended !== 'late'
  } catch (error) {
    log.error({ err: error, name }, 'did not close cleanly')
    return false
  }
}

async function dispose(component: AsyncDisposable | Disposable): Promise<'closed'> {
  if (Symbol.asyncDispose in component) await component[Symbol.asyncDispose]()
  else component[Symbol.dispose]()
  return 'closed'
}
