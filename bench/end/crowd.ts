import { fork } from 'node:child_process'
import { join } from 'node:path'

/** Connections of one grant. `label` is what their closing is reported under. */
export type Opening = {
  readonly label: string
  readonly user: string
  readonly ticket: string
  readonly count: number
}
/** Where to connect; without an authority it is a plain socket that says its label. */
export type Door = { readonly port: number; readonly ca?: string }

export type ToCrowd = { readonly of: number; readonly openings: readonly Opening[]; readonly door: Door }
export type FromCrowd =
  | { readonly kind: 'ready'; readonly stubPort: number }
  | { readonly kind: 'opened'; readonly of: number }
  | { readonly kind: 'failed'; readonly of: number; readonly why: string }
  | { readonly kind: 'closed'; readonly sockets: readonly { readonly label: string; readonly atNs: bigint }[] }

/** The clients, in a process of their own. Times are of the one monotonic clock that the processes of a machine share. */
export type Crowd = Disposable & {
  readonly stubPort: number
  open(door: Door, openings: readonly Opening[]): Promise<void>
  /** Resolves with the time at which the last of `count` connections under the label was closed. */
  closed(label: string, count: number): Promise<bigint>
  /** How many connections under other labels were closed meanwhile. */
  readonly strays: () => number
}

export async function startCrowd(): Promise<Crowd> {
  const child = fork(join(import.meta.dirname, 'crowd-process.ts'), { serialization: 'advanced' })
  const ready = Promise.withResolvers<number>()
  const asked = new Map<number, PromiseWithResolvers<void>>()
  const awaited = new Map<string, { left: number; promise: PromiseWithResolvers<bigint> }>()
  let strays = 0
  const onClosed = (label: string, atNs: bigint) => {
    const waiting = awaited.get(label)
    if (!waiting) {
      strays += 1
      return
    }
    waiting.left -= 1
    if (waiting.left > 0) return
    awaited.delete(label)
    waiting.promise.resolve(atNs)
  }
  child.on('message', (message: FromCrowd) => {
    if (message.kind === 'ready') ready.resolve(message.stubPort)
    else if (message.kind === 'opened') asked.get(message.of)?.resolve()
    else if (message.kind === 'failed') asked.get(message.of)?.reject(new Error(message.why))
    else for (const { label, atNs } of message.sockets) onClosed(label, atNs)
  })
  child.on('exit', () => ready.reject(new Error('the process of the clients ended')))
  const stubPort = await ready.promise
  return {
    stubPort,
    async open(door, openings) {
      const of = asked.size
      const opened = Promise.withResolvers<void>()
      asked.set(of, opened)
      child.send({ of, openings: [...openings], door } satisfies ToCrowd)
      await opened.promise
    },
    closed(label, count) {
      const promise = Promise.withResolvers<bigint>()
      awaited.set(label, { left: count, promise })
      return promise.promise
    },
    strays: () => strays,
    [Symbol.dispose]() {
      child.disconnect()
    },
  }
}
