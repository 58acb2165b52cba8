import type { RecordedOperation } from '../gateway.ts'
import type { Analysis } from './sql/analyse.ts'
import { violation } from './wire/wire-error.ts'

/** What a statement of this session is, for the recording. */
export type Subject = {
  readonly action: string
  readonly label: string
  readonly statement: string
  readonly sealed: readonly string[]
  /** Why enforcing would have refused or held it. */
  readonly wouldRefuse?: string | undefined
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
  /** A simple query got one of the messages that come ahead of its ReadyForQuery. */
  isAnswered: boolean
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
  /** A COPY failed, and only the server knows whether it read the Sync behind it as part of the copy. */
  #isUncertain = false
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
    this.#mustKnow()
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
    this.#mustKnow()
    if (!this.#isSkipping) this.#push(kind, undefined, false, undo)
  }

  query(subject: Subject, isRefused: boolean): void {
    this.#mustKnow()
    // The server skips a simple query too: only a Sync ends the skipping.
    if (this.#isSkipping) return this.#skipped(subject, isRefused)
    this.#boundariesSent += 1
    this.#push('query', subject, isRefused)
  }

  execute(subject: Subject): void {
    this.#mustKnow()
    if (this.#isSkipping) this.#skipped(subject, false)
    else this.#push('execute', subject, false)
  }

  /** A message of the extended protocol went on as one that fails: what follows is skipped for certain. */
  refuse(subject: Subject): void {
    this.#mustKnow()
    if (this.#isSkipping) return this.#skipped(subject, true)
    this.#push('execute', subject, true)
    this.#isSkipping = true
  }

  /** Something that was never sent: the session ended while it waited for a person. */
  unsent(subject: Subject, error: OperationError): void {
    const startedMs = this.#needs.monotonicMs()
    this.#record({ ...awaited('execute', subject, true), startedAt: this.#needs.now(), startedMs, error }, 'failed')
  }

  sync(): void {
    this.#isSkipping = false
    this.#isUncertain = false
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
    if (head?.kind === 'query') {
      head.rows += rows
      head.isAnswered = true
    } else if (head?.kind === 'execute') {
      head.rows += rows
      this.#finish(head, 'done')
    } else throw outOfStep()
  }

  /** EmptyQueryResponse or PortalSuspended. */
  settled(): void {
    const head = this.#awaited[this.#at]
    if (head?.kind === 'execute') this.#finish(head, 'done')
    else if (head?.kind === 'query') head.isAnswered = true
    else throw outOfStep()
  }

  /** ErrorResponse of a session that goes on. */
  failed(error: OperationError): void {
    const head = this.#awaited[this.#at]
    if (head?.kind === 'query') {
      head.error = error
      head.isAnswered = true
    } else if (head?.kind === 'sync') this.#failedAtSync(head, error)
    else this.#skipToSync(error)
  }

  /** ReadyForQuery. */
  ready(): void {
    const head = this.#awaited[this.#at]
    // The Sync behind a COPY that failed before it was read (see `#dropIgnoredSyncs`): it counted, so nothing is skipped.
    if (!head) {
      this.#isSkipping = false
      this.#isUncertain = false
      return
    }
    this.#boundariesAnswered += 1
    if (head.kind === 'query' && !head.isAnswered) throw outOfStep()
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
      // Skipped, so it is never answered.
      if (head.kind === 'query') this.#boundariesAnswered += 1
      isFirst = false
      head.error = head.isRefused ? error : why
      if (head.subject) why = SKIPPED
      this.#finish(head, 'failed')
    }
    for (const { undo, isFirst } of undone.toReversed()) undo(isFirst)
    this.#isSkipping = head === undefined
    if (head) this.#isUncertain = false
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
      isAnswered: false,
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
    const isFollowed = !head.isCopyingIn || outcome === 'cut' || this.#followCopy(head, outcome)
    this.#shift()
    this.#record(head, outcome)
    // What is left was perhaps run and perhaps skipped: it is recorded as cut.
    if (!isFollowed) throw syncInCopy()
  }

  #record(done: Awaited, outcome: RecordedOperation['outcome']): void {
    const bytes = this.#needs.serverBytes()
    const rows = this.#needs.serverRows()
    const sizeBytes = bytes - this.#seenBytes
    const sent = rows - this.#seenRows
    this.#seenBytes = bytes
    this.#seenRows = rows
    if (!done.subject || !done.startedAt) return
    const { action, label, statement, sealed, wouldRefuse } = done.subject
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
      ...(wouldRefuse !== undefined && !done.isRefused && { wouldRefuse }),
    } as const
    this.#needs.record(done.error ? { ...operation, error: done.error } : operation)
  }

  /** False where what was sent behind a COPY cannot be told apart: which of it the server took for part of the copy. */
  #followCopy(head: Awaited, outcome: RecordedOperation['outcome']): boolean {
    if (head.kind === 'query') return !this.#hasSyncInQuery(head)
    return this.#dropIgnoredSyncs(outcome === 'failed')
  }

  /**
   * During COPY the server ignores Sync (CopyGetData), and the client sends another one behind the end of its data. One that failed may
   * have failed before it read anything, and then its Sync counts: no harm as long as nothing but Syncs was sent.
   */
  #dropIgnoredSyncs(hasFailed: boolean): boolean {
    const from = this.#at + 1
    let end = this.#awaited.findIndex((each, index) => index >= from && each.kind === 'copy-end')
    if (end < 0) end = this.#awaited.length
    const inCopy = this.#awaited.slice(from, end)
    const kept = inCopy.filter((each) => each.kind !== 'sync')
    if (kept.length === inCopy.length) return true
    if (kept.length > 0) return false
    this.#boundariesAnswered += inCopy.length
    this.#awaited.splice(from, end + 1 - from)
    this.#isUncertain = hasFailed
    return true
  }

  /** A COPY of a simple query needs no Sync; one that may have been ignored would be awaited for ever. */
  #hasSyncInQuery(head: Awaited): boolean {
    let isSynced = false
    let hasEnd = false
    for (let at = this.#at + 1; at < this.#awaited.length; at++) {
      const kind = this.#awaited[at]?.kind
      if (kind !== 'sync' && kind !== 'copy-end') break
      if (kind === 'copy-end' && isSynced) return true
      if (kind === 'sync') isSynced = true
      else hasEnd = true
    }
    return isSynced && !hasEnd && head.error !== undefined
  }

  #mustKnow(): void {
    if (this.#isUncertain) throw syncInCopy()
  }
}

