import { z } from 'zod'
import { resolutionEvents } from './resolution/events.ts'
import { SCOPE_STATUSES } from '../connectors/connector.ts'
import { Environment } from '../identities/contract.ts'
import { event, shown } from '../kernel/event.ts'
import { Id, Slug } from '../kernel/ids.ts'

const Text = shown(z.string())
const Count = shown(z.int())
/** At most so many are told in an entry; all are in the report. */
export const MISSING_TOLD = 20
const MissingTold = shown(z.array(z.string()))

export const sourceRegistered = event('source.registered', 'A system for a connector to read was registered.', {
  name: Slug,
  connector: Text,
  address: Text,
  settings: shown(z.record(z.string(), z.unknown())),
  hasCredential: shown(z.boolean()),
  schedule: Text,
  environment: Environment,
  ownerTeam: Slug,
  targetId: Id.nullable(),
})
export const sourceUpdated = event('source.updated', 'Where a source is, or what it is read with, is different.', {
  name: Slug,
  address: Text,
  settings: shown(z.record(z.string(), z.unknown())),
  isLoginReplaced: shown(z.boolean()),
  schedule: Text,
  environment: Environment,
  ownerTeam: Slug,
})
export const sourceRetired = event('source.retired', 'A system is not read any more.', { name: Slug })
export const sourceRecognised = event('source.recognised', 'A source said which system it is.', {
  authority: Text,
  system: Text,
})
export const readingBegan = event('source.reading-began', 'A connector began to read a source.', {
  readingId: Id,
  resumes: shown(z.boolean()),
})
export const scopeRead = event('source.scope-read', 'A part of a source was read, or could not be.', {
  readingId: Id,
  scope: Text,
  status: shown(z.enum(SCOPE_STATUSES)),
  items: Count,
  changed: Count.describe('new, or told otherwise than before'),
  missed: Count,
  gone: Count,
  missing: MissingTold,
})
export const readingEnded = event('source.reading-ended', 'A reading of a source ended.', {
  readingId: Id,
  outcome: Text,
  problem: Text.nullable(),
  scopes: shown(z.record(z.string(), z.int())),
  goneScopes: shown(z.array(z.string())),
})

export const inventoryEvents = [
  sourceRegistered,
  sourceUpdated,
  sourceRetired,
  sourceRecognised,
  readingBegan,
  scopeRead,
  readingEnded,
  ...resolutionEvents,
]
