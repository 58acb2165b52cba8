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
  endReason: 'done' | 'expired' | 'revoked' | 'identity-suspended' | 'identity-retired' | 'owner-lost' | 'heartbeat-missed' | 'used-up' | 'purpose-ended' | 'policy-changed' | 'target-retired' | 'account-retired' | null
  endComment: string | null
  endedById: string | null
  policyVersion: string
  version: Generated<number>
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
}

export type AccountRoleTable = {
  accountId: string
  action: string
  role: string
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

export type EnrolmentTable = {
  id: string
  identityId: string | null
  secretSha256: Buffer
  createdAt: Date
  expiresAt: Date
  usedAt: Date | null
  needsKey: Generated<boolean>
  cause: number
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

export type PolicyActivationTable = {
  seq: number
  versionId: string
  backTo: number | null
  activatedBy: string | null
  activatedAt: Date
  cause: number
}

export type PolicyVersionTable = {
  id: string
  sha256: Buffer
  files: ColumnType<unknown, string, string>
  origin: 'shipped' | 'proposed'
  note: string | null
  proposedBy: string | null
  createdAt: Date
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
  enforcement: Generated<'gateway' | 'reeve' | 'none'>
  tierElsewhere: number | null
  deciders: ColumnType<unknown, string | null | undefined, string>
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

export type RequestApprovalTable = {
  requestId: string
  approverId: string
  verdict: 'approve' | 'deny'
  boundSha256: Buffer
  comment: string | null
  at: Date
  cause: number
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
}

export type Database = {
  accessGrant: AccessGrantTable
  accessRequest: AccessRequestTable
  account: AccountTable
  accountRole: AccountRoleTable
  apiToken: ApiTokenTable
  change: ChangeTable
  changeApproval: ChangeApprovalTable
  enrolment: EnrolmentTable
  grantHeartbeat: GrantHeartbeatTable
  grantProof: GrantProofTable
  grantUse: GrantUseTable
  idempotency: IdempotencyTable
  identity: IdentityTable
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
  node: NodeTable
  policyActivation: PolicyActivationTable
  policyVersion: PolicyVersionTable
  privilegedAction: PrivilegedActionTable
  purpose: PurposeTable
  purposeTarget: PurposeTargetTable
  requestApproval: RequestApprovalTable
  session: SessionTable
  subjectKey: SubjectKeyTable
  target: TargetTable
}
  fingerprintKey: FingerprintKeyTable
