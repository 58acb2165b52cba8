import type { z } from 'zod'
import { secondsAfter } from '../../kernel/clock.ts'
import { equalBytes, sha256 } from '../../kernel/crypto.ts'
import { transact, type Tx } from '../../kernel/db.ts'
import { SYSTEM, type Fact } from '../../ledger/ledger.ts'
import { provePasskey, usePasskey } from '../passkeys/assert.ts'
import { descriptorOf, passkeysOf } from '../passkeys/register.ts'
import type { AssertionResponse } from '../passkeys/schemas.ts'
import { siteOf } from '../passkeys/site.ts'
import { stepUpMissed, stepUpProven, stepUpRefused } from './events.ts'
import type { StepUpNeeds } from './needs.ts'
import { challengeOf, codeOf, findStepUp, isProofLive, lockStepUp, over, stateOf, type StepUpRow } from './rows.ts'

/** Which step-up, and the code by which somebody shows that they stand before whoever asks. */
export type Entered = { readonly id: string; readonly code: string }

/** What a person sees before they answer, and what their browser needs for it. */
export type ShownAct = {
  readonly row: StepUpRow
  readonly options: Readonly<Record<string, unknown>>
  readonly hasPasskey: boolean
}

type ProveNeeds = Omit<StepUpNeeds, 'bindCall'>

const MOST_MISSES = 5
/** What was proven is used by a program that waits for it. */
const USE_SECONDS = 60
const TIMEOUT_MS = 120_000

/** Shows an act to whoever has its code. Wrong codes are counted, and too many end it. Throws `stepUpOver`. */
export async function showAct(needs: ProveNeeds, entered: Entered): Promise<ShownAct> {
  const row = await openByCode(needs, entered)
  const held = await passkeysOf(needs.db, row.personId)
  return {
    row,
    hasPasskey: held.length > 0,
    options: {
      challenge: challengeOf(row).toString('base64url'),
      rpId: siteOf(needs.issuer()).rpId,
      allowCredentials: held.map(descriptorOf),
      timeout: TIMEOUT_MS,
      userVerification: 'required',
    },
  }
}

/** Takes what the person’s passkey signed over exactly this act; once. Throws `passkeyRefused` or `stepUpOver`. */
export async function proveByPasskey(
  needs: ProveNeeds,
  entered: Entered & { readonly response: AssertionResponse },
): Promise<StepUpRow> {
  const row = await openByCode(needs, entered)
  const proven = await provePasskey(needs, entered.response, { challenge: challengeOf(row), of: row.personId })
  const { authenticatorData, clientDataJSON, signature } = entered.response.response
  return transact(needs.db, async (tx) => {
    await usePasskey(tx, needs, proven)
    const { publicKey } = await tx
      .selectFrom('passkey')
      .select('publicKey')
      .where('id', '=', proven.passkeyId)
      .executeTakeFirstOrThrow()
    const { passkeyId } = proven
    return markProven(tx, needs, row.id, { provenBy: 'passkey', passkeyId }, ({ level, actSha256 }) => ({
      event: stepUpProven,
      facts: {
        stepUpId: row.id,
        provenBy: 'passkey' as const,
        level,
        actSha256: actSha256.toString('hex'),
        passkeyId,
        publicKeySha256: sha256(publicKey).toString('hex'),
        authenticatorData,
        clientDataJson: clientDataJSON,
        signature,
      },
    }))
  })
}

/** The person says that this is not what they want. */
export async function refuseAct(needs: ProveNeeds, entered: Entered): Promise<StepUpRow> {
  const { id } = await openByCode(needs, entered)
  return transact(needs.db, (tx) => endStepUp(tx, needs, id, 'The person refused it.'))
}

