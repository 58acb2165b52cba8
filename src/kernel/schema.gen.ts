// Derived from the migrated database by `npm run generate`.
import type { ColumnType, Generated, GeneratedAlways } from 'kysely'

export type AccessGrantTable = {
  id: string
  requestId: string
  subjectId: string
  onBehalfOfId: string | null
  targetId: string
  accountId: string
  actions: string[]
  parserEnforced: string[]
  purposeId: string
  ticket: string | null
  task: string | null
  recording: 'none' | 'meta' | 'full'
  maxUses: number | null
  uses: Generated<number>
  maxConnections: number
  isKeptAlive: boolean
  startsAt: Date
  expiresAt: Date
  endedAt: Date | null
  endReason: 'done' | 'expired' | 'revoked' | 'identity-suspended' | 'identity-retired' | 'owner-lost' | 'heartbeat-missed' | 'used-up' | 'purpose-ended' | 'policy-changed' | 'risk-rose' | 'signal-received' | 'target-retired' | 'account-retired' | null
  endComment: string | null
  endedById: string | null
  policyVersion: string
  version: Generated<number>
  cause: number
  riskScore: number | null
  risk: ColumnType<unknown, string | null | undefined, string>
}

export type AccessRefusalTable = {
  id: string
  subjectId: string
  targetId: string
  accountId: string
  actions: string[]
  problem: string
  at: Date
  cause: number
}

export type AccessRequestTable = {
  id: string
  requesterId: string
  subjectId: string
  onBehalfOfId: string | null
  triggeredById: string | null
  proof: 'token' | 'bound-token' | 'mtls' | 'spiffe' | 'kubernetes' | 'oidc' | 'dpop' | 'passkey'
  targetId: string
  accountId: string
  actions: string[]
  parserEnforced: string[]
  purposeId: string
  ticket: string | null
  task: string | null
  reason: string | null
  askedTtlSeconds: number
  ttlSeconds: number
  uses: number | null
  connections: number
  isKeptAlive: boolean
  obligations: ColumnType<unknown, string, string>
  policies: ColumnType<unknown, string, string>
  policyVersion: string
  approverTeams: string[]
  boundSha256: Buffer
  state: 'pending' | 'granted' | 'denied' | 'expired' | 'withdrawn' | 'void'
  refusal: string | null
  createdAt: Date
  expiresAt: Date
  decidedAt: Date | null
  version: Generated<number>
  cause: number
  askedUses: number | null
  mode: Generated<'observe' | 'warn' | 'enforce'>
  waived: Generated<string[]>
  stepUp: Generated<'none' | 'mfa' | 'phishing-resistant'>
  stepUpId: string | null
}

export type AccountTable = {
  id: string
  targetId: string
  name: string
  identityId: string | null
  mode: 'lease' | 'static' | 'seen'
  databases: Generated<string[]>
  tier: number
  sealedCredential: Buffer | null
  attributes: ColumnType<unknown, string | null | undefined, string>
  state: Generated<'active' | 'retired'>
  seenAt: Date | null
  version: Generated<number>
  cause: number
  principal: string | null
}

export type AccountRoleTable = {
  accountId: string
  action: string
  role: string
  cause: number
}

export type AdoptionTable = {
  id: string
  runId: string | null
  thingId: string
  sourceId: string
  identityId: string
  evidence: ColumnType<unknown, string, string>
  accountIds: string[]
  state: Generated<'active' | 'ended'>
  madeAt: Date
  endedAt: Date | null
  cause: number
}

export type AdoptionRunTable = {
  id: string
  rule: ColumnType<unknown, string, string>
  byId: string
  state: Generated<'running' | 'done' | 'undoing' | 'undone'>
  lookedAt: Generated<number>
  ofAbout: number
  adopted: Generated<number>
  unmatched: Generated<number>
  leftOut: ColumnType<unknown, string | null | undefined, string>
  undone: Generated<number>
  afterThing: string | null
  afterSource: string | null
  startedAt: Date
  lastAt: Date
  endedAt: Date | null
  version: Generated<number>
  cause: number
}

export type ApiTokenTable = {
  id: string
  identityId: string
  label: string
  tokenSha256: Buffer
  keySha256: Buffer | null
  createdAt: Date
  expiresAt: Date
  revokedAt: Date | null
  cause: number
  dpopKeySha256: Buffer | null
  proof: 'token' | 'bound-token' | 'mtls' | 'spiffe' | 'kubernetes' | 'oidc' | 'dpop' | 'passkey' | null
  audience: string | null
  details: ColumnType<unknown, string | null | undefined, string>
  trustRuleId: string | null
  onBehalfOfId: string | null
  actorIds: Generated<string[]>
  parentId: string | null
  loginSessionId: string | null
  loginLinkId: string | null
  linkRuleId: string | null
}

export type AuthorizationCodeTable = {
  codeSha256: Buffer
  clientId: string
  redirectUri: string
  codeChallenge: string
  keyKind: 'dpop' | 'mtls' | null
  keySha256: Buffer | null
  loginSessionId: string
  createdAt: Date
  expiresAt: Date
  usedAt: Date | null
  tokenId: string | null
}

export type BackchannelRequestTable = {
  authReqSha256: Buffer
  stepUpId: string
  clientId: string
  keySha256: Buffer
  details: ColumnType<unknown, string, string>
  intervalSeconds: number
  polledAt: Date | null
  noticeRuleId: string | null
  sealedNotice: Buffer | null
  noticeNextAt: Date | null
  noticeTries: Generated<number>
}

export type CertificationTable = {
  id: string
  accountId: string
  certifierId: string
  certifiedAt: Date
  goodBefore: Date
  cause: number
}

