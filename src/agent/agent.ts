/**
 * The agent of a machine. It joins a server, follows which workloads are placed on the machine, and serves each its identity documents on a Unix
 * socket, by what the kernel says of who asks: the SPIFFE Workload API, and secrets for Envoy.
 *
 * It holds no right of its own beyond its placements. The server decides what it is given, at each document; it decides who is handed it.
 */
import { chmod, lstat, mkdir, unlink } from 'node:fs/promises'
import { connect as connectSocket } from 'node:net'
import { dirname } from 'node:path'
import { followMachine } from '../credentials/contract.ts'
import { openGrpc, type GrpcServer } from '../kernel/grpc/server.ts'
import type { Log } from '../kernel/log.ts'
import { after, sleep } from '../kernel/timer.ts'
import type { PeerReader } from '../kernel/unix-peer.ts'
import { begin, goOn, type Admission, type AdmissionOptions } from './admission.ts'
import { Bounds, Caller } from './caller.ts'
import type { Processes } from './process.ts'
import { secretDiscovery } from './sds.ts'
import { isRefusal, type Server } from './server.ts'
import { workloadApi } from './workload-api.ts'
import { Workloads } from './workloads.ts'

export type AgentOptions = AdmissionOptions & {
  readonly socketPath: string
  readonly peers: PeerReader
  readonly processes: Processes
  readonly log: Log
}

export type RunningAgent = AsyncDisposable & {
  readonly trustDomain: string
  /** Resolves with the reason when the server admits this machine no more. */
  readonly over: Promise<string>
}

const LIMITS = { messageBytes: 65_536, callMs: 30_000, calls: 10_000, streamsPerConnection: 100, connections: 4_096 }
const WAIT_SECONDS = 20
const RETRY_MS = 2_000
const RENEW_RETRY_MS = 15_000

/** Joins, listens, and serves until disposed. Throws when the machine is not admitted. */
export async function startAgent(options: AgentOptions): Promise<RunningAgent> {
  const stopping = new AbortController()
  const first = await begin(options, stopping.signal)
  const link = new Link(options, first)
  const { clock, log } = options
  const workloads = new Workloads({ clock, log, server: () => link.server, signal: stopping.signal })
  await learn(link, workloads, options, stopping.signal)
  const listener = await listen(options, workloads)
  const ended = Promise.withResolvers<string>()
  const end = (why: string) => {
    workloads.end(why)
    stopping.abort(new Error(why))
    ended.resolve(why)
  }
  const loops = Promise.all([
    following(link, workloads, options, { end, signal: stopping.signal }),
    renewing(link, options, { end, signal: stopping.signal }),
  ])
  return {
    trustDomain: first.trustDomain,
    over: ended.promise,
    async [Symbol.asyncDispose]() {
      stopping.abort(new Error('the agent stops'))
      workloads.end('the agent stops')
      await loops
      await listener[Symbol.asyncDispose]()
      link[Symbol.dispose]()
    },
  }
}

/** The connection to the server, by the admission that counts now. */
class Link implements Disposable {
  readonly #options: AgentOptions
  #admission: Admission
  #server: Server

  constructor(options: AgentOptions, admission: Admission) {
    this.#options = options
    this.#admission = admission
    this.#server = options.connect(admission)
  }

  get admission(): Admission {
    return this.#admission
  }

  get server(): Server {
    return this.#server
  }

  renew(admission: Admission): void {
    const before = this.#server
    this.#admission = admission
    this.#server = this.#options.connect(admission)
    // What is under way by the old one comes to its end.
    after(LIMITS.callMs, () => before[Symbol.dispose]())
  }

  [Symbol.dispose](): void {
    this.#server[Symbol.dispose]()
  }
}

type Loop = { readonly end: (why: string) => void; readonly signal: AbortSignal }

/** What is served here is known before anybody can ask for it, if the server can be reached. Throws when it says no. */
async function learn(link: Link, workloads: Workloads, { log }: AgentOptions, signal: AbortSignal): Promise<void> {
  try {
    await look(link.server, workloads, signal)
  } catch (error) {
    if (isRefusal(error)) throw error
    log.warn({ err: error }, 'the server cannot be reached yet')
  }
}

async function look(server: Server, workloads: Workloads, signal: AbortSignal): Promise<void> {
  const query = { version: workloads.version, wait: workloads.version === undefined ? 0 : WAIT_SECONDS }
  const state = await server.ask(followMachine, { query }, signal)
  if (state.version !== workloads.version) workloads.take(state)
}

/** Asks again and again what is served here; a server that says no ends it all. */
async function following(
  link: Link,
  workloads: Workloads,
  { log }: AgentOptions,
  { end, signal }: Loop,
): Promise<void> {
  while (!signal.aborted) {
    const { server } = link
    try {
      await look(server, workloads, signal)
    } catch (error) {
      if (signal.aborted) return
      if (isRefusal(error) && server === link.server) return end('this machine is not admitted any more')
      log.warn({ err: error }, 'the server cannot be reached; what is held goes on until it runs out')
      await sleep(RETRY_MS, signal).catch(() => undefined)
    }
  }
}

/** Proves the same again when half of the admission is over. */
async function renewing(link: Link, options: AgentOptions, { end, signal }: Loop): Promise<void> {
  const { clock, log } = options
  while (!signal.aborted) {
    const waitMs = link.admission.renewAt.getTime() - clock.now().getTime()
    await sleep(Math.max(waitMs, 0), signal).catch(() => undefined)
    if (signal.aborted) return
    try {
      link.renew(await goOn(options, link.admission, signal))
    } catch (error) {
      if (signal.aborted) return
      if (isRefusal(error)) return end('this machine is not admitted any more')
      log.warn({ err: error }, 'the admission could not be renewed yet')
      await sleep(RENEW_RETRY_MS, signal).catch(() => undefined)
    }
  }
}

/** Anybody on the machine may connect: who they are is what counts. */
async function listen(options: AgentOptions, workloads: Workloads): Promise<GrpcServer> {
  const { socketPath, clock, log, peers, processes } = options
  const bounds = new Bounds()
  await mkdir(dirname(socketPath), { recursive: true, mode: 0o755 })
  await clear(socketPath)
  const needs = { workloads, clock }
  const listener = await openGrpc({
    listen: { path: socketPath },
    tls: 'plaintext',
    methods: new Map([...workloadApi(needs), ...secretDiscovery(needs)]),
    limits: LIMITS,
    peerOf: (fd) => Caller.meet(peers(fd), { processes, bounds }),
    clock,
    log,
  })
  await chmod(socketPath, 0o666)
  return listener
}

/** Takes away a socket that nobody listens at any more. Throws where somebody does, or something else lies there. */
async function clear(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined)
  if (!found) return
  if (!found.isSocket()) throw new Error(`${path} is there already and is no socket`)
  const isHeard = await new Promise<boolean>((resolve) => {
    const socket = connectSocket(path)
    socket.once('connect', () => resolve(true))
    socket.once('error', () => resolve(false))
    socket.once('close', () => socket.destroy())
    socket.setTimeout(1000, () => socket.destroy())
    socket.once('connect', () => socket.destroy())
  })
  if (isHeard) throw new Error(`another agent listens at ${path}`)
  await unlink(path)
}
