/**
 * What can be reached, as whom, what is privileged there, and for which approved purposes.
 *
 * Targets and accounts are registered by people, or seen at a target by a survey; the logins they need are sealed and never leave by the
 * API. Actions come from the gateways at start. A purpose counts once a person who neither proposed it nor is tied to who did approves it.
 */
export { listActions, loadAction, syncActions } from './actions.ts'
export { accountResource, purposeResource, targetResource } from './entities.ts'
export { findPurpose, listPurposes, loadPurpose, loadPurposeByName, purposeCovers } from './purpose-records.ts'
export {
  findAccount,
  findTarget,
  listAccounts,
  listTargets,
  loadAccount,
  loadAccountById,
  loadTarget,
  loadTargetByName,
  rolesOf,
  type CatalogNeeds,
} from './records.ts'
