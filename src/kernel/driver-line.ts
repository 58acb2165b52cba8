/**
 * A socket under a driver of somebody else's. Drivers take messages apart within the event that brings them: what they throw over bytes that are no
 * protocol would be the end of the process. Nor do they ask how much an answer may hold.
 */
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { every } from './timer.ts'

const LOOK_MS = 50

/** The line was cut by us: too much came, or what the driver cannot read. */
export class LineCut extends Error {
  override readonly name = 'LineCut'
  readonly why: 'too-much' | 'no-protocol'

  constructor(why: LineCut['why'], options?: ErrorOptions) {
    super(why === 'too-much' ? 'more came than an answer may hold' : 'what came is no protocol', options)
    this.why = why
  }
}

/** Whether an error is, or comes of, a line that was cut. */
export function lineCutIn(error: unknown): LineCut | undefined {
  if (error instanceof LineCut) return error
  return error instanceof Error && error.cause !== undefined ? lineCutIn(error.cause) : undefined
}

/** Runs what a driver does with what came; what it throws cuts the line instead of ending the process. */
function orCut(stream: Pick<Duplex, 'destroy'>, work: () => boolean): boolean {
  try {
    return work()
  } catch (error) {
    stream.destroy(error instanceof LineCut ? error : new LineCut('no-protocol', { cause: error }))
    return true
  }
}

/** The same for every listener to the data of a stream, those that come later too. `look` sees each piece first, and may throw. */
export function guardData(stream: Duplex, look: (chunk: Buffer) => void = () => undefined): void {
  const emit = stream.emit.bind(stream)
  stream.emit = (name: string | symbol, ...args: unknown[]): boolean => {
    if (name !== 'data') return emit(name, ...args)
    return orCut(stream, () => {
      if (Buffer.isBuffer(args[0])) look(args[0])
      return emit(name, ...args)
    })
  }
}

/** Until it is disposed the line may bring so many bytes, whatever lies over it. */
export function boundBytes(socket: Socket, maxBytes: number): Disposable {
  const before = socket.bytesRead
  return every(LOOK_MS, () => {
    if (socket.bytesRead - before > maxBytes) socket.destroy(new LineCut('too-much'))
  })
}