export type ChangeTable = {
  id: string
  requesterId: string
  proof: 'token' | 'bound-token' | 'mtls' | 'spiffe' | 'kubernetes' | 'oidc' | 'dpop' | 'passkey'
  operation: string
  resourceType: string
  resourceId: string
  resourceFacts: ColumnType<unknown, string, string>
  params: ColumnType<unknown, string, string>
  query: ColumnType<unknown, string, string>
  shown: ColumnType<unknown, string, string>
  hidden: string[]
  preview: string[]
  sealedInput: Buffer | null
  reason: string
  obligations: ColumnType<unknown, string, string>
  policies: ColumnType<unknown, string, string>
  policyVersion: string
  approverTeams: string[]
  ownerOfTarget: string | null
  ownerOfSubject: string | null
  tiedIds: string[]
  boundSha256: Buffer
  state: 'pending' | 'approved' | 'used' | 'denied' | 'expired' | 'withdrawn' | 'void'
  refusal: string | null
  createdAt: Date
  expiresAt: Date
  decidedAt: Date | null
  usedAt: Date | null
  version: Generated<number>
  cause: number
  simulation: string[]
}

export type ChangeApprovalTable = {
  changeId: string
  approverId: string
  verdict: 'approve' | 'deny'
  boundSha256: Buffer
  comment: string | null
  at: Date
  cause: number
}

export type CredentialConsumerTable = {
  id: string
  accountId: string
  name: string
  origin: 'declared' | 'seen' | 'gateway' | 'reference'
  applicationName: string | null
  address: string | null
  ownerTeam: string | null
  seenAt: Date | null
  seenOn: string | null
  referenceId: string | null
  source: string | null
  location: string | null
  readAt: Date | null
  withdrawnAt: Date | null
  cause: number
}

export type DeliveryTable = {
  sourceId: string
  itemId: string
  place: number
  content: ColumnType<unknown, string | null | undefined, string>
  receivedAt: Date
}

export type DepositTable = {
  id: string
  name: string
  ownerTeam: string
  purpose: string
  state: Generated<'kept' | 'retired'>
  version: number
  createdAt: Date
  changedAt: Date
  retiredAt: Date | null
  cause: number
}

export type DepositSightTable = {
  id: string
  depositId: string
  number: number
  identityId: string
  how: 'put' | 'revealed' | 'exported'
  at: Date
  cause: number
}

export type DepositVersionTable = {
  id: string
  depositId: string
  number: number
  sealedValue: Buffer | null
  sizeBytes: number
  createdAt: Date
  destroyedAt: Date | null
  cause: number
}

export type DeviceAuthorizationTable = {
  id: string
  deviceCodeSha256: Buffer
  userCodeFingerprint: string
  clientId: string
  keyKind: 'dpop' | 'mtls'
  keySha256: Buffer
  clientAddress: string
  clientAgent: string
  state: Generated<'pending' | 'approved' | 'denied' | 'redeemed'>
  loginSessionId: string | null
  intervalSeconds: number
  polledAt: Date | null
  createdAt: Date
  expiresAt: Date
}

export type EnrolmentTable = {
  id: string
  identityId: string | null
  secretSha256: Buffer
  createdAt: Date
  expiresAt: Date
  usedAt: Date | null
  needsKey: Generated<boolean>
  cause: number
  isOwn: Generated<boolean>
}

export type EscalationTable = {
  id: string
  node: 'principal' | 'credential' | 'resource' | 'identity' | 'other'
  sourceId: string | null
  hops: number
  edge: string | null
  nextId: string | null
  evidenceId: string | null
  goalId: string
}

export type EscalationStageTable = {
  id: string
  hops: number
  edge: string | null
  nextId: string | null
  evidenceId: string | null
  goalId: string
}

export type FindingTable = {
  id: string
  rule: string
  subjectKind: 'identity' | 'account' | 'principal' | 'credential' | 'trust' | 'grant' | 'trust-rule' | 'tool'
  subjectId: string
  subjectName: string
  identityId: string | null
  severity: number
  evidence: ColumnType<unknown, string, string>
  uncertainty: ColumnType<unknown, string, string>
  state: 'open' | 'accepted' | 'fixed' | 'reopened'
  openedAt: Date
  foundAt: Date
  fixedAt: Date | null
  reopenedBecause: string | null
  acceptedById: string | null
  acceptedBecause: string | null
  acceptedBefore: Date | null
  acceptedSeverity: number | null
  version: Generated<number>
  cause: number
}

export type FindingPassTable = {
  isOnly: Generated<boolean>
  beganAt: Date
  endedAt: Date | null
  looks: ColumnType<unknown, string | null | undefined, string>
}

export type FingerprintKeyTable = {
  id: string
  isOnly: Generated<boolean>
  sealedKey: Buffer
  createdAt: Date
}

export type ForeignDomainTable = {
  name: string
  bundleUrl: string
  profile: 'https_web' | 'https_spiffe'
  endpointId: string | null
  bundle: string | null
  sequence: number | null
  refreshSeconds: number
  bundledAt: Date | null
  createdAt: Date
  endedAt: Date | null
  cause: number
}

export type ForeignDomainPollTable = {
  name: string
  askedAt: Date | null
  fetchedAt: Date | null
  nextAt: Date
  failure: string | null
}

export type GrantHeartbeatTable = {
  grantId: string
  at: Date
}

export type GrantProofTable = {
  id: string
  grantId: string
  kind: 'ticket' | 'key'
  sha256: Buffer
  isSingleUse: boolean
  createdAt: Date
  firstUseBefore: Date
  firstUsedAt: Date | null
  firstAddress: string | null
  cause: number
}

export type GrantUseTable = {
  id: string
  grantId: string
  proofId: string
  nodeId: string
  address: string
  state: 'reserved' | 'live' | 'closed' | 'released'
  reservedAt: Date
  begunAt: Date | null
  closedAt: Date | null
  cause: number
}

export type GraphPassTable = {
  isOnly: Generated<boolean>
  beganAt: Date
  endedAt: Date | null
  nodes: Generated<number>
  edges: Generated<number>
  reaching: Generated<number>
}

