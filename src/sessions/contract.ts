import { z } from 'zod'
import { IdentityKind, Reason } from '../identities/contract.ts'
import { personal, shown } from '../kernel/event.ts'
import { Id, Slug } from '../kernel/ids.ts'
import { Instant } from '../kernel/instant.ts'
import { operation, PageQuery, pageOf, type Operation } from '../kernel/operation.ts'
import { notFound, problem } from '../kernel/problem.ts'

export * from './events.ts'

const Count = shown(z.int().min(0))
const Text = shown(z.string())
const Sha256Hex = shown(z.string().length(64))

/** One brokered connection under a grant. */
export const Session = z
  .object({
    id: Id,
    grantId: Id,
    subjectId: Id,
    subjectName: Slug,
    targetId: Id,
    targetName: Slug,
    accountName: Text,
    nodeId: Id,
    gateway: Text,
    clientAddress: personal(z.string()),
    startedAt: Instant,
    stopAskedAt: Instant.nullable(),
    endedAt: Instant.nullable(),
    endReason: Text.nullable(),
    recording: Text.nullable().describe('name in the store of recordings; null when nothing was recorded'),
    operations: Count,
    rowCount: Count,
    sizeBytes: Count,
    lateOperations: Count.describe('began after the grant had ended, before the end arrived'),
  })
  .meta({ id: 'Session' })
export type Session = z.output<typeof Session>

/** Identity, owner and service as they stood when the session began: what is changed later does not change them. */
export const RecordingHeader = z
  .object({
    type: z.literal('header'),
    v: z.literal(1),
    session: Id,
    startedAt: Instant,
    gateway: Text,
    mode: shown(z.enum(['meta', 'full'])).describe('meta: statements without any values; full: values are sealed'),
    clientAddress: personal(z.string()),
    subject: z.object({
      id: Id,
      name: Slug,
      kind: IdentityKind,
      profile: Text,
      environment: Text,
      tier: shown(z.int()),
      businessService: Text.nullable(),
      ownerTeam: Slug.nullable(),
      ownerId: Id.nullable(),
      ownerName: Slug.nullable(),
      ownerState: Text,
    }),
    onBehalfOf: z.object({ id: Id, name: Slug }).nullable(),
    target: z.object({ id: Id, name: Slug, environment: Text, businessService: Text.nullable(), ownerTeam: Slug }),
    account: Text,
    grant: z.object({
      id: Id,
      actions: shown(z.array(z.string())),
      purpose: Slug,
      ticket: Text.nullable(),
      task: Text.nullable(),
      expiresAt: Instant,
      policyVersion: Text,
    }),
  })
  .meta({ id: 'RecordingHeader' })
export type RecordingHeader = z.output<typeof RecordingHeader>

/** One operation as it was recorded. `statement` holds no values; `values` are there only after `session.reveal`. */
export const RecordedLine = z
  .object({
    type: z.literal('operation'),
    n: Count,
    atMs: shown(z.number()).describe('milliseconds after the session began'),
    durationMs: shown(z.number()),
    action: Text,
    label: Text,
    statement: Text,
    statementLength: Count.optional().describe('of the whole statement, when only its beginning is kept'),
    outcome: shown(z.enum(['done', 'failed', 'refused', 'cut'])),
    error: z
      .object({ code: Text, message: Text.optional() })
      .optional()
      .describe('what a target says may quote values, so its message is sealed with them'),
    wouldRefuse: Text.optional().describe('why enforcing would have refused it; the target did not enforce'),
    rows: Count,
    sizeBytes: Count,
    sealedValues: Count.optional().describe('how many literals and parameters are sealed'),
    values: z.array(z.string()).optional().meta({ classification: 'secret' }),
  })
  .meta({ id: 'RecordedOperation' })
export type RecordedLine = z.output<typeof RecordedLine>

/** Literals of a run of operations, encrypted under the session's key. */
export const SealedLine = z.object({ type: z.literal('sealed'), from: Count, to: Count, data: shown(z.base64()) })
export type SealedLine = z.output<typeof SealedLine>

export const EndLine = z
  .object({
    type: z.literal('end'),
    reason: Text,
    endedAt: Instant,
    operations: Count,
    late: shown(z.array(z.int())).describe('numbers of operations that began after the grant had ended'),
  })
  .meta({ id: 'RecordingEnd' })
