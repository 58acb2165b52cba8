import { z } from 'zod'
import { SCOPE_STATUSES } from '../connectors/connector.ts'
import { Environment } from '../identities/contract.ts'
import { shown } from '../kernel/event.ts'
import { Id, Slug } from '../kernel/ids.ts'
import { Instant } from '../kernel/instant.ts'
import { PageQuery } from '../kernel/operation.ts'
import { problem } from '../kernel/problem.ts'

const Text = shown(z.string())
const Count = shown(z.int())
const Schedule = shown(z.enum(['never', 'daily', 'weekly']))
const Status = shown(z.enum(SCOPE_STATUSES))

export const Source = z
  .object({
    id: Id,
    name: Slug,
    connector: Slug,
    settings: shown(z.record(z.string(), z.unknown())),
    targetId: Id.nullable().describe('the target it is as well'),
    ownerTeam: Slug,
    environment: Environment,
    authority: Text.nullable().describe('the system itself, whatever its address; null before the first reading'),
    system: Text.nullable(),
    schedule: Schedule,
    nextReadAt: Instant.nullable(),
    readAt: Instant.nullable(),
    problem: Text.nullable().describe('why the last reading could not begin or be whole'),
    state: shown(z.enum(['active', 'retired'])),
    createdAt: Instant,
    version: Count,
  })
  .meta({ id: 'Source' })
export type Source = z.output<typeof Source>

/** What could not be seen, why, and which permission would show it. */
export const MissingPart = z
  .object({ what: Text, why: Text, permission: Text.optional() })
  .meta({ classification: 'public' })

export const SourceScope = z
  .object({
    scope: Text,
    title: Text.nullable(),
    status: Status.nullable().describe('null: never read'),
    missing: shown(z.array(MissingPart)),
    items: Count.describe('things in it when it was last seen whole'),
    readAt: Instant.nullable(),
    seenAt: Instant.nullable().describe('when it was last seen whole'),
  })
  .meta({ id: 'SourceScope', classification: 'public' })
export type SourceScope = z.output<typeof SourceScope>

export const SourceDetail = Source.extend({
  scopes: shown(z.array(SourceScope)),
  readings: shown(
    z.array(
      z
        .object({
          id: Id,
          beganAt: Instant,
          endedAt: Instant.nullable(),
          outcome: Text.nullable(),
          problem: Text.nullable(),
        })
        .meta({ classification: 'public' }),
    ),
  ).describe('the last ten'),
}).meta({ id: 'SourceDetail' })
export type SourceDetail = z.output<typeof SourceDetail>

export const RegisterSource = z.strictObject({
  name: Slug,
  connector: Slug,
  settings: shown(z.record(z.string(), z.unknown())).describe('as the connector has it: address, TLS mode'),
  credential: z
    .record(z.string(), z.string().max(20_000))
    .optional()
    .describe('the login to read with; sealed, and never shown again'),
  target: Slug.optional().describe('name or id of the target it is as well'),
  ownerTeam: Slug,
  environment: Environment,
  schedule: Schedule.default('daily'),
})
export type RegisterSource = z.output<typeof RegisterSource>

export const SourceProbe = z
  .object({
    sourceId: Id,
    authority: Text,
    system: Text,
    scopes: shown(
      z.array(
        z
          .object({ scope: Text, isVisible: shown(z.boolean()), missing: shown(z.array(MissingPart)) })
          .meta({ classification: 'public' }),
      ),
    ),
  })
  .meta({ id: 'SourceProbe' })
export type SourceProbe = z.output<typeof SourceProbe>

export const CollectedScope = z
  .object({
    scope: Text,
    status: Status,
    items: Count,
    added: Count,
    changed: Count,
    missed: Count,
    gone: Count,
    missing: shown(z.array(MissingPart)),
  })
  .meta({ id: 'CollectedScope', classification: 'public' })

export const SourceReading = z
  .object({
    readingId: Id,
    outcome: shown(z.enum(['complete', 'partial', 'failed', 'cancelled'])),
    problem: Text.nullable(),
    scopes: shown(z.array(CollectedScope)),
  })
  .meta({ id: 'SourceReading' })
export type SourceReading = z.output<typeof SourceReading>

export const SourceQuery = PageQuery.extend({ connector: Slug.optional(), state: Source.shape.state.optional() })
export type SourceQuery = z.output<typeof SourceQuery>

/**
 * What an answer about the inventory does not see. It stands on every list, count and export: without it an empty list would say that there is
 * nothing.
 */
export const Coverage = z
  .object({
    isWhole: shown(z.boolean()).describe('every scope of every source was seen whole, and none is overdue'),
    sources: Count,
    scopes: shown(z.record(z.string(), z.int())).describe('how many scopes stand how; never: not read yet'),
    unseen: shown(
      z.array(
        z
          .object({
            source: Slug,
            scope: Text.nullable().describe('null: the source as a whole'),
            status: Text,
            seenAt: Instant.nullable().describe('when it was last seen whole'),
            what: Text,
            why: Text,
            permission: Text.optional(),
          })
          .meta({ classification: 'public' }),
      ),
    ).describe('at most a hundred'),
    more: Count.describe('what is not seen beside these'),
  })
  .meta({ id: 'Coverage', classification: 'public' })
export type Coverage = z.output<typeof Coverage>

export const sourceUnreachable = problem('source-unreachable', 502, 'The source could not be read', {
  sourceId: z.uuid(),
})
export const unknownConnector = problem('unknown-connector', 422, 'There is no such connector', {
  connector: z.string(),
  known: z.array(z.string()),
})
