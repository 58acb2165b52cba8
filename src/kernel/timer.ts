/** Resolves after `ms`; rejects with the signal's reason when it aborts first. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const onAbort = () => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }, ms)
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/** Node's timers hold 31 bits; a longer wait is cut there and the caller looks again. */
const LONGEST_TIMER_MS = 2_147_483_647

/** Calls `run` once after `ms` unless disposed. Does not keep the process alive. */
export function after(ms: number, run: () => void): Disposable {
  const timer = setTimeout(run, Math.min(Math.max(ms, 0), LONGEST_TIMER_MS))
  timer.unref()
  return { [Symbol.dispose]: () => clearTimeout(timer) }
}

/** Calls `run` every `ms` until disposed. Does not keep the process alive. */
export function every(ms: number, run: () => void): Disposable {
  const timer = setInterval(run, ms)
  timer.unref()
  return { [Symbol.dispose]: () => clearInterval(timer) }
}

/** Calls `run` when this turn of the event loop is over: whatever else the turn brings is there by then. */
export function afterThisTurn(run: () => void): void {
  setImmediate(run)
}

/** Resolves after this turn of the event loop: what one packet brought has been handled by then. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
