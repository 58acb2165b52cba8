/**
 * A toy: one line in, one line out, no TLS. It is a protocol just large enough to prove the conformance story itself, and never a gateway of
 * the product. `flaws` makes it break its promises, one at a time.
 */
import { createServer, connect, type Server, type Socket } from 'node:net'
import { once } from 'node:events'
import { z } from 'zod'
import { Secret } from '../../src/kernel/secret.ts'
import { after } from '../../src/kernel/timer.ts'
import { Refused, type Ending, type Gateway, type LiveSession, type Plane } from '../../src/gateways/gateway.ts'
import type { Testbed, TestClient } from '../../src/gateways/conformance.ts'

export type Flaw = 'ignores-end' | 'forgets-to-record' | 'records-values' | 'lets-everything-pass' | 'never-stops'

const Settings = z.object({ port: z.int() })
const OBLIGATIONS = {}

export function toyGateway(flaws: readonly Flaw[] = []): Gateway {
  return {
    protocol: 'toy',
    settings: Settings,
    holds: [],
    actions: [
      { name: 'toy.read', class: 'read', tier: 2, summary: 'Echoes.', obligations: OBLIGATIONS },
      { name: 'toy.write', class: 'change', tier: 1, summary: 'Writes.', obligations: OBLIGATIONS },
    ],
    async open(plane, at) {
      const stopping = new AbortController()
      const sockets = new Set<Socket>()
      const running = new Set<Promise<void>>()
      const server = createServer((socket) => {
        sockets.add(socket)
        socket.on('error', () => undefined)
        socket.once('close', () => sockets.delete(socket))
        const served = serve(plane, socket, new Set(flaws), stopping.signal).catch((error: unknown) => {
          socket.end(`ERR ${error instanceof Refused ? error.message : 'the gateway failed'}\n`)
        })
        running.add(served)
        void served.finally(() => running.delete(served))
      })
      server.listen(at.port, at.host)
      await once(server, 'listening')
      return {
        port: portOf(server),
        async [Symbol.asyncDispose]() {
          server.close()
          if (flaws.includes('never-stops')) await new Promise(() => undefined)
          stopping.abort({ reason: 'node-stopped', sentence: 'This gateway stops.' })
          const hurry = after(plane.drainMs, () => {
            for (const socket of sockets) socket.destroy()
          })
          // Those that have not logged in have nobody to be told anything.
          for (const socket of sockets) if (!socket.bytesRead) socket.destroy()
          await Promise.all(running)
          hurry[Symbol.dispose]()
        },
      }
    },
  }
}

async function serve(plane: Plane, socket: Socket, flaws: ReadonlySet<Flaw>, stopping: AbortSignal): Promise<void> {
  const gone = new AbortController()
  socket.once('close', () => gone.abort(new Error('the client is gone')))
  const lines = linesOf(socket)
  const first = await lines.next()
  const [, account = '', target = '', ticket = ''] = String(first.value).split(' ')
  const proof = { kind: 'ticket', secret: new Secret(ticket) } as const
  const clientAddress = socket.remoteAddress ?? ''
  await using admission = await plane.admit({ proof, target, account, clientAddress }, gone.signal)
  const upstream = connect(Settings.parse(admission.target.settings).port, '127.0.0.1')
  upstream.on('error', () => undefined)
  const answers = linesOf(upstream)
  upstream.write(`HELLO ${admission.upstream.user} ${admission.upstream.password.reveal()}\n`)
  if ((await answers.next()).value !== 'READY') throw new Refused('target-down', 'The toy server refused.')
  const live = await admission.begin()
  const over = Promise.withResolvers<Ending>()
  const heed = (signal: AbortSignal) => {
    const tell = () => over.resolve(signal.reason)
    if (signal.aborted) tell()
    else signal.addEventListener('abort', tell, { once: true })
  }
  if (!flaws.has('ignores-end')) heed(admission.ended)
  heed(live.lost)
  heed(stopping)
  socket.once('close', () => over.resolve({ reason: 'closed', sentence: '' }))
  socket.write('OK\n')
  void converse({ socket, lines, upstream, answers, live, flaws })
  const ending = await over.promise
  socket.end(`BYE ${ending.sentence}\n`)
  // A peer that reads nothing never lets the farewell out.
  after(100, () => socket.destroy())
  upstream.destroy()
  await live.close(ending)
}

type Talk = {
  socket: Socket
  lines: AsyncGenerator<string, void, undefined>
  upstream: Socket
  answers: AsyncGenerator<string, void, undefined>
  live: LiveSession
  flaws: ReadonlySet<Flaw>
}

