import { ago, subject, type Cases } from './cases.fixture.ts'
import type { CredentialFacts, GrantFacts, KeepingFacts, PrincipalFacts, ToolFacts, TrustRuleFacts } from './facts.ts'

export const credential: CredentialFacts = {
  ...subject,
  source: 'db',
  environment: 'production',
  isWhole: true,
  isPresent: true,
  readAt: ago(1),
  type: 'password',
  state: 'active',
  createdAt: null,
  rotatedAt: null,
  expiresAt: ago(-100),
  neverExpires: false,
  strength: 'strong',
  strengthWhy: [],
  hasFingerprint: true,
  holders: ['app'],
  environments: ['production'],
  isAllWhole: true,
  heldBy: null,
  isInNewest: null,
  confidence: null,
  inCode: [],
  liveAs: [],
  codeRead: 'whole',
}
export const principal: PrincipalFacts = {
  ...subject,
  source: 'db',
  environment: 'production',
  isWhole: true,
  isPresent: true,
  readAt: ago(1),
  canAct: true,
  state: 'active',
  isBuiltIn: false,
  isJudgedElsewhere: false,
  isAllWhole: true,
  graphAt: ago(1),
  hops: null,
  firstStep: null,
  goal: null,
  lastUsedAt: null,
}
const top = { hops: 0 } as const
export const ON_PRINCIPALS: Cases<PrincipalFacts> = {
  'unclaimed-administrator': {
    found: [
      top,
      { hops: 2, firstStep: 'is a member of', goal: 'db', lastUsedAt: ago(3) },
      { ...top, state: null },
      { ...top, isAllWhole: false },
    ],
    clear: [
      {},
      { ...top, identityId: subject.id },
      { ...top, isBuiltIn: true },
      { ...top, isJudgedElsewhere: true },
      { ...top, canAct: false },
      { ...top, state: 'disabled' },
    ],
    unknown: [{ isAllWhole: false }, { ...top, isPresent: false }, { ...top, graphAt: null }],
  },
}
const coded = { heldBy: 'source', isInNewest: true, confidence: 'high', state: null } as const
export const keeping: KeepingFacts = {
  ...subject,
  source: 'db',
  environment: 'production',
  isWhole: true,
  isPresent: true,
  readAt: ago(1),
  type: 'token',
  state: 'active',
  hasFingerprint: true,
  isAllWhole: true,
  heldBy: 'self',
  isOffline: false,
  neverExpires: false,
  lastUsedAt: null,
  vendor: null,
  vendorState: null,
  people: [],
  jobs: [],
  keptIn: [],
  isVaulted: false,
  isStoreRead: true,
}
export const grant: GrantFacts = {
  ...subject,
  source: 'cluster',
  environment: 'production',
  isWhole: true,
  isPresent: true,
  readAt: ago(1),
  privilege: 'get,list',
  on: 'core/pods',
  isAdministrator: false,
  isBuiltIn: false,
  holders: ['shop/api'],
  isEverybodys: false,
  isSourceWhole: true,
}
export const trustRule: TrustRuleFacts = {
  ...subject,
  preset: 'github-actions',
  issuer: 'https://token.actions.githubusercontent.com',
  keysUrl: null,
  subject: 'repo:acme/shop:ref:refs/heads/main',
  isBeginning: false,
  claims: [],
  tier: 2,
}
const certificate = { type: 'certificate' } as const
const clientSecret = { type: 'client-secret', expiresAt: null, neverExpires: true } as const

