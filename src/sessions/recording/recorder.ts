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

/** A batch, which becomes a frame, is written when it is this large, or at the next tick of `FLUSH_EVERY_MS`. */
const BATCH_BYTES = 256 * 1024
export const FLUSH_EVERY_MS = 250
/** What one recording may hold that is not written yet: a disk that is this far behind is not keeping up. */
const PENDING_MAX_BYTES = 32 * 1024 * 1024
/** The same for all recordings of a node together. */
const PENDING_TOTAL_MAX_BYTES = 256 * 1024 * 1024
/** Of a longer statement or value the beginning is kept, with its whole length. */
const STATEMENT_MAX_LENGTH = 64 * 1024
const VALUES_MAX_LENGTH = 256 * 1024
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

/** Lines and values that will stand in one frame. */
class Batch {
  lines = ''
  values = ''
  from = 0
  to = 0
  length = 0
  operations = 0
}

/** Associated data of a batch of sealed values: it opens only in its session, at its place. */
export function placeOfValues(sessionId: string, from: number, to: number): string {
  return `recording:${sessionId}:${from}-${to}`
}

export class Recorder {
  readonly #options: Options
  readonly #startedAtMs: number
  readonly #digest = runningSha256()
  /** Whole batches that wait, and the one that fills. */
  readonly #full: Batch[] = []
  #batch = new Batch()
  #last = { action: '', label: '', statement: '', text: ',"action":"","label":"","statement":""' }
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
    return this.#written.bytes > this.#sealedBytes || this.#hasPending
  }

  /** Takes one operation. Never throws and never waits. */
  record(n: number, operation: OperationRecord): void {
    if (this.#isLost) return
    const { error } = operation
    let line =
      `{"type":"operation","n":${n},"atMs":${operation.startedAt.getTime() - this.#startedAtMs}` +
      `,"durationMs":${Math.round(operation.durationMs * 1000) / 1000}${this.#told(operation)}` +
      `,"outcome":"${operation.outcome}","rows":${operation.rows},"sizeBytes":${operation.sizeBytes}`
    if (error) {
      // A refusal is our own sentence. What the target says may quote values.
      line += `,"error":${JSON.stringify(operation.outcome === 'refused' ? error : { code: error.code })}`
    }
    if (operation.wouldRefuse !== undefined) line += `,"wouldRefuse":${JSON.stringify(operation.wouldRefuse)}`
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
    while (this.#hasPending && !this.#isLost) await this.flush()
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

  /** What is done again and again is told in the same words; they are put together once. */
  #told({ action, label, statement }: OperationRecord): string {
    const last = this.#last
    if (last.statement === statement && last.action === action && last.label === label) return last.text
    const isLong = statement.length > STATEMENT_MAX_LENGTH
    const kept = isLong ? statement.slice(0, STATEMENT_MAX_LENGTH) : statement
    const text =
      `,"action":${JSON.stringify(action)},"label":${JSON.stringify(label)},"statement":${JSON.stringify(kept)}` +
      (isLong ? `,"statementLength":${statement.length}` : '')
    this.#last = { action, label, statement, text }
    return text
  }

  #keepValues(n: number, values: readonly string[], message: string | null): void {
    let length = 0
    for (const value of values) length += value.length
    const kept = length <= VALUES_MAX_LENGTH ? values : values.slice(0, 256).map(shortened)
    const text = `[${n},${JSON.stringify(kept)},${message === null ? 'null' : JSON.stringify(shortened(message))}]`
    const batch = this.#batch
    if (batch.values === '') batch.from = n
    batch.values += batch.values === '' ? text : `,${text}`
    batch.to = n
    this.#grow(text.length)
  }

  #append(line: string): void {
    const batch = this.#batch
    if (batch.lines === '') this.#options.work.dirty.add(this)
    batch.lines += line
    batch.operations = this.#operations
    this.#grow(line.length)
    if (this.#pendingBytes > PENDING_MAX_BYTES || this.#options.work.bytes > PENDING_TOTAL_MAX_BYTES) {
      this.#lose('recordings are written more slowly than operations come')
    } else if (batch.length >= BATCH_BYTES) {
      this.#full.push(batch)
      this.#batch = new Batch()
      if (!this.#flushing) void this.flush()
    }
  }

  get #hasPending(): boolean {
    return this.#full.length > 0 || this.#batch.lines !== ''
  }

  #grow(length: number): void {
    this.#batch.length += length
    this.#pendingBytes += length
    this.#options.work.bytes += length
  }

  async #drain(): Promise<void> {
    try {
      do await this.#writeBatch()
      while (this.#full.length > 0 && !this.#isLost)
    } catch (error) {
      this.#lose('the recording could not be written', error)
    }
  }

  async #writeBatch(): Promise<void> {
    const batch = this.#full.shift() ?? this.#batch
    if (batch === this.#batch) {
      this.#batch = new Batch()
      this.#options.work.dirty.delete(this)
    }
    if (batch.lines === '') return
    const bytes = Buffer.from(batch.lines + this.#sealedLine(batch), 'utf8')
    this.#digest.update(bytes)
    const sha256 = this.#digest.digestSoFar()
    await this.#options.sink.append(await packFrame(bytes))
    // What was taken counts as pending until it is written: a slow disk is seen by its backlog.
    if (!this.#isLost) {
      this.#pendingBytes -= batch.length
      this.#options.work.bytes -= batch.length
    }
    this.#written = { bytes: this.#written.bytes + bytes.length, sha256, operations: batch.operations }
  }

  #sealedLine({ values, from, to }: Batch): string {
    const { seal, sessionId } = this.#options
    if (values === '' || !seal) return ''
    const sealed = seal.seal(new Secret(`[${values}]`), placeOfValues(sessionId, from, to))
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
    this.#full.length = 0
    this.#batch = new Batch()
    this.#options.work.dirty.delete(this)
  }
}

function shortened(value: string): string {
  if (value.length <= VALUE_KEPT_LENGTH) return value
  return `${value.slice(0, VALUE_KEPT_LENGTH)}… (${value.length} characters in all)`
}
