/**
 * Writes one recording: NDJSON lines in Zstandard frames, a running SHA-256 over the lines. `record` only appends to a string; hashing,
 * encryption, compression and writing happen once per batch (250 ms or 256 KiB), so that recording costs a statement next to nothing.
 */
import { runningSha256 } from '../../kernel/crypto.ts'
import type { Seal } from '../../kernel/seal.ts'
import { Secret } from '../../kernel/secret.ts'
import { packFrame } from './frames.ts'
import type { RecordingSink } from './store.ts'
import type { OperationRecord } from './tally.ts'

/** A batch is written when it is this large, or at the next tick of `FLUSH_EVERY_MS`. */
export const BATCH_BYTES = 256 * 1024
export const FLUSH_EVERY_MS = 250
/** What one recording may hold that is not written yet: a disk that is this far behind is not keeping up. */
export const PENDING_MAX_BYTES = 8 * 1024 * 1024
/** The same for all recordings of a node together. */
export const PENDING_TOTAL_MAX_BYTES = 128 * 1024 * 1024
/** Of a longer statement or value the beginning is kept, with its whole length. */
export const STATEMENT_MAX_LENGTH = 64 * 1024
export const VALUES_MAX_LENGTH = 256 * 1024
const VALUE_KEPT_LENGTH = 4 * 1024

/** What all recordings of a node share: who has something to write, and how much is waiting in all. */
export class PendingWork {
  readonly dirty = new Set<Recorder>()
  bytes = 0
}

/** How far a recording is written, and the digest of everything up to there. */
export type WrittenPoint = { readonly bytes: number; readonly sha256: Buffer; readonly operations: number }

type Options = {
  readonly sink: RecordingSink
  readonly sessionId: string
  readonly startedAt: Date
  /** Under the session's own key; undefined where values are not kept at all. */
  readonly seal: Seal | undefined
  readonly work: PendingWork
  readonly onLost: (why: string, cause?: unknown) => void
}

/** Associated data of a batch of sealed values: it opens only in its session, at its place. */
export function placeOfValues(sessionId: string, from: number, to: number): string {
  return `recording:${sessionId}:${from}-${to}`
}

export class Recorder {
  readonly #options: Options
  readonly #startedAtMs: number
  readonly #digest = runningSha256()
  #lines = ''
  #values = ''
  #valuesFrom = 0
  #valuesTo = 0
  #pendingBytes = 0
  #operations = 0
  #written: WrittenPoint = { bytes: 0, sha256: this.#digest.digestSoFar(), operations: 0 }
  #sealedBytes = 0
  #flushing: Promise<void> | undefined
  #isLost = false

  constructor(options: Options) {
    this.#options = options
    this.#startedAtMs = options.startedAt.getTime()
  }

  /** The digest and length of what is written: never of what only waits. */
  get written(): WrittenPoint {
    return this.#written
  }

  get isLost(): boolean {
    return this.#isLost
  }

  /** Whether something was written that no seal covers yet. */
  get hasUnsealed(): boolean {
    return this.#written.bytes > this.#sealedBytes || this.#lines !== ''
  }

  /** Takes one operation. Never throws and never waits. */
  record(n: number, operation: OperationRecord): void {
    if (this.#isLost) return
    const { statement, error } = operation
    let line =
      `{"type":"operation","n":${n},"atMs":${operation.startedAt.getTime() - this.#startedAtMs}` +
      `,"durationMs":${Math.round(operation.durationMs * 1000) / 1000},"action":${JSON.stringify(operation.action)}` +
      `,"label":${JSON.stringify(operation.label)},"statement":`
    if (statement.length <= STATEMENT_MAX_LENGTH) line += JSON.stringify(statement)
    else line += `${JSON.stringify(statement.slice(0, STATEMENT_MAX_LENGTH))},"statementLength":${statement.length}`
    line += `,"outcome":"${operation.outcome}","rows":${operation.rows},"sizeBytes":${operation.sizeBytes}`
    if (error) {
      // A refusal is our own sentence. What the target says may quote values.
      line += `,"error":${JSON.stringify(operation.outcome === 'refused' ? error : { code: error.code })}`
    }
    const hasMessage = error !== undefined && operation.outcome !== 'refused'
    if (this.#options.seal && (operation.sealed.length > 0 || hasMessage)) {
      line += `,"sealedValues":${operation.sealed.length}`
      this.#keepValues(n, operation.sealed, hasMessage ? error.message : null)
    }
    this.#operations += 1
    this.#append(`${line}}\n`)
  }

