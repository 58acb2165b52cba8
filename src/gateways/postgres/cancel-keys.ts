import { equalBytes } from '../../kernel/crypto.ts'
import type { Random } from '../../kernel/random.ts'
import { protocolVersion } from './wire/encode.ts'

/** Asks the server behind one session to stop what it runs. */
export type Cancel = () => void

export type CancelEntry = Disposable & { readonly processId: number; readonly key: Buffer }

const SHORT_KEY_BYTES = 4
const LONG_KEY_BYTES = 32

/** The cancel keys handed to clients: ours, never the server's, so that a request reaches only the session it was given for. */
export class CancelKeys {
  readonly #sessions = new Map<number, { key: Buffer; cancel: Cancel }>()
  readonly #random: Random

  constructor(random: Random) {
    this.#random = random
  }

  /** A key for one session: four bytes for protocol 3.0, thirty-two for 3.2. */
  issue(version: number, cancel: Cancel): CancelEntry {
    const processId = this.#freeProcessId()
    const key = this.#random.bytes(version >= protocolVersion.v3_2 ? LONG_KEY_BYTES : SHORT_KEY_BYTES)
    this.#sessions.set(processId, { key, cancel })
    return { processId, key, [Symbol.dispose]: () => void this.#sessions.delete(processId) }
  }

  /**
   * True where the key fits. `key` is called for a process that is here only: one that another node passed on has to be opened. Nobody is told
   * what came of it, as the protocol has no answer to a cancel request.
   */
  cancel(processId: number, key: () => Buffer): boolean {
    const session = this.#sessions.get(processId)
    if (!session || !equalBytes(session.key, key())) return false
    session.cancel()
    return true
  }

  #freeProcessId(): number {
    for (;;) {
      // 31 bits: some clients read it as a signed number.
      const candidate = this.#random.bytes(4).readUInt32BE(0) >>> 1
      if (candidate > 0 && !this.#sessions.has(candidate)) return candidate
    }
  }
}
