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
const MissingPart = z.object({ what: Text, why: Text, permission: Text.optional() }).meta({ classification: 'public' })

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

/** How people name what stands at a place: `app@shop`, the place being a source or a target. */
export const Placed = z
  .string()
  .max(400)
  .regex(/^.+@[^@]+$/, 'write name@source')
  .meta({ classification: 'public' })

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

export const UpdateSource = z
  .strictObject({
    settings: RegisterSource.shape.settings.optional(),
    credential: RegisterSource.shape.credential,
    ownerTeam: Slug.optional(),
    environment: Environment.optional(),
    schedule: Schedule.optional(),
  })
  .refine((input) => Object.keys(input).length > 0, 'say what is different')
export type UpdateSource = z.output<typeof UpdateSource>

/** What a source posts by itself, as its connector understands it: the audit webhook backend of Kubernetes posts an EventList. */
export const Delivery = z
  .looseObject({
    kind: shown(z.literal('EventList')),
    apiVersion: shown(z.literal('audit.k8s.io/v1')),
    items: z.array(z.unknown()).max(10_000),
  })
  .meta({ id: 'Delivery', classification: 'personal' })
export type Delivery = z.output<typeof Delivery>

export const Delivered = z
  .object({
    kept: Count.describe('what waits now for the next reading'),
    repeated: Count.describe('what was posted before'),
    refused: Count.describe('what is no event, came too late, or has no room'),
  })
  .meta({ id: 'Delivered' })
export type Delivered = z.output<typeof Delivered>

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

const CollectedScope = z
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

export const SourcePage = z
  .object({ items: z.array(Source).max(200), nextCursor: z.string().nullable(), coverage: Coverage })
  .meta({ id: 'SourcePage' })
export type SourcePage = z.output<typeof SourcePage>

const INVENTORY_KINDS = ['principal', 'credential', 'resource', 'grant', 'trust', 'reference'] as const
const Kind = shown(z.enum(INVENTORY_KINDS))
const Presence = shown(z.enum(['present', 'missed', 'gone']))

/** One thing that a source told. */
export const InventoryItem = z
  .object({
    id: Id,
    kind: Kind,
    source: Slug,
    scope: Text,
    nativeKind: Text,
    nativeId: Text,
    name: Text.nullable().describe('null for what has none'),
    presence: Presence.describe('missed: not in the last complete reading; gone: not in the last two'),
    fields: shown(z.record(z.string(), z.unknown())).describe('what was told of it; null is explained by unknown'),
    unknown: shown(z.record(z.string(), z.string())).describe('field → why it is not known'),
    firstSeenAt: Instant,
    lastSeenAt: Instant,
  })
  .meta({ id: 'InventoryItem', classification: 'public' })
export type InventoryItem = z.output<typeof InventoryItem>

const filters = {
  source: Slug.optional().describe('name or id'),
  presence: Presence.default('present'),
  name: shown(z.string().min(1).max(200)).optional().describe('how it begins'),
  type: shown(z.string().min(1).max(64)).optional(),
  principal: Id.optional().describe('whose credentials or rights'),
  on: Id.optional().describe('rights on which thing'),
}
export const InventoryQuery = PageQuery.extend(filters)
export type InventoryQuery = z.output<typeof InventoryQuery>
export const ExportQuery = z.object({ ...filters, format: shown(z.enum(['csv', 'json'])).default('csv') })
export type ExportQuery = z.output<typeof ExportQuery>
export const KindParams = z.object({ kind: Kind })

export const InventoryPage = z
  .object({ items: z.array(InventoryItem).max(200), nextCursor: z.string().nullable(), coverage: Coverage })
  .meta({ id: 'InventoryPage' })

export const InventoryDetail = InventoryItem.extend({
  uses: shown(
    z.array(
      z
        .object({
          semantics: Text,
          privilege: Text.nullable(),
          address: Text.nullable(),
          agent: Text.nullable(),
          firstAt: Instant,
          lastAt: Instant,
          count: Count.describe('0 when the source does not count'),
        })
        .meta({ classification: 'public' }),
    ),
  ).describe('the last hundred ways in which it was used'),
  observed: shown(
    z.array(z.object({ semantics: Text, sees: Text, seen: Text }).meta({ classification: 'public' })),
  ).describe('when use would have been seen; its holes are gaps'),
  coverage: Coverage,
}).meta({ id: 'InventoryDetail' })
export type InventoryDetail = z.output<typeof InventoryDetail>

