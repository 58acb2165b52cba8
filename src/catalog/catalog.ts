/**
 * What can be reached, as whom, what is privileged there, and for which approved purposes.
 *
 * Targets and accounts are registered by people, or seen at a target by a survey; the logins they need are sealed and never leave by the
 * API. Actions come from the gateways at start. A purpose counts once a person who neither proposed it nor is tied to who did approves it.
 */
export { claimAccount, registerAccount, retireAccount } from './accounts.ts'
export { claimFoundAccounts, freeFoundAccounts } from './found-accounts.ts'
export { actionsOf, loadActions, syncActions } from './actions.ts'
export { accountResource, purposeResource, targetResource } from './entities.ts'
export { catalogEvents } from './events.ts'
export {
  catalogFactsIn,
  catalogFactsOf,
  isCovered,
  type AccountFacts,
  type CatalogFacts,
  type TargetFacts,
} from './facts.ts'
export { overridesSha256, readOverrides, withOverrides, type CatalogOverrides } from './overrides.ts'
export { findPurpose, listPurposes, purposeCovers } from './purpose-records.ts'
export { approvePurpose, endPurpose, proposePurpose } from './purposes.ts'
export {
  findTarget,
  listAccounts,
  listTargets,
  loadAccount,
  loadAccountById,
  loadTarget,
  loadTargetByName,
  rolesOf,
  type CatalogNeeds,
  type OnAccountRetired,
  type OnPurposeEnded,
  type OnTargetRetired,
  type SeenAccount,
  type Survey,
} from './records.ts'
export { catalogRoutes } from './routes.ts'
export { recordSeen, surveyTarget } from './survey.ts'
export { registerTarget, retireTarget, updateTarget } from './targets.ts'
export { modeOf, setTargetMode } from './modes.ts'
export { readCatalog, withShipped } from './shipped.ts'
