import { GRPC, GrpcError, type GrpcPeer } from '../kernel/grpc/call.ts'
import type { UnixPeer } from '../kernel/unix-peer.ts'
import { userSelectors, type Processes } from './process.ts'

/** More streams of one process, or connections of one user, than honest clients have. */
const STREAMS_OF_A_PROCESS = 64
const CONNECTIONS_OF_A_USER = 256

/** Counts what one process and one user hold, so that nobody takes all there is. */
export class Bounds {
  readonly #held = new Map<string, number>()

  /** Takes one of `most`; undefined when they are all taken. */
  take(what: string, most: number): Disposable | undefined {
    const count = this.#held.get(what) ?? 0
    if (count >= most) return undefined
    this.#held.set(what, count + 1)
    let isGivenBack = false
    return {
      [Symbol.dispose]: () => {
        if (isGivenBack) return
        isGivenBack = true
        const left = (this.#held.get(what) ?? 1) - 1
        if (left === 0) this.#held.delete(what)
        else this.#held.set(what, left)
      },
    }
  }
}

/** The process at the other end of one connection. */
export class Caller implements GrpcPeer {
  readonly #peer: UnixPeer
  readonly #start: string
  readonly #processes: Processes
  readonly #bounds: Bounds
  readonly #connection: Disposable

  private constructor(peer: UnixPeer, start: string, parts: Meeting, connection: Disposable) {
    this.#peer = peer
    this.#start = start
    this.#processes = parts.processes
    this.#bounds = parts.bounds
    this.#connection = connection
  }

  /** Who has just connected; undefined for a process that is gone, or a user who has too many connections. */
  static meet(peer: UnixPeer, parts: Meeting): Caller | undefined {
    const start = parts.processes.startOf(peer.pid)
    const connection = parts.bounds.take(`user ${peer.uid}`, CONNECTIONS_OF_A_USER)
    if (start !== undefined && connection && peer.state() !== 'gone') return new Caller(peer, start, parts, connection)
    connection?.[Symbol.dispose]()
    peer[Symbol.dispose]()
    return undefined
  }

  get pid(): number {
    return this.#peer.pid
  }

  /** One call of the process. Throws `GrpcError` when it has too many. */
  beginCall(): Disposable {
    const call = this.#bounds.take(`process ${this.#peer.pid} ${this.#start}`, STREAMS_OF_A_PROCESS)
    if (!call) throw new GrpcError(GRPC.resourceExhausted, 'this process has too many calls at once')
    return call
  }

  /**
   * What fits the process now. It must be the one that connected, before it is looked at and after: in between an id may come to be another
   * process. Throws `GrpcError` where that is not certain.
   */
  async selectors(withSha256: boolean): Promise<ReadonlySet<string>> {
    this.#mustBeThere()
    const { pid, uid, gid } = this.#peer
    const found = await this.#processes.selectorsOf(pid, withSha256)
    this.#mustBeThere()
    return new Set([...userSelectors(uid, gid), ...found])
  }

  #mustBeThere(): void {
    const { pid, uid } = this.#peer
    const state = this.#peer.state()
    const isSame = state !== 'gone' && this.#processes.startOf(pid) === this.#start
    // Where the kernel holds no process for us, its user has to be the one that connected as well.
    const isLikely = state === 'alive' || this.#processes.userOf(pid) === uid
    if (!isSame || !isLikely) throw new GrpcError(GRPC.permissionDenied, 'the process that connected is gone')
  }

  [Symbol.dispose](): void {
    this.#connection[Symbol.dispose]()
    this.#peer[Symbol.dispose]()
  }
}

export type Meeting = { readonly processes: Processes; readonly bounds: Bounds }