/** Nothing more comes of it. The row count is the decision (rule 3). */
export async function endStepUp(
  tx: Tx,
  needs: Pick<ProveNeeds, 'clock' | 'ledger'>,
  id: string,
  why: string,
): Promise<StepUpRow> {
  const row = await lockStepUp(tx, id)
  const cause = await needs.ledger.record(tx, {
    event: stepUpRefused,
    actor: { id: row.personId, kind: 'human' },
    action: row.operation,
    resource: { type: 'StepUp', id },
    outcome: 'refused',
    facts: { stepUpId: id, why },
  })
  const { numUpdatedRows } = await tx
    .updateTable('stepUp')
    .set({ state: 'refused', provenBy: null, provenAt: null, passkeyId: null, cause })
    .where('id', '=', id)
    .where('state', 'in', ['pending', 'proven'])
    .executeTakeFirstOrThrow()
  if (numUpdatedRows !== 1n) throw over(row.state)
  return row
}

/** An open one by its code. Everything that is wrong looks the same, but for a code that is. */
export async function openByCode(needs: ProveNeeds, { id, code }: Entered): Promise<StepUpRow> {
  const row = await findStepUp(needs.db, id)
  const now = needs.clock.now()
  if (!row || stateOf(row, now) !== 'pending') throw over(row ? stateOf(row, now) : 'expired')
  if (!isCode(codeOf(needs.seal, row), code)) {
    await transact(needs.db, (tx) => miss(tx, needs, id))
    throw over('pending')
  }
  if (!(await isProofLive(needs.db, row.proofId, now))) throw over('expired')
  return row
}

function isCode(kept: string, typed: string): boolean {
  const plain = (text: string) => Buffer.from(text.toUpperCase().replaceAll(/[^A-Z]/g, ''), 'utf8')
  return equalBytes(plain(kept), plain(typed))
}

async function miss(tx: Tx, needs: ProveNeeds, id: string): Promise<void> {
  const row = await lockStepUp(tx, id)
  if (row.state !== 'pending') return
  const misses = row.misses + 1
  const cause = await needs.ledger.record(tx, {
    event: stepUpMissed,
    actor: SYSTEM,
    action: row.operation,
    resource: { type: 'StepUp', id },
    outcome: 'refused',
    facts: { stepUpId: id, misses },
  })
  const state = misses >= MOST_MISSES ? 'refused' : 'pending'
  await tx.updateTable('stepUp').set({ misses, state, cause }).where('id', '=', id).execute()
}

type Shown =
  | { readonly provenBy: 'passkey'; readonly passkeyId: string }
  | { readonly provenBy: 'login'; readonly passkeyId: null }

/** From pending to proven, once, on whichever node, while what it was asked with still holds. */
export async function markProven<Shape extends z.ZodRawShape>(
  tx: Tx,
  needs: Pick<ProveNeeds, 'clock' | 'ledger'>,
  id: string,
  shown: Shown,
  told: (row: StepUpRow) => Pick<Fact<Shape>, 'event' | 'facts'>,
): Promise<StepUpRow> {
  const row = await lockStepUp(tx, id)
  const now = needs.clock.now()
  if (stateOf(row, now) !== 'pending' || !(await isProofLive(tx, row.proofId, now))) throw over(stateOf(row, now))
  const cause = await needs.ledger.record(tx, {
    ...told(row),
    actor: { id: row.personId, kind: 'human' },
    action: row.operation,
    resource: { type: 'StepUp', id },
    outcome: 'done',
  })
  const least = secondsAfter(now, USE_SECONDS)
  const { numUpdatedRows } = await tx
    .updateTable('stepUp')
    .set({
      state: 'proven',
      provenBy: shown.provenBy,
      passkeyId: shown.passkeyId,
      provenAt: now,
      expiresAt: row.expiresAt > least ? row.expiresAt : least,
      cause,
    })
    .where('id', '=', id)
    .where('state', '=', 'pending')
    .executeTakeFirstOrThrow()
  if (numUpdatedRows !== 1n) throw over('used')
  return row
}