export type HeldOperationTable = {
  id: string
  grantId: string
  useId: string
  class: string
  action: string
  label: string
  statement: string
  gates: string[]
  ownerOfTarget: string
  ownerOfSubject: string | null
  approverTeams: string[]
  boundSha256: Buffer
  state: Generated<'held' | 'released' | 'used' | 'refused' | 'expired' | 'dropped'>
  refusal: string | null
  createdAt: Date
  expiresAt: Date
  decidedAt: Date | null
  usedAt: Date | null
  version: Generated<number>
  cause: number
}

export type HoldApprovalTable = {
  holdId: string
  approverId: string
  verdict: 'release' | 'refuse'
  boundSha256: Buffer
  comment: string | null
  at: Date
  cause: number
}

export type IdempotencyTable = {
  callerId: string
  key: string
  requestSha256: Buffer
  status: number | null
  sealedBody: Buffer | null
  createdAt: Date
}

export type IdentityTable = {
  id: string
  kind: 'human' | 'machine' | 'workload' | 'agent'
  name: string
  displayName: string | null
  profile: 'person' | 'service' | 'pipeline' | 'integration' | 'device' | 'agent' | 'break-glass' | 'remediation-bot'
  purpose: string | null
  businessService: string | null
  environment: 'production' | 'staging' | 'test' | 'development'
  tier: number
  ownerTeam: string | null
  ownerId: string | null
  ownerState: Generated<'none' | 'suggested' | 'attested' | 'lost'>
  ownerEvidence: string | null
  ownerProposedBy: string | null
  sponsorId: string | null
  state: 'discovered' | 'registered' | 'active' | 'suspended' | 'retired'
  isFounder: Generated<boolean>
  reviewBy: Date | null
  expiresAt: Date | null
  createdAt: Date
  version: Generated<number>
  cause: number
  search: GeneratedAlways<string | null>
  traits: Generated<string[]>
  tierSet: Generated<number>
  tierReached: number | null
  vendor: string | null
}

export type IdentityMergeTable = {
  id: string
  identityId: string
  intoId: string
  state: Generated<'active' | 'ended'>
  madeAt: Date
  endedAt: Date | null
  cause: number
}

export type IdentityReachTable = {
  identityId: string
  reached: ColumnType<unknown, string | null | undefined, string>
  isComplete: Generated<boolean>
  isInScope: Generated<boolean>
  lookedAt: Date | null
  isStale: Generated<boolean>
}

export type InventoryBlockTable = {
  scopeId: string
  number: number
  digest: Buffer
  ids: string[]
}

export type InventoryMeasureTable = {
  at: Date
  percent: ColumnType<unknown, string, string>
  cause: number
}

export type InventoryStageTable = {
  readingId: string
  scopeId: string
  objectId: string
  kind: string
  content: ColumnType<unknown, string, string>
}

export type InventoryToldTable = {
  readingId: string
  scopeId: string
  place: number
  digest: Buffer | null
  ids: string[] | null
  known: string | null
  blocks: number
  things: number
}

export type IssuedCredentialTable = {
  leaseId: string
  useId: string
  validBefore: Date | null
  cause: number
}

export type IssuerKeysTable = {
  url: string
  issuer: string
  keysSha256: Buffer
  kids: string[]
  seenAt: Date
  cause: number
}

export type LeaseTable = {
  id: string
  grantId: string
  targetId: string
  accountId: string
  nodeId: string
  kind: string
  principal: string
  terms: ColumnType<unknown, string, string>
  details: ColumnType<unknown, string | null | undefined, string>
  sealedSecret: Buffer | null
  state: 'announced' | 'issued' | 'ending' | 'dead'
  revocability: 'immediate' | 'next-login' | 'expires-only' | 'none'
  announcedAt: Date
  issuedAt: Date | null
  endingAt: Date | null
  deadAt: Date | null
  nextTryAt: Date | null
  attempts: Generated<number>
  lastError: string | null
  escalation: Generated<'none' | 'owner' | 'security'>
  evidence: ColumnType<unknown, string | null | undefined, string>
  cause: number
  residualBefore: Date | null
}

export type LedgerCheckpointTable = {
  logId: number
  size: number
  note: string
  at: Date
}

export type LedgerCosignatureTable = {
  logId: number
  size: number
  witness: string
  line: string
  at: Date
}

export type LedgerEntryTable = {
  id: GeneratedAlways<number>
  xid: string
  at: Date
  kind: string
  actorId: string | null
  resourceId: string | null
  grantId: string | null
  leaf: Buffer
}

export type LedgerLeafTable = {
  logId: number
  firstPosition: number
  size: number
  entryId: number | null
  segmentId: number | null
}

export type LedgerLogTable = {
  id: number
  origin: string
  verifierKey: string
  sealedKey: Buffer
  previousNote: string | null
  startedAt: Date
}

export type LedgerPendingTable = {
  id: number
  source: 'entry' | 'segment'
}

export type LedgerPrivateTable = {
  entryId: number
  field: string
  subjectId: string
  sealed: Buffer
}

export type LedgerSegmentTable = {
  id: GeneratedAlways<number>
  at: Date
  nodeId: string
  size: number
  bodies: Buffer
}

export type LedgerTileTable = {
  logId: number
  level: number
  n: number
  hashes: Buffer
}

export type LedgerWriterTable = {
  id: string
  batch: Generated<number>
}

export type LifecycleCaseTable = {
  id: string
  identityId: string
  reason: 'leaver' | 'owner-lost' | 'expired' | 'vendor' | 'event' | 'person'
  detail: string
  eventId: string | null
  state: 'opened' | 'suspended' | 'checked' | 'soaking' | 'retired' | 'closed' | 'reopened'
  heldBecause: string | null
  soakDays: number
  openedAt: Date
  suspendedAt: Date | null
  checkedAt: Date | null
  soakEndsAt: Date | null
  retiredAt: Date | null
  overAt: Date | null
  dependencies: ColumnType<unknown, string | null | undefined, string>
  evidence: ColumnType<unknown, string | null | undefined, string>
  nextLookAt: Date | null
  version: Generated<number>
  cause: number
}

