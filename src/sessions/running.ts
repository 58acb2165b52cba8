import type { Tx } from '../kernel/db.ts'
import { sealUnder } from '../kernel/seal.ts'
import type { Log } from '../kernel/log.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { operationPassed, operationRefused, recorderLost, sessionSealed, type EndLine } from './contract.ts'
import { reachSession } from './fault-points.ts'
import { Recorder, type PendingWork, type WrittenPoint } from './recording/recorder.ts'
import type { RecordingStore } from './recording/store.ts'
import { Tally, type OperationRecord } from './recording/tally.ts'
import type { Closing, OpenedSession } from './row.ts'

/** Why a session is over; `sentence` is for the client. */
type SessionEnding = { readonly reason: string; readonly sentence: string }

/** More refusals than this are counted and recorded, and no longer entered one by one: a loop must not flood the ledger. */
const REFUSALS_ENTERED = 100

const RECORDER_LOST: SessionEnding = {
  reason: 'recorder-lost',
  sentence: 'This session can no longer be recorded, and its target allows nothing unrecorded. Try again in a while.',
}
const STOPPED: SessionEnding = { reason: 'stopped', sentence: 'An operator ended this session.' }

export type RunningNeeds = {
  readonly ledger: Ledger
  readonly log: Log
  readonly store: RecordingStore
  readonly work: PendingWork
}

/** One live session in this process: its recorder, its numbers, and the two ways it is told to end. */
export class RunningSession {
  readonly id: string
  readonly #needs: RunningNeeds
  readonly #opened: OpenedSession
  readonly #tally = new Tally()
  readonly #lost = new AbortController()
  readonly #stopped = new AbortController()
  #recorder: Recorder | undefined
  #isClosed = false

  constructor(needs: RunningNeeds, opened: OpenedSession) {
    this.id = opened.id
    this.#needs = needs
    this.#opened = opened
  }

  /** Fires when operations can no longer be kept and the target lets nothing go on unrecorded. */
  get lost(): AbortSignal {
    return this.#lost.signal
  }

  /** Fires when somebody asked to end it. */
  get stopped(): AbortSignal {
    return this.#stopped.signal
  }

  get grantId(): string {
    return this.#opened.grantId
  }

  get operations(): number {
    return this.#tally.operations
  }

  /** Makes the recording and writes its header: nothing is done before that is kept. */
  async start(): Promise<void> {
    const { recording, startedAt } = this.#opened
    if (!recording) return
    try {
      const sink = await this.#needs.store.create(recording.name)
      this.#recorder = new Recorder({
        sink,
        sessionId: this.id,
        startedAt,
        seal: recording.header.mode === 'full' ? sealUnder(recording.key) : undefined,
        work: this.#needs.work,
        onLost: (why, cause) => this.#lose(why, cause),
      })
      this.#recorder.line(recording.header)
      await this.#recorder.flush()
      await reachSession('session.header-written')
    } catch (error) {
      this.#lose('the recording could not be made', error)
    }
  }

  /** Takes one finished operation. Never throws and never waits. */
  record(operation: OperationRecord): void {
    if (this.#isClosed) return
    const n = this.#tally.count(operation)
    this.#recorder?.record(n, operation)
    if (operation.outcome === 'refused' && this.#tally.refused <= REFUSALS_ENTERED) this.#enterRefusal(n, operation)
    else if (operation.wouldRefuse !== undefined && this.#tally.wouldRefuse <= REFUSALS_ENTERED)
      this.#enterPassed(n, operation)
  }

  stop(): void {
    this.#stopped.abort(STOPPED)
  }

  /** Enters how far the recording is, if it came further since the last time. */
  async seal(): Promise<void> {
    const recorder = this.#recorder
    if (!recorder || recorder.isLost || !recorder.hasUnsealed || this.#isClosed) return
    const point = await recorder.seal()
    await this.#needs.ledger.observe({
      event: sessionSealed,
      ...this.#about('done'),
      facts: {
        recordingBytes: point.bytes,
        recordingSha256: point.sha256.toString('hex'),
        operations: point.operations,
      },
    })
    recorder.sealed(point)
  }

  /** Writes the last line and everything that waits, and says what the session came to. Nothing is recorded afterwards. */
  async finish(reason: string, endedAt: Date, grantEndedAt: Date | undefined): Promise<Closing> {
    this.#isClosed = true
    const late = this.#tally.lateSince(grantEndedAt)
    const recorder = this.#recorder
    let point: WrittenPoint | undefined
    if (recorder) {
      const end = { type: 'end', reason, endedAt, operations: this.#tally.operations, late } satisfies EndLine
      recorder.line(end)
      point = await recorder.seal()
      await recorder.release().catch((error: unknown) => {
        this.#needs.log.warn({ err: error, session: this.id }, 'a recording could not be closed')
      })
    }
    const { operations, rows, sizeBytes, refused } = this.#tally
    return {
      id: this.id,
      grantId: this.grantId,
      reason,
      operations,
      rows,
      sizeBytes,
      refused,
      late: late.length,
      recordingBytes: point?.bytes ?? 0,
      recordingSha256: point?.sha256 ?? null,
    }
  }

  #lose(why: string, cause?: unknown): void {
    const continued = this.#opened.onRecorderLoss === 'continue'
    this.#needs.log.error({ err: cause, session: this.id, continued }, why)
    const facts = { why, recordedOperations: this.#recorder?.written.operations ?? 0, continued }
    this.#observe({ event: recorderLost, ...this.#about('failed'), facts })
    if (!continued) this.#lost.abort(RECORDER_LOST)
  }

  #enterRefusal(n: number, operation: OperationRecord): void {
    const facts = { privilegedAction: operation.action, label: operation.label, number: n }
    this.#observe({ event: operationRefused, ...this.#about('refused'), facts })
  }

  #enterPassed(n: number, operation: OperationRecord): void {
    const why = operation.wouldRefuse ?? ''
    const facts = { privilegedAction: operation.action, label: operation.label, number: n, why }
    this.#observe({ event: operationPassed, ...this.#about('done'), facts })
  }

  #observe(fact: Parameters<Ledger['observe']>[0]): void {
    this.#needs.ledger.observe(fact).catch((error: unknown) => {
      this.#needs.log.error({ err: error, session: this.id, kind: fact.event.kind }, 'an observation was not entered')
    })
  }

  #about(outcome: 'done' | 'failed' | 'refused') {
    const resource = { type: 'Session', id: this.id }
    return { actor: this.#opened.actor, resource, grantId: this.grantId, outcome }
  }
}

/** What is written with the closing of a session's row, in the same transaction; the entry is undefined when another closed it first. */
export type AlsoInClose = (tx: Tx, cause: number | undefined) => Promise<void>
