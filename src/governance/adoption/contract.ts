import { z } from 'zod'
import { Environment, Identity, IdentityKind, Profile, Reason, Tier, Trait } from '../../identities/contract.ts'
import { Coverage } from '../../inventory/contract.ts'
import { shown } from '../../kernel/event.ts'
import { Id, Slug } from '../../kernel/ids.ts'
import { operation, type Operation } from '../../kernel/operation.ts'
import { conflict, invalidInput, notFound } from '../../kernel/problem.ts'
import { adoptionFilter, adoptionWord, LEFT_WHYS } from './filter.ts'
import { adoptionRunOperations } from './run-contract.ts'

const Text = shown(z.string())
const Count = shown(z.int())
/** What one act adopts: a list that a person can read, and one transaction that nobody waits long for. */
export const ADOPTED_MAX = 200
export const AdoptPrincipals = z
  .strictObject({
    principals: shown(z.array(Id).min(1).max(ADOPTED_MAX)).optional().describe('of the inventory'),
    every: shown(z.boolean())
      .optional()
      .describe('everything that acts and that nobody claims, as the filters narrow it'),
    ...adoptionFilter,
    after: Id.optional().describe('of --every: what `next` of the answer before said'),
    ...adoptionWord,
    dryRun: shown(z.boolean()).default(false).describe('says what would be adopted, and changes nothing'),
  })
  .refine(({ principals, every }) => (principals === undefined) === (every === true), 'name principals, or every')
export type AdoptPrincipals = z.output<typeof AdoptPrincipals>

const Adopted = z
  .object({
    thingId: Id.describe('the principal, or the definition that principals are instances of'),
    principal: Text.describe('its name at the source'),
    source: Slug,
    instances: Count.describe('principals that are this one identity'),
    accounts: Count.describe('accounts of targets that nobody claimed and that are claimed with it'),
    identityId: Id.nullable().describe('null in a dry run'),
    identity: Slug,
    kind: IdentityKind,
    profile: Profile,
    tier: Tier,
    environment: Environment,
    traits: shown(z.array(Trait)),
    owner: z
      .object({ owner: Slug, score: Count })
      .meta({ classification: 'public' })
      .nullable()
      .describe('whom evidence names first; it is nobody’s until a person accepts'),
    businessService: z
      .object({ service: Text, score: Count })
      .meta({ classification: 'public' })
      .nullable()
      .describe('proposed; who comes to answer for it accepts it'),
    evidence: shown(z.array(z.string())),
    unknown: shown(z.array(z.string())).describe('what no fact says either way'),
  })
  .meta({ id: 'AdoptedPrincipal', classification: 'public' })
export type Adopted = z.output<typeof Adopted>

export const Adoption = z
  .object({
    isDryRun: shown(z.boolean()),
    items: z.array(Adopted).max(ADOPTED_MAX),
    left: z.array(
      z
        .object({
          why: shown(z.enum(LEFT_WHYS)),
          words: Text,
          count: Count,
          examples: shown(z.array(z.string()).max(3)),
        })
        .meta({ classification: 'public' }),
    ),
    unmatched: Count.describe('of what was looked at, how many the filters by class leave out'),
    next: Id.nullable().describe('there may be more: go on with --after'),
    unseen: Count.describe('parts of sources that were not seen whole; what is there is not in this list'),
    coverage: Coverage,
  })
  .meta({ id: 'Adoption', classification: 'public' })
export type Adoption = z.output<typeof Adoption>

export const adoptPrincipals = operation({
  id: 'inventory.adopt',
  method: 'POST',
  path: '/v1/inventory-adoptions',
  summary: 'Makes identities of principals that nobody claims. They are known by it, and can do nothing in Reeve.',
  function: 'iam',
  resource: 'Installation',
  input: AdoptPrincipals,
  output: Adoption,
  status: 201,
  problems: [notFound, conflict, invalidInput],
})
export const unadoptPrincipal = operation({
  id: 'inventory.unadopt',
  method: 'POST',
  path: '/v1/identities/:identity/unadopt',
  summary: 'Takes an adoption back: the principal is nobody’s again, and the identity that was made of it ends.',
  function: 'iam',
  resource: 'Identity',
  params: z.object({ identity: Slug.describe('name or id') }),
  input: z.strictObject({ reason: Reason }),
  output: Identity,
  problems: [notFound, conflict],
})

export const adoptionOperations: readonly Operation[] = [adoptPrincipals, unadoptPrincipal, ...adoptionRunOperations]

export * from './run-contract.ts'
