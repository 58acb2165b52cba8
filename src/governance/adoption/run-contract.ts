import { z } from 'zod'
import { Reason } from '../../identities/contract.ts'
import { Coverage } from '../../inventory/contract.ts'
import { shown } from '../../kernel/event.ts'
import { Id, Slug } from '../../kernel/ids.ts'
import { Instant } from '../../kernel/instant.ts'
import { operation, PageQuery, type Operation } from '../../kernel/operation.ts'
import { conflict, invalidInput, notFound } from '../../kernel/problem.ts'
import { adoptionFilter, adoptionWord, LEFT_WHYS } from './filter.ts'

const Count = shown(z.int())

/** What an act by a rule adopts: which principals that nobody claims, and what is said of them. */
export const AdoptionRule = z.strictObject({ ...adoptionFilter, ...adoptionWord })
export type AdoptionRule = z.output<typeof AdoptionRule>

/** One act by a rule: as many batches as it takes, each of one transaction with one entry. */
export const AdoptionRun = z
  .object({
    id: Id,
    rule: AdoptionRule.meta({ classification: 'public' }),
    by: Slug,
    state: shown(z.enum(['running', 'done', 'undoing', 'undone'])).describe(
      'running and undoing go on with the next call: adoption continue, adoption undo',
    ),
    lookedAt: Count.describe('things of the source that it came to so far'),
    ofAbout: Count.describe('of so many that were nobody’s when it began'),
    adopted: Count,
    unmatched: Count.describe('that the filters by class leave out'),
    left: z
      .array(
        z
          .object({ why: shown(z.enum(LEFT_WHYS)), words: shown(z.string()), count: Count })
          .meta({ classification: 'public' }),
      )
      .describe('why what is no identity after it; inventory adopt --every --dry-run shows examples'),
    undone: Count.describe('of the adopted, how many were taken back'),
    startedAt: Instant,
    lastAt: Instant.describe('of the last batch'),
    endedAt: Instant.nullable(),
  })
  .meta({ id: 'AdoptionRun', classification: 'public' })
export type AdoptionRun = z.output<typeof AdoptionRun>

const AdoptionRunPage = z
  .object({ items: z.array(AdoptionRun).max(200), nextCursor: z.string().nullable(), coverage: Coverage })
  .meta({ id: 'AdoptionRunPage' })
export type AdoptionRunPage = z.output<typeof AdoptionRunPage>

const one = z.object({ adoption: Id })
const problems = [notFound, conflict, invalidInput]

export const startAdoption = operation({
  id: 'adoption.start',
  method: 'POST',
  path: '/v1/adoptions',
  summary: 'Begins to adopt everything that nobody claims and a rule names, and does the first batch.',
  function: 'iam',
  resource: 'Installation',
  input: AdoptionRule,
  output: AdoptionRun,
  status: 201,
  problems,
})
export const continueAdoption = operation({
  id: 'adoption.continue',
  method: 'POST',
  path: '/v1/adoptions/:adoption/continue',
  summary: 'Does the next batch of an adoption by a rule.',
  function: 'iam',
  resource: 'Installation',
  params: one,
  output: AdoptionRun,
  problems,
})
export const undoAdoption = operation({
  id: 'adoption.undo',
  method: 'POST',
  path: '/v1/adoptions/:adoption/undo',
  summary: 'Takes the next batch of an adoption by a rule back; what somebody answers for by now stays.',
  function: 'iam',
  resource: 'Installation',
  params: one,
  input: z.strictObject({ reason: Reason }),
  output: AdoptionRun,
  problems,
})
export const listAdoptions = operation({
  id: 'adoption.list',
  method: 'GET',
  path: '/v1/adoptions',
  summary: 'Lists adoptions by a rule with how far they came, the last one first.',
  function: 'iam',
  resource: 'Installation',
  query: PageQuery,
  output: AdoptionRunPage,
  problems: [],
})

export const adoptionRunOperations: readonly Operation[] = [
  startAdoption,
  continueAdoption,
  undoAdoption,
  listAdoptions,
]