  /** Appends a whole line that is no operation: the header, the end. */
  line(value: unknown): void {
    if (!this.#isLost) this.#append(`${JSON.stringify(value)}\n`)
  }

  /** Writes one batch, or waits for the one under way. Never rejects: what fails is reported by `onLost`. */
  flush(): Promise<void> {
    this.#flushing ??= this.#drain().finally(() => {
      this.#flushing = undefined
    })
    return this.#flushing
  }

  /** Writes everything that waits and returns how far it came, safe from a crash of the machine. */
  async seal(): Promise<WrittenPoint> {
    while (this.#lines !== '' && !this.#isLost) await this.flush()
    if (!this.#isLost) {
      await this.#options.sink.sync().catch((error: unknown) => this.#lose('the recording could not be synced', error))
    }
    return this.#written
  }

  /** A seal of `point` is in the ledger. */
  sealed(point: WrittenPoint): void {
    this.#sealedBytes = Math.max(this.#sealedBytes, point.bytes)
  }

  /** Gives the file back. Call after the last `seal`. */
  async release(): Promise<void> {
    await this.#flushing
    this.#forget()
    this.#isLost = true
    await this.#options.sink[Symbol.asyncDispose]()
  }

  #keepValues(n: number, values: readonly string[], message: string | null): void {
    let length = 0
    for (const value of values) length += value.length
    const kept = length <= VALUES_MAX_LENGTH ? values : values.slice(0, 256).map(shortened)
    const text = `[${n},${JSON.stringify(kept)},${message === null ? 'null' : JSON.stringify(shortened(message))}]`
    if (this.#values === '') this.#valuesFrom = n
    this.#values += this.#values === '' ? text : `,${text}`
    this.#valuesTo = n
    this.#grow(text.length)
  }

  #append(line: string): void {
    if (this.#lines === '') this.#options.work.dirty.add(this)
    this.#lines += line
    this.#grow(line.length)
    if (this.#pendingBytes > PENDING_MAX_BYTES || this.#options.work.bytes > PENDING_TOTAL_MAX_BYTES) {
      this.#lose('recordings are written more slowly than operations come')
    } else if (this.#pendingBytes >= BATCH_BYTES && !this.#flushing) void this.flush()
  }

  #grow(length: number): void {
    this.#pendingBytes += length
    this.#options.work.bytes += length
  }

  async #drain(): Promise<void> {
    try {
      do await this.#writeBatch()
      while (this.#pendingBytes >= BATCH_BYTES && !this.#isLost)
    } catch (error) {
      this.#lose('the recording could not be written', error)
    }
  }

  async #writeBatch(): Promise<void> {
    if (this.#lines === '') return
    const operations = this.#operations
    const bytes = Buffer.from(this.#lines + this.#sealedLine(), 'utf8')
    const pending = this.#pendingBytes
    this.#lines = ''
    this.#values = ''
    this.#options.work.dirty.delete(this)
    this.#digest.update(bytes)
    const sha256 = this.#digest.digestSoFar()
    await this.#options.sink.append(await packFrame(bytes))
    // What was taken counts as pending until it is written: a slow disk is seen by its backlog.
    if (!this.#isLost) {
      this.#pendingBytes -= pending
      this.#options.work.bytes -= pending
    }
    this.#written = { bytes: this.#written.bytes + bytes.length, sha256, operations }
  }

  #sealedLine(): string {
    const { seal, sessionId } = this.#options
    if (this.#values === '' || !seal) return ''
    const [from, to] = [this.#valuesFrom, this.#valuesTo]
    const sealed = seal.seal(new Secret(`[${this.#values}]`), placeOfValues(sessionId, from, to))
    return `{"type":"sealed","from":${from},"to":${to},"data":"${sealed.toString('base64')}"}\n`
  }

  #lose(why: string, cause?: unknown): void {
    if (this.#isLost) return
    this.#isLost = true
    this.#forget()
    this.#options.onLost(why, cause)
  }

  #forget(): void {
    this.#options.work.bytes -= this.#pendingBytes
    this.#pendingBytes = 0
    this.#lines = ''
    this.#values = ''
    this.#options.work.dirty.delete(this)
  }
}

function shortened(value: string): string {
  if (value.length <= VALUE_KEPT_LENGTH) return value
  return `${value.slice(0, VALUE_KEPT_LENGTH)}… (${value.length} characters in all)`
}
