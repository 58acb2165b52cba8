import { z } from 'zod'
import { shown } from '../kernel/event.ts'
import { Id, Slug } from '../kernel/ids.ts'
import { Instant } from '../kernel/instant.ts'

const PRESETS = [
  'oidc',
  'github-actions',
  'gitlab-ci',
  'kubernetes',
  'buildkite',
  'circleci',
  'client-key',
  'spiffe',
  'id-jag',
] as const
export const Preset = shown(z.enum(PRESETS))
export type Preset = z.output<typeof Preset>

const Url = shown(z.url({ protocol: /^https?$/ }).max(500))
/** What a token says of itself, as it is compared: visible ASCII, so that no two texts look the same. */
const ClaimText = shown(
  z
    .string()
    .min(1)
    .max(500)
    .regex(/^[\x21-\x7e]+$/, 'use visible ASCII without blanks'),
)
const Exactly = z.strictObject({ is: ClaimText.describe('the whole value') })
const Beginning = z.strictObject({
  startsWith: ClaimText.describe('how the value begins: up to a `:`, `/` or `@`, and specific enough to name somebody'),
})
export const Expected = z.union([Exactly, Beginning]).meta({ classification: 'public' })
export type Expected = z.output<typeof Expected>

const ClaimName = shown(
  z
    .string()
    .min(1)
    .max(200)
    .regex(/^[\x21-\x7e]+$/),
).describe('name of a claim; `a/b` is member `b` of `a`')
const Claims = z
  .array(z.strictObject({ claim: ClaimName, value: Expected }))
  .max(16)
  .meta({ classification: 'public' })
export type ExpectedClaim = z.output<typeof Claims>[number]

const text = (most: number) => z.string().min(1).max(most)
/** RFC 7517 §4, public members only: anything else in it is refused, above all a private half. */
const Jwk = z.union([
  z.strictObject({
    kty: z.literal('EC'),
    crv: z.enum(['P-256', 'P-384', 'P-521']),
    x: text(100),
    y: text(100),
    kid: text(200).optional(),
    alg: text(20).optional(),
    use: z.literal('sig').optional(),
  }),
  z.strictObject({
    kty: z.literal('OKP'),
    crv: z.literal('Ed25519'),
    x: text(100),
    kid: text(200).optional(),
    alg: text(20).optional(),
    use: z.literal('sig').optional(),
  }),
  z.strictObject({
    kty: z.literal('RSA'),
    // 2048 bits are 342 characters; what is shorter is broken by now.
    n: z.string().min(342).max(1400),
    e: text(8),
    kid: text(200).optional(),
    alg: text(20).optional(),
    use: z.literal('sig').optional(),
  }),
])

export const Jwks = z.strictObject({ keys: z.array(Jwk).min(1).max(20) }).meta({ id: 'Jwks', classification: 'public' })

export const Review = z
  .strictObject({ url: Url.describe('the API server of the cluster') })
  .meta({ classification: 'public' })

/** An hour: what is needed longer is asked for again, which is when a retired rule or identity shows. */
const TTL_MAX_SECONDS = 3600
const TtlSeconds = shown(z.int().min(60).max(TTL_MAX_SECONDS))

/** By which rule what an issuer says of a subject proves an identity. */
export const TrustRule = z
  .object({
    id: Id,
    name: Slug,
    identityId: Id,
    identity: Slug,
    preset: Preset,
    issuer: ClaimText,
    audience: ClaimText,
    subject: Expected,
    claims: Claims,
    keysUrl: Url.nullable(),
    keys: Jwks.nullable(),
    notifyUrl: Url.nullable().describe('where a client is told that a person answered it (CIBA, ping)'),
    review: Review.nullable(),
    isBound: shown(z.boolean()).describe('whether its tokens are bound to a key; of tiers 0 and 1 they always are'),
    ttlSeconds: TtlSeconds,
    state: shown(z.enum(['active', 'retired'])),
    createdBy: Id,
    createdAt: Instant,
    version: shown(z.int()),
  })
  .meta({ id: 'TrustRule' })
export type TrustRule = z.output<typeof TrustRule>

export const CreateTrustRule = z.strictObject({
  name: Slug,
  preset: Preset.default('oidc'),
  issuer: ClaimText.optional().describe('the `iss` of its tokens; the presets of hosted systems know it'),
  audience: ClaimText.optional().describe('the `aud` its tokens must have; this token service if left out'),
  subject: Expected.optional().describe('the `sub`; of a client’s own key it is the identity’s name'),
  claims: Claims.default([]),
  keysUrl: Url.optional().describe('where its keys are; found by the issuer’s own metadata if left out'),
  keys: Jwks.optional().describe('the keys themselves, of a client or an issuer that cannot be asked'),
  notifyUrl: Url.optional().describe('of a client: where it is told that a person answered what it asked (CIBA, ping)'),
  review: Review.optional().describe('of Kubernetes: hold each token up for review by the cluster as well'),
  reviewer: z
    .string()
    .min(1)
    .max(8_000)
    .optional()
    .describe('token that may ask the cluster for reviews; kept sealed and never shown'),
  isBound: shown(z.boolean()).default(true),
  ttlSeconds: TtlSeconds.default(900),
})
export type CreateTrustRule = z.output<typeof CreateTrustRule>