export type EndLine = z.output<typeof EndLine>

/** What a player gets: no ciphertext. */
export const PlayedLine = z.discriminatedUnion('type', [RecordingHeader, RecordedLine, EndLine])
export type PlayedLine = z.output<typeof PlayedLine>

/** The recording against the digests in the ledger. */
export const Verification = z
  .object({
    sessionId: Id,
    verdict: shown(z.enum(['intact', 'unfinished', 'altered', 'cut', 'missing'])),
    detail: Text,
    recordingBytes: Count,
    recordingSha256: Sha256Hex.nullable(),
    seals: Count.describe('digests found in the ledger'),
    sealedBytes: Count.describe('how far the last of them reaches'),
    operations: Count,
  })
  .meta({ id: 'Verification' })
export type Verification = z.output<typeof Verification>

export const sessionOver = problem('session-over', 409, 'The session is over', {
  sessionId: z.uuid(),
  endedAt: Instant,
})
export const recordingMissing = problem('recording-missing', 409, 'There is no recording to read here', {
  sessionId: z.uuid(),
})
export const recordingDamaged = problem('recording-damaged', 409, 'The recording cannot be read to its end', {
  sessionId: z.uuid(),
})

const one = z.object({ session: Id })

export const SessionQuery = PageQuery.extend({
  isLive: z.stringbool().optional(),
  grantId: z.uuid().optional(),
  subject: Slug.optional(),
  target: Slug.optional(),
})
export type SessionQuery = z.output<typeof SessionQuery>
export const listSessions = operation({
  id: 'session.list',
  method: 'GET',
  path: '/v1/sessions',
  summary: 'Lists sessions, newest first.',
  function: 'pam',
  resource: 'Installation',
  query: SessionQuery,
  output: pageOf(Session),
})
export const readSession = operation({
  id: 'session.read',
  method: 'GET',
  path: '/v1/sessions/:session',
  summary: 'Reads one session.',
  function: 'pam',
  resource: 'Session',
  params: one,
  output: Session,
  problems: [notFound],
})
export const endSession = operation({
  id: 'session.end',
  method: 'POST',
  path: '/v1/sessions/:session/end',
  summary: 'Cuts a live session. The grant stays; revoke it to keep its holder out.',
  function: 'pam',
  resource: 'Session',
  params: one,
  input: z.strictObject({ reason: Reason }),
  output: Session,
  problems: [notFound, sessionOver],
})
export const playSession = operation({
  id: 'session.play',
  method: 'GET',
  path: '/v1/sessions/:session/recording',
  summary: 'Streams what was recorded. Values stay sealed.',
  function: 'pam',
  resource: 'Session',
  params: one,
  output: PlayedLine,
  problems: [notFound, recordingMissing, recordingDamaged],
  answer: 'stream',
})
export const revealSession = operation({
  id: 'session.reveal',
  method: 'POST',
  path: '/v1/sessions/:session/reveal',
  summary: 'Streams what was recorded with its sealed values opened. The ledger keeps who asked, and why.',
  function: 'pam',
  resource: 'Session',
  params: one,
  input: z.strictObject({ reason: Reason }),
  output: PlayedLine,
  problems: [notFound, recordingMissing, recordingDamaged],
  answer: 'stream',
})
export const followSession = operation({
  id: 'session.follow',
  method: 'GET',
  path: '/v1/sessions/:session/follow',
  summary: 'Streams what is recorded as it happens, until the session ends.',
  function: 'pam',
  resource: 'Session',
  params: one,
  output: PlayedLine,
  problems: [notFound, recordingMissing, recordingDamaged],
  answer: 'stream',
})
export const verifySession = operation({
  id: 'session.verify',
  method: 'GET',
  path: '/v1/sessions/:session/verification',
  summary: 'Compares a recording with its digests in the ledger.',
  function: 'pam',
  resource: 'Session',
  params: one,
  output: Verification,
  problems: [notFound, recordingMissing],
})

export const sessionOperations: readonly Operation[] = [
  listSessions,
  readSession,
  endSession,
  playSession,
  revealSession,
  followSession,
  verifySession,
]
