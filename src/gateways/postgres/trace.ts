import type { RecordedOperation } from '../gateway.ts'
import type { Analysis } from './sql/analyse.ts'
import { violation } from './wire/wire-error.ts'

/** What a statement of this session is, for the recording. */
export type Subject = {
  readonly action: string
  readonly label: string
  readonly statement: string
  readonly sealed: readonly string[]
}

/** Takes back what a message was expected to do; `hasFailed` tells the message that failed from those the server skipped. */
export type Undo = (hasFailed: boolean) => void

/** Messages that the server answers one by one, besides those that run something. */
export type Change = 'parse' | 'bind' | 'close' | 'describe'

/** Something the server still owes an answer to, in the order sent. */
type Awaited = {
  readonly kind: Change | 'query' | 'execute' | 'sync' | 'copy-end'
  readonly subject: Subject | undefined
  readonly startedAt: Date | undefined
  readonly startedMs: number
  readonly isRefused: boolean
  readonly undo: Undo | undefined
  error: OperationError | undefined
  rows: number
  isCopyingIn: boolean
}

type OperationError = { readonly code: string; readonly message: string }

export type TraceNeeds = {
  readonly now: () => Date
  readonly monotonicMs: () => number
  /** Bytes of rows and copies that the server has sent so far. */
  readonly serverBytes: () => number
  /** DataRow messages so far. */
  readonly serverRows: () => number
  readonly record: (operation: RecordedOperation) => void
}

/** The table is emptied from the front when this much of it is used up. */
const COMPACT_AT = 1024

/**
 * Pairs what the client sent with what the server answers, and tells each finished operation. A simple query ends at ReadyForQuery, an
 * Execute at its completion. After an error in the extended protocol the server skips everything up to the next Sync (manual 54.2.3), so
 * what was sent in between never happened and is taken back.
 */
export class Trace {
  readonly #needs: TraceNeeds
  readonly #awaited: Awaited[] = []
  #at = 0
  #isSkipping = false
  #seenBytes = 0
  #seenRows = 0
  #boundariesSent = 0
  #boundariesAnswered = 0

  constructor(needs: TraceNeeds) {
    this.#needs = needs
  }

  get isIdle(): boolean {
    return this.#at === this.#awaited.length
  }

  /** How many answers are owed. */
  get size(): number {
    return this.#awaited.length - this.#at
  }

  /** The server skips what the client sends, until its next Sync. */
  get isSkipping(): boolean {
    return this.#isSkipping
  }

  /** Syncs and simple queries so far: where transactions can end. */
  get boundariesSent(): number {
    return this.#boundariesSent
  }

  /** Of those, how many are answered. */
  get boundariesAnswered(): number {
    return this.#boundariesAnswered
  }

