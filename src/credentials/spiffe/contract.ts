import { z } from 'zod'
import { shown } from '../../kernel/event.ts'
import { Id } from '../../kernel/ids.ts'
import { Instant } from '../../kernel/instant.ts'
import { operation, type Operation } from '../../kernel/operation.ts'
import { conflict, notFound, problem } from '../../kernel/problem.ts'

const SpiffeId = shown(z.string().max(2048))
const Pem = shown(z.string())
/** SPIFFE: an X509-SVID is not revoked, it runs out. */
const X509_SECONDS = { least: 60, most: 3600 }
/** JWT-SVIDs are bearer tokens: five minutes at most. */
const JWT_SECONDS = { least: 10, most: 300 }
const AUDIENCES_MAX = 10

const oneIdentity = z.object({ identity: z.string().min(1).max(63).describe('name or id') })

const X509Svid = z
  .object({
    identityId: Id,
    spiffeId: SpiffeId,
    serial: shown(z.string()),
    certificate: Pem.describe('the leaf; its authority is in the bundle'),
    bundle: Pem.describe('what to trust of this trust domain'),
    expiresAt: Instant,
  })
  .meta({ id: 'X509Svid' })
const JwtSvid = z
  .object({
    identityId: Id,
    spiffeId: SpiffeId,
    token: z.string().meta({ classification: 'secret' }),
    expiresAt: Instant,
  })
  .meta({ id: 'JwtSvid' })
export const SpiffeAuthority = z
  .object({
    id: Id,
    kind: shown(z.enum(['x509', 'jwt'])),
    state: shown(z.enum(['next', 'signing', 'trusted'])),
    createdAt: Instant,
    signsAt: Instant.nullable(),
  })
  .meta({ id: 'SpiffeAuthority' })
export type SpiffeAuthority = z.output<typeof SpiffeAuthority>

/** No trust domain is configured: nothing is issued. */
export const noTrustDomain = problem('no-trust-domain', 409, 'There is no trust domain', {})
/** The identity is in no state to be vouched for; the sentence says why. */
export const svidRefused = problem('svid-refused', 403, 'No identity document is issued', { identityId: z.uuid() })

export const issueX509Svid = operation({
  id: 'svid.issue',
  method: 'POST',
  path: '/v1/identities/:identity/x509-svids',
  summary: 'Certifies a key as an X509-SVID of an identity.',
  function: 'nhi',
  resource: 'Identity',
  params: oneIdentity,
  input: z.strictObject({
    publicKey: Pem.min(1).max(2000).describe('SubjectPublicKeyInfo of a P-256 key as PEM'),
    ttlSeconds: shown(z.int().min(X509_SECONDS.least).max(X509_SECONDS.most)).default(X509_SECONDS.most),
  }),
  output: X509Svid,
  status: 201,
  problems: [notFound, noTrustDomain, svidRefused],
})
export const issueJwtSvid = operation({
  id: 'jwt-svid.issue',
  method: 'POST',
  path: '/v1/identities/:identity/jwt-svids',
  summary: 'Issues a JWT-SVID of an identity for one or more audiences.',
  function: 'nhi',
  resource: 'Identity',
  params: oneIdentity,
  input: z.strictObject({
    audience: shown(z.array(z.string().min(1).max(500)).min(1).max(AUDIENCES_MAX)),
    ttlSeconds: shown(z.int().min(JWT_SECONDS.least).max(JWT_SECONDS.most)).default(JWT_SECONDS.most),
  }),
  output: JwtSvid,
  status: 201,
  problems: [notFound, noTrustDomain, svidRefused],
})
export const readSpiffeBundle = operation({
  id: 'spiffe.bundle',
  method: 'GET',
  path: '/v1/spiffe/bundle',
  summary: 'The bundle of the trust domain (SPIFFE Trust Domain and Bundle §4), for anybody who verifies its SVIDs.',
  function: 'nhi',
  resource: 'Installation',
  output: z.string(),
  answer: 'bytes',
  mediaType: 'application/json',
  caller: 'none',
  rate: 'ordinary',
  problems: [noTrustDomain],
})
export const rotateSpiffe = operation({
  id: 'spiffe.rotate',
  method: 'POST',
  path: '/v1/spiffe/rotate',
  summary: 'Lets the next keys of the trust domain sign; they have been in the bundle before.',
  function: 'nhi',
  resource: 'Installation',
  input: z.strictObject({
    distrust: shown(z.boolean()).default(false).describe('at once: whatever the old keys signed is refused'),
    reason: shown(z.string().min(1).max(500)),
  }),
  output: z.object({ items: z.array(SpiffeAuthority) }),
  problems: [noTrustDomain, conflict],
})

export const spiffeOperations: readonly Operation[] = [issueX509Svid, issueJwtSvid, readSpiffeBundle, rotateSpiffe]