export type LifecycleEventTable = {
  id: string
  senderId: string
  eventId: string
  type: 'repository-archived' | 'pipeline-deleted' | 'deployment-gone' | 'vendor-offboarded' | 'job-finished' | 'ticket-closed'
  subject: string
  occurredAt: Date
  receivedAt: Date
  outcome: ColumnType<unknown, string, string>
  cause: number
}

export type LifecycleItemTable = {
  id: string
  caseId: string
  kind: 'login' | 'object' | 'deposit'
  refId: string
  label: string
  openedAt: Date
  closedAt: Date | null
  evidence: string | null
  cause: number
}

export type LocalSecretTable = {
  id: string
  accountId: string
  identityId: string
  sha256: Buffer
  address: string
  createdAt: Date
  revokedAt: Date | null
  cause: number
}

export type LoginActivityTable = {
  sessionId: string
  seenAt: Date
}

export type LoginAttemptTable = {
  stateSha256: Buffer
  browserSha256: Buffer
  provider: string
  issuer: string
  sealedChecks: Buffer
  returnTo: string
  createdAt: Date
  expiresAt: Date
  usedAt: Date | null
  stepUpId: string | null
}

export type LoginCookieTable = {
  cookieSha256: Buffer
  sessionId: string
  createdAt: Date
  replacedAt: Date | null
}

export type LoginLinkTable = {
  id: string
  identityId: string
  provider: string
  issuer: string
  subject: string
  state: Generated<'active' | 'retired'>
  linkedBy: string
  createdAt: Date
  cause: number
}

export type LoginSessionTable = {
  id: string
  identityId: string
  channel: 'browser' | 'cli'
  method: 'oidc' | 'passkey'
  provider: string | null
  issuer: string | null
  subject: string | null
  providerSession: string | null
  sealedIdToken: Buffer | null
  acr: string | null
  amr: Generated<string[]>
  authenticatedAt: Date
  clientAddress: string
  clientAgent: string
  parentId: string | null
  createdAt: Date
  expiresAt: Date
  idleSeconds: number
  endedAt: Date | null
  endReason: 'logged-out' | 'ended' | 'replaced' | 'idle' | 'expired' | 'identity-ended' | 'link-retired' | 'provider-logout' | 'cookie-replayed' | 'code-replayed' | null
  cause: number
}

export type MachineAttestationTable = {
  id: string
  identityId: string
  invitationId: string
  method: 'token' | 'host-key'
  hostKey: string | null
  bootId: string
  keySha256: Buffer
  tokenId: string
  previousTokenId: string | null
  joinedAt: Date
  renewedAt: Date
  expiresAt: Date
  endedAt: Date | null
  endReason: string | null
  cause: number
}

export type MachineInvitationTable = {
  id: string
  identityId: string
  method: 'token' | 'host-key'
  secretSha256: Buffer | null
  targetId: string | null
  createdAt: Date
  expiresAt: Date | null
  endedAt: Date | null
  cause: number
}

export type NodeTable = {
  id: string
  name: string
  roles: string[]
  version: string
  startedAt: Date
  heartbeatAt: Date
  clockOffsetMs: number
  workerPool: string | null
  stoppedAt: Date | null
}

export type ObservedCredentialTable = {
  id: string
  scopeId: string
  nativeKind: string
  nativeId: string
  principalId: string | null
  type: string
  name: string
  state: string | null
  createdAt: Date | null
  rotatedAt: Date | null
  expiresAt: Date | null
  neverExpires: boolean
  fingerprints: string[] | null
  scopes: string[] | null
  bindings: string[] | null
  strength: string | null
  strengthWhy: string[]
  heldBy: string | null
  facts: ColumnType<unknown, string, string>
  unknown: ColumnType<unknown, string, string>
  digest: Buffer
  firstSeenAt: Date
  changedAt: Date
  lastSeenAt: Date | null
  missedAt: Date | null
  goneAt: Date | null
  cause: number
}

export type ObservedGrantTable = {
  id: string
  scopeId: string
  nativeKind: string
  nativeId: string
  principalId: string
  onId: string
  privilege: string
  level: string
  via: string[]
  grantable: boolean | null
  grantedById: string | null
  expiresAt: Date | null
  neverExpires: boolean
  facts: ColumnType<unknown, string, string>
  unknown: ColumnType<unknown, string, string>
  digest: Buffer
  firstSeenAt: Date
  changedAt: Date
  lastSeenAt: Date | null
  missedAt: Date | null
  goneAt: Date | null
  cause: number
}

export type ObservedPrincipalTable = {
  id: string
  scopeId: string
  nativeKind: string
  nativeId: string
  type: string
  name: string
  aliases: string[]
  state: string | null
  createdAt: Date | null
  createdById: string | null
  interactive: boolean | null
  environment: string | null
  instanceOfId: string | null
  tags: ColumnType<unknown, string, string>
  facts: ColumnType<unknown, string, string>
  unknown: ColumnType<unknown, string, string>
  accountId: string | null
  digest: Buffer
  firstSeenAt: Date
  changedAt: Date
  lastSeenAt: Date | null
  missedAt: Date | null
  goneAt: Date | null
  cause: number
}

export type ObservedReferenceTable = {
  id: string
  scopeId: string
  nativeKind: string
  nativeId: string
  consumerId: string
  credentialId: string | null
  fingerprint: string | null
  how: string
  location: string
  evidence: string
  facts: ColumnType<unknown, string, string>
  unknown: ColumnType<unknown, string, string>
  digest: Buffer
  firstSeenAt: Date
  changedAt: Date
  lastSeenAt: Date | null
  missedAt: Date | null
  goneAt: Date | null
  cause: number
}

