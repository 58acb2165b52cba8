/** A stub of a server that speaks as much of PostgreSQL's protocol as a hostile one needs. What is proven is proven on PostgreSQL itself. */
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { TLSSocket, type SecureContextOptions } from 'node:tls'

/** What comes for one statement; undefined is silence. Several pieces go out one behind the other, as long as anybody listens. */
export type StubAnswer = Buffer | Iterable<Buffer> | undefined
export type StubServer = { readonly port: number; readonly seen: string[]; sentBytes: number }

const SSL_REQUEST = 80_877_103

/** PostgreSQL, 53.7 Message Formats: a letter, a length that counts itself, and what the message holds. */
export function message(letter: string, ...parts: readonly (Buffer | string)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)))
  const size = Buffer.alloc(4)
  size.writeUInt32BE(body.length + 4)
  return Buffer.concat([Buffer.from(letter), size, body])
}
const int = (value: number, size: 2 | 4) => {
  const bytes = Buffer.alloc(size)
  bytes.writeIntBE(value, 0, size)
  return bytes
}

const TEXT = 25
type Column = readonly [name: string, type: number]

export function heading(...columns: readonly Column[]): Buffer {
  const of = ([name, type]: Column) =>
    Buffer.concat([Buffer.from(`${name}\0`), int(0, 4), int(0, 2), int(type, 4), int(-1, 2), int(-1, 4), int(0, 2)])
  return message('T', int(columns.length, 2), ...columns.map(of))
}
export function row(...values: readonly (string | null)[]): Buffer {
  const of = (value: string | null) =>
    value === null ? int(-1, 4) : Buffer.concat([int(Buffer.byteLength(value), 4), Buffer.from(value)])
  return message('D', int(values.length, 2), ...values.map(of))
}
const READY = message('Z', 'I')
export const done = Buffer.concat([message('C', 'SELECT 1\0'), READY])
/** One row of texts. */
export const one = (columns: Readonly<Record<string, string>>) =>
  Buffer.concat([
    heading(...Object.keys(columns).map((name): Column => [name, TEXT])),
    row(...Object.values(columns)),
    done,
  ])
export const failed = (code: string) =>
  Buffer.concat([message('E', `SERROR\0VERROR\0C${code}\0M\u001b[31mno\0`, '\0'), READY])

type Manners = { readonly tls?: SecureContextOptions; readonly neverCloses?: boolean }

/** Listens on this machine and lets everybody in. */
export async function stubServer(
  t: Pick<TestContext, 'after'>,
  answer: (sql: string) => StubAnswer,
  { tls, neverCloses = false }: Manners = {},
): Promise<StubServer> {
  const stub: StubServer = { port: 0, seen: [], sentBytes: 0 }
  const sockets = new Set<Socket>()
  const speak = (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    const talk = new Talk((sql) => (sql.startsWith('set ') ? done : answer(sql)), tls !== undefined, stub)
    socket.on('data', (chunk: Buffer) => {
      if (talk.hear(socket, chunk) !== 'goes secure') return
      socket.removeAllListeners('data')
      speak(new TLSSocket(socket, { isServer: true, ...tls }))
    })
  }
  const server = createServer({ allowHalfOpen: neverCloses }, speak)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  return Object.assign(stub, { port: typeof address === 'object' && address ? address.port : 0 })
}

class Talk {
  readonly #answer: (sql: string) => StubAnswer
  readonly #hasTls: boolean
  readonly #stub: StubServer
  #kept: Buffer = Buffer.alloc(0)
  #isIn = false
  #sql = ''

  constructor(answer: (sql: string) => StubAnswer, hasTls: boolean, stub: StubServer) {
    this.#answer = answer
    this.#hasTls = hasTls
    this.#stub = stub
  }

  hear(socket: Socket, chunk: Buffer): 'goes secure' | undefined {
    this.#kept = Buffer.concat([this.#kept, chunk])
    for (;;) {
      const head = this.#isIn ? 1 : 0
      if (this.#kept.length < head + 4) return undefined
      const end = head + this.#kept.readUInt32BE(head)
      if (this.#kept.length < end) return undefined
      const [letter, body] = [this.#kept.toString('latin1', 0, head), this.#kept.subarray(head + 4, end)]
      this.#kept = this.#kept.subarray(end)
      if (this.#isIn) this.#asked(socket, letter, body)
      else if (body.length === 4 && body.readUInt32BE(0) === SSL_REQUEST) {
        this.#stub.seen.push('asks for TLS')
        socket.write(this.#hasTls ? 'S' : 'N')
        if (this.#hasTls) return 'goes secure'
      } else {
        this.#isIn = true
        this.#stub.seen.push('begins')
        socket.write(Buffer.concat([message('R', int(0, 4)), READY]))
      }
    }
  }

  #asked(socket: Socket, letter: string, body: Buffer): void {
    if (letter === 'P') this.#sql = body.toString('utf8').slice(1)
    if (letter === 'Q') this.#say(socket, this.#answer(body.toString('utf8')))
    if (letter === 'S') this.#say(socket, prepared(this.#answer(this.#sql)))
  }

  #say(socket: Socket, given: StubAnswer): void {
    if (given === undefined) return
    const pieces = Buffer.isBuffer(given) ? [given][Symbol.iterator]() : given[Symbol.iterator]()
    const go = () => {
      while (!socket.destroyed) {
        const next = pieces.next()
        if (next.done) return
        this.#stub.sentBytes += next.value.length
        if (socket.write(next.value)) continue
        socket.once('drain', go)
        return
      }
    }
    go()
  }
}

const prepared = (given: StubAnswer): StubAnswer =>
  Buffer.isBuffer(given) ? Buffer.concat([message('1'), message('2'), given]) : given
