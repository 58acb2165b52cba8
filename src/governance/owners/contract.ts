import { z } from 'zod'
import { Identity } from '../../identities/contract.ts'
import { shown } from '../../kernel/event.ts'
import { Id, Slug } from '../../kernel/ids.ts'
import { operation, PageQuery, type Operation } from '../../kernel/operation.ts'
import { conflict, invalidInput, notFound } from '../../kernel/problem.ts'
import { Coverage } from '../../inventory/contract.ts'

const Text = shown(z.string())
const Count = shown(z.int())
/** What one act accepts: a list that a person who approves it can read. */
export const ATTESTED_MAX = 500

const Evidence = z
  .object({
    rule: Text,
    weight: shown(z.number()).describe('after decay'),
    at: Text.describe('the day it is of'),
    words: Text,
  })
  .meta({ classification: 'public' })
export const Evidences = z.array(Evidence)

const Candidate = z
  .object({
    identityId: Id,
    identity: Slug,
    ownerId: Id,
    owner: Slug,
    team: Slug.nullable().describe('that the evidence names'),
    score: Count.describe('of 100, from the weights below; it decides nothing'),
    evidence: Evidences,
  })
  .meta({ id: 'OwnerCandidate', classification: 'public' })

export const CandidatePage = z
  .object({ items: z.array(Candidate).max(200), nextCursor: z.string().nullable(), coverage: Coverage })
  .meta({ id: 'OwnerCandidatePage' })
export type CandidatePage = z.output<typeof CandidatePage>

export const CandidateQuery = PageQuery.extend({
  identity: Slug.optional().describe('name or id'),
  owner: Slug.optional().describe('name or id of the person'),
})
export type CandidateQuery = z.output<typeof CandidateQuery>

export const AttestOwners = z
  .strictObject({
    identities: shown(z.array(Slug).min(1).max(ATTESTED_MAX)).optional().describe('names or ids'),
    every: shown(z.boolean())
      .optional()
      .describe('every identity that evidence names you for before anybody else, 500 at a time'),
    minScore: shown(z.int().min(1).max(100)).default(50).describe('of --every: evidence that is weaker is left out'),
  })
  .refine(({ identities, every }) => (identities === undefined) === (every === true), 'name identities, or every')
export type AttestOwners = z.output<typeof AttestOwners>

const ServiceCandidate = z
  .object({
    identityId: Id,
    identity: Slug,
    service: Text,
    score: Count.describe('of 100, from the weights below; it decides nothing'),
    owner: Slug.nullable().describe('who answers for the identity and may accept it'),
    evidence: Evidences,
  })
  .meta({ id: 'ServiceCandidate', classification: 'public' })

export const ServicePage = z
  .object({ items: z.array(ServiceCandidate).max(200), nextCursor: z.string().nullable(), coverage: Coverage })
  .meta({ id: 'ServiceCandidatePage' })
export type ServicePage = z.output<typeof ServicePage>

export const ServiceQuery = PageQuery.extend({
  identity: Slug.optional().describe('name or id'),
  owner: Slug.optional().describe('name or id of the person who answers for the identities'),
})
export type ServiceQuery = z.output<typeof ServiceQuery>

export const AttestServices = z
  .strictObject({
    identities: shown(z.array(Slug).min(1).max(ATTESTED_MAX)).optional().describe('names or ids'),
    every: shown(z.boolean())
      .optional()
      .describe('everything one answers for and that a service is proposed for, 500 at a time'),
    service: shown(z.string().trim().min(1).max(200))
      .optional()
      .describe('the proposed one that is meant, if not the first'),
    minScore: shown(z.int().min(1).max(100)).default(50).describe('of --every: evidence that is weaker is left out'),
  })
  .refine(({ identities, every }) => (identities === undefined) === (every === true), 'name identities, or every')
export type AttestServices = z.output<typeof AttestServices>

export const listCandidates = operation({
  id: 'owner.list',
  method: 'GET',
  path: '/v1/owner-candidates',
  summary: 'Lists who might own what, with the evidence and its weights. It is nobody’s until a person accepts.',
  function: 'governance',
  resource: 'Installation',
  query: CandidateQuery,
  output: CandidatePage,
  problems: [notFound],
})
export const attestOwners = operation({
  id: 'owner.attest',
  method: 'POST',
  path: '/v1/owner-candidates/attest',
  summary: 'Accepts to answer for identities that evidence names one for. Who approves it sees the whole list.',
  function: 'governance',
  resource: 'Installation',
  input: AttestOwners,
  output: z.object({ identities: z.array(Identity).max(ATTESTED_MAX) }).meta({ id: 'OwnersAttested' }),
  problems: [notFound, conflict, invalidInput],
})
export const declineOwner = operation({
  id: 'owner.decline',
  method: 'POST',
  path: '/v1/owner-candidates/decline',
  summary: 'Says that one does not answer for an identity; one is not proposed for it again.',
  function: 'governance',
  resource: 'Installation',
  input: z.strictObject({ identity: Slug.describe('name or id') }),
  output: z.object({ identityId: Id, ownerId: Id }).meta({ id: 'OwnerDeclined', classification: 'public' }),
  problems: [notFound, conflict],
})
export const listServices = operation({
  id: 'business-service.list',
  method: 'GET',
  path: '/v1/service-candidates',
  summary:
    'Lists which business service what may belong to, with the evidence. It does not until who answers for it accepts.',
  function: 'governance',
  resource: 'Installation',
  query: ServiceQuery,
  output: ServicePage,
  problems: [notFound],
})
export const attestServices = operation({
  id: 'business-service.attest',
  method: 'POST',
  path: '/v1/service-candidates/attest',
  summary: 'Accepts which business service identities belong to that one answers for.',
  function: 'governance',
  resource: 'Installation',
  input: AttestServices,
  output: z.object({ identities: z.array(Identity).max(ATTESTED_MAX) }).meta({ id: 'ServicesAttested' }),
  problems: [notFound, conflict, invalidInput],
})
export const evaluateOwners = operation({
  id: 'owner.evaluate',
  method: 'POST',
  path: '/v1/owner-candidates/evaluate',
  summary: 'Weighs all evidence of owners and of business services now.',
  function: 'governance',
  resource: 'Installation',
  output: z.object({ candidates: Count, changed: Count }).meta({ id: 'OwnersEvaluated', classification: 'public' }),
})

export const ownerOperations: readonly Operation[] = [
  listCandidates,
  attestOwners,
  declineOwner,
  evaluateOwners,
  listServices,
  attestServices,
]
