import type { Random } from '../../kernel/random.ts'
import { errorResponse } from './wire/encode.ts'

/** What the client is told in place of the server's own complaint about the statement we put there. */
export type RefusalReport = {
  readonly code: string
  readonly message: string
  readonly hint?: string | undefined
  readonly position?: number | undefined
}

/** More refusals than this awaited at once is no client of good will. */
const MOST_PENDING = 10_000

/**
 * A refused statement is replaced by one that fails at the server, so that its transaction and pipeline state stay true (core 23). The
 * statement casts a marker to a number, which fails while it is parsed; where the error comes back, it becomes ours.
 */
export class Refusals {
  readonly #nonce: string
  readonly #pending = new Map<string, RefusalReport>()
  #count = 0

  constructor(random: Random) {
    this.#nonce = `reeve-refused-${random.bytes(12).toString('hex')}`
  }

  /** SQL that fails in the place of a refused statement. */
  failing(report: RefusalReport): string {
    this.#count += 1
    const marker = `${this.#nonce}-${this.#count}.`
    // What was skipped behind another error is never answered; `forget` comes only when nothing is awaited.
    if (this.#pending.size >= MOST_PENDING) this.#pending.clear()
    this.#pending.set(marker, report)
    return `select '${marker}'::pg_catalog.int4`
  }

  /** Nothing is awaited any more: what the server did not answer it never will. */
  forget(): void {
    if (this.#pending.size > 0) this.#pending.clear()
  }

  /** Our ErrorResponse, where `message` is the server's complaint about a marker. */
  substitute(message: string): { frame: Buffer; report: RefusalReport } | undefined {
    const at = message.indexOf(this.#nonce)
    if (at < 0) return undefined
    const marker = message.slice(at, message.indexOf('.', at) + 1)
    const report = this.#pending.get(marker)
    if (!report) return undefined
    this.#pending.delete(marker)
    const { code, hint, position } = report
    return { frame: errorResponse({ severity: 'ERROR', code, message: report.message, hint, position }), report }
  }
}
