import { z } from 'zod'
import { findingOperations } from './findings/contract.ts'
import { adoptionOperations } from './adoption/contract.ts'
import { classOperations } from './classes/contract.ts'
import { graphOperations } from './graph/contract.ts'
import { ownerOperations } from './owners/contract.ts'
import { toolOperations } from './tools/contract.ts'
import { SEVERITIES } from './findings/rule.ts'
import { Environment, IdentityKind, Profile, Tier } from '../identities/contract.ts'
import { shown } from '../kernel/event.ts'
import { Id, Slug } from '../kernel/ids.ts'
import { operation, type Operation } from '../kernel/operation.ts'
import { notFound } from '../kernel/problem.ts'

/** How acts of a class of identity are let through. */
export const PATHS = [
  'approved-and-stepped-up',
  'attested-and-policy-gated',
  'decided-call-by-call',
  'break-glass',
] as const

/** What proves an identity to Reeve, as far as Reeve issued it. */
export const CREDENTIAL_TYPES = ['none', 'token', 'bound-token', 'password'] as const

/** Everything a standard may ask for. Each is read from facts on record in `assess.ts`. */
export const CONTROLS = [
  'own-path',
  'owner-attested',
  'owner-team',
  'sponsor-named',
  'purpose-recorded',
  'service-named',
  'review-dated',
  'expiry-set',
  'credential-bound',
  'credential-young',
  'no-standing-credential',
  'step-up',
  'reviewed-after-use',
] as const

const Text = shown(z.string().max(500))
const Name = shown(z.string().max(64))

/** One thing that an identity reaches, with what it was read from. */
export const Reached = z
  .object({
    by: shown(z.enum(['account', 'grant'])).describe('an account it holds, or what it was granted within 90 days'),
    target: Slug,
    account: Name,
    environment: Environment,
    exposes: Tier.describe('of what may be read there, whatever the verb'),
    administers: shown(z.boolean()),
    actions: shown(z.array(Name)),
    tier: Tier,
    isInScope: shown(z.boolean()).describe('production, sensitive data or administration'),
    fact: Text,
  })
  .meta({ id: 'Reached', classification: 'public' })
export type Reached = z.output<typeof Reached>

/** One identity held against the standard, control by control. */
export const IdentityAssessment = z
  .object({
    identityId: Id,
    identity: Slug,
    kind: IdentityKind,
    profile: Profile,
    tier: Tier.describe('the stricter one of tierSet and tierReached'),
    tierSet: Tier.describe('what a person said'),
    tierReached: Tier.nullable().describe('what its reach came to when it was last entered'),
    environment: Environment,
    traits: shown(z.array(z.string())),
    credentials: shown(z.array(z.enum(CREDENTIAL_TYPES))),
    path: shown(z.enum(PATHS)).describe('how its acts are let through'),
    pathInWords: Text,
    isOnPath: shown(z.boolean()).describe('false: its kind is not one of that path, and policies refuse it'),
    controls: z
      .array(
        z.object({
          control: shown(z.enum(CONTROLS)),
          status: shown(z.enum(['met', 'unmet', 'unknown'])),
          fact: Text,
          rules: shown(z.array(z.string())).describe('who asks for it'),
        }),
      )
      .meta({ classification: 'public' }),
    score: shown(z.int().min(0).max(100)).describe('share of the controls that are met; what is not known is not'),
    scoreAtMost: shown(z.int().min(0).max(100)).describe('if everything that is not known were met'),
    standard: z.object({ version: Name, sha256: Name }).meta({ classification: 'public' }),
    reach: z
      .object({
        isInScope: shown(z.boolean()).describe('of just-in-time access; what is not is inventoried and classified'),
        tier: Tier.nullable().describe('what it comes to now; null where nothing is seen'),
        isComplete: shown(z.boolean()).describe('false: more may be there than is seen'),
        unseen: shown(z.array(Slug)).describe('targets that were not looked at lately, a few of them'),
        reached: z.array(Reached).describe('the gravest first'),
        escalation: Text.nullable().describe('the shortest way to tier 0 by what it holds; see path read'),
      })
      .meta({ classification: 'public' }),
    findings: z
      .array(z.object({ id: Id, rule: Slug, severity: shown(z.enum(SEVERITIES)) }))
      .meta({ classification: 'public' })
      .describe('open on it or on what it holds, the worst first'),
  })
  .meta({ id: 'IdentityAssessment' })
export type IdentityAssessment = z.output<typeof IdentityAssessment>

export const assessIdentity = operation({
  id: 'identity.assess',
  method: 'GET',
  path: '/v1/identities/:identity/assessment',
  summary: 'Holds an identity against the governance standard, control by control.',
  function: 'governance',
  resource: 'Identity',
  params: z.object({ identity: Slug.describe('name or id') }),
  output: IdentityAssessment,
  problems: [notFound],
})

export const governanceOperations: readonly Operation[] = [
  assessIdentity,
  ...findingOperations,
  ...graphOperations,
  ...ownerOperations,
  ...classOperations,
  ...adoptionOperations,
  ...toolOperations,
]

export * from './findings/contract.ts'
export * from './graph/contract.ts'
export * from './owners/contract.ts'
export * from './adoption/contract.ts'
export * from './tools/contract.ts'
export * from './classes/contract.ts'
