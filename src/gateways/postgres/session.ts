import type { Socket } from 'node:net'
import type { Clock } from '../../kernel/clock.ts'
import type { Log } from '../../kernel/log.ts'
import type { Random } from '../../kernel/random.ts'
import { after } from '../../kernel/timer.ts'
import type { Ending, LiveSession } from '../gateway.ts'
import { BOUNDARY_MS, FAREWELL_MS, MOST_AWAITED, MOST_UNSENT_BYTES, LITTLE_BYTES, MOST_PARKED_BYTES } from './bounds.ts'
import {
  CLIENT_CLOSED,
  CLIENT_LOST,
  beyond,
  brokenBy,
  endingOf,
  lastWord,
  PARSER_UNSAFE,
  TARGET_CLOSED,
} from './endings.ts'
import { Gate, sessionClientFrames } from './gate.ts'
import { Holds } from './holds.ts'
import { leaveServer } from './leave-server.ts'
import { Notices } from './notices.ts'
import type { ReadMemory } from './read-memory.ts'
import { Refusals } from './refusals.ts'
import type { SessionLimits } from './settings.ts'
import type { Analyser } from './sql/analyse.ts'
import { Trace } from './trace.ts'
import { readCommandRows, readParameterStatus, readReadyStatus, readReport } from './wire/decode.ts'
import type { TransactionStatus } from './wire/encode.ts'
import type { Upstream } from './wire/upstream.ts'
import { FrameWalker, type FrameTypes } from './wire/walk.ts'

/** CopyBoth and login messages have no place after the login, so they are in neither list. */
const sessionServerFrames: FrameTypes = { wanted: 'CESZAIsG123Tn', counted: 'DdctHNV' }

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
  readonly #holds: Holds
  readonly #notices: Notices
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
    this.#notices = new Notices(parts.client, () => !this.#isAtFarewell && this.#fromServer.owedBytes === 0)
    const tell = (sentence: string) => this.#notices.say(sentence, this.#isWalking)
    this.#holds = new Holds({
      live: parts.live,
      forSeconds: parts.limits.holdSeconds,
      tell,
      settled: () => this.#onHoldSettled(),
    })
    this.#gate = new Gate({
      analyser: parts.analyser,
      live: parts.live,
      holds: this.#holds,
      tell,
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
    const { held } = this.#holds
    if (held) this.#trace.unsent(held.subject, { code: '57P01', message: 'The session ended while it waited.' })
    await live.close(ending)
    return ending
  }

  /** Cuts both sides. The client gets 57P01 and the reason, at the next message boundary; the first call counts. */
  end(ending: Ending): void {
    if (this.#ending) return
    this.#ending = ending
    this.#holds.cancel()
    this.#parts.client.pause()
    if (!this.#isWalking) this.#wind(ending)
  }

  /** Ends when nothing runs and no transaction is open: now, or at the next moment that this is so. */
  drain(ending: Ending): void {
    this.#drainingFor = ending
    if (this.#status === 'I' && this.#trace.isIdle) this.end(ending)
  }

  /** What a client's request to cancel means here: a statement that waits is taken back, and what runs is stopped. */
  cancel(): void {
    if (this.#holds.cancel() && this.#trace.isIdle) return
    this.#parts.cancel()
  }

  /** Looks at what no message shows: time without any. */
  checkIdle(nowMs: number): void {
    const { limits, client } = this.#parts
    // Who waits for a person is not idle, and that wait has its own end.
    if (this.#holds.isWaiting) this.#activeAtMs = nowMs
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
    this.#walk(() => this.#fromClient.push(chunk), 'client')
    this.#afterClientBytes()
  }

  #afterClientBytes(): void {
    if (this.#trace.size > MOST_AWAITED) this.#isHeldBack = true
    if (this.#isHeldBack || this.#isTargetBehind || this.#isParkFull) this.#parts.client.pause()
    if (this.#isTerminating && this.#trace.isIdle) this.end(CLIENT_CLOSED)
  }

  /** The wait for a person is over: the frame that waited is looked at again, with the verdict, and then what came behind it. */
  #onHoldSettled(): void {
    if (this.#ending) return
    this.#activeAtMs = this.#parts.clock.monotonicMs()
    this.#walk(() => this.#fromClient.goOn(), 'client')
    this.#afterClientBytes()
    this.#takeMore()
  }

  /** The client goes on being read while a statement waits, so that its going away is noticed, up to a bound. */
  get #isParkFull(): boolean {
    return this.#fromClient.parkedBytes > MOST_PARKED_BYTES
  }

  #onServerData(bytes: Buffer, length: number): boolean {
    if (this.#isAtFarewell) return true
    const { client } = this.#parts
    if (this.#ending) {
      this.#fromServer.finishFrame(bytes, length)
      if (this.#fromServer.owedBytes === 0) this.#farewell(this.#ending)
    } else {
      this.#activeAtMs = this.#parts.clock.monotonicMs()
      this.#walk(() => this.#fromServer.push(bytes, length), 'server')
      this.#checkLimits()
      if (this.#isHeldBack && this.#trace.size <= MOST_AWAITED / 2) {
        this.#isHeldBack = false
        this.#takeMore()
      }
      if (this.#isTerminating && this.#trace.isIdle) this.end(CLIENT_CLOSED)
    }
    return client.destroyed || client.writableLength < MOST_UNSENT_BYTES
  }

  #walk(walk: () => void, side: 'client' | 'server'): void {
    this.#isWalking = true
    try {
      walk()
    } catch (error) {
      this.end(brokenBy(error, side, this.#parts))
    }
    this.#isWalking = false
    this.#notices.flush()
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
    if (!this.#ending && !this.#isHeldBack && !this.#isTargetBehind && !this.#isParkFull) client.resume()
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
        return this.#mayHear() ? undefined : DROPPED
      default:
        return undefined
    }
  }

  /** In every mode: another's channel is not this client's to lose. */
  #mayHear(): boolean {
    const { live } = this.#parts
    return live.refusal('postgres.listen') === undefined && live.passing('postgres.listen') === undefined
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
    const rows = (this.#fromServer.frames[DATA_ROW] ?? 0) - this.#rowsAtStart
    const over = beyond(this.#parts.limits, rows, this.#serverBytes())
    if (over) this.end(over)
  }

  #serverBytes(): number {
    const { payloadBytes } = this.#fromServer
    return (payloadBytes[DATA_ROW] ?? 0) + (payloadBytes[COPY_DATA] ?? 0)
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
    const { client, upstream } = this.#parts
    const isGone = ending === CLIENT_LOST || ending === CLIENT_CLOSED
    const isSaid = ending === TARGET_CLOSED && this.#serverSaidWhy
    if (!isGone && !isSaid && !client.destroyed && this.#fromServer.owedBytes === 0) client.write(lastWord(ending))
    client.end()
    after(FAREWELL_MS, () => client.destroy())
    const isQuiet = this.#trace.isIdle && upstream.socket.writableLength === 0 && this.#fromClient.owedBytes === 0
    leaveServer(upstream, { isQuiet, isToldAlready: ending === CLIENT_CLOSED })
    this.#over.resolve(ending)
  }
}

const DROPPED = Buffer.alloc(0)
