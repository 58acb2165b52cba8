import { z } from 'zod'
import { shown } from '../../kernel/event.ts'
import { Id, Slug } from '../../kernel/ids.ts'
import { Instant } from '../../kernel/instant.ts'
import { SIGNAL_SEVERITIES, SIGNAL_TYPES, signalType, signalUri } from '../../policy/contract.ts'

export const SignalType = shown(z.enum(SIGNAL_TYPES))
const Severity = shown(z.enum(SIGNAL_SEVERITIES))
const ABOUT = ['identity', 'session', 'credential', 'target'] as const

/** The sender's own name for it, as a security event token's `jti` (RFC 7519 §4.1.7). */
const Jti = shown(
  z
    .string()
    .min(1)
    .max(200)
    .regex(/^[\x21-\x7e]+$/, 'use visible ASCII characters'),
)

/** One line of plain text: it is read beside other people's lines, in terminals too. */
const SignalReason = shown(
  z
    .string()
    .trim()
    .min(3)
    .max(300)
    .regex(/^[^\p{C}\p{Zl}\p{Zp}]+$/u, 'one line, without control characters'),
)

/** A received signal. */
export const Signal = z
  .object({
    id: Id,
    senderId: Id,
    sender: Slug,
    jti: Jti,
    type: SignalType,
    uri: shown(z.string()).describe('the same as CAEP and RISC name it'),
    about: shown(z.enum(ABOUT)),
    aboutId: Id,
    identityId: Id.nullable().describe('whom it comes to; null when it is about a target'),
    identity: Slug.nullable(),
    targetId: Id.nullable(),
    target: Slug.nullable(),
    severity: Severity,
    reason: SignalReason,
    occurredAt: Instant,
    receivedAt: Instant,
    expiresAt: Instant.describe('until then it fades'),
    endedGrants: shown(z.int().min(0)).describe('how many it ended when it came'),
    withdrawnAt: Instant.nullable(),
    withdrawnById: Id.nullable(),
    version: shown(z.int()),
  })
  .meta({ id: 'Signal' })
export type Signal = z.output<typeof Signal>

const TYPES_SENT = [...SIGNAL_TYPES, ...SIGNAL_TYPES.map(signalUri)]
const TypeSent = shown(
  z
    .string()
    .max(200)
    .refine((text) => signalType(text) !== undefined, `one of ${SIGNAL_TYPES.join(', ')}, or its event identifier`),
).meta({ enum: TYPES_SENT })

/** A day: what is still so is said again. */
export const SIGNAL_SECONDS = 86_400
export const LONGEST_SIGNAL_SECONDS = 30 * 86_400

export const ReceiveSignal = z.strictObject({
  jti: Jti,
  type: TypeSent.describe('by its name or its event identifier'),
  about: shown(z.enum(ABOUT)).describe('what subject names: identity and target by name or id, the others by id'),
  subject: shown(z.string().min(1).max(63)),
  severity: Severity,
  reason: SignalReason,
  occurredAt: Instant,
  expiresAt: Instant.optional().describe('a day from now if left out, 30 days at most'),
})
export type ReceiveSignal = z.output<typeof ReceiveSignal>
