import type { Missing } from './scope.ts'

/** The source does not let this scope be read. Thrown at any moment: what was read before stays, and nothing is gone. */
export class Denied extends Error {
  override readonly name = 'Denied'
  readonly missing: Missing

  constructor(missing: Missing, options?: ErrorOptions) {
    super(missing.why, options)
    this.missing = missing
  }
}