export type ObservedResourceTable = {
  id: string
  scopeId: string
  nativeKind: string
  nativeId: string
  type: string
  name: string
  parentId: string | null
  environment: string | null
  sensitivity: number | null
  tags: ColumnType<unknown, string, string>
  facts: ColumnType<unknown, string, string>
  unknown: ColumnType<unknown, string, string>
  digest: Buffer
  firstSeenAt: Date
  changedAt: Date
  lastSeenAt: Date | null
  missedAt: Date | null
  goneAt: Date | null
  cause: number
}

export type ObservedTrustTable = {
  id: string
  scopeId: string
  nativeKind: string
  nativeId: string
  fromId: string | null
  issuer: string | null
  claims: ColumnType<unknown, string | null | undefined, string>
  toId: string
  isWildcard: boolean
  facts: ColumnType<unknown, string, string>
  unknown: ColumnType<unknown, string, string>
  digest: Buffer
  firstSeenAt: Date
  changedAt: Date
  lastSeenAt: Date | null
  missedAt: Date | null
  goneAt: Date | null
  cause: number
}

export type ObservedUsageTable = {
  id: string
  scopeId: string
  subjectId: string
  semantics: string
  privilege: string | null
  onId: string | null
  actorId: string | null
  address: string | null
  agent: string | null
  dayAt: Date | null
  firstAt: Date
  lastAt: Date
  count: number
  instances: number
  cause: number
}

export type OwnerCandidateTable = {
  identityId: string
  ownerId: string
  team: string | null
  score: number
  evidence: ColumnType<unknown, string, string>
}

export type OwnerDeclineTable = {
  identityId: string
  ownerId: string
  declinedAt: Date
  cause: number
}

export type PasskeyTable = {
  id: string
  identityId: string
  credentialId: Buffer
  publicKey: Buffer
  counter: number
  transports: string[]
  aaguid: string
  isBackupEligible: boolean
  isBackedUp: boolean
  label: string
  createdAt: Date
  usedAt: Date | null
  removedAt: Date | null
  cause: number
}

export type PasskeyCeremonyTable = {
  id: string
  kind: 'enrol' | 'add' | 'sign-in'
  challenge: Buffer
  userHandle: Buffer | null
  identityId: string | null
  enrolmentId: string | null
  createdAt: Date
  expiresAt: Date
  usedAt: Date | null
}

export type PlacementTable = {
  id: string
  machineId: string
  identityId: string
  selectors: string[]
  hint: string | null
  createdBy: string
  createdAt: Date
  endedAt: Date | null
  cause: number
}

export type PrivilegedActionTable = {
  name: string
  protocol: string
  class: 'read' | 'change' | 'admin'
  tier: number
  summary: string
  obligations: ColumnType<unknown, string, string>
  cause: number
  enforcement: Generated<'gateway' | 'target' | 'reeve' | 'none'>
  tierElsewhere: number | null
  deciders: ColumnType<unknown, string | null | undefined, string>
}

export type ProvisionedGroupTable = {
  id: string
  providerId: string
  displayName: string
  externalId: string | null
  createdAt: Date
  modifiedAt: Date
  deletedAt: Date | null
  version: Generated<number>
  cause: number
}

export type ProvisionedMemberTable = {
  groupId: string
  userId: string
  isMember: boolean
  cause: number
}

export type ProvisionedUserTable = {
  id: string
  providerId: string
  identityId: string
  userName: string | null
  externalId: string | null
  isActive: boolean
  resource: ColumnType<unknown, string, string>
  createdAt: Date
  modifiedAt: Date
  deletedAt: Date | null
  version: Generated<number>
  cause: number
}

export type PurposeTable = {
  id: string
  name: string
  statement: string
  ownerTeam: string
  actions: string[]
  state: 'proposed' | 'approved' | 'ended'
  proposedBy: string
  approvedBy: string | null
  createdAt: Date
  expiresAt: Date
  version: Generated<number>
  cause: number
}

export type PurposeTargetTable = {
  purposeId: string
  targetId: string
  cause: number
}

export type PushedRequestTable = {
  requestUriSha256: Buffer
  clientId: string
  fields: ColumnType<unknown, string, string>
  keyKind: 'dpop' | 'mtls'
  keySha256: Buffer
  createdAt: Date
  expiresAt: Date
  usedAt: Date | null
}

export type ReadingProgressTable = {
  sourceId: string
  readingId: string
  holderId: string
  beatAt: Date
  scope: string | null
  cursor: string | null
  pages: Generated<number>
  refused: Generated<number>
  fromFuture: Generated<number>
}

export type RecordLinkTable = {
  id: string
  observedKind: 'principal' | 'credential'
  observedId: string
  identityId: string
  how: 'native-id' | 'fingerprint' | 'attested'
  evidence: ColumnType<unknown, string, string>
  state: 'active' | 'ended' | 'declined'
  madeAt: Date
  endedAt: Date | null
  cause: number
}

export type RequestApprovalTable = {
  requestId: string
  approverId: string
  verdict: 'approve' | 'deny'
  boundSha256: Buffer
  comment: string | null
  at: Date
  cause: number
}

export type ReviewRiskTable = {
  id: string
  score: number
  risk: ColumnType<unknown, string, string>
  weighedAt: Date
}

export type RootKeyTable = {
  generation: number
  keyId: string
  sinceAt: Date
  isEntered: Generated<boolean>
}

