import { z } from 'zod'
import { event, shown } from '../kernel/event.ts'
import { Id, Slug } from '../kernel/ids.ts'
import { Instant } from '../kernel/instant.ts'
import { Environment, Tier } from '../identities/contract.ts'
import { Account, AccountName, Mode, OnLoss, Reason } from './schemas.ts'

const Text = shown(z.string())
const Names = shown(z.array(z.string()))
const targetFacts = {
  environment: Environment,
  sensitivity: Tier,
  ownerTeam: Slug,
  settings: shown(z.record(z.string(), z.unknown())),
  hasNewProvisioner: shown(z.boolean()),
  onControlLoss: OnLoss,
  onRecorderLoss: OnLoss,
  mode: Mode,
}

export const actionsCatalogued = event('action.catalogued', 'Privileged actions entered the catalog or changed.', {
  names: Names,
  sha256: Text.describe('of the whole catalog after the change'),
})
export const targetRegistered = event('target.registered', 'A system that can be reached was registered.', {
  name: Slug,
  protocol: Text,
  ...targetFacts,
})
export const targetUpdated = event('target.updated', 'A target changed.', { fields: Names, ...targetFacts })
export const targetModeSet = event('target.mode-set', 'A target holds what is decided more or less strictly.', {
  mode: Mode,
  was: Mode,
  loosens: shown(z.boolean()),
  reason: Reason,
})
export const targetRetired = event('target.retired', 'A target ended for good.', { reason: Reason })
export const exceptionDeclared = event(
  'target.exception-declared',
  'Sessions of a target may go on when control or the recorder is lost.',
  { onControlLoss: OnLoss, onRecorderLoss: OnLoss, reason: Reason },
)
export const targetSurveyed = event('target.surveyed', 'The accounts that stand at a target were read.', {
  seen: shown(z.int()),
  added: Names.describe('at most a hundred'),
  superusers: Names.describe('at most a hundred'),
})
export const accountRegistered = event('account.registered', 'An account to act as was registered.', {
  targetId: Id,
  name: AccountName,
  mode: Account.shape.mode,
  databases: Names,
  tier: Tier,
  roles: shown(z.record(z.string(), z.string())),
})
export const accountClaimed = event('account.claimed', 'An account was said to belong to an identity.', {
  identityId: Id,
  previousId: Id.nullable(),
})
export const accountRetired = event('account.retired', 'An account to act as ended for good.', { reason: Reason })
export const purposeProposed = event('purpose.proposed', 'A reason to act was proposed.', {
  name: Slug,
  statement: Text,
  ownerTeam: Slug,
  targets: Names,
  actions: Names,
  expiresAt: Instant,
})
export const purposeApproved = event('purpose.approved', 'A reason to act was approved.', { proposedBy: Id })
export const purposeEnded = event('purpose.ended', 'A reason to act ended.', { reason: Reason })

export const catalogEvents = [
  actionsCatalogued,
  targetRegistered,
  targetUpdated,
  targetModeSet,
  targetRetired,
  exceptionDeclared,
  targetSurveyed,
  accountRegistered,
  accountClaimed,
  accountRetired,
  purposeProposed,
  purposeApproved,
  purposeEnded,
]
