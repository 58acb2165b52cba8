import { createServer, type Server, type Socket } from 'node:net'
import { once } from 'node:events'

/**
 * A server that speaks just enough PostgreSQL to be logged in to: it asks for no password, answers nothing, and closes when it is told
 * goodbye. It stands for databases whose sessions are idle, which thousands of real backends could not on one machine.
 */
export async function startStub(): Promise<AsyncDisposable & { readonly port: number }> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => undefined)
    let isLoggedIn = false
    socket.on('data', (chunk: Buffer) => {
      if (!isLoggedIn) {
        isLoggedIn = true
        socket.write(WELCOME)
      } else if (chunk[0] === TERMINATE) socket.end()
    })
  })
  server.listen({ port: 0, host: '127.0.0.1', backlog: 1024 })
  await once(server, 'listening')
  return {
    port: portOf(server),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

const TERMINATE = 88

// PostgreSQL manual §54.7: AuthenticationOk, ParameterStatus…, BackendKeyData, ReadyForQuery.
const WELCOME = Buffer.concat([
  frame('R', Buffer.from([0, 0, 0, 0])),
  ...Object.entries({
    server_version: '18.4',
    server_encoding: 'UTF8',
    client_encoding: 'UTF8',
    standard_conforming_strings: 'on',
    DateStyle: 'ISO, MDY',
    integer_datetimes: 'on',
  }).map(([name, value]) => frame('S', Buffer.from(`${name}\0${value}\0`))),
  frame('K', Buffer.from([0, 0, 0, 1, 0, 0, 0, 2])),
  frame('Z', Buffer.from('I')),
])

function frame(type: string, payload: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.write(type)
  head.writeInt32BE(payload.length + 4, 1)
  return Buffer.concat([head, payload])
}

function portOf(server: Server): number {
  const address = server.address()
  return typeof address === 'object' && address ? address.port : 0
}
