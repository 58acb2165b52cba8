/** A server that answers as no source should, over a real connection: what it does to one request, or to each. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type Server, type ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import { sourceHttpTo } from '../../inventory/inventory.ts'
import { systemClock } from '../../kernel/clock.ts'
import type { HttpAnswer, HttpAsked } from '../connector.ts'
import type { Heard } from './tape.fixture.ts'

export type Trick = {
  readonly play: (response: ServerResponse, heard: Heard, elsewhere: string) => void
  /** Whether the answer is one by which an API says that something is not there. */
  readonly saysAbsent?: boolean
  /** Whether the source asks for patience. */
  readonly isPatience?: boolean
  /** Once for each connector, for it takes a while. */
  readonly isLarge?: boolean
}

const MEGABYTE = 1024 * 1024
const status =
  (code: number, headers: Record<string, string> = {}, body = '{}'): Trick['play'] =>
  (response) =>
    void response.writeHead(code, headers).end(body)
const body =
  (of: (heard: Heard) => Buffer): Trick['play'] =>
  (response, heard) =>
    void response
      .writeHead(
        200,
        heard.headers['content-type'] === undefined ? {} : { 'content-type': heard.headers['content-type'] },
      )
      .end(of(heard))
const asking = (header?: string): Trick => ({
  play: status(429, header === undefined ? {} : { 'retry-after': header }),
  isPatience: true,
})

export const TRICKS: Readonly<Record<string, Trick>> = {
  'the login is not accepted': { play: status(401) },
  'it is forbidden': { play: status(403) },
  'it is not there': { play: status(404), saysAbsent: true },
  'it is not there any more': { play: status(410) },
  'it has no content': { play: status(204), saysAbsent: true },
  'it asks for patience': asking(),
  'it asks for patience of seven seconds': asking('7'),
  'it asks for patience of no time': asking('0'),
  'it asks for patience until the past': asking('Sun, 06 Nov 1994 08:49:37 GMT'),
  'it asks for patience until nonsense': asking('soon'),
  'it asks for patience of a lifetime': asking('999999999'),
  'it fails': { play: status(500) },
  'a gateway fails': { play: status(502, { 'content-type': 'text/html' }, '<html>') },
  'it leads elsewhere': {
    play: (response, _heard, elsewhere) => void response.writeHead(301, { location: elsewhere }).end(),
  },
  'it shows a page to log in': {
    play: status(200, { 'content-type': 'text/html' }, '<!doctype html><html><form action="/login"></form></html>'),
  },
  'it says nothing': { play: status(200, {}, '') },
  'it stops in the middle': {
    play(response, heard) {
      response.writeHead(200, { 'content-length': String(heard.body.length + 10) })
      response.write(heard.body.subarray(0, Math.ceil(heard.body.length / 2)), () => response.destroy())
    },
  },
  'it tells a shorter length than it has': {
    play(response, heard) {
      response.socket?.end(
        Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\ncontent-length: ${heard.body.length - 2}\r\n\r\n`), heard.body]),
      )
    },
  },
  'it breaks off': { play: (response) => void response.destroy() },
  'it speaks no HTTP': { play: (response) => void response.socket?.end('SSH-2.0-OpenSSH_9.9\r\n') },
  'it packs what was to be plain': {
    play: (response) =>
      void response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(10 * MEGABYTE))),
  },
  'its text is no UTF-8': {
    play: body(({ body: told }) =>
      Buffer.from(told.toString('latin1').replace(/(:\s?")([a-z])/, '$1\u00ff\u00c0$2'), 'latin1'),
    ),
    // What it says may be another name than it was.
    saysAbsent: true,
  },
  'its text begins with a mark': { play: body((heard) => Buffer.concat([Buffer.from('\ufeff'), heard.body])) },
  'its text is of ten megabytes': {
    play: body(() => Buffer.from(`"${'x'.repeat(10 * MEGABYTE)}"`)),
    isLarge: true,
  },
  'it is nested a hundred thousand times': { play: body(() => Buffer.from('['.repeat(100_000))), isLarge: true },
  'it never ends': {
    play(response) {
      response.writeHead(200)
      const chunk = Buffer.alloc(MEGABYTE, 0x20)
      const more = () => {
        while (!response.destroyed && response.write(chunk));
      }
      response.on('drain', more).on('error', () => undefined)
      more()
    },
    isLarge: true,
  },
}

export type Wire = AsyncDisposable & {
  /** Asks the server that plays the trick, as the source would be asked. */
  readonly ask: (trick: Trick, heard: Heard, asked: HttpAsked, signal: AbortSignal) => Promise<HttpAnswer>
  /** How often somebody came where the answers lead. */
  readonly cameElsewhere: () => number
  readonly elsewhere: string
}

export async function openWire(): Promise<Wire> {
  let came = 0
  let playing: ((response: ServerResponse) => void) | undefined
  const other = await listening((response) => {
    came += 1
    response.end('{}')
  })
  const server = await listening((response) => playing?.(response))
  const http = sourceHttpTo(server.url, systemClock)
  return {
    elsewhere: other.url,
    cameElsewhere: () => came,
    async ask(trick, heard, asked, signal) {
      playing = (response) => trick.play(response, heard, `${other.url}/`)
      return http(asked, signal)
    },
    async [Symbol.asyncDispose]() {
      for (const { server: one } of [other, server]) {
        one.closeAllConnections()
        one.close()
      }
    },
  }
}

async function listening(answer: (response: ServerResponse) => void): Promise<{ server: Server; url: string }> {
  const server = createServer((request, response) => {
    request.resume()
    answer(response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  assert.ok(typeof address === 'object' && address)
  return { server, url: `http://127.0.0.1:${address.port}` }
}
