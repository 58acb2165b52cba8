/** The messages of the AuthZEN Authorization API 1.0, §5 to §8. What is not known in them is ignored (§10.1.1), as the standard wants it. */
import { z } from 'zod'
import { personal, shown } from '../../kernel/event.ts'

/** One batch asks this much at most: all of it is decided on one connection while others wait. */
const MAX_EVALUATIONS = 500
/** Candidates of a page that are looked at; what is behind them is another page. */
export const PAGE_MAX = 200

const Text = z.string().min(1).max(512)
const Json = z.json().meta({ id: 'Json' })
/** What an enforcement point says of somebody may name a person; what it says of a thing too. */
const Properties = personal(z.record(z.string().max(256), Json))

const AskedSubject = z
  .looseObject({ type: shown(Text), id: personal(Text), properties: Properties.optional() })
  .meta({ id: 'AuthzenSubject', classification: 'public' })
const AskedAction = z
  .looseObject({ name: shown(Text), properties: Properties.optional() })
  .meta({ id: 'AuthzenAction', classification: 'public' })
const AskedResource = z
  .looseObject({ type: shown(Text), id: personal(Text), properties: Properties.optional() })
  .meta({ id: 'AuthzenResource', classification: 'public' })
/** The thing that is searched: an id is ignored (§8.4.1, §8.5.1). */
const Searched = z
  .looseObject({ type: shown(Text), properties: Properties.optional() })
  .meta({ id: 'AuthzenSearched', classification: 'public' })

export const AskedQuestion = z
  .looseObject({
    subject: AskedSubject,
    action: AskedAction,
    resource: AskedResource,
    context: Properties.optional(),
  })
  .meta({ id: 'AuthzenQuestion', classification: 'public' })
export type AskedQuestion = z.output<typeof AskedQuestion>

const SEMANTICS = ['execute_all', 'deny_on_first_deny', 'permit_on_first_permit'] as const

export const AskedBatch = z.looseObject({
  subject: AskedSubject.optional(),
  action: AskedAction.optional(),
  resource: AskedResource.optional(),
  context: Properties.optional(),
  evaluations: personal(z.array(z.record(z.string(), Json)).max(MAX_EVALUATIONS))
    .optional()
    .describe('questions; what one leaves out is taken from above, whole'),
  options: shown(z.looseObject({ evaluations_semantic: shown(z.enum(SEMANTICS)).optional() })).optional(),
})
export type AskedBatch = z.output<typeof AskedBatch>

const Page = shown(
  z.looseObject({
    token: shown(z.string().max(2000)).optional().describe('the next_token of the page before'),
    limit: shown(z.int().min(0).max(1_000_000)).optional(),
    properties: Properties.optional(),
  }),
)

const search = { context: Properties.optional(), page: Page.optional() }
export const AskedSubjects = z.looseObject({
  subject: Searched,
  action: AskedAction,
  resource: AskedResource,
  ...search,
})
export const AskedResources = z.looseObject({
  subject: AskedSubject,
  action: AskedAction,
  resource: Searched,
  ...search,
})
export const AskedActions = z.looseObject({ subject: AskedSubject, resource: AskedResource, ...search })
export type AskedSubjects = z.output<typeof AskedSubjects>
export type AskedResources = z.output<typeof AskedResources>
export type AskedActions = z.output<typeof AskedActions>

/** What is owed to the permit and carried out by the enforcement point (Obligations profile, draft of July 2026). */
const ToCarryOut = z.object({
  id: shown(z.string()),
  type: shown(z.string()),
  properties: shown(z.record(z.string(), Json)),
})

/** How what was denied may be asked for (Access Request and Approval profile, draft of June 2026). */
const Requestable = z.object({
  expires_at: shown(z.string()),
  binding_token: shown(z.string()).describe('to be given back as it is, by the subject itself'),
  display: z.object({ title: shown(z.string()) }),
  request: shown(
    z.object({ operation: z.string(), method: z.string(), path: z.string(), input: z.record(z.string(), Json) }),
  ),
})

export const AnswerContext = z.object({
  evaluation_id: shown(z.string()).optional(),
  evaluated_at: shown(z.string()).optional(),
  policy_version: shown(z.string()).optional(),
  policies: shown(z.array(z.string())).optional().describe('ids of those that determined it'),
  reasons: shown(z.array(z.string())).optional(),
  owed: shown(z.array(z.string())).optional().describe('what the policies would permit it for'),
  obligations: z.array(ToCarryOut).optional(),
  access_request: Requestable.optional(),
  error: z.object({ status: shown(z.int()), message: shown(z.string()) }).optional(),
})
export type AnswerContext = z.output<typeof AnswerContext>

export const Answer = z.object({ decision: shown(z.boolean()), context: AnswerContext }).meta({ id: 'AuthzenDecision' })
export type Answer = z.output<typeof Answer>

/** One answer where nothing was listed (§7.1), a list otherwise. */
export const BatchAnswer = z.object({
  decision: shown(z.boolean()).optional(),
  context: AnswerContext.optional(),
  evaluations: z.array(Answer).max(MAX_EVALUATIONS).optional(),
})
export type BatchAnswer = z.output<typeof BatchAnswer>

const AnswerPage = z.object({ next_token: shown(z.string()), count: shown(z.int()) })
export const FoundThings = z.object({
  page: AnswerPage,
  results: z.array(z.object({ type: shown(z.string()), id: personal(z.string()) })).max(PAGE_MAX),
})
export const FoundActions = z.object({
  page: AnswerPage,
  results: z.array(z.object({ name: shown(z.string()) })).max(PAGE_MAX),
})
export type FoundThings = z.output<typeof FoundThings>
export type FoundActions = z.output<typeof FoundActions>
