/** How calls are answered on HTTP/2. */
import type { ServerHttp2Stream } from 'node:http2'
import { GRPC } from './call.ts'
import { framed } from './frame.ts'

const CONTENT_TYPE = 'application/grpc'

/** The only answer of a call. */
export function answer(stream: ServerHttp2Stream, message: Buffer): void {
  if (stream.destroyed || stream.headersSent) return
  begin(stream)
  stream.end(framed(message))
}

/** Answers as they come; the head goes out with the first, so that a refusal before it is nothing but a status. */
export async function answerMany(
  stream: ServerHttp2Stream,
  messages: AsyncIterable<Buffer>,
  gone: AbortSignal,
): Promise<void> {
  for await (const message of messages) {
    if (stream.destroyed || stream.writableEnded || gone.aborted) break
    if (!stream.headersSent) begin(stream)
    if (!stream.write(framed(message))) await drained(stream)
  }
  if (stream.destroyed || stream.writableEnded) return
  if (!stream.headersSent) begin(stream)
  stream.end()
}

function drained(stream: ServerHttp2Stream): Promise<void> {
  return new Promise((resolve) => {
    stream.once('drain', resolve)
    stream.once('close', resolve)
  })
}

function begin(stream: ServerHttp2Stream): void {
  stream.respond(ANSWERED, WITH_TRAILERS)
  stream.once('wantTrailers', finish)
}

/** How calls end that have begun to answer. */
const endings = new WeakMap<ServerHttp2Stream, Readonly<Record<string, string>>>()

const ANSWERED = { ':status': 200, 'content-type': CONTENT_TYPE }
const WITH_TRAILERS = { waitForTrailers: true }
const WELL = { 'grpc-status': String(GRPC.ok) }

function finish(this: ServerHttp2Stream): void {
  this.sendTrailers(endings.get(this) ?? WELL)
}

/** Ends a call with a status, after its answers where it has begun to answer: nobody takes the part for the whole, for the status says so. */
export function end(stream: ServerHttp2Stream, code: number, message: string): void {
  if (stream.destroyed || stream.writableEnded) return
  const status = {
    'grpc-status': String(code),
    'grpc-message': encodeURIComponent(message).replaceAll('%20', ' '),
  }
  if (stream.headersSent) {
    endings.set(stream, status)
    stream.end()
    return
  }
  stream.respond({ ':status': 200, 'content-type': CONTENT_TYPE, ...status }, { endStream: true })
  // Whatever still comes of it is not read.
  stream.close()
}
