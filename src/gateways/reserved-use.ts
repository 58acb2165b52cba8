import { closeUse, releaseUse } from '../access/access.ts'
import { transact } from '../kernel/db.ts'
import { after } from '../kernel/timer.ts'
import { closeSession } from '../sessions/sessions.ts'
import type { HostNeeds } from './needs.ts'

/** A use that could not be given back is tried again at this pace while this process lives; afterwards it is the dead node's. */
const AGAIN_MS = 1_000

/** Of a session that was opened and never ran. */
const NOTHING = { operations: 0, rows: 0, sizeBytes: 0, refused: 0, late: 0, recordingBytes: 0, recordingSha256: null }

/** One reserved use, until a session owns it. Disposing gives it back; what began is not changed by that. */
export class ReservedUse implements AsyncDisposable {
  readonly id: string
  readonly #grantId: string
  readonly #needs: HostNeeds
  /** Its session's opening failed and may be committed nevertheless: the connection broke at the commit. */
  mayHaveOpened = false

  constructor(needs: HostNeeds, id: string, grantId: string) {
    this.#needs = needs
    this.id = id
    this.#grantId = grantId
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#giveBack()
    } catch (error) {
      this.#needs.log.warn({ err: error, use: this.id }, 'a use could not be given back yet')
      this.#later()
    }
  }

  #later(): void {
    after(AGAIN_MS, () => {
      this.#giveBack().catch(() => this.#later())
    })
  }

  async #giveBack(): Promise<void> {
    const { db, access, sessions } = this.#needs
    const useId = this.id
    await transact(db, async (tx) => {
      const isReleased = await releaseUse(tx, access, { useId })
      if (isReleased || !this.mayHaveOpened) return
      const closing = { ...NOTHING, id: useId, grantId: this.#grantId, reason: 'never-ready' }
      const cause = await closeSession(tx, sessions, closing)
      if (cause !== undefined) await closeUse(tx, access, { useId, cause })
    })
  }
}
