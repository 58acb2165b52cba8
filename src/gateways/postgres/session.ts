import type { Socket } from 'node:net'
import type { Clock } from '../../kernel/clock.ts'
import type { Log } from '../../kernel/log.ts'
import type { Random } from '../../kernel/random.ts'
import { after, afterThisTurn } from '../../kernel/timer.ts'
import type { Ending, LiveSession } from '../gateway.ts'
import {
  CLIENT_CLOSED,
  CLIENT_LOST,
  endingOf,
  FAULT,
  lastWord,
  PARSER_UNSAFE,
  SERVER_PROTOCOL,
  TARGET_CLOSED,
} from './endings.ts'
import { Gate, sessionClientFrames } from './gate.ts'
import { ReadMemory } from './read-memory.ts'
import { Refusals } from './refusals.ts'
import type { SessionLimits } from './settings.ts'
import type { Analyser } from './sql/analyse.ts'
import { Trace } from './trace.ts'
import { readCommandRows, readParameterStatus, readReadyStatus, readReport } from './wire/decode.ts'
import { terminate, type TransactionStatus } from './wire/encode.ts'
import type { Upstream } from './wire/upstream.ts'
import { FrameWalker, type FrameTypes } from './wire/walk.ts'
import { sqlState, WireError } from './wire/wire-error.ts'

/** CopyBoth and login messages have no place after the login, so they are in neither list. */
const sessionServerFrames: FrameTypes = { wanted: 'CESZAIsG123Tn', counted: 'DdctHNV' }

/** How long an ended session may take to reach the end of the message it is in, and a peer to read our last word. */
const BOUNDARY_MS = 250
const FAREWELL_MS = 1_000
/**
 * Answers owed at once. Above it nothing more is read from the client until half of them came; the server holds back fewer answers than
 * that (8 KiB of five bytes each), so it never waits for the client while the client waits for it.
 */
const MOST_AWAITED = 16_384

/**
 * What may wait to be sent before the other side is no longer read. A multiple of what is read at once: a stream says that it is full at one
 * such piece, even where the system took it at once, and reading would stop and start for each.
 */
const MOST_UNSENT_BYTES = 4 * ReadMemory.sizeBytes
/** Copying less than this is cheaper than other memory. */
const LITTLE_BYTES = 8 * 1024

const DATA_ROW = 68
const COPY_DATA = 100

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
  readonly log: Log
  /** Asks the server to stop what runs. */
  readonly cancel: () => void
}

/** Forwards one connection both ways, deciding and recording, until one side or the grant ends. */
export class PostgresSession {
  readonly #parts: SessionParts
  readonly #memory: ReadMemory
  readonly #refusals: Refusals
  readonly #trace: Trace
  readonly #gate: Gate
  readonly #fromClient: FrameWalker
  readonly #fromServer: FrameWalker
  readonly #over: PromiseWithResolvers<Ending> = Promise.withResolvers()
  readonly #onWritten: () => void
  #ending: Ending | undefined
  #isAtFarewell = false
  /** Something may only be said, or cut, when the walk over a chunk is done. */
  #isWalking = false
  #isTerminating = false
  #isHeldBack = false
  #serverSaidWhy = false
  #drainingFor: Ending | undefined
  #status: TransactionStatus = 'I'
  #activeAtMs: number
  #rowsAtStart = 0

