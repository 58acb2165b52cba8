import type { Db } from '../../kernel/db.ts'
import type { AskedCall } from '../../kernel/http/approval.ts'
import type { StepUpLevel } from '../../kernel/step-up.ts'
import type { Seal } from '../../kernel/seal.ts'
import type { PasskeyNeeds } from '../passkeys/needs.ts'

/** One call with everything it would do, as its person is shown it. */
type BoundAct = {
  readonly level: StepUpLevel | 'none'
  readonly actSha256: Buffer
  readonly innerSha256: Buffer | null
  readonly lines: readonly string[]
}

/** Loads what a call is about, and gives what decides on it and binds it, as often as is needed. */
type BindCall = (asked: AskedCall, changeId: string | null) => Promise<(db: Db, nonce: Buffer) => Promise<BoundAct>>

/** What step-ups work with. */
export type StepUpNeeds = PasskeyNeeds & { readonly seal: Seal; readonly bindCall: BindCall }