export type RotationTable = {
  id: string
  targetId: string
  accountId: string | null
  principal: string
  state: 'planned' | 'issued' | 'verified' | 'distributed' | 'adopted' | 'disabled' | 'soaking' | 'revoked' | 'dead' | 'superseded' | 'aborting' | 'aborted'
  startedById: string | null
  endsSessions: boolean
  generation: Generated<number>
  wasSha256: Buffer
  sealedNext: Buffer | null
  sealedPrevious: Buffer | null
  plannedAt: Date
  issuedAt: Date | null
  verifiedAt: Date | null
  adoptedAt: Date | null
  overAt: Date | null
  nextTryAt: Date | null
  attempts: Generated<number>
  lastError: string | null
  escalation: Generated<'none' | 'owner' | 'security'>
  evidence: ColumnType<unknown, string | null | undefined, string>
  cause: number
  strategy: Generated<'cut-over' | 'alternating' | 'dual-slot' | 'retain-old' | 'restart-hook' | 'broker-only' | 'by-hand'>
  occasion: Generated<'person' | 'schedule' | 'age' | 'leak' | 'owner-left' | 'break-glass' | 'campaign'>
  nextPrincipal: string | null
  soakSeconds: Generated<number>
  soakBefore: Date | null
  distributedAt: Date | null
  disabledAt: Date | null
  revokedAt: Date | null
  stateAt: Date
  waitsFor: string | null
  toldAt: Date | null
  deadlineAt: Date | null
  alarmedAt: Date | null
  campaignId: string | null
}

export type RotationCampaignTable = {
  id: string
  startedById: string
  reason: string
  endsSessions: boolean
  perTarget: number
  mostFailures: number
  state: 'running' | 'stopped' | 'over'
  startedAt: Date
  overAt: Date | null
  cause: number
}

export type RotationScheduleTable = {
  id: string
  targetId: string
  accountId: string | null
  everyDays: number | null
  dueAt: Date | null
  cause: number
}

export type RotationTaskTable = {
  campaignId: string
  place: number
  targetId: string
  accountId: string | null
  rotationId: string | null
  refusal: string | null
  cause: number
}

export type RotationWayTable = {
  id: string
  accountId: string
  strategy: 'cut-over' | 'alternating' | 'dual-slot' | 'retain-old' | 'restart-hook' | 'broker-only' | 'by-hand'
  alternate: string | null
  soakSeconds: Generated<number>
  hookUrl: string | null
  sealedKey: Buffer | null
  instructions: string | null
  ownerTeam: string | null
  deadlineDays: number | null
  cause: number
}

export type RuleActivationTable = {
  seq: number
  versionId: string
  backTo: number | null
  activatedBy: string | null
  activatedAt: Date
  cause: number
  kind: string
}

export type RuleVersionTable = {
  id: string
  sha256: Buffer
  files: ColumnType<unknown, string, string>
  origin: 'shipped' | 'proposed'
  note: string | null
  proposedBy: string | null
  createdAt: Date
  cause: number
  kind: 'policies' | 'teams' | 'calendar' | 'catalog'
}

export type ScopeReportTable = {
  readingId: string
  scopeId: string
  status: 'complete' | 'partial' | 'denied' | 'unsupported' | 'unchanged'
  items: number
  added: number
  changed: number
  missed: number
  gone: number
  missing: ColumnType<unknown, string, string>
  readAt: Date
  cause: number
}

export type ServiceAttestationTable = {
  identityId: string
  service: string
  personId: string
  evidence: string
  attestedAt: Date
  cause: number
}

export type ServiceCandidateTable = {
  identityId: string
  service: string
  score: number
  evidence: ColumnType<unknown, string, string>
}

export type SessionTable = {
  id: string
  grantId: string
  subjectId: string
  targetId: string
  accountId: string
  nodeId: string
  gateway: string
  clientAddress: string
  proofId: string
  startedAt: Date
  stopAskedAt: Date | null
  endedAt: Date | null
  endReason: string | null
  recording: string | null
  recordingSha256: Buffer | null
  sealedKey: Buffer | null
  operations: Generated<number>
  rowCount: Generated<number>
  sizeBytes: Generated<number>
  lateOperations: Generated<number>
  cause: number
}

export type SignalTable = {
  id: string
  senderId: string
  jti: string
  type: string
  about: 'identity' | 'session' | 'credential' | 'target'
  aboutId: string
  identityId: string | null
  targetId: string | null
  severity: 'low' | 'medium' | 'high' | 'critical'
  reason: string
  occurredAt: Date
  receivedAt: Date
  expiresAt: Date
  endedGrants: number
  withdrawnAt: Date | null
  withdrawnById: string | null
  version: Generated<number>
  cause: number
}

export type SigningKeyTable = {
  id: string
  kid: string
  algorithm: 'ES256' | 'EdDSA'
  publicJwk: ColumnType<unknown, string, string>
  sealedKey: Buffer | null
  state: 'next' | 'current' | 'previous' | 'retired'
  createdAt: Date
  signsAt: Date | null
  retiresAt: Date | null
  cause: number
}

export type SourceTable = {
  id: string
  name: string
  connector: string
  settings: ColumnType<unknown, string, string>
  sealedCredential: Buffer | null
  targetId: string | null
  ownerTeam: string
  environment: 'production' | 'staging' | 'test' | 'development'
  authority: string | null
  system: string | null
  schedule: 'never' | 'daily' | 'weekly'
  nextReadAt: Date | null
  readAt: Date | null
  problem: string | null
  state: Generated<'active' | 'retired'>
  createdAt: Date
  version: Generated<number>
  cause: number
}

export type SourceInboxTable = {
  sourceId: string
  lastPlace: Generated<number>
  readPlace: Generated<number>
  refused: Generated<number>
}

export type SourceReadingTable = {
  id: string
  sourceId: string
  beganAt: Date
  endedAt: Date | null
  outcome: 'complete' | 'partial' | 'failed' | 'cancelled' | null
  problem: string | null
  cause: number
}

export type SourceScopeTable = {
  id: string
  sourceId: string
  scope: string
  title: string | null
  isFeed: boolean
  status: 'complete' | 'partial' | 'denied' | 'unsupported' | 'unchanged' | null
  missing: ColumnType<unknown, string | null | undefined, string>
  validator: string | null
  cursor: string | null
  items: Generated<number>
  readAt: Date | null
  seenAt: Date | null
  missedAt: Date | null
  state: Generated<'active' | 'gone' | 'retired'>
  version: Generated<number>
  cause: number
}

