import type { Socket } from 'node:net'
import type { Clock } from '../../kernel/clock.ts'
import type { Random } from '../../kernel/random.ts'
import { after, every } from '../../kernel/timer.ts'
import type { Ending, LiveSession } from '../gateway.ts'
import { Gate, sessionClientFrames } from './gate.ts'
import { Refusals } from './refusals.ts'
import type { SessionLimits } from './settings.ts'
import type { Analyser } from './sql/analyse.ts'
import { Trace } from './trace.ts'
import { readCommandRows, readParameterStatus, readReadyStatus, readReport } from './wire/decode.ts'
import { errorResponse } from './wire/encode.ts'
import type { Upstream } from './wire/upstream.ts'
import { FrameWalker, type FrameTypes } from './wire/walk.ts'
import { sqlState, WireError } from './wire/wire-error.ts'

/** CopyBoth and login messages have no place after the login, so they are in neither list. */
const sessionServerFrames: FrameTypes = { wanted: 'CESZNAIsG', counted: 'DTdctnH123V' }

/** How long an ended session may take to reach the end of the message it is in, and the client to read our last word. */
const BOUNDARY_MS = 250
const FAREWELL_MS = 1_000
/** How often idle time and limits are looked at. */
const LIMITS_MS = 1_000

export type SessionParts = {
  readonly client: Socket
  readonly isClientEncrypted: boolean
  readonly upstream: Upstream
  readonly live: LiveSession
  /** Fires with an `Ending` as its reason. */
  readonly ended: AbortSignal
  readonly analyser: Analyser
  readonly limits: SessionLimits
  readonly clock: Clock
  readonly random: Random
  /** Asks the server to stop what runs. */
  readonly cancel: () => void
}

/** The memory that the server's bytes are read into, handed over when a write could not finish at once (core 26). */
export class ReadMemory {
  static readonly sizeBytes = 64 * 1024
  #buffer = Buffer.allocUnsafeSlow(ReadMemory.sizeBytes)
  #isHandedOver = false

  handOver(): void {
    this.#isHandedOver = true
  }

  next(): Buffer {
    if (this.#isHandedOver) {
      this.#buffer = Buffer.allocUnsafeSlow(ReadMemory.sizeBytes)
      this.#isHandedOver = false
    }
    return this.#buffer
  }
}

/** Forwards one connection both ways, deciding and recording, until one side or the grant ends. */
export class PostgresSession {
  readonly #parts: SessionParts
  readonly #memory: ReadMemory
  readonly #refusals: Refusals
  readonly #trace: Trace
  readonly #fromClient: FrameWalker
  readonly #fromServer: FrameWalker
  readonly #mayListen: boolean
  readonly #over: PromiseWithResolvers<Ending> = Promise.withResolvers()
  #ending: Ending | undefined
  #isAtFarewell = false
  #activeAtMs: number
  #rowsAtStart = 0