const SKIPPED: OperationError = { code: '25P02', message: 'Skipped: an earlier message of the pipeline failed.' }
const SYNC: Subject = { action: 'postgres.session', label: 'SYNC', statement: '', sealed: [] }

function awaited(kind: Awaited['kind'], subject: Subject, isRefused: boolean): Omit<Awaited, 'startedAt'> {
  return {
    kind,
    subject,
    startedMs: 0,
    isRefused,
    undo: undefined,
    error: undefined,
    rows: 0,
    isCopyingIn: false,
    isAnswered: false,
  }
}

function syncInCopy() {
  return violation('what was sent behind the Sync of a COPY that failed cannot be followed')
}

function outOfStep() {
  return violation('the server answered something that was not asked')
}

/** What of an analysis goes into the recording. Values that may be passwords are not there any more (core 13). */
export function subjectOf(
  analysis: Analysis,
  action: string,
  values: readonly string[] = [],
  wouldRefuse?: string,
): Subject {
  const literals = analysis.literals.map((literal) => literal ?? '[not kept]')
  return {
    action,
    label: labelOf(analysis),
    statement: analysis.normalised,
    sealed: values.length === 0 || analysis.isSensitive ? literals : [...literals, ...values],
    wouldRefuse,
  }
}

function labelOf({ statements }: Analysis): string {
  return statements.length === 1 ? (statements[0]?.kind ?? '') : `${statements.length} statements`
}
