import type { RecordedOperation } from '../gateway.ts'
import type { Analysis } from './sql/analyse.ts'

/** What a statement of this session is, for the recording. */
export type Subject = {
  readonly action: string
  readonly label: string
  readonly statement: string
  readonly sealed: readonly string[]
}

/** Something the server still owes an answer to, in the order sent. */
type Awaited = {
  kind: 'query' | 'execute' | 'sync' | 'copy-end'
  subject: Subject | undefined
  startedAt: Date
  startedMs: number
  startBytes: number
  rows: number
  error: { code: string; message: string } | undefined
  isRefused: boolean
  isCopyingIn: boolean
}

export type TraceNeeds = {
  readonly now: () => Date
  readonly monotonicMs: () => number
  /** Bytes that the server has sent so far, rows and copies included. */
  readonly serverBytes: () => number
  readonly record: (operation: RecordedOperation) => void
}

/**
 * Pairs what the client sent with what the server answers, and tells each finished operation. A simple query ends at ReadyForQuery; an
 * Execute at its completion, or at the error that makes the server skip to the next Sync (manual 54.2.3).
 */
export class Trace {
  readonly #needs: TraceNeeds
  readonly #awaited: Awaited[] = []
  #at = 0

  constructor(needs: TraceNeeds) {
    this.#needs = needs
  }

  get isIdle(): boolean {
    return this.#at === this.#awaited.length
  }

  query(subject: Subject | undefined, isRefused: boolean): void {
    this.#push('query', subject, isRefused)
  }

  execute(subject: Subject | undefined, isRefused: boolean): void {
    this.#push('execute', subject, isRefused)
  }

  sync(): void {
    this.#push('sync', undefined, false)
  }

  /** CopyDone or CopyFail: the Syncs that came during the copy were not answered (CopyGetData ignores them). */
  copyEnd(): void {
    if (!this.isIdle) this.#push('copy-end', undefined, false)
  }

  /** CopyInResponse. */
  copyIn(): void {
    const head = this.#head()
    if (head) head.isCopyingIn = true
  }

  /** CommandComplete. */
  completed(rows: number): void {
    const head = this.#head()
    if (!head) return
    head.rows += rows
    if (head.kind === 'execute') this.#finish('done')
  }

  /** EmptyQueryResponse or PortalSuspended. */
  settled(): void {
    if (this.#head()?.kind === 'execute') this.#finish('done')
  }

  failed(error: { code: string; message: string }): void {
    const head = this.#head()
    if (!head) return
    head.error = error
    if (head.kind === 'query') return
    this.#skipToSync(error)
  }

  /** ReadyForQuery. */
  ready(): void {
    const head = this.#head()
    if (!head) return
    if (head.kind === 'query') this.#finish(head.isRefused ? 'refused' : head.error ? 'failed' : 'done')
    else {
      while (this.#head() && this.#head()?.kind !== 'sync' && this.#head()?.kind !== 'query') this.#finish('done')
      if (this.#head()?.kind === 'sync') this.#shift()
    }
  }

  /** The session is over: what was not answered was cut. */
  cut(): void {
    while (!this.isIdle) this.#finish('cut')
  }

  #skipToSync(error: { code: string; message: string }): void {
    let isFirst = true
    for (let head = this.#head(); head && head.kind !== 'sync' && head.kind !== 'query'; head = this.#head()) {
      if (isFirst) head.error = error
      this.#finish(head.isRefused ? 'refused' : isFirst ? 'failed' : 'cut')
      isFirst = false
    }
  }

  #push(kind: Awaited['kind'], subject: Subject | undefined, isRefused: boolean): void {
    this.#awaited.push({
      kind,
      subject,
      startedAt: this.#needs.now(),
      startedMs: this.#needs.monotonicMs(),
      startBytes: this.#needs.serverBytes(),
      rows: 0,
      error: undefined,
      isRefused,
      isCopyingIn: false,
    })
  }

  #head(): Awaited | undefined {
    while (this.#awaited[this.#at]?.kind === 'copy-end') this.#shift()
    return this.#awaited[this.#at]
  }

  #shift(): void {
    this.#at += 1
    if (this.#at === this.#awaited.length) {
      this.#awaited.length = 0
      this.#at = 0
    } else if (this.#at > 1024) {
      this.#awaited.splice(0, this.#at)
      this.#at = 0
    }
  }

  #finish(outcome: RecordedOperation['outcome']): void {
    const done = this.#awaited[this.#at]
    if (!done) return
    this.#shift()
    if (done.isCopyingIn && done.kind === 'execute') this.#dropIgnoredSyncs()
    if (!done.subject) return
    this.#needs.record({
      startedAt: done.startedAt,
      durationMs: this.#needs.monotonicMs() - done.startedMs,
      ...done.subject,
      outcome: done.isRefused ? 'refused' : outcome,
      ...(done.error && { error: done.error }),
      rows: done.rows,
      sizeBytes: this.#needs.serverBytes() - done.startBytes,
    })
  }

  #dropIgnoredSyncs(): void {
    const end = this.#awaited.findIndex((awaited, index) => index >= this.#at && awaited.kind === 'copy-end')
    if (end < 0) return
    const kept = this.#awaited.slice(this.#at, end).filter((awaited) => awaited.kind !== 'sync')
    this.#awaited.splice(this.#at, end + 1 - this.#at, ...kept)
  }
}

/** What of an analysis goes into the recording. Values that may be passwords are not there any more (core 13). */
export function subjectOf(analysis: Analysis, action: string, values: readonly string[] = []): Subject {
  const literals = analysis.literals.map((literal) => literal ?? '[not kept]')
  return {
    action,
    label:
      analysis.statements.length === 1
        ? (analysis.statements[0]?.kind ?? '')
        : `${analysis.statements.length} statements`,
    statement: analysis.normalised,
    sealed: analysis.isSensitive ? literals : literals.concat(values),
  }
}