async function converse({ socket, lines, upstream, answers, live, flaws }: Talk): Promise<void> {
  for (;;) {
    const { value: line } = await lines.next()
    if (typeof line !== 'string') return
    const [verb = '', value = ''] = line.split(' ')
    const action = verb === 'WRITE' ? 'toy.write' : 'toy.read'
    const startedAt = new Date()
    const refusal = flaws.has('lets-everything-pass') ? undefined : live.refusal(action)
    const record = (outcome: 'done' | 'refused', error?: { code: string; message: string }) => {
      if (flaws.has('forgets-to-record')) return
      const statement = flaws.has('records-values') ? line : verb
      const about = { startedAt, durationMs: 0, action, label: verb, statement, sealed: [value] }
      live.record({ ...about, outcome, rows: 1, sizeBytes: line.length, ...(error && { error }) })
    }
    if (refusal !== undefined) {
      record('refused', { code: 'refused', message: refusal })
      socket.write(`NO ${refusal}\n`)
      continue
    }
    upstream.write(`${line}\n`)
    if (verb === 'FLOOD') {
      for await (const answer of answers) {
        if (!socket.write(`${answer}\n`)) await once(socket, 'drain').catch(() => undefined)
      }
      return
    }
    const answer = await answers.next()
    if (answer.done) return
    record('done')
    socket.write(`${answer.value}\n`)
  }
}

/** The toy's server: one user, one password. */
async function toyServer(user: string, password: string): Promise<Server> {
  const server = createServer((socket) => void answer(socket))
  const answer = async (socket: Socket) => {
    socket.on('error', () => undefined)
    let isKnown = false
    for await (const line of linesOf(socket)) {
      const [verb, value] = line.split(' ')
      if (verb === 'HELLO') isKnown = line === `HELLO ${user} ${password}`
      if (!isKnown) {
        socket.end('WRONG\n')
        return
      }
      if (verb === 'HELLO') socket.write('READY\n')
      else if (verb === 'ECHO' || verb === 'WRITE') socket.write(`${value}\n`)
      else if (verb === 'FLOOD') {
        const more = 'x'.repeat(65_536)
        while (!socket.destroyed) if (!socket.write(`${more}\n`)) await once(socket, 'drain').catch(() => undefined)
      }
    }
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

export async function toyTestbed(flaws: readonly Flaw[] = []): Promise<Testbed> {
  const login = { account: 'robot', password: new Secret('password-of-the-toy-server') }
  const server = await toyServer(login.account, login.password.reveal())
  return {
    gateway: toyGateway(flaws),
    settings: { port: portOf(server) },
    login,
    actions: { covered: 'toy.read', uncovered: 'toy.write' },
    client: async (at) => {
      const socket = connect(at.port, '127.0.0.1')
      socket.on('error', () => undefined)
      const over = Promise.withResolvers<string>()
      let last = ''
      const told: string[] = []
      const waiting: ((line: string) => void)[] = []
      const hear = (line: string) => {
        last = line
        const next = waiting.shift()
        if (next) next(line)
        else told.push(line)
      }
      void (async () => {
        for await (const line of linesOf(socket)) hear(line)
      })()
      socket.once('close', () => {
        over.resolve(last)
        for (const next of waiting.splice(0)) next('')
      })
      const answer = () =>
        new Promise<string>((resolve) => void (told.length > 0 ? resolve(told.shift() ?? '') : waiting.push(resolve)))
      const ask = (line: string) => {
        const answered = answer()
        socket.write(`${line}\n`)
        return answered
      }
      const welcome = await ask(`LOGIN ${at.account} ${at.target} ${at.ticket.reveal()}`)
      if (welcome !== 'OK') throw new Error(welcome)
      const client: TestClient = {
        act: (value) => ask(`ECHO ${value}`),
        overstep: () => ask('WRITE something'),
        wait: () => void socket.write('WAIT\n'),
        stall: () => {
          socket.pause()
          socket.write('FLOOD\n')
        },
        over: over.promise,
        async [Symbol.asyncDispose]() {
          socket.destroy()
        },
      }
      return client
    },
    async [Symbol.asyncDispose]() {
      server.close()
    },
  }
}

/** Lines until the socket is over, however it ended. */
async function* linesOf(socket: Socket): AsyncGenerator<string, void, undefined> {
  let text = ''
  try {
    for await (const chunk of socket) {
      const parts = (text + String(chunk)).split('\n')
      text = parts.pop() ?? ''
      yield* parts
    }
  } catch {
    // A connection that broke is over like any other.
  }
}

function portOf(server: Server): number {
  const address = server.address()
  return typeof address === 'object' && address ? address.port : 0
}
