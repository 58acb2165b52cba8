import { z } from 'zod'
import { Coverage, Placed } from '../../inventory/contract.ts'
import { shown } from '../../kernel/event.ts'
import { Id, Slug } from '../../kernel/ids.ts'
import { Instant } from '../../kernel/instant.ts'
import { operation, PageQuery, type Operation } from '../../kernel/operation.ts'
import { conflict, invalidInput, notFound } from '../../kernel/problem.ts'
import { EDGE_KINDS, EDGES } from './edge-kinds.ts'

const Text = shown(z.string())
const Count = shown(z.int())
const Node = shown(z.enum(['principal', 'credential', 'resource', 'identity', 'other']))
const Edge = shown(z.enum(EDGE_KINDS))
const EVIDENCE_KINDS = [...new Set(EDGE_KINDS.map((kind) => EDGES[kind].evidence))]

/** One thing of the graph. `other` is where several meet: one secret in several places, an issuer. */
const Thing = z
  .object({
    id: Id,
    node: Node,
    name: Text,
    type: Text.nullable().describe('as its source or the record has it'),
    source: Slug.nullable().describe('null: it is of the record, or no source told it'),
  })
  .meta({ id: 'GraphThing', classification: 'public' })
export type Thing = z.output<typeof Thing>

const Step = z
  .object({
    from: Thing,
    edge: Edge,
    words: Text,
    to: Thing,
    evidence: z
      .object({
        kind: shown(z.enum(EVIDENCE_KINDS)),
        id: Id,
        source: Slug.nullable(),
        what: Text,
        seenAt: Instant.nullable(),
      })
      .meta({ classification: 'public' })
      .describe('the row that says so'),
  })
  .meta({ id: 'GraphStep', classification: 'public' })
export type Step = z.output<typeof Step>

const Pass = z
  .object({ beganAt: Instant, endedAt: Instant.nullable(), nodes: Count, edges: Count, reaching: Count })
  .meta({ id: 'GraphPass', classification: 'public' })

const Way = z
  .object({
    from: Thing,
    hops: Count.describe('0: it is tier 0 itself'),
    edge: Edge.nullable().describe('what lets it take the first step'),
    next: Thing.nullable(),
    goal: Thing,
  })
  .meta({ id: 'EscalationWay', classification: 'public' })

export const PathPage = z
  .object({
    items: z.array(Way).max(200),
    nextCursor: z.string().nullable(),
    pass: Pass.nullable().describe('when the graph was last looked at; null: not yet'),
    coverage: Coverage,
  })
  .meta({ id: 'PathPage' })
export type PathPage = z.output<typeof PathPage>

export const PathDetail = z
  .object({
    from: Thing,
    isFound: shown(z.boolean()).describe('false: no way is seen; what is not seen may be one, see coverage'),
    goal: Thing.nullable(),
    steps: z.array(Step),
    pass: Pass.nullable(),
    coverage: Coverage,
  })
  .meta({ id: 'PathDetail' })
export type PathDetail = z.output<typeof PathDetail>

export const ReachDetail = z
  .object({
    from: Thing,
    reached: z.array(Step.extend({ hops: Count, isTier0: shown(z.boolean()) })).describe('the nearest first'),
    tier0: Count.describe('of them, how many are tier 0'),
    isCut: shown(z.boolean()).describe('there is more than is shown'),
    coverage: Coverage,
  })
  .meta({ id: 'ReachDetail' })
export type ReachDetail = z.output<typeof ReachDetail>

export const PathQuery = PageQuery.extend({
  node: Node.optional().describe('of which sort; principals when left out'),
  source: Slug.optional().describe('name or id'),
  to: Id.optional().describe('those whose nearest tier 0 this is'),
})
export type PathQuery = z.output<typeof PathQuery>

export const PathExportQuery = z.object({
  format: shown(z.enum(['opengraph', 'csv', 'json'])).default('opengraph'),
  source: Slug.optional().describe('name or id'),
})
export type PathExportQuery = z.output<typeof PathExportQuery>

const one = z.object({
  thing: z
    .union([Slug, Placed])
    .describe('an id of the inventory or the record, the name of an identity, or name@source of what stands there'),
})

export const listPaths = operation({
  id: 'path.list',
  method: 'GET',
  path: '/v1/paths',
  summary: 'Lists what can come to tier 0, the nearest first, with the first step of its shortest way.',
  function: 'governance',
  resource: 'Installation',
  query: PathQuery,
  output: PathPage,
  problems: [notFound],
})
export const readPath = operation({
  id: 'path.read',
  method: 'GET',
  path: '/v1/paths/:thing',
  summary: 'Reads the shortest way from one thing to tier 0, each step with the row that says so.',
  function: 'governance',
  resource: 'Installation',
  params: one,
  query: z.object({ to: Id.optional().describe('the way to this thing, tier 0 or not') }),
  output: PathDetail,
  problems: [notFound],
})
export const readReach = operation({
  id: 'path.reach',
  method: 'GET',
  path: '/v1/reach/:thing',
  summary: 'Says what one thing reaches: what somebody has who copied the credential.',
  function: 'governance',
  resource: 'Installation',
  params: one,
  output: ReachDetail,
  problems: [notFound, conflict],
})
export const exportPaths = operation({
  id: 'path.export',
  method: 'GET',
  path: '/v1/path-exports',
  summary: 'Gives every way to tier 0 as BloodHound OpenGraph, CSV or JSON lines, with what could not be seen.',
  function: 'governance',
  resource: 'Installation',
  query: PathExportQuery,
  output: z.string(),
  answer: 'bytes',
  mediaType: 'text/plain; charset=utf-8',
  problems: [notFound, invalidInput],
})

export const graphOperations: readonly Operation[] = [listPaths, readPath, readReach, exportPaths]