  change(kind: Change, undo?: Undo): void {
    if (!this.#isSkipping) this.#push(kind, undefined, false, undo)
  }

  query(subject: Subject, isRefused: boolean): void {
    // The server skips a simple query too: only a Sync ends the skipping.
    if (this.#isSkipping) return this.#skipped(subject, isRefused)
    this.#boundariesSent += 1
    this.#push('query', subject, isRefused)
  }

  execute(subject: Subject): void {
    if (this.#isSkipping) this.#skipped(subject, false)
    else this.#push('execute', subject, false)
  }

  /** A message of the extended protocol went on as one that fails: what follows is skipped for certain. */
  refuse(subject: Subject): void {
    if (this.#isSkipping) return this.#skipped(subject, true)
    this.#push('execute', subject, true)
    this.#isSkipping = true
  }

  sync(): void {
    this.#isSkipping = false
    this.#boundariesSent += 1
    this.#push('sync', undefined, false)
  }

  /** CopyDone or CopyFail. */
  copyEnd(): void {
    if (!this.isIdle && !this.#isSkipping) this.#push('copy-end', undefined, false)
  }

  /** CopyInResponse. */
  copyIn(): void {
    const head = this.#awaited[this.#at]
    if (head) head.isCopyingIn = true
  }

  /** ParseComplete, BindComplete, CloseComplete, NoData. */
  changed(kind: Change): void {
    if (this.#awaited[this.#at]?.kind !== kind) throw outOfStep()
    this.#shift()
  }

  /** RowDescription, which a simple query gets as well. */
  described(): void {
    if (this.#awaited[this.#at]?.kind !== 'query') this.changed('describe')
  }

  /** CommandComplete. */
  completed(rows: number): void {
    const head = this.#awaited[this.#at]
    if (head?.kind === 'query') head.rows += rows
    else if (head?.kind === 'execute') {
      head.rows += rows
      this.#finish(head, 'done')
    } else throw outOfStep()
  }

  /** EmptyQueryResponse or PortalSuspended. */
  settled(): void {
    const head = this.#awaited[this.#at]
    if (head?.kind === 'execute') this.#finish(head, 'done')
    else if (head?.kind !== 'query') throw outOfStep()
  }

  /** ErrorResponse of a session that goes on. */
  failed(error: OperationError): void {
    const head = this.#awaited[this.#at]
    if (head?.kind === 'query') head.error = error
    else if (head?.kind === 'sync') this.#failedAtSync(head, error)
    else this.#skipToSync(error)
  }

  /** ReadyForQuery. */
  ready(): void {
    const head = this.#awaited[this.#at]
    // The Sync behind a COPY that failed before it was read (see `#dropIgnoredSyncs`).
    if (!head) return
    this.#boundariesAnswered += 1
    if (head.kind === 'query') this.#finish(head, head.error ? 'failed' : 'done')
    else if (head.kind === 'sync') this.#shift()
    else throw outOfStep()
  }

  /** The session is over: what was not answered was cut. */
  cut(): void {
    for (let head = this.#awaited[this.#at]; head; head = this.#awaited[this.#at]) this.#finish(head, 'cut')
  }

  #skipToSync(error: OperationError): void {
    const undone: { undo: Undo; isFirst: boolean }[] = []
    let isFirst = true
    // Where a Parse or a Bind failed, the operation it was for comes next.
    let why = error
    let head = this.#awaited[this.#at]
    for (; head && head.kind !== 'sync'; head = this.#awaited[this.#at]) {
      if (head.undo) undone.push({ undo: head.undo, isFirst })
      isFirst = false
      head.error = head.isRefused ? error : why
      if (head.subject) why = SKIPPED
      this.#finish(head, 'failed')
    }
    for (const { undo, isFirst } of undone.toReversed()) undo(isFirst)
    this.#isSkipping = head === undefined
  }

  /** The commit of an implicit transaction failed, or a message that is not followed here: nothing is skipped. */
  #failedAtSync(head: Awaited, error: OperationError): void {
    this.#record({ ...head, subject: SYNC, startedAt: this.#needs.now(), error }, 'failed')
  }

  #skipped(subject: Subject, isRefused: boolean): void {
    const startedMs = this.#needs.monotonicMs()
    const skipped: Awaited = { ...awaited('execute', subject, isRefused), startedAt: this.#needs.now(), startedMs }
    this.#record(isRefused ? skipped : { ...skipped, error: SKIPPED }, 'failed')
  }

  #push(kind: Awaited['kind'], subject: Subject | undefined, isRefused: boolean, undo?: Undo): void {
    const isOperation = subject !== undefined
    this.#awaited.push({
      kind,
      subject,
      startedAt: isOperation ? this.#needs.now() : undefined,
      startedMs: isOperation ? this.#needs.monotonicMs() : 0,
      isRefused,
      undo,
      error: undefined,
      rows: 0,
      isCopyingIn: false,
    })
  }

  #shift(): void {
    this.#at += 1
    while (this.#awaited[this.#at]?.kind === 'copy-end') this.#at += 1
    if (this.#at === this.#awaited.length) {
      this.#awaited.length = 0
      this.#at = 0
    } else if (this.#at >= COMPACT_AT) {
      this.#awaited.splice(0, this.#at)
      this.#at = 0
    }
  }

  #finish(head: Awaited, outcome: RecordedOperation['outcome']): void {
    if (head.isCopyingIn && head.kind === 'execute') this.#dropIgnoredSyncs()
    this.#shift()
    this.#record(head, outcome)
  }

  #record(done: Awaited, outcome: RecordedOperation['outcome']): void {
    const bytes = this.#needs.serverBytes()
    const rows = this.#needs.serverRows()
    const sizeBytes = bytes - this.#seenBytes
    const sent = rows - this.#seenRows
    this.#seenBytes = bytes
    this.#seenRows = rows
    if (!done.subject || !done.startedAt) return
    const { action, label, statement, sealed } = done.subject
    const operation = {
      startedAt: done.startedAt,
      durationMs: this.#needs.monotonicMs() - done.startedMs,
      action,
      label,
      statement,
      sealed,
      outcome: done.isRefused ? 'refused' : outcome,
      // A portal that was only suspended has no count of its own.
      rows: done.rows > sent ? done.rows : sent,
      sizeBytes,
    } as const
    this.#needs.record(done.error ? { ...operation, error: done.error } : operation)
  }

  /** During COPY the server ignores Sync (CopyGetData), and the client sends another one behind the end of its data. */
  #dropIgnoredSyncs(): void {
    const from = this.#at + 1
    let end = this.#awaited.findIndex((each, index) => index >= from && each.kind === 'copy-end')
    if (end < 0) end = this.#awaited.length
    const kept = this.#awaited.slice(from, end).filter((each) => each.kind !== 'sync')
    this.#boundariesAnswered += end - from - kept.length
    this.#awaited.splice(from, end + 1 - from, ...kept)
  }
}

const SKIPPED: OperationError = { code: '25P02', message: 'Skipped: an earlier message of the pipeline failed.' }
const SYNC: Subject = { action: 'postgres.session', label: 'SYNC', statement: '', sealed: [] }

function awaited(kind: Awaited['kind'], subject: Subject, isRefused: boolean): Omit<Awaited, 'startedAt'> {
  return { kind, subject, startedMs: 0, isRefused, undo: undefined, error: undefined, rows: 0, isCopyingIn: false }
}

function outOfStep() {
  return violation('the server answered something that was not asked')
}

/** What of an analysis goes into the recording. Values that may be passwords are not there any more (core 13). */
export function subjectOf(analysis: Analysis, action: string, values: readonly string[] = []): Subject {
  const literals = analysis.literals.map((literal) => literal ?? '[not kept]')
  return {
    action,
    label: labelOf(analysis),
    statement: analysis.normalised,
    sealed: values.length === 0 || analysis.isSensitive ? literals : [...literals, ...values],
  }
}

function labelOf({ statements }: Analysis): string {
  return statements.length === 1 ? (statements[0]?.kind ?? '') : `${statements.length} statements`
}