  constructor(parts: SessionParts, memory: ReadMemory) {
    this.#parts = parts
    this.#memory = memory
    this.#activeAtMs = parts.clock.monotonicMs()
    this.#onWritten = () => {
      if (parts.client.writableLength === 0) memory.takeBack()
    }
    this.#refusals = new Refusals(parts.random)
    this.#fromServer = new FrameWalker(sessionServerFrames, {
      frame: (type, bytes, start, end) => this.#serverFrame(type, bytes, start, end),
      forward: (bytes, start, end) => this.#toClient(bytes, start, end),
    })
    this.#trace = new Trace({
      now: () => parts.clock.now(),
      monotonicMs: () => parts.clock.monotonicMs(),
      serverBytes: () => this.#serverBytes(),
      serverRows: () => this.#fromServer.frames[DATA_ROW] ?? 0,
      record: (operation) => parts.live.record(operation),
    })
    this.#gate = new Gate({
      analyser: parts.analyser,
      live: parts.live,
      refusals: this.#refusals,
      trace: this.#trace,
      serverMajor: Number.parseInt(parts.upstream.parameters.get('server_version') ?? '0', 10),
      onTerminate: () => {
        this.#isTerminating = true
      },
    })
    this.#fromClient = new FrameWalker(sessionClientFrames, {
      frame: (type, bytes, start, end) => (this.#isTerminating ? DROPPED : this.#gate.frame(type, bytes, start, end)),
      forward: (bytes, start, end) => void parts.upstream.socket.write(bytes.subarray(start, end)),
    })
  }

  /** Resolves when the session is over, with why. Never rejects. */
  async run(): Promise<Ending> {
    const { client, upstream, ended, live } = this.#parts
    client.on('data', (chunk: Buffer) => this.#onClientData(chunk))
    client.on('drain', () => this.#onClientDrain())
    client.on('error', () => this.#onClientGone())
    client.on('end', () => this.#onClientGone())
    client.on('close', () => this.#onClientGone())
    upstream.socket.on('drain', () => this.#takeMore())
    upstream.socket.on('error', () => this.#onServerGone())
    upstream.socket.on('close', () => this.#onServerGone())
    const onEnded = () => this.end(endingOf(ended))
    const onLost = () => this.end(endingOf(live.lost))
    ended.addEventListener('abort', onEnded, { once: true })
    live.lost.addEventListener('abort', onLost, { once: true })
    upstream.start((bytes, length) => this.#onServerData(bytes, length))
    client.resume()
    // What happened before anybody listened.
    if (ended.aborted) onEnded()
    if (live.lost.aborted) onLost()
    if (client.destroyed) this.#onClientGone()
    if (upstream.socket.destroyed) this.#onServerGone()
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
    if (!this.#isWalking) this.#wind(ending)
  }

  /** Ends when nothing runs and no transaction is open: now, or at the next moment that this is so. */
  drain(ending: Ending): void {
    this.#drainingFor = ending
    if (this.#status === 'I' && this.#trace.isIdle) this.end(ending)
  }

  /** Looks at what no message shows: time without any. */
  checkIdle(nowMs: number): void {
    const { limits, client } = this.#parts
    const isWaiting = this.#trace.isIdle || this.#isHeldBack || client.writableLength > 0
    if (isWaiting && nowMs - this.#activeAtMs > limits.idleSeconds * 1000) {
      this.end({ reason: 'idle', sentence: `The session was idle for ${limits.idleSeconds} seconds.` })
    }
  }

  #wind(ending: Ending): void {
    if (!this.#trace.isIdle) this.#parts.cancel()
    const isMidMessage = this.#fromServer.owedBytes > 0
    if (!isMidMessage || ending === CLIENT_LOST || ending === CLIENT_CLOSED) return this.#farewell(ending)
    this.#parts.upstream.socket.resume()
    after(BOUNDARY_MS, () => this.#farewell(ending))
  }

  #onClientData(chunk: Buffer): void {
    if (this.#ending || this.#isTerminating) return
    this.#activeAtMs = this.#parts.clock.monotonicMs()
    this.#walk(this.#fromClient, chunk, chunk.length, 'client')
    if (this.#trace.size > MOST_AWAITED) this.#isHeldBack = true
    if (this.#isHeldBack || this.#isTargetBehind) this.#parts.client.pause()
    if (this.#isTerminating && this.#trace.isIdle) this.end(CLIENT_CLOSED)
  }

  #onServerData(bytes: Buffer, length: number): boolean {
    if (this.#isAtFarewell) return true
    const { client } = this.#parts
    if (this.#ending) {
      this.#fromServer.finishFrame(bytes, length)
      if (this.#fromServer.owedBytes === 0) this.#farewell(this.#ending)
    } else {
      this.#activeAtMs = this.#parts.clock.monotonicMs()
      this.#walk(this.#fromServer, bytes, length, 'server')
      this.#checkLimits()
      if (this.#isHeldBack && this.#trace.size <= MOST_AWAITED / 2) {
        this.#isHeldBack = false
        this.#takeMore()
      }
      if (this.#isTerminating && this.#trace.isIdle) this.end(CLIENT_CLOSED)
    }
    return client.destroyed || client.writableLength < MOST_UNSENT_BYTES
  }

  #walk(walker: FrameWalker, bytes: Buffer, length: number, side: 'client' | 'server'): void {
    this.#isWalking = true
    try {
      walker.push(bytes, length)
    } catch (error) {
      this.end(this.#brokenBy(error, side))
    }
    this.#isWalking = false
    if (this.#ending) this.#wind(this.#ending)
  }

  #toClient(bytes: Buffer, start: number, end: number): void {
    const { client, isClientEncrypted } = this.#parts
    if (client.destroyed) return
    const part = bytes.subarray(start, end)
    // TLS takes the bytes before `write` returns, unless an earlier write is under way; TCP may need them until the write is done.
    const isKept = !isClientEncrypted || client.writableLength > 0
    if (isClientEncrypted && isKept && part.length < LITTLE_BYTES) {
      client.write(Buffer.from(part), this.#onWritten)
      return
    }
    client.write(part, this.#onWritten)
    if (isKept && client.writableLength > 0) this.#memory.lend()
  }

  get #isTargetBehind(): boolean {
    return this.#parts.upstream.socket.writableLength >= MOST_UNSENT_BYTES
  }

  #takeMore(): void {
    const { client } = this.#parts
    if (!this.#ending && !this.#isHeldBack && !this.#isTargetBehind) client.resume()
  }

  #onClientDrain(): void {
    this.#activeAtMs = this.#parts.clock.monotonicMs()
    this.#parts.upstream.socket.resume()
  }

  #serverFrame(type: number, bytes: Buffer, start: number, end: number): Buffer | undefined {
    switch (type) {
      case 67: // C
        this.#trace.completed(readCommandRows(bytes, start, end) ?? 0)
        this.#rowsAtStart = this.#fromServer.frames[DATA_ROW] ?? 0
        return undefined
      case 49: // 1
        this.#trace.changed('parse')
        return undefined
      case 50: // 2
        this.#trace.changed('bind')
        return undefined
      case 51: // 3
        this.#trace.changed('close')
        return undefined
      case 84: // T
        this.#trace.described()
        return undefined
      case 110: // n
        this.#trace.changed('describe')
        return undefined
      case 73: // I
      case 115: // s
        this.#trace.settled()
        return undefined
      case 69: // E
        return this.#serverError(bytes, start, end)
      case 90: // Z
        this.#ready(readReadyStatus(bytes, start, end))
        return undefined
      case 71: // G
        this.#trace.copyIn()
        return undefined
      case 83: // S
        this.#checkParameter(readParameterStatus(bytes, start, end))
        return undefined
      case 65: // A: a channel crosses grants (core 25)
        return this.#parts.live.refusal('postgres.listen') === undefined ? undefined : DROPPED
      default:
        return undefined
    }
  }

  #ready(status: TransactionStatus): void {
    this.#rowsAtStart = this.#fromServer.frames[DATA_ROW] ?? 0
    this.#trace.ready()
    this.#status = status
    if (status === 'I') this.#gate.transactionOver()
    if (!this.#trace.isIdle) return
    this.#refusals.forget()
    if (this.#drainingFor && status === 'I') this.end(this.#drainingFor)
  }

  #serverError(bytes: Buffer, start: number, end: number): Buffer | undefined {
    const { code, message, severity } = readReport(bytes, start, end)
    if (severity === 'FATAL' || severity === 'PANIC') {
      // The server ends the session and says why; closing follows, and whatever ran is cut.
      this.#serverSaidWhy = true
      return undefined
    }
    const ours = this.#refusals.substitute(message)
    this.#trace.failed(ours ? { code: ours.report.code, message: ours.report.message } : { code, message })
    return ours?.frame
  }

  /** Core 22: what the parser takes for granted must stay so. */
  #checkParameter({ name, value }: { name: string; value: string }): void {
    const isWrong =
      (name === 'standard_conforming_strings' && value !== 'on') || (name === 'client_encoding' && value !== 'UTF8')
    if (isWrong) this.end(PARSER_UNSAFE)
  }

  #checkLimits(): void {
    const { rowsPerStatement, bytesPerSession } = this.#parts.limits
    if ((this.#fromServer.frames[DATA_ROW] ?? 0) - this.#rowsAtStart > rowsPerStatement) {
      this.end({ reason: 'row-limit', sentence: `A statement returned more than ${rowsPerStatement} rows.` })
    }
    if (this.#serverBytes() > bytesPerSession) {
      this.end({ reason: 'byte-limit', sentence: `The session returned more than ${bytesPerSession} bytes.` })
    }
  }

  #serverBytes(): number {
    const { payloadBytes } = this.#fromServer
    return (payloadBytes[DATA_ROW] ?? 0) + (payloadBytes[COPY_DATA] ?? 0)
  }

  #brokenBy(error: unknown, side: 'client' | 'server'): Ending {
    if (error instanceof WireError) {
      if (side === 'server') return SERVER_PROTOCOL
      const isLimit = error.code === sqlState.programLimitExceeded
      return { reason: isLimit ? 'client-limit' : 'client-protocol', sentence: error.message }
    }
    this.#parts.log.error({ err: error, session: this.#parts.live.id }, 'a session failed in the gateway')
    return FAULT
  }

  /** After Terminate the server finishes what it was told; without it nobody waits for the answers, so what runs is cancelled. */
  #onClientGone(): void {
    if (!this.#isTerminating) this.end(CLIENT_LOST)
  }

  #onServerGone(): void {
    this.end(this.#isTerminating ? CLIENT_CLOSED : TARGET_CLOSED)
    this.#farewell(this.#ending ?? TARGET_CLOSED)
  }

  #farewell(ending: Ending): void {
    if (this.#isAtFarewell) return
    this.#isAtFarewell = true
    const { client } = this.#parts
    const isGone = ending === CLIENT_LOST || ending === CLIENT_CLOSED
    const isSaid = ending === TARGET_CLOSED && this.#serverSaidWhy
    if (!isGone && !isSaid && !client.destroyed && this.#fromServer.owedBytes === 0) client.write(lastWord(ending))
    client.end()
    after(FAREWELL_MS, () => client.destroy())
    this.#leaveServer(ending)
    this.#over.resolve(ending)
  }

  /** Politely where nothing is under way; else what was sent and is not yet read must not run any more. */
  #leaveServer(ending: Ending): void {
    const { upstream } = this.#parts
    const { socket } = upstream
    const isQuiet = this.#trace.isIdle && socket.writableLength === 0 && this.#fromClient.owedBytes === 0
    if (!isQuiet) return upstream.abort()
    // Nothing reaches the server any more, so its goodbye can wait until all the clients of a grant have been cut.
    afterThisTurn(() => {
      if (ending !== CLIENT_CLOSED) socket.write(terminate())
      socket.end()
      socket.resume()
      after(FAREWELL_MS, () => socket.destroy())
    })
  }
}

const DROPPED = Buffer.alloc(0)
