import { z } from 'zod'
import { shown } from '../../kernel/event.ts'
import { Instant } from '../../kernel/instant.ts'
import { operation, type Operation } from '../../kernel/operation.ts'
import { conflict, nameTaken, notFound } from '../../kernel/problem.ts'

const DomainName = shown(
  z
    .string()
    .min(1)
    .max(255)
    .regex(/^[a-z0-9._-]+$/, 'a trust domain is written in lower case: example.org'),
)
const Reason = shown(z.string().min(1).max(500))
const one = z.object({ domain: DomainName })

/** A trust domain of others whose identities are believed. */
export const TrustDomain = z
  .object({
    name: DomainName,
    bundleUrl: shown(z.string()),
    profile: shown(z.enum(['https_web', 'https_spiffe'])),
    endpointId: shown(z.string()).nullable().describe('the SPIFFE ID that the endpoint proves'),
    sequence: shown(z.int()).nullable(),
    authorities: shown(z.int()).describe('certificates that verify X509-SVIDs of it'),
    jwtKeys: shown(z.int()).describe('keys that verify JWT-SVIDs of it'),
    bundledAt: Instant.nullable().describe(
      'when another bundle than before was taken; null: nothing of it is believed yet',
    ),
    fetchedAt: Instant.nullable().describe('when the endpoint last gave a good one'),
    askedAt: Instant.nullable(),
    failure: shown(z.string())
      .nullable()
      .describe('why the last question got no good answer; the last good bundle goes on'),
    createdAt: Instant,
    endedAt: Instant.nullable(),
  })
  .meta({ id: 'TrustDomain' })
export type TrustDomain = z.output<typeof TrustDomain>

export const createTrustDomain = operation({
  id: 'trust-domain.create',
  method: 'POST',
  path: '/v1/trust-domains',
  summary: 'Federates with a trust domain of others: its bundle is fetched, kept, and handed to workloads.',
  function: 'nhi',
  resource: 'Installation',
  input: z.strictObject({
    name: DomainName,
    bundleUrl: shown(z.url({ protocol: /^https?$/ }).max(500)),
    profile: shown(z.enum(['https_web', 'https_spiffe'])).default('https_web'),
    endpointId: shown(z.string().max(2048))
      .optional()
      .describe('of https_spiffe: the SPIFFE ID that the endpoint proves'),
    bundle: shown(z.string().min(2).max(262_144))
      .optional()
      .describe('of https_spiffe: the bundle to begin with, as JSON'),
  }),
  output: TrustDomain,
  status: 201,
  problems: [nameTaken],
})
export const refreshTrustDomain = operation({
  id: 'trust-domain.refresh',
  method: 'POST',
  path: '/v1/trust-domains/:domain/refresh',
  summary: 'Asks for the bundle of a trust domain now; the answer says what came of it.',
  function: 'nhi',
  resource: 'Installation',
  params: one,
  output: TrustDomain,
  problems: [notFound, conflict],
})
export const endTrustDomain = operation({
  id: 'trust-domain.end',
  method: 'POST',
  path: '/v1/trust-domains/:domain/end',
  summary: 'Believes a trust domain of others no more, from this moment.',
  function: 'nhi',
  resource: 'Installation',
  params: one,
  input: z.strictObject({ reason: Reason }),
  output: TrustDomain,
  problems: [notFound, conflict],
})
export const listTrustDomains = operation({
  id: 'trust-domain.list',
  method: 'GET',
  path: '/v1/trust-domains',
  summary: 'Lists trust domains of others, with the age of their bundles.',
  function: 'nhi',
  resource: 'Installation',
  output: z.object({ items: z.array(TrustDomain) }),
})

export const federationOperations: readonly Operation[] = [
  createTrustDomain,
  refreshTrustDomain,
  endTrustDomain,
  listTrustDomains,
]
