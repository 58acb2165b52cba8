import { transact, type Db } from '../kernel/db.ts'
import type { Log } from '../kernel/log.ts'
import type { Permit } from '../kernel/permit.ts'
import type { Seal } from '../kernel/seal.ts'
import { sleep } from '../kernel/timer.ts'
import { actOf } from '../identities/identities.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { recordingDamaged, recordingMissing, sessionRevealed, type PlayedLine, type Verification } from './contract.ts'
import { FrameBroken } from './recording/frames.ts'
import { playFrom, type Opener } from './recording/read.ts'
import { FLUSH_EVERY_MS } from './recording/recorder.ts'
import type { RecordingStore } from './recording/store.ts'
import { verifyRecording } from './recording/verify.ts'
import { findSession } from './records.ts'
import { placeOfKey } from './row.ts'
import { sealsOf } from './seals.ts'

export type PlayNeeds = {
  readonly db: Db
  readonly store: RecordingStore
  readonly seal: Seal
  readonly ledger: Ledger
  readonly log: Log
}

/** What was recorded so far, values left sealed. */
export async function play(needs: PlayNeeds, sessionId: string): Promise<AsyncIterable<PlayedLine>> {
  return lines(needs, sessionId, await recordingOf(needs.db, sessionId))
}

/** The same with its values. Who asks and why is in the ledger before the first of them is read. */
export async function reveal(
  needs: PlayNeeds,
  permit: Permit<'session.reveal'>,
  reason: string,
): Promise<AsyncIterable<PlayedLine>> {
  const { id } = permit.resource
  const name = await recordingOf(needs.db, id)
  const row = await needs.db
    .selectFrom('session')
    .select(['sealedKey', 'grantId'])
    .where('id', '=', id)
    .executeTakeFirstOrThrow()
  const { sealedKey, grantId } = row
  if (!sealedKey) throw missing(id)
  await transact(needs.db, (tx) =>
    needs.ledger.record(tx, {
      event: sessionRevealed,
      ...actOf(permit),
      resource: { type: 'Session', id },
      grantId,
      facts: { reason },
    }),
  )
  return lines(needs, id, name, { sessionId: id, key: needs.seal.open(sealedKey, placeOfKey(id)) })
}

/** What is recorded as it happens. Ends when the session has ended and everything was read, or quietly on abort. */
export async function* follow(
  needs: PlayNeeds,
  sessionId: string,
  signal: AbortSignal,
): AsyncGenerator<PlayedLine, void, undefined> {
  const name = await recordingOf(needs.db, sessionId)
  const position = { storedBytes: 0 }
  while (!signal.aborted) {
    // Read before the file, so that what was written before the end is not missed.
    const { endedAt } = await findSession(needs.db, sessionId)
    yield* lines(needs, sessionId, name, undefined, position)
    if (endedAt) return
    await sleep(FLUSH_EVERY_MS, signal).catch(() => undefined)
  }
}

/** The recording against its digests in the ledger. */
export async function verify(needs: PlayNeeds, sessionId: string): Promise<Verification> {
  const session = await findSession(needs.db, sessionId)
  const name = await recordingOf(needs.db, sessionId)
  const seals = await sealsOf(needs.db, session)
  const found = await verifyRecording(needs.store, name, seals, session.endReason === 'node-lost')
  const sealedBytes = Math.max(0, ...seals.map((seal) => seal.bytes))
  return { sessionId, ...found, seals: seals.length, sealedBytes }
}

async function* lines(
  needs: PlayNeeds,
  sessionId: string,
  name: string,
  opener?: Opener,
  position = { storedBytes: 0 },
): AsyncGenerator<PlayedLine> {
  const played = await playFrom(needs.store, name, position, opener)
  if (!played) throw missing(sessionId)
  try {
    yield* played
  } catch (error) {
    if (!(error instanceof FrameBroken)) throw error
    needs.log.warn({ err: error, session: sessionId }, 'a recording does not read')
    throw recordingDamaged(
      `The recording of session ${sessionId} does not read to its end; verify it against the ledger.`,
      { sessionId },
      { cause: error },
    )
  }
}

async function recordingOf(db: Db, sessionId: string): Promise<string> {
  const { recording } = await findSession(db, sessionId)
  if (recording === null) throw missing(sessionId)
  return recording
}

function missing(sessionId: string) {
  const detail = `The recording of session ${sessionId} is not in this node's store: nothing was recorded, or another node keeps it.`
  return recordingMissing(detail, { sessionId })
}
