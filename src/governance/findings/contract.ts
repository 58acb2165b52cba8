import { z } from 'zod'
import { Coverage } from '../../inventory/contract.ts'
import { shown } from '../../kernel/event.ts'
import { Id, Slug } from '../../kernel/ids.ts'
import { Instant } from '../../kernel/instant.ts'
import { operation, PageQuery, type Operation } from '../../kernel/operation.ts'
import { conflict, notFound } from '../../kernel/problem.ts'
import { SENTENCE_MAX, SEVERITIES, SUBJECT_KINDS } from './rule.ts'
import { FINDING_STATES } from './state.ts'

const Text = shown(z.string().max(SENTENCE_MAX))
const Texts = shown(z.array(Text))
const Count = shown(z.int())
const Severity = shown(z.enum(SEVERITIES))
const State = shown(z.enum(FINDING_STATES))
const Reason = shown(z.string().min(10).max(500))
/** An acceptance is looked at again after half a year at the latest. */
const ACCEPTED_DAYS = 180

export const Finding = z
  .object({
    id: Id,
    rule: Slug,
    owasp: Text.nullable().describe('risk of the OWASP Non-Human Identities Top 10; null: the rule is no more'),
    title: Text,
    subject: z
      .object({
        kind: shown(z.enum(SUBJECT_KINDS)),
        id: Id,
        name: shown(z.string()),
        source: Slug.nullable().describe('that told of it; null: it is of the record'),
      })
      .meta({ classification: 'public' }),
    identityId: Id.nullable().describe('whose it is, where the record knows'),
    severity: Severity,
    evidence: Texts.describe('by which facts it was found'),
    uncertainty: Texts.describe('what could not be seen and might change the picture'),
    state: State.describe('fixed: by facts that were read later'),
    openedAt: Instant,
    foundAt: Instant.describe('when the facts were read'),
    fixedAt: Instant.nullable(),
    reopenedBecause: Text.nullable(),
    acceptedById: Id.nullable(),
    acceptedBecause: Text.nullable(),
    acceptedBefore: Instant.nullable().describe('when the acceptance ends'),
    version: Count,
  })
  .meta({ id: 'Finding', classification: 'public' })
export type Finding = z.output<typeof Finding>

export const FindingDetail = Finding.extend({
  why: Text,
  needs: Text.describe('what has to be seen for the rule to say anything'),
  fix: Text,
  control: Text.describe('what keeps it from coming about again'),
  frameworks: shown(z.record(z.string(), z.array(z.string()))).describe('controls that it is evidence about'),
  history: shown(
    z.array(z.object({ at: Instant, kind: Text, actorId: Id.nullable() }).meta({ classification: 'public' })),
  ).describe('what it went through, the latest first'),
}).meta({ id: 'FindingDetail' })
export type FindingDetail = z.output<typeof FindingDetail>

/** How a rule fared the last time that all was looked at. */
const Look = z
  .object({
    rule: Slug,
    judged: Count,
    found: Count,
    unknown: Count.describe('subjects of which it could say neither'),
    why: shown(z.record(z.string(), z.int())).describe('why it could not, with how many'),
  })
  .meta({ id: 'FindingLook', classification: 'public' })
export type Look = z.output<typeof Look>

const Pass = z
  .object({ beganAt: Instant, endedAt: Instant.nullable(), looks: shown(z.array(Look)) })
  .meta({ id: 'FindingPass', classification: 'public' })
export const Looks = z.array(Look)

export const FindingPage = z
  .object({
    items: z.array(Finding).max(200),
    nextCursor: z.string().nullable(),
    pass: Pass.nullable().describe('null: nothing was looked at yet'),
    coverage: Coverage,
  })
  .meta({ id: 'FindingPage' })
export type FindingPage = z.output<typeof FindingPage>

export const FindingQuery = PageQuery.extend({
  state: State.optional().describe('all but the fixed ones when left out'),
  severity: Severity.optional(),
  rule: Slug.optional(),
  identity: Slug.optional().describe('name or id'),
})
export type FindingQuery = z.output<typeof FindingQuery>

export const AcceptFinding = z.strictObject({
  reason: Reason,
  days: shown(z.int().min(1).max(ACCEPTED_DAYS)).default(30).describe('then it is reopened'),
})
export type AcceptFinding = z.output<typeof AcceptFinding>
const ReopenFinding = z.strictObject({ reason: Reason })

const FindingsEvaluated = z
  .object({ opened: Count, reopened: Count, restated: Count, fixed: Count, pass: Pass, coverage: Coverage })
  .meta({ id: 'FindingsEvaluated' })
export type FindingsEvaluated = z.output<typeof FindingsEvaluated>

const one = z.object({ finding: Id })

export const listFindings = operation({
  id: 'finding.list',
  method: 'GET',
  path: '/v1/findings',
  summary: 'Lists what is wrong, the worst first, with what could not be seen.',
  function: 'governance',
  resource: 'Installation',
  query: FindingQuery,
  output: FindingPage,
  problems: [notFound],
})
export const readFinding = operation({
  id: 'finding.read',
  method: 'GET',
  path: '/v1/findings/:finding',
  summary: 'Reads one finding: evidence, uncertainty, fix, the controls it is about, and its history.',
  function: 'governance',
  resource: 'Finding',
  params: one,
  output: FindingDetail,
  problems: [notFound],
})
export const acceptFinding = operation({
  id: 'finding.accept',
  method: 'POST',
  path: '/v1/findings/:finding/accept',
  summary: 'Accepts a finding as it is, for a reason and a time.',
  function: 'governance',
  resource: 'Finding',
  params: one,
  input: AcceptFinding,
  output: Finding,
  problems: [notFound, conflict],
})
export const reopenFinding = operation({
  id: 'finding.reopen',
  method: 'POST',
  path: '/v1/findings/:finding/reopen',
  summary: 'Ends the acceptance of a finding.',
  function: 'governance',
  resource: 'Finding',
  params: one,
  input: ReopenFinding,
  output: Finding,
  problems: [notFound, conflict],
})
export const evaluateFindings = operation({
  id: 'finding.evaluate',
  method: 'POST',
  path: '/v1/finding-evaluations',
  summary: 'Lets every rule look at everything now.',
  function: 'governance',
  resource: 'Installation',
  output: FindingsEvaluated,
  problems: [conflict],
})

export const findingOperations: readonly Operation[] = [
  listFindings,
  readFinding,
  acceptFinding,
  reopenFinding,
  evaluateFindings,
]