export type SpiffeAuthorityTable = {
  id: string
  kind: 'x509' | 'jwt'
  publicKey: Buffer
  certificate: Buffer | null
  sealedKey: Buffer | null
  state: 'next' | 'signing' | 'trusted' | 'retired'
  createdAt: Date
  signsAt: Date | null
  retiredAt: Date | null
  cause: number
}

export type SshAuthorityTable = {
  id: string
  publicKey: Buffer
  sealedSeed: Buffer
  createdAt: Date
  retiredAt: Date | null
  distrusted: Generated<boolean>
  cause: number
}

export type SshCertificateTable = {
  serial: GeneratedAlways<number>
  leaseId: string
  useId: string
  authorityId: string
  keySha256: Buffer
  validBefore: Date
  issuedAt: Date
  cause: number
}

export type StagedCredentialTable = {
  readingId: string
  place: number
  id: string
  scopeId: string
  nativeKind: string | null
  nativeId: string | null
  principalId: string | null
  type: string | null
  name: string | null
  state: string | null
  createdAt: Date | null
  rotatedAt: Date | null
  expiresAt: Date | null
  neverExpires: boolean | null
  fingerprints: string[] | null
  scopes: string[] | null
  bindings: string[] | null
  strength: string | null
  strengthWhy: string[] | null
  heldBy: string | null
  facts: ColumnType<unknown, string | null | undefined, string>
  unknown: ColumnType<unknown, string | null | undefined, string>
  digest: Buffer
}

export type StagedGrantTable = {
  readingId: string
  place: number
  id: string
  scopeId: string
  nativeKind: string | null
  nativeId: string | null
  principalId: string | null
  onId: string | null
  privilege: string | null
  level: string | null
  via: string[] | null
  grantable: boolean | null
  grantedById: string | null
  expiresAt: Date | null
  neverExpires: boolean | null
  facts: ColumnType<unknown, string | null | undefined, string>
  unknown: ColumnType<unknown, string | null | undefined, string>
  digest: Buffer
}

export type StagedPageTable = {
  readingId: string
  scopeId: string
  kind: string
  place: number
  things: number
  lines: string
}

export type StagedPrincipalTable = {
  readingId: string
  place: number
  id: string
  scopeId: string
  nativeKind: string | null
  nativeId: string | null
  type: string | null
  name: string | null
  aliases: string[] | null
  state: string | null
  createdAt: Date | null
  createdById: string | null
  interactive: boolean | null
  environment: string | null
  instanceOfId: string | null
  tags: ColumnType<unknown, string | null | undefined, string>
  facts: ColumnType<unknown, string | null | undefined, string>
  unknown: ColumnType<unknown, string | null | undefined, string>
  digest: Buffer
}

export type StagedReferenceTable = {
  readingId: string
  place: number
  id: string
  scopeId: string
  nativeKind: string | null
  nativeId: string | null
  consumerId: string | null
  credentialId: string | null
  fingerprint: string | null
  how: string | null
  location: string | null
  evidence: string | null
  facts: ColumnType<unknown, string | null | undefined, string>
  unknown: ColumnType<unknown, string | null | undefined, string>
  digest: Buffer
}

export type StagedResourceTable = {
  readingId: string
  place: number
  id: string
  scopeId: string
  nativeKind: string | null
  nativeId: string | null
  type: string | null
  name: string | null
  parentId: string | null
  environment: string | null
  sensitivity: number | null
  tags: ColumnType<unknown, string | null | undefined, string>
  facts: ColumnType<unknown, string | null | undefined, string>
  unknown: ColumnType<unknown, string | null | undefined, string>
  digest: Buffer
}

export type StagedTrustTable = {
  readingId: string
  place: number
  id: string
  scopeId: string
  nativeKind: string | null
  nativeId: string | null
  fromId: string | null
  issuer: string | null
  claims: ColumnType<unknown, string | null | undefined, string>
  toId: string | null
  isWildcard: boolean | null
  facts: ColumnType<unknown, string | null | undefined, string>
  unknown: ColumnType<unknown, string | null | undefined, string>
  digest: Buffer
}

export type StepUpTable = {
  id: string
  kind: 'call' | 'backchannel'
  personId: string
  askerId: string
  proofId: string | null
  operation: string
  shown: string[]
  level: 'mfa' | 'phishing-resistant'
  nonce: Buffer
  actSha256: Buffer
  innerSha256: Buffer | null
  sealedCode: Buffer
  misses: Generated<number>
  clientAddress: string
  state: Generated<'pending' | 'proven' | 'used' | 'refused'>
  provenBy: 'passkey' | 'login' | null
  passkeyId: string | null
  createdAt: Date
  expiresAt: Date
  provenAt: Date | null
  usedAt: Date | null
  cause: number
}

export type SubjectKeyTable = {
  subjectId: string
  sealedKey: Buffer | null
  destroyedAt: Date | null
}

export type TargetTable = {
  id: string
  name: string
  protocol: string
  environment: 'production' | 'staging' | 'test' | 'development'
  sensitivity: number
  businessService: string | null
  ownerTeam: string
  settings: ColumnType<unknown, string, string>
  sealedProvisioner: Buffer | null
  onControlLoss: Generated<'end' | 'continue'>
  onRecorderLoss: Generated<'end' | 'continue'>
  state: Generated<'active' | 'retired'>
  createdAt: Date
  version: Generated<number>
  cause: number
  mode: Generated<'observe' | 'warn' | 'enforce'>
}

export type ToolApprovalTable = {
  resourceId: string
  digest: string
  approverId: string
  approvedAt: Date
  cause: number
}

export type TrustRuleTable = {
  id: string
  name: string
  identityId: string
  preset: 'oidc' | 'github-actions' | 'gitlab-ci' | 'kubernetes' | 'buildkite' | 'circleci' | 'client-key' | 'spiffe' | 'id-jag'
  issuer: string
  audience: string
  subject: ColumnType<unknown, string, string>
  claims: ColumnType<unknown, string, string>
  keysUrl: string | null
  keys: ColumnType<unknown, string | null | undefined, string>
  notifyUrl: string | null
  review: ColumnType<unknown, string | null | undefined, string>
  sealedReviewer: Buffer | null
  isBound: boolean
  ttlSeconds: number
  state: Generated<'active' | 'retired'>
  createdBy: string
  createdAt: Date
  version: Generated<number>
  cause: number
}

