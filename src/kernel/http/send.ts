import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { FastifyReply } from 'fastify'
import { z } from 'zod'
import type { Operation } from '../operation.ts'
import type { KeptAnswer } from './idempotency.ts'
import { PROBLEM_TYPE } from './problem-body.ts'

/** Lines that may wait for a slow reader before the source is held back. */
const LINES_AHEAD = 16

/** The output as it may leave: through its schema, so that an undeclared field stays and instants become text. */
export function encoded(operation: Operation, value: unknown): KeptAnswer {
  return { status: operation.status, body: text(operation, value) }
}

/** Sends an answer that was made or kept. */
export function sendKept(reply: FastifyReply, { status, body }: KeptAnswer, isReplay: boolean): FastifyReply {
  if (isReplay) reply.header('idempotency-replayed', 'true')
  reply.code(status)
  if (body === '') return reply.send()
  return reply
    .header('content-type', status < 400 ? 'application/json; charset=utf-8' : PROBLEM_TYPE)
    .send(Buffer.from(body, 'utf8'))
}

/**
 * A year, as RFC 9111 §5.2.2 and RFC 8246 have it. `private`: the answer was decided for this caller, so what stands between must not give it to
 * another one.
 */
const KEEP = 'private, max-age=31536000, immutable'

/** Sends text or bytes as they are. */
export function sendBytes(reply: FastifyReply, operation: Operation, value: unknown): FastifyReply {
  const encodedValue: unknown = z.encode(operation.output, value)
  const isText = typeof encodedValue === 'string'
  if (!isText && !(encodedValue instanceof Uint8Array)) throw new Error(`${operation.id} answers with bytes or text`)
  if (operation.caching === 'immutable') reply.header('cache-control', KEEP)
  return reply
    .code(operation.status)
    .header('content-type', operation.mediaType)
    .send(isText ? Buffer.from(encodedValue, 'utf8') : encodedValue)
}

/**
 * Sends a line of JSON for each value, no faster than the caller reads. The source ends by `signal` when the caller goes away or the listener
 * closes. A source that fails cuts the connection, so that the caller cannot take the part for the whole.
 */
export async function sendLines(
  reply: FastifyReply,
  operation: Operation,
  source: unknown,
  signal: AbortSignal,
): Promise<FastifyReply> {
  if (!isAsyncIterable(source)) throw new Error(`${operation.id} streams, and its code returned something else`)
  reply.hijack()
  reply.raw.writeHead(operation.status, { ...defined(reply.getHeaders()), 'content-type': operation.mediaType })
  reply.raw.flushHeaders()
  const lines = Readable.from(linesOf(operation, source, signal), { highWaterMark: LINES_AHEAD })
  await pipeline(lines, reply.raw)
  return reply
}

async function* linesOf(
  operation: Operation,
  source: AsyncIterable<unknown>,
  signal: AbortSignal,
): AsyncGenerator<string> {
  try {
    for await (const value of source) {
      if (signal.aborted) return
      yield `${text(operation, value)}\n`
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
}

function text(operation: Operation, value: unknown): string {
  const encodedValue: unknown = z.encode(operation.output, value)
  return encodedValue === undefined ? '' : JSON.stringify(encodedValue)
}

function defined(
  headers: Readonly<Record<string, string | number | string[] | undefined>>,
): Record<string, string | number | string[]> {
  const found: Record<string, string | number | string[]> = {}
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) found[name] = value
  return found
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}
