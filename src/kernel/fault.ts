/**
 * Labelled points between two steps that a crash may separate. In service `reach` does nothing; a test installs a hook that kills the
 * process (or fails, or waits) there and then looks at what is left.
 */
type Hook = (label: string) => void | Promise<void>

/** The kernel's own: a transaction is committed and nobody knows of it yet. */
export const KERNEL_FAULT_POINTS = ['kernel.committed'] as const

let hook: Hook | undefined

/** Says that the process stands between two steps. */
export async function reach(label: string): Promise<void> {
  await hook?.(label)
}

/** For tests only: calls `run` at every labelled point until disposed. */
export function onReach(run: Hook): Disposable {
  hook = run
  return { [Symbol.dispose]: () => (hook = undefined) }
}
