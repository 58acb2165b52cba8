import { fork } from 'node:child_process'
import { join } from 'node:path'
import { asked, ended } from '../support/child.ts'
import type { Door } from '../support/load/messages.ts'

/** The node is up: a workload may ask for these, on connections with its certificate. */
export type ReeveReady = {
  readonly ready: {
    readonly door: Omit<Door, 'requests'>
    readonly requests: Readonly<Record<'token' | 'svid', string>>
    /** Of its own certificate, for whoever else listens on this machine. */
    readonly cert: string
    readonly key: string
  }
}

/** A whole node in a process of its own. */
export async function startReeve(folder: string): Promise<ReeveReady & AsyncDisposable> {
  const child = fork(join(import.meta.dirname, 'reeve-process.ts'))
  const { ready } = await asked<ReeveReady>(child, { folder })
  return { ready, [Symbol.asyncDispose]: () => ended(child) }
}
