/** One statement, command, request or call, as a gateway hands it over. `statement` holds no values; `sealed` does. */
export type OperationRecord = {
  readonly startedAt: Date
  readonly durationMs: number
  readonly action: string
  readonly label: string
  readonly statement: string
  readonly sealed: readonly string[]
  readonly outcome: 'done' | 'failed' | 'refused' | 'cut'
  readonly error?: { readonly code: string; readonly message: string }
  /** Why enforcing would have refused it. */
  readonly wouldRefuse?: string
  readonly rows: number
  readonly sizeBytes: number
}

/** Late operations are looked for among this many last ones: far more than begin within the push bound of an end. */
const REMEMBERED = 4096

/** What a session did, in numbers; kept also where nothing is recorded. */
export class Tally {
  operations = 0
  rows = 0
  sizeBytes = 0
  refused = 0
  wouldRefuse = 0
  readonly #startsMs = new Float64Array(REMEMBERED)

  /** Counts an operation and returns its number. */
  count(operation: OperationRecord): number {
    const n = this.operations
    this.#startsMs[n % REMEMBERED] = operation.startedAt.getTime()
    this.operations = n + 1
    this.rows += operation.rows
    this.sizeBytes += operation.sizeBytes
    if (operation.outcome === 'refused') this.refused += 1
    else if (operation.wouldRefuse !== undefined) this.wouldRefuse += 1
    return n
  }

  /** Numbers of the operations that began after `endedAt`, in order (core 5: recorded as late, never hidden). */
  lateSince(endedAt: Date | undefined): number[] {
    if (!endedAt) return []
    const late: number[] = []
    for (let n = Math.max(0, this.operations - REMEMBERED); n < this.operations; n += 1) {
      if ((this.#startsMs[n % REMEMBERED] ?? 0) > endedAt.getTime()) late.push(n)
    }
    return late
  }
}