export type UsageWindowTable = {
  id: string
  scopeId: string
  subjectId: string | null
  semantics: string
  sees: 'every-use' | 'samples'
  seen: string
  cause: number
}

export type UseRefusalTable = {
  useId: string
  action: string
  outcome: 'refused' | 'would-refuse'
  count: number
  cause: number
}

export type UsedProofTable = {
  proofSha256: Buffer
  expiresAt: Date
}

export type Database = {
  accessGrant: AccessGrantTable
  accessRefusal: AccessRefusalTable
  accessRequest: AccessRequestTable
  account: AccountTable
  accountRole: AccountRoleTable
  adoption: AdoptionTable
  adoptionRun: AdoptionRunTable
  apiToken: ApiTokenTable
  authorizationCode: AuthorizationCodeTable
  backchannelRequest: BackchannelRequestTable
  certification: CertificationTable
  change: ChangeTable
  changeApproval: ChangeApprovalTable
  credentialConsumer: CredentialConsumerTable
  delivery: DeliveryTable
  deposit: DepositTable
  depositSight: DepositSightTable
  depositVersion: DepositVersionTable
  deviceAuthorization: DeviceAuthorizationTable
  enrolment: EnrolmentTable
  escalation: EscalationTable
  escalationStage: EscalationStageTable
  finding: FindingTable
  findingPass: FindingPassTable
  fingerprintKey: FingerprintKeyTable
  foreignDomain: ForeignDomainTable
  foreignDomainPoll: ForeignDomainPollTable
  grantHeartbeat: GrantHeartbeatTable
  grantProof: GrantProofTable
  grantUse: GrantUseTable
  graphPass: GraphPassTable
  heldOperation: HeldOperationTable
  holdApproval: HoldApprovalTable
  idempotency: IdempotencyTable
  identity: IdentityTable
  identityMerge: IdentityMergeTable
  identityReach: IdentityReachTable
  inventoryBlock: InventoryBlockTable
  inventoryMeasure: InventoryMeasureTable
  inventoryStage: InventoryStageTable
  inventoryTold: InventoryToldTable
  issuedCredential: IssuedCredentialTable
  issuerKeys: IssuerKeysTable
  lease: LeaseTable
  ledgerCheckpoint: LedgerCheckpointTable
  ledgerCosignature: LedgerCosignatureTable
  ledgerEntry: LedgerEntryTable
  ledgerLeaf: LedgerLeafTable
  ledgerLog: LedgerLogTable
  ledgerPending: LedgerPendingTable
  ledgerPrivate: LedgerPrivateTable
  ledgerSegment: LedgerSegmentTable
  ledgerTile: LedgerTileTable
  ledgerWriter: LedgerWriterTable
  lifecycleCase: LifecycleCaseTable
  lifecycleEvent: LifecycleEventTable
  lifecycleItem: LifecycleItemTable
  localSecret: LocalSecretTable
  loginActivity: LoginActivityTable
  loginAttempt: LoginAttemptTable
  loginCookie: LoginCookieTable
  loginLink: LoginLinkTable
  loginSession: LoginSessionTable
  machineAttestation: MachineAttestationTable
  machineInvitation: MachineInvitationTable
  node: NodeTable
  observedCredential: ObservedCredentialTable
  observedGrant: ObservedGrantTable
  observedPrincipal: ObservedPrincipalTable
  observedReference: ObservedReferenceTable
  observedResource: ObservedResourceTable
  observedTrust: ObservedTrustTable
  observedUsage: ObservedUsageTable
  ownerCandidate: OwnerCandidateTable
  ownerDecline: OwnerDeclineTable
  passkey: PasskeyTable
  passkeyCeremony: PasskeyCeremonyTable
  placement: PlacementTable
  privilegedAction: PrivilegedActionTable
  provisionedGroup: ProvisionedGroupTable
  provisionedMember: ProvisionedMemberTable
  provisionedUser: ProvisionedUserTable
  purpose: PurposeTable
  purposeTarget: PurposeTargetTable
  pushedRequest: PushedRequestTable
  readingProgress: ReadingProgressTable
  recordLink: RecordLinkTable
  requestApproval: RequestApprovalTable
  reviewRisk: ReviewRiskTable
  rootKey: RootKeyTable
  rotation: RotationTable
  rotationCampaign: RotationCampaignTable
  rotationSchedule: RotationScheduleTable
  rotationTask: RotationTaskTable
  rotationWay: RotationWayTable
  ruleActivation: RuleActivationTable
  ruleVersion: RuleVersionTable
  scopeReport: ScopeReportTable
  serviceAttestation: ServiceAttestationTable
  serviceCandidate: ServiceCandidateTable
  session: SessionTable
  signal: SignalTable
  signingKey: SigningKeyTable
  source: SourceTable
  sourceInbox: SourceInboxTable
  sourceReading: SourceReadingTable
  sourceScope: SourceScopeTable
  spiffeAuthority: SpiffeAuthorityTable
  sshAuthority: SshAuthorityTable
  sshCertificate: SshCertificateTable
  stagedCredential: StagedCredentialTable
  stagedGrant: StagedGrantTable
  stagedPage: StagedPageTable
  stagedPrincipal: StagedPrincipalTable
  stagedReference: StagedReferenceTable
  stagedResource: StagedResourceTable
  stagedTrust: StagedTrustTable
  stepUp: StepUpTable
  subjectKey: SubjectKeyTable
  target: TargetTable
  toolApproval: ToolApprovalTable
  trustRule: TrustRuleTable
  usageWindow: UsageWindowTable
  useRefusal: UseRefusalTable
  usedProof: UsedProofTable
}
