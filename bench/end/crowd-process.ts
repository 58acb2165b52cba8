/** The process of the clients and of the stub: what it does takes no time from the node that is measured. Started by crowd.ts. */
import { once } from 'node:events'
import { connect as connectNet, type Socket } from 'node:net'
import { connect as connectTls, createSecureContext, type SecureContext } from 'node:tls'
import {
  protocolVersion,
  passwordMessage,
  sslRequest,
  startupMessage,
} from '../../src/gateways/postgres/wire/encode.ts'
import type { FromCrowd, Opening, ToCrowd } from './crowd.ts'
import { startStub } from './stub.ts'

/** Logins under way at once. */
const AT_ONCE = 12

const stub = await startStub()
const open = new Set<Socket>()
let closed: { label: string; atNs: bigint }[] = []

process.on('message', (message: ToCrowd) => {
  void openAll(message).then(
    () => tell({ kind: 'opened', of: message.of }),
    (error: unknown) => tell({ kind: 'failed', of: message.of, why: String(error) }),
  )
})
process.on('disconnect', () => process.exit())
tell({ kind: 'ready', stubPort: stub.port })

async function openAll({ openings, door }: ToCrowd): Promise<void> {
  const context = door.ca === undefined ? undefined : createSecureContext({ ca: door.ca })
  const waiting = openings.flatMap((opening) => Array.from({ length: opening.count }, () => opening))
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (let next = waiting.pop(); next; next = waiting.pop()) await openOne(next, door.port, context)
    }),
  )
}

async function openOne(opening: Opening, port: number, context: SecureContext | undefined): Promise<void> {
  const socket = context ? await login(opening, port, context) : await plain(port, opening.label)
  open.add(socket)
  socket.on('close', () => {
    if (closed.length === 0) setImmediate(tellClosed)
    closed.push({ label: opening.label, atNs: process.hrtime.bigint() })
    open.delete(socket)
  })
  socket.on('error', () => undefined)
  socket.resume()
}

/** Says who it is, so that the other side knows which connection to close. */
async function plain(port: number, label: string): Promise<Socket> {
  const socket = connectNet({ port, host: '127.0.0.1', noDelay: true })
  await once(socket, 'connect')
  socket.write(label)
  await once(socket, 'data')
  return socket
}

async function login(opening: Opening, port: number, context: SecureContext): Promise<Socket> {
  const raw = connectNet({ port, host: '127.0.0.1', noDelay: true })
  raw.write(sslRequest())
  await once(raw, 'data')
  const socket = connectTls({ socket: raw, secureContext: context, servername: 'localhost' })
  await once(socket, 'secureConnect')
  const startup = { user: opening.user, database: 'postgres' }
  socket.write(startupMessage(protocolVersion.v3_0, Object.entries(startup)))
  await once(socket, 'data')
  socket.write(passwordMessage(opening.ticket))
  const answer: unknown[] = await once(socket, 'data')
  const [bytes] = answer
  if (!Buffer.isBuffer(bytes) || String.fromCharCode(bytes[0] ?? 0) !== 'R')
    throw new Error(`refused: ${String(bytes)}`)
  return socket
}

function tellClosed(): void {
  tell({ kind: 'closed', sockets: closed })
  closed = []
}

function tell(message: FromCrowd): void {
  process.send?.(message)
}
