import { fork } from 'node:child_process'
import { join } from 'node:path'
import { asked, ended } from '../child.ts'
import type { Drive, Driven } from './messages.ts'

export type Load = AsyncDisposable & { drive(asked: Drive): Promise<Driven> }

/** Where the load comes from: a process of its own. */
export function startLoad(): Load {
  const child = fork(join(import.meta.dirname, 'process.ts'))
  return { drive: (drive) => asked(child, drive), [Symbol.asyncDispose]: () => ended(child) }
}
