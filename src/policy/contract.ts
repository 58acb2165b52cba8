/** What the API says of decisions: AuthZEN for enforcement points that are not Reeve's own gateways, and what policies do and would do. */
import { z } from 'zod'
import { personal, shown } from '../kernel/event.ts'
import { Instant } from '../kernel/instant.ts'
import { operation, type Operation } from '../kernel/operation.ts'
import * as asked from './authzen/asked.ts'
import { deciderOperations } from './decider/contract.ts'
import { policySetInvalid } from './faults.ts'
import { ruleVersionOperations } from './versions/contract.ts'

export * from './decider/contract.ts'
export * from './versions/contract.ts'
export * from './risk/signal-types.ts'

export const evaluateDecision = operation({
  id: 'decision.evaluate',
  method: 'POST',
  path: '/access/v1/evaluation',
  standard: 'AuthZEN Authorization API 1.0 §6',
  effect: 'read',
  summary: 'Says whether a subject may do something to a resource now; a deny is an answer, not an error',
  function: 'pam',
  resource: 'Question',
  input: asked.AskedQuestion,
  output: asked.Answer,
})

export const evaluateDecisions = operation({
  id: 'decision.evaluate-all',
  method: 'POST',
  path: '/access/v1/evaluations',
  standard: 'AuthZEN Authorization API 1.0 §7',
  effect: 'read',
  summary: 'Answers many questions at once, in their order',
  function: 'pam',
  resource: 'Question',
  input: asked.AskedBatch,
  output: asked.BatchAnswer,
})

export const searchSubjects = operation({
  id: 'decision.search-subjects',
  method: 'POST',
  path: '/access/v1/search/subject',
  standard: 'AuthZEN Authorization API 1.0 §8.4',
  effect: 'read',
  summary: 'Finds who of a type may do something to a resource',
  function: 'pam',
  resource: 'Question',
  input: asked.AskedSubjects,
  output: asked.FoundThings,
})

export const searchResources = operation({
  id: 'decision.search-resources',
  method: 'POST',
  path: '/access/v1/search/resource',
  standard: 'AuthZEN Authorization API 1.0 §8.5',
  effect: 'read',
  summary: 'Finds on what of a type a subject may do something',
  function: 'pam',
  resource: 'Question',
  input: asked.AskedResources,
  output: asked.FoundThings,
})

export const searchActions = operation({
  id: 'decision.search-actions',
  method: 'POST',
  path: '/access/v1/search/action',
  standard: 'AuthZEN Authorization API 1.0 §8.6',
  effect: 'read',
  summary: 'Finds what a subject may do to a resource',
  function: 'pam',
  resource: 'Question',
  input: asked.AskedActions,
  output: asked.FoundActions,
})

const Sentences = shown(z.array(z.string()))

/** A policy that bears on a question. */
const Bearing = z.object({
  link: shown(z.string()).describe('of the chain: whom it bears on'),
  id: shown(z.string()),
  effect: shown(z.enum(['permit', 'forbid'])),
  applies: shown(z.boolean()),
  holds: Sentences,
  fails: Sentences.describe('what would have to hold as well'),
})

export const Explained = z
  .object({
    decision: shown(z.boolean()),
    lines: Sentences.describe('the whole reason, and what would have to change'),
    owed: Sentences.describe('what the policies permit it for, and was not shown'),
    policies: z.array(Bearing),
    policyVersion: shown(z.string()),
  })
  .meta({ id: 'ExplainedDecision' })
export type Explained = z.output<typeof Explained>

export const explainPolicy = operation({
  id: 'policy.explain',
  method: 'POST',
  path: '/v1/policies/explain',
  effect: 'read',
  summary: 'Says why something is or is not permitted now, and what would have to change',
  function: 'pam',
  resource: 'Question',
  input: asked.AskedQuestion,
  output: Explained,
})

/** More text than this is no set of policies that somebody reads. */
const MAX_FILES = 200

export const CandidatePolicies = z.strictObject({
  files: shown(
    z
      .array(z.strictObject({ name: z.string().min(1).max(200), text: z.string().max(500_000) }))
      .min(1)
      .max(MAX_FILES),
  ).describe('the `.cedar` files of the candidate; the schema stays the one that is loaded'),
  days: shown(z.int().min(1).max(366)).default(7).describe('how far back'),
})
export type CandidatePolicies = z.output<typeof CandidatePolicies>

export const Simulation = z
  .object({
    sinceAt: Instant,
    decisions: shown(z.int()).describe('that are recorded since then'),
    asked: shown(z.int()).describe('of them, asked again'),
    notAsked: z
      .array(z.object({ why: shown(z.string()), decisions: shown(z.int()) }))
      .describe('those that could not be'),
    isCut: shown(z.boolean()).describe('whether there were more than one simulation asks; the newest were'),
    moved: shown(z.int()).describe(
      'whose answer is another one today by the policies of today: the record has changed',
    ),
    changed: shown(z.int()),
    lines: Sentences,
    changes: z.array(
      z.object({
        decisions: shown(z.int()).describe('how many asked this'),
        lastAt: Instant,
        subject: personal(z.string()),
        action: shown(z.string()),
        resource: personal(z.string()),
        before: shown(z.string()),
        after: shown(z.string()),
        reasons: Sentences.describe('of the candidate'),
      }),
    ),
    candidateSha256: shown(z.string()),
    policyVersion: shown(z.string()),
  })
  .meta({ id: 'PolicySimulation' })
export type Simulation = z.output<typeof Simulation>

export const simulatePolicy = operation({
  id: 'policy.simulate',
  method: 'POST',
  path: '/v1/policies/simulate',
  effect: 'read',
  summary: 'Asks recorded decisions again with other policies, on the record as it stands now',
  function: 'governance',
  resource: 'PolicySet',
  input: CandidatePolicies,
  output: Simulation,
  problems: [policySetInvalid],
})

export const policyOperations: readonly Operation[] = [
  evaluateDecision,
  evaluateDecisions,
  searchSubjects,
  searchResources,
  searchActions,
  explainPolicy,
  simulatePolicy,
  ...deciderOperations,
  ...ruleVersionOperations,
]
