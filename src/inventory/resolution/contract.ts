import { z } from 'zod'
import { Reason } from '../../identities/contract.ts'
import { shown } from '../../kernel/event.ts'
import { Id, Slug } from '../../kernel/ids.ts'
import { Instant } from '../../kernel/instant.ts'
import { operation, PageQuery, type Operation } from '../../kernel/operation.ts'
import { conflict, invalidInput, notFound } from '../../kernel/problem.ts'
import { Consumers, Coverage, Placed } from '../schemas.ts'

const Text = shown(z.string())
const Count = shown(z.int())
const Kind = shown(z.enum(['principal', 'credential']))
const How = shown(z.enum(['native-id', 'fingerprint', 'attested']))
const State = shown(z.enum(['active', 'ended', 'declined']))
/** Further than this nobody keeps what was used. */
const DAYS_MAX = 730

/** What says that something a source told is an identity of the record. */
export const Link = z
  .object({
    id: Id,
    observedKind: Kind,
    observedId: Id,
    observed: Text.nullable().describe('its name at the source'),
    source: Slug.nullable(),
    identityId: Id,
    identity: Slug,
    how: How,
    evidence: shown(z.array(z.string())),
    state: State.describe('declined: a person took it apart, and it is not made again by itself'),
    madeAt: Instant,
    endedAt: Instant.nullable(),
  })
  .meta({ id: 'RecordLink', classification: 'public' })
export type Link = z.output<typeof Link>

export const LinkPage = z
  .object({ items: z.array(Link).max(200), nextCursor: z.string().nullable(), coverage: Coverage })
  .meta({ id: 'RecordLinkPage' })
export type LinkPage = z.output<typeof LinkPage>

export const LinkQuery = PageQuery.extend({
  identity: Slug.optional().describe('name or id'),
  observed: Id.optional(),
  state: State.default('active'),
})
export type LinkQuery = z.output<typeof LinkQuery>

export const Merge = z
  .object({
    id: Id,
    identityId: Id,
    intoId: Id,
    state: shown(z.enum(['active', 'ended'])),
    madeAt: Instant,
    endedAt: Instant.nullable(),
  })
  .meta({ id: 'IdentityMerge', classification: 'public' })
export type Merge = z.output<typeof Merge>

/** What might be the same, for a person to look at: nothing follows from it by itself. */
const Suggestion = z
  .object({ identityId: Id, identity: Slug, by: shown(z.enum(['public-fingerprint', 'same-name'])), evidence: Text })
  .meta({ id: 'LinkSuggestion', classification: 'public' })
export type Suggestion = z.output<typeof Suggestion>

const Suggestions = z
  .object({ observedId: Id, items: z.array(Suggestion), coverage: Coverage })
  .meta({ id: 'LinkSuggestions' })

export const Resolved = z
  .object({ made: Count, ended: Count })
  .meta({ id: 'InventoryResolved', classification: 'public' })
export type Resolved = z.output<typeof Resolved>

export const LinkObserved = z.strictObject({ observed: Id.describe('a principal or credential'), reason: Reason })
export type LinkObserved = z.output<typeof LinkObserved>
const MergeInto = z.strictObject({ into: Slug.describe('name or id of the identity that it is'), reason: Reason })
export type MergeInto = z.output<typeof MergeInto>

const one = z.object({ identity: Slug.describe('name or id') })

export const linkInventory = operation({
  id: 'inventory.link',
  method: 'POST',
  path: '/v1/identities/:identity/links',
  summary: 'Says that a principal or credential of a source is this identity, on the word of who says so.',
  function: 'nhi',
  resource: 'Identity',
  params: one,
  input: LinkObserved,
  output: Link,
  status: 201,
  problems: [notFound, conflict, invalidInput],
})
export const unlinkInventory = operation({
  id: 'inventory.unlink',
  method: 'POST',
  path: '/v1/identities/:identity/unlink',
  summary: 'Ends a link; one that was made by a fingerprint is not made again by itself.',
  function: 'nhi',
  resource: 'Identity',
  params: one,
  input: LinkObserved,
  output: Link,
  problems: [notFound, conflict],
})
export const mergeIdentities = operation({
  id: 'inventory.merge',
  method: 'POST',
  path: '/v1/identities/:identity/merge',
  summary: 'Says that an identity is another one as well: they count as one in the inventory until they are split.',
  function: 'nhi',
  resource: 'Identity',
  params: one,
  input: MergeInto,
  output: Merge,
  status: 201,
  problems: [notFound, conflict, invalidInput],
})
export const splitIdentities = operation({
  id: 'inventory.split',
  method: 'POST',
  path: '/v1/identities/:identity/split',
  summary: 'Takes a merge back. Everything is as it was before.',
  function: 'nhi',
  resource: 'Identity',
  params: one,
  input: z.strictObject({ reason: Reason }),
  output: Merge,
  problems: [notFound, conflict],
})
export const listLinks = operation({
  id: 'inventory.list-links',
  method: 'GET',
  path: '/v1/inventory-links',
  summary: 'Lists what of the inventory is which identity, and by what.',
  function: 'nhi',
  resource: 'Installation',
  query: LinkQuery,
  output: LinkPage,
  problems: [notFound],
})
export const suggestLinks = operation({
  id: 'inventory.suggest',
  method: 'GET',
  path: '/v1/inventory-suggestions/:observed',
  summary: 'Says which identities a principal might be, for a person to look at.',
  function: 'nhi',
  resource: 'Installation',
  params: z.object({ observed: Id }),
  output: Suggestions,
  problems: [notFound],
})
export const resolveInventory = operation({
  id: 'inventory.resolve',
  method: 'POST',
  path: '/v1/inventory-resolutions',
  summary: 'Links what sources told to the record, by native ids and keyed fingerprints, now.',
  function: 'nhi',
  resource: 'Installation',
  output: Resolved,
})
export const readConsumers = operation({
  id: 'inventory.consumers',
  method: 'GET',
  path: '/v1/consumers/:thing',
  summary: 'Says who breaks when a credential or the login of an account changes, and whether it was used.',
  function: 'nhi',
  resource: 'Installation',
  params: z.object({
    thing: z
      .union([Slug, Placed])
      .describe('an account, a principal or a credential: its id, or name@source; or the name or id of an identity'),
  }),
  query: z.object({
    days: z.coerce.number().int().min(1).max(DAYS_MAX).default(90).describe('of which time use is said'),
  }),
  output: Consumers,
  problems: [notFound, conflict],
})

export const resolutionOperations: readonly Operation[] = [
  linkInventory,
  unlinkInventory,
  mergeIdentities,
  splitIdentities,
  listLinks,
  suggestLinks,
  resolveInventory,
  readConsumers,
]
