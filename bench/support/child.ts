import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'

/** One message for one; a process that ends instead of answering is an error. */
export async function asked<T>(child: ChildProcess, message: object | string): Promise<T> {
  const done = new AbortController()
  const failed = once(child, 'exit', { signal: done.signal }).then(() => {
    throw new Error('a process of the measurement ended before it answered')
  })
  failed.catch(() => undefined)
  child.send(message)
  try {
    const [answer]: unknown[] = await Promise.race([once(child, 'message', { signal: done.signal }), failed])
    return answer as T
  } finally {
    done.abort()
  }
}

/** Has it end by itself, as it does when nobody listens to it any more. */
export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.disconnect()
  await exited
}
