/**
 * Labelled points between two steps that a crash may separate. In service `reach` does nothing; a test installs a hook that kills the
 * process there and then looks at what is left.
 */
let hook: ((label: string) => void) | undefined

/** Says that the process stands between two steps. */
export function reach(label: string): void {
  hook?.(label)
}

/** For tests only: calls `run` at every labelled point until disposed. */
export function onReach(run: (label: string) => void): Disposable {
  hook = run
  return { [Symbol.dispose]: () => (hook = undefined) }
}
