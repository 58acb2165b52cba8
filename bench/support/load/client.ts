/**
 * The smallest client that can drive a server: HTTP/1.1 with keep-alive over TLS, requests prepared as bytes, one at a time on each
 * connection. It takes little of the machine that it shares with what it measures.
 */
import { once } from 'node:events'
import { connect, createSecureContext, type TLSSocket } from 'node:tls'
import type { Door } from './messages.ts'

/** One connection. */
export type Line = Disposable & {
  /** Sends a request; `onAnswer` is called once its answer is whole. Not before the last one's was. */
  ask(request: Buffer, onAnswer: () => void): void
}

const HEAD_END = Buffer.from('\r\n\r\n')

/** Connects; an answer that is no success with `expected` in it goes to `onError`, and so does a connection that breaks. */
export async function openLines(
  door: Door,
  count: number,
  expected: string,
  onError: (error: Error) => void,
): Promise<Line[]> {
  const secureContext = createSecureContext({ ca: door.ca, ...door.client })
  const sockets = Array.from({ length: count }, () =>
    connect({
      port: door.port,
      host: '127.0.0.1',
      servername: 'localhost',
      secureContext,
      ALPNProtocols: ['http/1.1'],
    }),
  )
  await Promise.all(sockets.map((socket) => once(socket, 'secureConnect')))
  return sockets.map((socket) => lineOn(socket, Buffer.from(expected), onError))
}

function lineOn(socket: TLSSocket, expected: Buffer, onError: (error: Error) => void): Line {
  let waiting: (() => void) | undefined
  let held: Buffer | undefined
  socket.setNoDelay(true)
  socket.on('error', onError)
  socket.on('close', () => waiting && onError(new Error('the server closed a connection that waited')))
  socket.on('data', (chunk: Buffer) => {
    const all: Buffer = held ? Buffer.concat([held, chunk]) : chunk
    const size = sizeOf(all)
    if (size === undefined || all.length < size) {
      held = all
      return
    }
    held = undefined
    const answer = waiting
    waiting = undefined
    if (!answer || all.length > size || !all.includes(expected) || !all.subarray(0, OK.length).equals(OK)) {
      onError(new Error(`not the answer that was expected: ${all.toString('utf8').slice(0, 2000)}`))
    } else answer()
  })
  return {
    ask(request, onAnswer) {
      waiting = onAnswer
      socket.write(request)
    },
    [Symbol.dispose]() {
      waiting = undefined
      socket.destroy()
    },
  }
}

const OK = Buffer.from('HTTP/1.1 20')

const LAST_CHUNK = Buffer.from('\r\n0\r\n\r\n')

/** Of the whole answer; undefined while it cannot be told, and while the last of its chunks is not there. */
function sizeOf(all: Buffer): number | undefined {
  const end = all.indexOf(HEAD_END)
  if (end === -1) return undefined
  const head = all.toString('latin1', 0, end + 2)
  if (/\r\ntransfer-encoding: chunked\r\n/i.test(head)) {
    return all.subarray(-LAST_CHUNK.length).equals(LAST_CHUNK) ? all.length : undefined
  }
  const length = /\r\ncontent-length: (\d+)\r\n/i.exec(head)?.[1]
  if (length === undefined) throw new Error('an answer without a length')
  return end + HEAD_END.length + Number(length)
}
