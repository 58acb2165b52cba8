import { ago, subject, type Cases } from './cases.fixture.ts'
import type { TrustFacts } from './facts.ts'

export const trust: TrustFacts = {
  ...subject,
  source: 'db',
  environment: 'production',
  isWhole: true,
  isPresent: true,
  readAt: ago(1),
  nativeKind: 'hba-rule',
  method: 'scram-sha-256',
  connection: 'hostssl',
  isWildcard: true,
  where: null,
  issuer: null,
  claims: [],
  widens: [],
  isBuiltIn: false,
}
const action = { nativeKind: 'pipeline-action', where: 'acme/shop: ci.yml uses actions/checkout@v4' } as const
const trigger = { nativeKind: 'pipeline-trigger', method: 'runs-proposed-code' } as const
const foreign = {
  nativeKind: 'foreign-trust',
  issuer: 'arn:aws:iam::999999999999:root',
  isWildcard: false,
  method: 'open',
} as const
const federation = {
  nativeKind: 'role-trust',
  issuer: 'https://id.example',
  claims: ['aud', 'sub'],
  isWildcard: false,
  method: null,
}
const redirect = { nativeKind: 'oidc-redirect', issuer: 'https://app.example/*', widens: ['any-path'] } as const
const flow = { nativeKind: 'oidc-flow', method: 'password', where: 'client shop' } as const
const open = { nativeKind: 'oidc-public-client', method: 'none' } as const
const provider = { nativeKind: 'oidc-provider', issuer: 'https://idp.example', isWildcard: true } as const

export const ON_TRUST: Cases<TrustFacts> = {
  'unpinned-action': {
    found: [action, { ...action, where: null }],
    clear: [{}, { ...action, isWildcard: false }],
    unknown: [
      { ...action, isWildcard: false, isWhole: false },
      { ...action, isPresent: false },
    ],
  },
  'proposed-code': {
    found: [trigger, { ...trigger, method: 'runs-proposed-text' }],
    clear: [{}, { ...trigger, method: 'runs-own-code' }],
    unknown: [
      { ...trigger, method: null },
      { ...trigger, isPresent: false },
    ],
  },
  'loose-role-trust': {
    found: [
      { ...foreign, issuer: '*', isWildcard: true },
      { ...foreign, issuer: '*', isWildcard: true, method: 'conditional', claims: ['aws:SourceIp'] },
      foreign,
      { ...foreign, isWildcard: true, isWhole: false },
    ],
    clear: [
      {},
      { ...foreign, method: 'conditional', claims: ['sts:ExternalId'] },
      { ...foreign, issuer: '*', method: 'conditional', claims: ['aws:PrincipalOrgID'] },
      { ...foreign, nativeKind: 'account-trust' },
    ],
    unknown: [
      { ...foreign, isPresent: false },
      { ...foreign, claims: ['sts:ExternalId'], isWhole: false },
    ],
  },
  'loose-federation': {
    found: [
      { ...federation, isWildcard: true },
      { ...federation, claims: ['aud'] },
      { ...federation, claims: ['aud', 'repository'] },
      { ...federation, claims: ['sub'] },
      { ...federation, issuer: 'http://id.example' },
    ],
    clear: [
      {},
      federation,
      { ...federation, nativeKind: 'pipeline-action', isWildcard: true },
      { ...federation, nativeKind: 'oidc-redirect', isWildcard: true },
    ],
    unknown: [
      { ...federation, isWhole: false },
      { ...federation, isWildcard: true, isPresent: false },
    ],
  },
  'weak-login-rule': {
    found: [{ method: 'trust', connection: 'host' }, { method: 'md5' }, { method: 'password', connection: 'local' }],
    clear: [{}, { nativeKind: 'something-else', method: 'trust' }],
    unknown: [{ method: null }, { isWhole: false }, { method: 'trust', isPresent: false }],
  },
  'wildcard-redirect': {
    found: [
      redirect,
      { ...redirect, widens: ['any-address', 'no-pkce'] },
      { ...redirect, widens: ['any-host'], isWhole: false },
      { ...redirect, widens: ['plaintext'] },
    ],
    clear: [{}, { ...redirect, widens: ['no-pkce'] }, { ...redirect, isBuiltIn: true }],
    unknown: [
      { ...redirect, widens: [], isWhole: false },
      { ...redirect, isPresent: false },
    ],
  },
  'outdated-flow': {
    found: [flow, { ...flow, widens: ['public'] }, { ...flow, method: 'implicit', isBuiltIn: true, isWhole: false }],
    clear: [
      {},
      { ...flow, method: 'authorization-code' },
      { ...flow, method: 'client-credentials', widens: ['public'] },
    ],
    unknown: [
      { ...flow, method: null },
      { ...flow, method: 'device', isWhole: false },
      { ...flow, isPresent: false },
    ],
  },
  'public-client-powers': {
    found: [
      { ...open, widens: ['service-account'] },
      { ...open, widens: ['token-exchange'], isBuiltIn: true },
      { ...open, widens: ['full-scope', 'password'] },
      { ...open, widens: ['full-scope'] },
      { ...open, widens: ['administers'], isWhole: false },
    ],
    clear: [{}, open, { ...open, widens: ['device'] }],
    unknown: [
      { ...open, isWhole: false },
      { ...open, widens: ['full-scope'], isPresent: false },
    ],
  },
  'loose-provider': {
    found: [
      { ...provider, widens: ['unsigned'] },
      { ...provider, widens: ['no-pkce', 'plaintext'] },
      { ...provider, widens: ['believes-addresses'], isWhole: false },
    ],
    clear: [{}, provider],
    unknown: [
      { ...provider, isWhole: false },
      { ...provider, widens: ['unsigned'], isPresent: false },
    ],
  },
}