/** How many of a whole: yes, no, and not known. What is not known is no part of either. */
const Share = z
  .object({
    yes: Count,
    no: Count,
    unknown: Count,
    percent: shown(z.number()).nullable().describe('of all; unknown is not yes'),
  })
  .meta({ classification: 'public' })
const shares = {
  owner: Share.describe('an attested owner'),
  purpose: Share.describe('a recorded purpose'),
  service: Share.describe('a business service'),
  expiry: Share.describe('an end by itself'),
  revocationPath: Share.describe(
    'every credential known; no: what was last issued for an account of it cannot be ended',
  ),
  vaulted: Share.describe('every secret of its accounts is in a store'),
  brokeredPrivilege: Share.describe('privileged accounts that are reached by leases only'),
}
const matrix = {
  total: Count,
  temporary: Share.describe('it, or all it holds, ends by itself'),
  justified: Share.describe('purpose and attested owner'),
  observable: Share.describe('every use of its accounts would be seen'),
  fullyVisible: Share.describe('all three'),
  unusedRights: Share.describe('rights that were not used in ninety days, where every use would have been seen'),
  ...shares,
}
export const InventoryCoverage = z
  .object({
    at: Instant,
    identities: shown(
      z.array(
        z
          .object({ kind: shown(z.enum(['human', 'machine', 'workload', 'agent'])), ...matrix })
          .meta({ classification: 'public' }),
      ),
    ),
    all: z.object(matrix).meta({ classification: 'public' }).describe('over the four kinds'),
    accounts: z
      .object({
        total: Count,
        claimed: Count.describe('belong to an identity of the record'),
        unclaimed: Count,
        privileged: Count,
      })
      .meta({ classification: 'public' }),
    credentials: z.object({ total: Count, vaulted: Share, expiring: Share }).meta({ classification: 'public' }),
    moved: shown(z.record(z.string(), z.number()))
      .nullable()
      .describe('points since about a week ago; null: nothing to compare with'),
    coverage: Coverage,
  })
  .meta({ id: 'InventoryCoverage' })
export type InventoryCoverage = z.output<typeof InventoryCoverage>

/** Whether something was used. "Unused" is said only where every login of all that time would have been told. */
export const UseAnswer = z
  .object({
    is: shown(z.enum(['used', 'unused', 'cannot-be-said'])),
    since: Instant.describe('of this time it is said'),
    until: Instant.describe('up to here: what is younger is told by the next reading'),
    lastAt: Instant.nullable().describe('the last use that a source told, however old'),
    gaps: shown(z.array(z.tuple([Instant, Instant]))).describe('stretches in which a use would not have been told'),
    why: shown(z.array(z.string())).describe('why it cannot be said'),
  })
  .meta({ id: 'UseAnswer', classification: 'public' })
export type UseAnswer = z.output<typeof UseAnswer>

/** Something that would notice if the credential changed. */
const Consumer = z
  .object({
    by: shown(z.enum(['declared', 'seen', 'gateway', 'reference', 'use'])).describe(
      'how it is known: somebody said so; a session at the target; a session through the gateway; a source told of a place that keeps it, or of a use',
    ),
    referenceId: Id.nullable().describe('of a place that keeps it: the reference in the inventory'),
    id: Id.nullable().describe('the consumer in the inventory, where a source tells it'),
    name: Text,
    source: Slug.nullable().describe('null: it is known to the record alone'),
    how: Text,
    location: Text,
    evidence: Text.describe('static: it is written there; runtime: it was seen; word: a person said so'),
    lastAt: Instant.nullable().describe('null: never seen'),
    count: Count.describe('uses that were counted'),
    isPresent: shown(z.boolean()).describe('false: missed by the last complete reading, and not yet gone'),
    isCopy: shown(z.boolean()).describe('it keeps the same secret under another name'),
  })
  .meta({ id: 'CredentialConsumer', classification: 'public' })
export type Consumer = z.output<typeof Consumer>

export const Consumers = z
  .object({
    principals: shown(z.array(Id)).describe('what stands for it at sources'),
    credentials: shown(z.array(Id)).describe('what proves it there'),
    consumers: z.array(Consumer),
    more: Count.describe('consumers beside these'),
    use: UseAnswer,
    coverage: Coverage,
  })
  .meta({ id: 'CredentialConsumers' })
export type Consumers = z.output<typeof Consumers>

export const sourceUnreachable = problem('source-unreachable', 502, 'The source could not be read', {
  sourceId: z.uuid(),
})
export const unknownConnector = problem('unknown-connector', 422, 'There is no such connector', {
  connector: z.string(),
  known: z.array(z.string()),
})