export const ON_CREDENTIALS: Cases<CredentialFacts> = {
  'long-lived': {
    found: [
      { neverExpires: true, expiresAt: null },
      { expiresAt: ago(-366), createdAt: ago(400) },
    ],
    clear: [{}, { neverExpires: true, expiresAt: null, type: 'none' }, { neverExpires: true, state: 'revoked' }],
    unknown: [{ expiresAt: null }, { isWhole: false }, { neverExpires: true, isPresent: false }],
  },
  'weak-authentication': {
    found: [
      { strength: 'deprecated', strengthWhy: ['MD5'] },
      { strength: 'weak', isWhole: false },
    ],
    clear: [{}, { strength: 'weak', type: 'none' }],
    unknown: [{ strength: null }, { isWhole: false }, { strength: 'weak', isPresent: false }],
  },
  'shared-credential': {
    found: [{ holders: ['a', 'b'] }, { holders: ['a', 'b'], isAllWhole: false }],
    clear: [{}],
    unknown: [{ hasFingerprint: false, holders: [] }, { isAllWhole: false }],
  },
  'across-environments': {
    found: [{ environments: ['production', 'test'] }],
    clear: [{}],
    unknown: [{ hasFingerprint: false, environments: [] }, { isAllWhole: false }],
  },
  'legacy-account-token': {
    found: [{ type: 'service-account-token', neverExpires: true, expiresAt: null }],
    clear: [
      {},
      { type: 'service-account-token', expiresAt: null },
      { type: 'service-account-token', neverExpires: true, state: 'inactive' },
    ],
    unknown: [
      { type: 'service-account-token', expiresAt: null, strength: null },
      { type: 'service-account-token', neverExpires: true, isPresent: false },
    ],
  },
  'hard-coded': {
    found: [
      coded,
      { ...coded, isInNewest: false },
      { ...coded, isInNewest: null, isWhole: false },
      { ...coded, confidence: 'low' },
    ],
    clear: [{}, { heldBy: 'vault' }, { ...coded, state: 'expired' }],
    unknown: [
      { ...coded, isPresent: false },
      { ...coded, state: 'expired', isWhole: false },
    ],
  },
  'hard-coded-and-live': {
    found: [{ inCode: ['a token in app.env of shop'] }, { inCode: ['a token in app.env of shop'], codeRead: 'partly' }],
    clear: [
      {},
      { ...coded, inCode: ['itself'] },
      { heldBy: 'vault', inCode: ['a token'] },
      { state: 'revoked', inCode: ['a token in app.env of shop'] },
    ],
    unknown: [
      { hasFingerprint: false },
      { codeRead: 'none' },
      { codeRead: 'partly' },
      { inCode: ['a token'], isPresent: false },
    ],
  },
  'vaulted-and-in-code': {
    found: [
      { heldBy: 'vault', inCode: ['a token in app.env of shop'] },
      { heldBy: 'ci', state: null, inCode: ['a token in app.env of shop'] },
    ],
    clear: [{}, { heldBy: 'vault' }, { inCode: ['a token in app.env of shop'] }],
    unknown: [
      { heldBy: 'vault', hasFingerprint: false },
      { heldBy: 'vault', codeRead: 'none' },
      { heldBy: 'ci', codeRead: 'partly' },
    ],
  },
  'overdue-secret': {
    found: [
      { ...clientSecret, createdAt: ago(181) },
      { ...clientSecret, createdAt: ago(500), rotatedAt: ago(400), isWhole: false },
      { ...clientSecret, expiresAt: ago(1), neverExpires: false },
    ],
    clear: [
      {},
      { ...clientSecret, createdAt: ago(500), rotatedAt: ago(10) },
      { ...clientSecret, createdAt: ago(500), expiresAt: ago(-1), neverExpires: false },
      { ...clientSecret, createdAt: ago(500), state: 'expired' },
      { createdAt: ago(500), expiresAt: null },
    ],
    unknown: [
      clientSecret,
      { ...clientSecret, createdAt: ago(1), isWhole: false },
      { ...clientSecret, createdAt: ago(181), isPresent: false },
    ],
  },
  'expiring-certificate': {
    found: [
      { ...certificate, expiresAt: ago(-29) },
      { ...certificate, expiresAt: ago(1), state: 'expired' },
    ],
    clear: [{ ...certificate }, { expiresAt: ago(-1) }],
    unknown: [
      { ...certificate, expiresAt: null },
      { ...certificate, isWhole: false },
    ],
  },
}
const offline = {
  type: 'oauth-grant',
  heldBy: 'third-party',
  isOffline: true,
  neverExpires: true,
  vendor: 'acme',
} as const
const outside = { heldBy: 'third-party', type: 'oauth-grant', vendor: 'acme' } as const
export const ON_KEEPING: Cases<KeepingFacts> = {
  'person-and-job': {
    found: [
      { people: ['ada'], jobs: ['backup'] },
      { people: ['ada'], jobs: ['backup'], hasFingerprint: false, isAllWhole: false },
    ],
    clear: [{}, { people: ['ada'] }, { jobs: ['backup'] }, { people: ['ada'], jobs: ['backup'], state: 'revoked' }],
    unknown: [{ hasFingerprint: false }, { isAllWhole: false }, { people: ['ada'], jobs: ['b'], isPresent: false }],
  },
  'vendor-held': {
    found: [outside, { ...outside, vendor: null }, { ...outside, vendorState: 'ended' }],
    clear: [{}, { ...outside, vendorState: 'active' }, { ...outside, state: 'revoked' }],
    unknown: [{ heldBy: null }, { heldBy: 'unknown-holder' }, { isWhole: false }, { ...outside, isPresent: false }],
  },
  'lasting-grant': {
    found: [offline, { ...offline, lastUsedAt: ago(100) }, { ...offline, vendor: null, isWhole: false }],
    clear: [
      {},
      { ...offline, isOffline: false },
      { ...offline, neverExpires: false },
      { ...offline, heldBy: 'self' },
      { ...offline, state: 'inactive' },
    ],
    unknown: [
      { ...offline, heldBy: 'unknown-holder' },
      { ...offline, isPresent: false },
      { ...offline, neverExpires: false, isWhole: false },
    ],
  },
  'outside-store': {
    found: [{ keptIn: ['env of shop/api: TOKEN'] }, { heldBy: 'file' }, { heldBy: 'file', hasFingerprint: false }],
    clear: [{}, { keptIn: ['file of host: /etc/token'], isVaulted: true }, { heldBy: 'file', type: 'certificate' }],
    unknown: [{ heldBy: 'file', isStoreRead: false }, { isAllWhole: false }, { heldBy: 'file', isPresent: false }],
  },
}
const star = { privilege: '*', on: '*/*', isAdministrator: true } as const
export const ON_GRANTS: Cases<GrantFacts> = {
  'wildcard-right': {
    found: [
      star,
      { on: 'core/*' },
      { privilege: '*' },
      { ...star, holders: [] },
      { ...star, holders: ['system:authenticated'], isBuiltIn: true, isEverybodys: true },
      { ...star, isSourceWhole: false },
    ],
    clear: [{}, { ...star, isBuiltIn: true, holders: [] }],
    unknown: [
      { isWhole: false },
      { ...star, isPresent: false },
      { ...star, isBuiltIn: true, holders: [], isSourceWhole: false },
    ],
  },
}
const beginning = { subject: 'repo:acme/shop:', isBeginning: true } as const
export const ON_TRUST_RULES: Cases<TrustRuleFacts> = {
  'loose-trust-rule': {
    found: [
      beginning,
      { ...beginning, claims: ['repository_owner'] },
      { subject: 'repo:acme/shop:pull_request' },
      { issuer: 'http://id.example' },
      { keysUrl: 'http://id.example/keys' },
    ],
    clear: [
      {},
      { ...beginning, claims: ['environment'] },
      { preset: 'spiffe', subject: 'spiffe://acme/shop/', isBeginning: true },
    ],
  },
}
export const tool: ToolFacts = {
  ...subject,
  source: 'shop-tools',
  environment: 'production',
  isWhole: true,
  isPresent: true,
  readAt: ago(1),
  type: 'mcp-tool',
  digest: 'a'.repeat(64),
  approvedDigest: 'a'.repeat(64),
  approvedAt: ago(10),
  isServerApproved: true,
  marks: [],
  isPublic: null,
}
const server = { type: 'mcp-server', approvedDigest: null, approvedAt: null } as const
export const ON_TOOLS: Cases<ToolFacts> = {
  'tool-changed': {
    found: [
      { digest: 'b'.repeat(64) },
      { digest: 'b'.repeat(64), isWhole: false },
      { approvedDigest: null, approvedAt: null },
    ],
    clear: [{}, server, { type: 'mcp-prompt', approvedDigest: null }],
    unknown: [
      { approvedDigest: null, approvedAt: null, isServerApproved: false },
      { digest: 'b'.repeat(64), isPresent: false },
      { digest: null },
    ],
  },
  'hostile-text': {
    found: [{ marks: ['hidden-characters'] }, { ...server, marks: ['speaks-as-the-system', 'unread'] }],
    clear: [{}, server],
    unknown: [{ marks: ['unread'] }, { marks: ['hidden-characters'], isPresent: false }, { isWhole: false }],
  },
  'open-tool-server': {
    found: [{ ...server, isPublic: true }],
    clear: [{}, { isPublic: true }, { ...server, isPublic: false }],
    unknown: [server, { ...server, isPublic: true, isPresent: false }],
  },
}
