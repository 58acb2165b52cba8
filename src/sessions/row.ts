import type { Clock } from '../kernel/clock.ts'
import type { Tx } from '../kernel/db.ts'
import { newId, type Random } from '../kernel/random.ts'
import type { Seal } from '../kernel/seal.ts'
import { Secret } from '../kernel/secret.ts'
import { SYSTEM, type Actor, type Ledger } from '../ledger/ledger.ts'
import { sessionEnded, sessionOpened, type RecordingHeader } from './contract.ts'
import { reachSession } from './fault-points.ts'
import { recordingName } from './recording/store.ts'
import { standingOf, type Standing } from './standing.ts'

export type RowNeeds = {
  readonly clock: Clock
  readonly random: Random
  readonly seal: Seal
  readonly ledger: Ledger
  readonly nodeId: string
}

/** A connection that was admitted and is ready. `id` is that of its use of the grant: one connection, one id. */
export type Opening = {
  readonly id?: string
  readonly grantId: string
  readonly proofId: string
  readonly gateway: string
  readonly clientAddress: string
}

/** A session whose row is written: all that running it needs. */
export type OpenedSession = {
  readonly id: string
  /** The entry of its opening. */
  readonly cause: number
  readonly grantId: string
  readonly actor: Actor
  readonly startedAt: Date
  readonly onRecorderLoss: 'end' | 'continue'
  /** Undefined where the grant asks for no recording. */
  readonly recording:
    | { readonly name: string; readonly key: Secret<Buffer>; readonly header: RecordingHeader }
    | undefined
}

const KEY_BYTES = 32

/** Where a session's key is sealed. */
export function placeOfKey(sessionId: string): string {
  return `session.sealed_key:${sessionId}`
}

/** Writes the row and the entry of a session, with identity, owner and service as they stand now. */
export async function openSession(tx: Tx, needs: RowNeeds, opening: Opening): Promise<OpenedSession> {
  const startedAt = needs.clock.now()
  const id = opening.id ?? newId(needs.clock, needs.random)
  const standing = await standingOf(tx, opening.grantId)
  const { subject, onBehalfOf, target, account, grant } = standing
  const actor: Actor = { id: subject.id, kind: subject.kind }
  const cause = await enterOpened(tx, needs, opening, { id, standing })
  const key = new Secret(needs.random.bytes(KEY_BYTES))
  const name = standing.recording === 'none' ? null : recordingName(startedAt, id)
  await tx
    .insertInto('session')
    .values({
      id,
      grantId: grant.id,
      subjectId: subject.id,
      targetId: target.id,
      accountId: standing.accountId,
      nodeId: needs.nodeId,
      gateway: opening.gateway,
      clientAddress: opening.clientAddress,
      proofId: opening.proofId,
      startedAt,
      stopAskedAt: null,
      endedAt: null,
      endReason: null,
      recording: name,
      recordingSha256: null,
      sealedKey: name === null ? null : needs.seal.seal(key, placeOfKey(id)),
      cause,
    })
    .execute()
  await reachSession('session.opened')
  const { gateway, clientAddress } = opening
  const mode = standing.recording === 'full' ? 'full' : 'meta'
  const kept = { gateway, mode, clientAddress, subject, onBehalfOf, target, account, grant } as const
  return {
    id,
    cause,
    grantId: grant.id,
    actor,
    startedAt,
    onRecorderLoss: standing.onRecorderLoss,
    recording:
      name === null ? undefined : { name, key, header: { type: 'header', v: 1, session: id, startedAt, ...kept } },
  }
}

/** How a session ended, and what its recording came to. */
export type Closing = {
  readonly id: string
  readonly grantId: string
  readonly reason: string
  readonly operations: number
  readonly rows: number
  readonly sizeBytes: number
  readonly refused: number
  readonly late: number
  readonly recordingBytes: number
  readonly recordingSha256: Buffer | null
  /** Whose doing it was; Reeve's own where nobody asked. */
  readonly actor?: Actor
}

/** Closes a session's row with its final digest and returns the entry. Undefined when it was closed already: the row count is the decision. */
export async function closeSession(
  tx: Tx,
  needs: Omit<RowNeeds, 'seal'>,
  closing: Closing,
): Promise<number | undefined> {
  const locked = await tx
    .selectFrom('session')
    .select('id')
    .where('id', '=', closing.id)
    .where('endedAt', 'is', null)
    .forUpdate()
    .executeTakeFirst()
  if (!locked) return undefined
  const endedAt = needs.clock.now()
  const cause = await needs.ledger.record(tx, {
    event: sessionEnded,
    actor: closing.actor ?? SYSTEM,
    resource: { type: 'Session', id: closing.id },
    grantId: closing.grantId,
    outcome: 'done',
    facts: {
      reason: closing.reason,
      operations: closing.operations,
      rows: closing.rows,
      sizeBytes: closing.sizeBytes,
      refused: closing.refused,
      lateOperations: closing.late,
      recordingBytes: closing.recordingBytes,
      recordingSha256: closing.recordingSha256?.toString('hex') ?? null,
      endedAt,
    },
  })
  await tx
    .updateTable('session')
    .set({
      endedAt,
      endReason: closing.reason,
      recordingSha256: closing.recordingSha256,
      operations: closing.operations,
      rowCount: closing.rows,
      sizeBytes: closing.sizeBytes,
      lateOperations: closing.late,
      cause,
    })
    .where('id', '=', closing.id)
    .execute()
  await reachSession('session.closed')
  return cause
}

function enterOpened(
  tx: Tx,
  needs: RowNeeds,
  opening: Opening,
  session: { readonly id: string; readonly standing: Standing },
): Promise<number> {
  const { id, standing } = session
  const { subject, onBehalfOf, target, account, grant } = standing
  return needs.ledger.record(tx, {
    event: sessionOpened,
    actor: { id: subject.id, kind: subject.kind },
    ...(onBehalfOf && { onBehalfOf: [onBehalfOf.id] }),
    resource: { type: 'Session', id },
    grantId: grant.id,
    purpose: grant.purpose,
    ...(grant.ticket !== null && { ticket: grant.ticket }),
    outcome: 'done',
    facts: {
      subjectName: subject.name,
      subjectKind: subject.kind,
      ownerTeam: subject.ownerTeam,
      ownerId: subject.ownerId,
      ownerState: subject.ownerState,
      businessService: subject.businessService,
      environment: subject.environment,
      onBehalfOfId: onBehalfOf?.id ?? null,
      targetId: target.id,
      targetName: target.name,
      accountName: account,
      gateway: opening.gateway,
      nodeId: needs.nodeId,
      proofId: opening.proofId,
      recording: standing.recording,
      clientAddress: opening.clientAddress,
    },
  })
}