  constructor(parts: SessionParts, memory: ReadMemory) {
    this.#parts = parts
    this.#memory = memory
    this.#activeAtMs = parts.clock.monotonicMs()
    this.#refusals = new Refusals(parts.random)
    this.#mayListen = parts.live.refusal('postgres.listen') === undefined
    this.#fromServer = new FrameWalker(sessionServerFrames, {
      frame: (type, bytes, start, end) => this.#serverFrame(type, bytes, start, end),
      forward: (bytes, start, end) => this.#toClient(bytes, start, end),
    })
    this.#trace = new Trace({
      now: () => parts.clock.now(),
      monotonicMs: () => parts.clock.monotonicMs(),
      serverBytes: () => this.#serverBytes(),
      record: (operation) => parts.live.record(operation),
    })
    const gate = new Gate({
      analyser: parts.analyser,
      live: parts.live,
      refusals: this.#refusals,
      trace: this.#trace,
      serverMajor: Number.parseInt(parts.upstream.parameters.get('server_version') ?? '0', 10),
      onTerminate: () => this.end({ reason: 'client-closed', sentence: 'The client closed the session.' }),
    })
    this.#fromClient = new FrameWalker(sessionClientFrames, {
      frame: (type, bytes, start, end) => gate.frame(type, bytes, start, end),
      forward: (bytes, start, end) => void parts.upstream.socket.write(bytes.subarray(start, end)),
    })
  }

  /** Resolves when the session is over, with why. Never rejects. */
  async run(): Promise<Ending> {
    const { client, upstream, ended, live } = this.#parts
    using _limits = every(LIMITS_MS, () => this.#checkLimits())
    client.on('data', (chunk: Buffer) => this.#onClientData(chunk))
    client.on('drain', () => upstream.socket.resume())
    client.on('error', () => this.end(CLIENT_LOST))
    client.on('close', () => this.end(CLIENT_LOST))
    upstream.socket.on('drain', () => client.resume())
    upstream.socket.on('error', () => this.#onServerGone())
    upstream.socket.on('close', () => this.#onServerGone())
    const onEnded = () => this.end(endingOf(ended))
    const onLost = () => this.end(endingOf(live.lost))
    ended.addEventListener('abort', onEnded, { once: true })
    live.lost.addEventListener('abort', onLost, { once: true })
    if (ended.aborted) onEnded()
    upstream.start((bytes, length) => this.#onServerData(bytes, length))
    client.resume()
    const ending = await this.#over.promise
    ended.removeEventListener('abort', onEnded)
    live.lost.removeEventListener('abort', onLost)
    this.#trace.cut()
    await live.close(ending)
    return ending
  }

  /** Cuts both sides. The client gets 57P01 and the reason, at the next message boundary; the first call counts. */
  end(ending: Ending): void {
    if (this.#ending) return
    this.#ending = ending
    this.#parts.client.pause()
    if (!this.#trace.isIdle) this.#parts.cancel()
    if (ending === CLIENT_LOST || this.#fromServer.owedBytes === 0 || ending.reason === 'client-closed')
      this.#farewell()
    else after(BOUNDARY_MS, () => this.#farewell())
  }

  #onClientData(chunk: Buffer): void {
    if (this.#ending) return
    this.#activeAtMs = this.#parts.clock.monotonicMs()
    try {
      this.#fromClient.push(chunk)
    } catch (error) {
      this.#broken(error, 'client')
      return
    }
    if (this.#parts.upstream.socket.writableNeedDrain) this.#parts.client.pause()
  }

  #onServerData(bytes: Buffer, length: number): boolean {
    if (this.#isAtFarewell) return false
    try {
      if (this.#ending) {
        this.#fromServer.finishFrame(bytes, length)
        if (this.#fromServer.owedBytes === 0) this.#farewell()
      } else this.#fromServer.push(bytes, length)
    } catch (error) {
      this.#broken(error, 'server')
      return false
    }
    const { client, isClientEncrypted } = this.#parts
    if (!isClientEncrypted && client.writableLength > 0) this.#memory.handOver()
    return !client.writableNeedDrain
  }

  #toClient(bytes: Buffer, start: number, end: number): void {
    const { client, isClientEncrypted } = this.#parts
    const part = bytes.subarray(start, end)
    // TLS finishes a write later, when the memory holds other bytes.
    client.write(isClientEncrypted ? Buffer.from(part) : part)
  }

  #serverFrame(type: number, bytes: Buffer, start: number, end: number): Buffer | undefined {
    switch (type) {
      case 67: // C
        this.#trace.completed(readCommandRows(bytes, start, end) ?? 0)
        this.#rowsAtStart = this.#fromServer.frames[68] ?? 0
        return undefined
      case 73: // I
      case 115: // s
        this.#trace.settled()
        return undefined
      case 69: // E
        return this.#serverError(bytes, start, end)
      case 90: // Z
        readReadyStatus(bytes, start, end)
        this.#rowsAtStart = this.#fromServer.frames[68] ?? 0
        this.#trace.ready()
        return undefined
      case 71: // G
        this.#trace.copyIn()
        return undefined
      case 83: // S
        this.#checkParameter(readParameterStatus(bytes, start, end))
        return undefined
      case 65: // A: a channel crosses grants (core 25)
        return this.#mayListen ? undefined : Buffer.alloc(0)
      default:
        return undefined
    }
  }

  #serverError(bytes: Buffer, start: number, end: number): Buffer | undefined {
    const { code, message, severity } = readReport(bytes, start, end)
    const ours = this.#refusals.substitute(message)
    if (ours) {
      this.#trace.failed({ code: ours.report.code, message: ours.report.message })
      return ours.frame
    }
    this.#trace.failed({ code, message })
    // The server ends the session by itself; what it says goes through, and closing follows.
    return severity === 'FATAL' && this.#ending ? Buffer.alloc(0) : undefined
  }

  /** Core 22: what the parser takes for granted must stay so. */
  #checkParameter({ name, value }: { name: string; value: string }): void {
    const isWrong =
      (name === 'standard_conforming_strings' && value !== 'on') || (name === 'client_encoding' && value !== 'UTF8')
    if (isWrong) {
      this.end({
        reason: 'parser-unsafe',
        sentence: `The server reports ${name} = ${value}, under which statements would be read differently here and there.`,
      })
    }
  }

  #checkLimits(): void {
    const { limits, clock } = this.#parts
    const idleMs = clock.monotonicMs() - this.#activeAtMs
    if (this.#trace.isIdle && idleMs > limits.idleSeconds * 1000) {
      this.end({ reason: 'idle', sentence: `The session was idle for ${limits.idleSeconds} seconds.` })
    }
    if ((this.#fromServer.frames[68] ?? 0) - this.#rowsAtStart > limits.rowsPerStatement) {
      this.end({ reason: 'row-limit', sentence: `A statement returned more than ${limits.rowsPerStatement} rows.` })
    }
    if (this.#serverBytes() > limits.bytesPerSession) {
      this.end({ reason: 'byte-limit', sentence: `The session returned more than ${limits.bytesPerSession} bytes.` })
    }
  }

  #serverBytes(): number {
    const { payloadBytes } = this.#fromServer
    return (payloadBytes[68] ?? 0) + (payloadBytes[100] ?? 0)
  }

  #broken(error: unknown, side: 'client' | 'server'): void {
    const isTheirs = error instanceof WireError
    this.end({
      reason: isTheirs ? `${side}-protocol` : 'gateway-fault',
      sentence:
        isTheirs && side === 'client' ? error.message : 'The session cannot go on: a message could not be read.',
    })
  }

  #onServerGone(): void {
    this.end({ reason: 'target-closed', sentence: 'The target closed the connection.' })
    this.#farewell()
  }

  #farewell(): void {
    if (this.#isAtFarewell) return
    this.#isAtFarewell = true
    const { client, upstream } = this.#parts
    const ending = this.#ending ?? CLIENT_LOST
    upstream.socket.destroy()
    if (ending === CLIENT_LOST || ending.reason === 'client-closed') client.destroySoon()
    else {
      if (!client.destroyed && this.#fromServer.owedBytes === 0) client.write(lastWord(ending))
      client.end()
      after(FAREWELL_MS, () => client.destroy())
    }
    this.#over.resolve(ending)
  }
}

const CLIENT_LOST: Ending = { reason: 'client-lost', sentence: 'The client is gone.' }

const CODES: Readonly<Record<string, string>> = {
  'client-protocol': sqlState.protocolViolation,
  'row-limit': sqlState.programLimitExceeded,
  'byte-limit': sqlState.programLimitExceeded,
  idle: '57P05',
  'target-closed': '08006',
}

function lastWord({ reason, sentence }: Ending): Buffer {
  return errorResponse({ severity: 'FATAL', code: CODES[reason] ?? sqlState.adminShutdown, message: sentence })
}

function endingOf(signal: AbortSignal): Ending {
  const reason: unknown = signal.reason
  if (typeof reason === 'object' && reason !== null && 'reason' in reason && 'sentence' in reason) {
    return { reason: String(reason.reason), sentence: String(reason.sentence) }
  }
  return { reason: 'ended', sentence: 'The grant ended.' }
}
