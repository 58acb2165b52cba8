import { z } from 'zod'
import { Environment, IdentityKind, Profile, Tier, Trait } from '../../identities/contract.ts'
import { Coverage } from '../../inventory/contract.ts'
import { shown } from '../../kernel/event.ts'
import { Id, Slug } from '../../kernel/ids.ts'
import { operation, PageQuery, type Operation } from '../../kernel/operation.ts'
import { notFound } from '../../kernel/problem.ts'

const Text = shown(z.string())

/** What a principal would be in the record, as far as facts say so. What they do not say is null and named in `unknown`. */
export const Classification = z
  .object({
    id: Id,
    name: Text,
    source: Slug,
    identityId: Id.nullable().describe('the identity that it is, where it is linked'),
    kind: IdentityKind.nullable(),
    profile: Profile.nullable(),
    tier: Tier.nullable(),
    environment: Environment.nullable(),
    traits: shown(z.array(Trait)),
    businessService: Text.nullable().describe('proposed; the record has what a person said'),
    evidence: shown(z.array(z.object({ rule: Text, says: Text, why: Text }).meta({ classification: 'public' }))),
    unknown: shown(z.array(z.string())).describe('what no fact says either way'),
  })
  .meta({ id: 'Classification', classification: 'public' })
export type Classification = z.output<typeof Classification>

export const ClassPage = z
  .object({ items: z.array(Classification).max(200), nextCursor: z.string().nullable(), coverage: Coverage })
  .meta({ id: 'ClassificationPage' })
export type ClassPage = z.output<typeof ClassPage>

export const ClassQuery = PageQuery.extend({
  source: Slug.optional().describe('name or id'),
  principal: Id.optional(),
  unclaimed: shown(z.stringbool()).optional().describe('only what is no identity of the record yet'),
})
export type ClassQuery = z.output<typeof ClassQuery>

export const classifyInventory = operation({
  id: 'inventory.classify',
  method: 'GET',
  path: '/v1/inventory-classes',
  summary: 'Says which kind, profile, tier and traits principals have by the facts, with each fact.',
  function: 'governance',
  resource: 'Installation',
  query: ClassQuery,
  output: ClassPage,
  problems: [notFound],
})

export const classOperations: readonly Operation[] = [classifyInventory]
