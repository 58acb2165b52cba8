/** What an enforcement point that decides in its own process is sent, and sends back. */
import { z } from 'zod'
import { personal, shown } from '../../kernel/event.ts'
import { Instant } from '../../kernel/instant.ts'
import { operation, type Operation } from '../../kernel/operation.ts'
import { AskedQuestion } from '../authzen/asked.ts'

/** One call asks for this much at most. */
export const MOST_ITEMS = 500
export const MOST_REPORTED = 500

const Name = z.string().min(1).max(512)
const Json = z.json().meta({ id: 'Json' })
const Sha256 = shown(z.string().regex(/^[0-9a-f]{64}$/))

/** One thing that a question refers to. */
export const FactItem = z
  .discriminatedUnion('role', [
    z.strictObject({
      role: shown(z.literal('subject')),
      type: shown(Name),
      id: personal(Name),
      proof: shown(z.string().max(32)),
    }),
    z.strictObject({ role: shown(z.literal('resource')), type: shown(Name), id: personal(Name) }),
    z.strictObject({
      role: shown(z.literal('purpose')),
      id: shown(Name),
      targetId: shown(z.string().max(64).nullable()),
      action: shown(z.string().max(256)),
    }),
    z.strictObject({ role: shown(z.literal('action')), id: shown(z.string().max(256)) }),
    z.strictObject({ role: shown(z.literal('place')), target: shown(Name), environment: shown(Name) }),
    z.strictObject({ role: shown(z.literal('bootstrap')) }),
  ])
  .meta({ id: 'FactItem', classification: 'public' })
export type FactItem = z.output<typeof FactItem>

const PolicySetText = z
  .object({
    sha256: Sha256,
    schema: shown(z.record(z.string(), Json)),
    files: shown(z.array(z.object({ name: z.string(), text: z.string() }))),
    risk: shown(z.record(z.string(), Json)),
    vocabulary: shown(z.string()),
  })
  .meta({ id: 'PolicySetText' })
export type PolicySetText = z.output<typeof PolicySetText>

export const Synced = z
  .object({
    now: Instant,
    policyVersion: Sha256.describe('of the set that decides now'),
    policies: PolicySetText.nullable().describe('that set, unless it is the one that is known already'),
    epoch: shown(z.string()).describe('another one after each change that was heard of'),
    drafts: shown(z.boolean()),
    entries: shown(z.enum(['all', 'privileged'])),
    facts: personal(z.array(Json).max(MOST_ITEMS)).describe('in the order they were asked for'),
  })
  .meta({ id: 'SyncedFacts' })
export type Synced = z.output<typeof Synced>

export const syncDecisions = operation({
  id: 'decision.sync',
  method: 'POST',
  path: '/v1/decisions/sync',
  effect: 'read',
  summary:
    'Sends an enforcement point what it takes to decide in its own process: the policies, and the facts it asks about.',
  function: 'pam',
  resource: 'Question',
  input: z.strictObject({
    knownVersion: Sha256.nullable().default(null).describe('the set that is known already'),
    items: personal(z.array(FactItem).max(MOST_ITEMS)).default([]),
  }),
  output: Synced,
})

export const streamDecisionChanges = operation({
  id: 'decision.changes',
  method: 'GET',
  path: '/v1/decisions/changes',
  summary: 'Streams a line for each change that decisions may depend on, and one a second besides.',
  function: 'pam',
  resource: 'Question',
  query: z.object({
    seconds: z.coerce
      .number()
      .int()
      .min(1)
      .max(300)
      .default(60)
      .describe('it ends after, and whoever may goes on with another'),
  }),
  answer: 'stream',
  output: z.object({ epoch: shown(z.string()), policyVersion: Sha256 }),
})

/** One decision that was made elsewhere. */
export const Reported = z
  .strictObject({
    question: shown(AskedQuestion),
    decided: shown(z.enum(['permit', 'owed', 'deny'])),
    decisionId: shown(z.uuid()),
    decidedAt: Instant,
    policyVersion: Sha256,
    policies: shown(z.array(z.string().max(200)).max(100)),
    errors: shown(z.int().min(0).max(1000)),
    sliceSha256: Sha256.nullable().describe(
      'of the facts it was decided on; null where it could not be put to the policies',
    ),
  })
  .meta({ id: 'ReportedDecision', classification: 'public' })
export type Reported = z.output<typeof Reported>

export const reportDecisions = operation({
  id: 'decision.report',
  method: 'POST',
  path: '/v1/decisions/report',
  summary: 'Enters decisions that an enforcement point made in its own process.',
  function: 'pam',
  resource: 'Question',
  input: z.strictObject({ entries: personal(z.array(Reported).min(1).max(MOST_REPORTED)) }),
  output: z.object({ entered: shown(z.int()) }),
})

export const deciderOperations: readonly Operation[] = [syncDecisions, streamDecisionChanges, reportDecisions]
