import type {
  AccountFacts,
  CombinedFacts,
  CredentialFacts,
  GrantFacts,
  IdentityFacts,
  KeepingFacts,
  PrincipalFacts,
  ToolFacts,
  TrustFacts,
  TrustRuleFacts,
} from '../facts/facts.ts'
import type { Rule } from '../rule.ts'
import { abandonedAdministrator } from './abandoned-administrator.ts'
import { acrossEnvironments } from './across-environments.ts'
import { breakGlassAutomated } from './break-glass-automated.ts'
import { expiringCertificate } from './expiring-certificate.ts'
import { guessableAdministrator } from './guessable-administrator.ts'
import { hardCodedAndLive } from './hard-coded-and-live.ts'
import { hardCoded } from './hard-coded.ts'
import { hostileText } from './hostile-text.ts'
import { humanUse } from './human-use.ts'
import { lastingGrant } from './lasting-grant.ts'
import { lastingLeak } from './lasting-leak.ts'
import { leftoverAdministrator } from './leftover-administrator.ts'
import { legacyAccountToken } from './legacy-account-token.ts'
import { longLived } from './long-lived.ts'
import { looseFederation } from './loose-federation.ts'
import { looseProvider } from './loose-provider.ts'
import { looseRoleTrust } from './loose-role-trust.ts'
import { looseTrustRule } from './loose-trust-rule.ts'
import { noRevocationPath } from './no-revocation-path.ts'
import { openDoorToTierZero } from './open-door-to-tier-zero.ts'
import { openToolServer } from './open-tool-server.ts'
import { orphaned } from './orphaned.ts'
import { outdatedFlow } from './outdated-flow.ts'
import { outOfBandAccount } from './out-of-band-account.ts'
import { outsideStore } from './outside-store.ts'
import { overdueSecret } from './overdue-secret.ts'
import { pastItsEnd } from './past-its-end.ts'
import { pastItsPurpose } from './past-its-purpose.ts'
import { personAndJob } from './person-and-job.ts'
import { proposedCode } from './proposed-code.ts'
import { publicClientPowers } from './public-client-powers.ts'
import { reachesTierZero } from './reaches-tier-zero.ts'
import { sharedCredential } from './shared-credential.ts'
import { staleAccount } from './stale-account.ts'
import { staleIdentity } from './stale-identity.ts'
import { standingPrivilege } from './standing-privilege.ts'
import { toolChanged } from './tool-changed.ts'
import { unclaimedAdministrator } from './unclaimed-administrator.ts'
import { unbrokeredPrivilege } from './unbrokered-privilege.ts'
import { unpinnedAction } from './unpinned-action.ts'
import { unrotatedLogin } from './unrotated-login.ts'
import { vendorHeld } from './vendor-held.ts'
import { vendorToTierZero } from './vendor-to-tier-zero.ts'
import { vaultedAndInCode } from './vaulted-and-in-code.ts'
import { weakAuthentication } from './weak-authentication.ts'
import { weakLoginRule } from './weak-login-rule.ts'
import { wildcardRedirect } from './wildcard-redirect.ts'
import { wildcardRight } from './wildcard-right.ts'

/** Every rule by what it looks at; a combination looks at an identity with all that was found on it. */
export const RULES: {
  readonly identity: readonly Rule<IdentityFacts>[]
  readonly account: readonly Rule<AccountFacts>[]
  readonly principal: readonly Rule<PrincipalFacts>[]
  readonly credential: readonly Rule<CredentialFacts>[]
  readonly keeping: readonly Rule<KeepingFacts>[]
  readonly trust: readonly Rule<TrustFacts>[]
  readonly grant: readonly Rule<GrantFacts>[]
  readonly trustRule: readonly Rule<TrustRuleFacts>[]
  readonly tool: readonly Rule<ToolFacts>[]
  readonly combined: readonly Rule<CombinedFacts>[]
} = {
  identity: [orphaned, pastItsEnd, pastItsPurpose, staleIdentity, reachesTierZero, breakGlassAutomated],
  account: [
    standingPrivilege,
    outOfBandAccount,
    staleAccount,
    unbrokeredPrivilege,
    humanUse,
    unrotatedLogin,
    noRevocationPath,
  ],
  principal: [unclaimedAdministrator],
  credential: [
    longLived,
    weakAuthentication,
    sharedCredential,
    acrossEnvironments,
    expiringCertificate,
    legacyAccountToken,
    hardCoded,
    hardCodedAndLive,
    vaultedAndInCode,
    overdueSecret,
  ],
  keeping: [personAndJob, vendorHeld, outsideStore, lastingGrant],
  trust: [
    weakLoginRule,
    unpinnedAction,
    proposedCode,
    looseFederation,
    looseRoleTrust,
    wildcardRedirect,
    outdatedFlow,
    publicClientPowers,
    looseProvider,
  ],
  grant: [wildcardRight],
  trustRule: [looseTrustRule],
  tool: [toolChanged, hostileText, openToolServer],
  combined: [
    abandonedAdministrator,
    guessableAdministrator,
    lastingLeak,
    vendorToTierZero,
    openDoorToTierZero,
    leftoverAdministrator,
  ],
}

/** What is said of a rule, whatever it looks at. */
export type RuleText = Omit<Rule<never>, 'judge'>
export const ALL_RULES: readonly RuleText[] = Object.values(RULES).flat()

const BY_ID = new Map(ALL_RULES.map((rule) => [rule.id, rule]))

export function ruleOf(id: string): RuleText | undefined {
  return BY_ID.get(id)
}
