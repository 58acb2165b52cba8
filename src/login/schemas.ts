import { z } from 'zod'
import { personal, shown } from '../kernel/event.ts'
import { Id, Slug } from '../kernel/ids.ts'
import { Instant } from '../kernel/instant.ts'

const Text = shown(z.string())
export const LoginMethod = shown(z.enum(['oidc', 'passkey']))
export const LoginChannel = shown(z.enum(['browser', 'cli']))
const END_REASONS = [
  'logged-out',
  'ended',
  'replaced',
  'idle',
  'expired',
  'identity-ended',
  'link-retired',
  'provider-logout',
  'cookie-replayed',
  'code-replayed',
] as const
export const EndReason = shown(z.enum(END_REASONS))
export type EndReason = z.output<typeof EndReason>

/** One login of one person. */
export const LoginSession = z
  .object({
    id: Id,
    identityId: Id,
    channel: LoginChannel.describe('browser, or cli: a program that was let in from a browser'),
    method: LoginMethod,
    provider: Text.nullable(),
    acr: Text.nullable().describe('how strong the login was, in the words of whoever checked it'),
    amr: shown(z.array(z.string())).describe('by which means, the same'),
    authenticatedAt: Instant.describe('when the person proved who they are'),
    clientAddress: personal(z.string()),
    clientAgent: personal(z.string()),
    parentId: Id.nullable(),
    createdAt: Instant,
    expiresAt: Instant,
    endedAt: Instant.nullable(),
    endReason: EndReason.nullable(),
  })
  .meta({ id: 'LoginSession' })
export type LoginSession = z.output<typeof LoginSession>

export const LoginLink = z
  .object({
    id: Id,
    identityId: Id,
    provider: Slug,
    issuer: Text,
    subject: personal(z.string()),
    state: shown(z.enum(['active', 'retired'])),
    linkedBy: Id,
    createdAt: Instant,
  })
  .meta({ id: 'LoginLink' })
export type LoginLink = z.output<typeof LoginLink>

export const CreateLoginLink = z.strictObject({
  provider: Slug.describe('one of those that are configured'),
  subject: personal(
    z
      .string()
      .min(1)
      .max(255)
      .regex(/^[\x20-\x7e]+$/, 'use ASCII'),
  ).describe('the `sub` by which the provider knows the person; never an address of mail'),
})
export type CreateLoginLink = z.output<typeof CreateLoginLink>
