import { z } from 'zod'
import { shown } from '../../kernel/event.ts'
import { Id } from '../../kernel/ids.ts'
import { Instant } from '../../kernel/instant.ts'

/** A key pair of one person, as far as anybody reads of it. */
export const Passkey = z
  .object({
    id: Id,
    identityId: Id,
    label: shown(z.string()),
    aaguid: shown(z.guid()).describe('the kind of authenticator, in its own words: nothing attests it'),
    isBackupEligible: shown(z.boolean()).describe('whether it may be on several devices'),
    isBackedUp: shown(z.boolean()),
    createdAt: Instant,
    usedAt: Instant.nullable(),
    removedAt: Instant.nullable(),
  })
  .meta({ id: 'Passkey' })
export type Passkey = z.output<typeof Passkey>

/** No authenticator of today comes near these. */
const MAX_CHARS = 20_000
const MAX_ID_CHARS = 1_400

const base64url = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .regex(/^[A-Za-z0-9_-]+$/)

/** WebAuthn Level 3 §5.1: `RegistrationResponseJSON`, of which nothing else is read. */
export const RegistrationResponse = z.object({
  id: base64url(MAX_ID_CHARS),
  response: z.object({
    clientDataJSON: base64url(MAX_CHARS),
    attestationObject: base64url(MAX_CHARS),
    transports: z
      .array(z.string().regex(/^[a-z-]{1,20}$/))
      .max(8)
      .default([]),
  }),
})
export type RegistrationResponse = z.output<typeof RegistrationResponse>

/** WebAuthn Level 3 §5.1: `AuthenticationResponseJSON`, the same. */
export const AssertionResponse = z.object({
  id: base64url(MAX_ID_CHARS),
  response: z.object({
    clientDataJSON: base64url(MAX_CHARS),
    authenticatorData: base64url(MAX_CHARS),
    signature: base64url(MAX_CHARS),
  }),
})
export type AssertionResponse = z.output<typeof AssertionResponse>

export const PasskeyLabel = shown(z.string().trim().min(1).max(100))
