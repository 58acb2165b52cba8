/** A stub of a server that speaks as much of MySQL's protocol as a hostile one needs. What is proven is proven on MariaDB and MySQL themselves. */
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { TLSSocket, type SecureContextOptions } from 'node:tls'

/** What comes for one statement, packets with their heads; undefined is silence. */
export type StubAnswer = Iterable<Buffer> | undefined

/** MySQL, Protocol::Packet: a length of three bytes, a number, and what the packet holds. */
export function packet(number: number, ...parts: readonly (Buffer | string)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)))
  const head = Buffer.alloc(4)
  head.writeUIntLE(body.length, 0, 3)
  head[3] = number
  return Buffer.concat([head, body])
}
const okay = (number: number) => packet(number, Buffer.of(0, 0, 0, 2, 0, 0, 0))
export const failed = (errno: number) => packet(1, Buffer.of(0xff, errno & 0xff, errno >> 8), '#42000\u001b[31mno')

// MySQL, Capabilities Flags: the protocol of 4.1, secure connection, plugins of proof; and TLS.
const CAN = 0x0008_8200
const CAN_TLS = 0x0800
const [QUERY, PREPARE] = [0x03, 0x16]

function greeting(hasTls: boolean): Buffer {
  const can = CAN | (hasTls ? CAN_TLS : 0)
  const low = Buffer.of(can & 0xff, (can >> 8) & 0xff)
  const high = Buffer.of((can >> 16) & 0xff, can >>> 24)
  const [salt, zeros] = [Buffer.alloc(8, 0x41), Buffer.alloc(10)]
  const more = Buffer.concat([Buffer.alloc(12, 0x41), Buffer.of(0)])
  const head = [Buffer.of(10), '8.0.0-stub\0', Buffer.alloc(4, 1), salt, Buffer.of(0), low, Buffer.of(45, 2, 0)]
  return packet(0, ...head, high, Buffer.of(21), zeros, more, 'mysql_native_password\0')
}

type Manners = { readonly tls?: SecureContextOptions; readonly greets?: Buffer }

/** Listens on this machine, lets everybody in, and never closes its end of a line. */
export async function stubServer(
  t: Pick<TestContext, 'after'>,
  answer: (sql: string) => StubAnswer,
  { tls, greets }: Manners = {},
) {
  const stub = { port: 0, logins: 0, sentBytes: 0 }
  const sockets = new Set<Socket>()
  const say = (socket: Socket, pieces: Iterator<Buffer>) => {
    while (!socket.destroyed) {
      const next = pieces.next()
      if (next.done) return
      stub.sentBytes += next.value.length
      if (socket.write(next.value)) continue
      socket.once('drain', () => say(socket, pieces))
      return
    }
  }
  const speak = (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    let isIn = false
    socket.on('data', (chunk: Buffer) => {
      const [number, body] = [chunk[3] ?? 0, chunk.subarray(4)]
      // A login without a name, 32 bytes long, asks for TLS; what comes with it is TLS.
      if (!isIn && tls && chunk.readUIntLE(0, 3) === 32) {
        socket.removeAllListeners('data')
        socket.pause()
        if (body.length > 32) socket.unshift(body.subarray(32))
        speak(new TLSSocket(socket, { isServer: true, ...tls }))
      } else if (!isIn) {
        isIn = true
        stub.logins += 1
        socket.write(okay(number + 1))
      } else if (body[0] === QUERY) socket.write(okay(1))
      else if (body[0] === PREPARE) {
        const given = answer(body.toString('utf8', 1))
        if (given) say(socket, given[Symbol.iterator]())
      }
    })
  }
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.write(greets ?? greeting(tls !== undefined))
    speak(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const address = server.address()
  return Object.assign(stub, { port: typeof address === 'object' && address ? address.port : 0 })
}
