import { Secret } from '../../kernel/secret.ts'
import { awsHost } from '../../kernel/aws/query.ts'
import { xmlEvery } from '../../kernel/aws/xml.ts'
import {
  Denied,
  inPages,
  loginOf,
  sourceOfParts,
  Unreadable,
  type Connector,
  type Manifest,
  type Missing,
  type Observation,
  type OpenSource,
  type Page,
  type ProbedScope,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { accountOf, DETAILS, entities, readAccount } from './account.ts'
import { call, KeyOver, missingOf, type Iam, type Parameters } from './api.ts'
import { readKeys } from './keys.ts'
import { readLastAccess } from './last-access.ts'
import { readProviders } from './providers.ts'
import { readReport } from './report.ts'
import { tellRights } from './rights.ts'
import { AwsSourceCredential, AwsSourceSettings } from './settings.ts'
import { tellPolicies } from './statements.ts'
import { readSummary } from './summary.ts'
import { tellHolder } from './things.ts'
import { readTrail, TRAIL_MISSING } from './trail.ts'
import { tellTrusts } from './trust.ts'

type Reading = { readonly iam: Iam; readonly account: string; readonly since: Since; readonly signal: AbortSignal }
type Part = {
  readonly gives: string
  /** Actions of IAM that it takes; the first is tried before. */
  readonly actions: readonly string[]
  readonly isFeed?: boolean
  readonly read: (reading: Reading) => AsyncGenerator<Page, ScopeReport>
}

const PARTS: Readonly<Record<string, Part>> = {
  account: {
    gives: 'the account, its root, its rules for passwords',
    actions: ['GetAccountSummary', 'ListAccountAliases', 'GetAccountPasswordPolicy'],
    read: ({ iam, account, signal }) => readSummary(iam, account, signal),
  },
  users: {
    gives: 'users with their tags and boundaries',
    actions: [DETAILS],
    read: (reading) => readHolders(reading, 'User'),
  },
  groups: { gives: 'groups', actions: [DETAILS], read: (reading) => readHolders(reading, 'Group') },
  roles: {
    gives: 'roles, whom they believe, when each was used last',
    actions: [DETAILS],
    read: (reading) => readHolders(reading, 'Role'),
  },
  policies: {
    gives: 'policies and what they say, who has which, who is in which group',
    actions: [DETAILS],
    read: readPolicies,
  },
  rights: {
    gives: 'who can administer the account, act as which role, make a login of whom: all policies worked out together',
    actions: [DETAILS],
    read: readRights,
  },
  'access-keys': {
    gives: 'access keys: state, age, last use',
    actions: ['ListUsers', 'ListAccessKeys', 'GetAccessKeyLastUsed'],
    read: ({ iam, since, signal }) => readKeys(iam, since, signal),
  },
  logins: {
    gives: 'passwords and MFA, keys of the root, signing certificates',
    actions: ['GenerateCredentialReport', 'GetCredentialReport', 'ListUsers', 'ListMFADevices'],
    read: ({ iam, account, signal }) => readReport(iam, account, signal),
  },
  providers: {
    gives: 'issuers of tokens that the account knows: OpenID and SAML',
    actions: ['ListOpenIDConnectProviders', 'GetOpenIDConnectProvider', 'ListSAMLProviders', 'GetSAMLProvider'],
    read: ({ iam, since, signal }) => readProviders(iam, since, signal),
  },
  'last-access': {
    gives: 'which action each user and role used last, and when',
    actions: ['GenerateServiceLastAccessedDetails', 'GetServiceLastAccessedDetails', DETAILS],
    read: ({ iam, since, signal }) => readLastAccess(iam, since, signal),
  },
  trail: {
    gives: 'uses by day of users, roles and keys, with the window they cover',
    actions: [],
    isFeed: true,
    read: ({ iam, account, since, signal }) => readTrail(iam.settings, account, since, signal),
  },
}

const manifest: Manifest = {
  id: 'aws',
  version: '1',
  source: 'AWS IAM, by its API, and CloudTrail files',
  observes: ['principal', 'credential', 'resource', 'grant', 'trust', 'usage', 'usage-window'],
  reads: Object.entries(PARTS).map(([scope, { gives, actions }]) => ({
    scope,
    gives,
    permission:
      actions.length === 0 ? (TRAIL_MISSING.permission ?? '') : actions.map((action) => `iam:${action}`).join(', '),
    isOptional: true,
  })),
  writes: [],
  blindSpots: [
    'policies of the organisation (SCP, RCP) and of sessions: they can take away what is told as a right',
    'policies that stand at resources: buckets, keys, queues, functions can let in more than IAM says',
    'what runs already: who may change the code of a function, or enter a machine, has its role',
    'conditions on the moment of use: what depends on them is said to depend on them',
    'permission sets and users of IAM Identity Center: its roles are seen, who gets them is not',
    'instance profiles without a role, service-specific credentials, SSH keys of CodeCommit, server certificates',
    'when a refused action was tried, and what actions IAM does not track were used for, without a trail',
    'whether digests of CloudTrail are signed by AWS',
  ],
  metadataHandling:
    'Names, ids, ARNs, tags, paths, policies as actions with patterns and the keys of conditions, claims that trusts ask for, ids of access keys, times, addresses and programs of uses. No secret of a key, no password, no seed, no external id, no parameter of a call.',
  risks: ['NHI1:2025', 'NHI3:2025', 'NHI4:2025', 'NHI5:2025', 'NHI6:2025', 'NHI7:2025', 'NHI10:2025'],
}

/** Reads who is in an account of AWS, with what credentials, and what they can become. */
export const awsConnector: Connector = {
  manifest,
  settings: AwsSourceSettings,
  credential: AwsSourceCredential,
  address: (settings) => addressOf(AwsSourceSettings.parse(settings)).href,
  async open(given, until): Promise<OpenSource> {
    const settings = AwsSourceSettings.parse(given.settings)
    const { accessKeyId, secretAccessKey, sessionToken } = loginOf(given, AwsSourceCredential, 'access key to ask with')
    const session = sessionToken === undefined ? {} : { sessionToken: new Secret(sessionToken) }
    const keys = { id: accessKeyId, secret: new Secret(secretAccessKey), ...session }
    const iam: Iam = { http: given.http, clock: given.clock, keys, settings, url: addressOf(settings) }
    const account = await whichAccount(iam, until)
    return sourceOfParts(PARTS, {
      probe: (signal) => probe(iam, account, signal),
      read: (part, since, signal) => part.read({ iam, account, since, signal }),
    })
  },
}

function addressOf(settings: AwsSourceSettings): URL {
  return new URL(settings.endpoint ?? `https://${awsHost('iam', { partition: settings.partition, region: '' })}/`)
}

/** IAM names the account in the ARN of everything; one thing that may be listed is enough. Every account has roles that AWS made. */
async function whichAccount(iam: Iam, signal: AbortSignal): Promise<string> {
  for (const action of [DETAILS, 'ListRoles', 'ListUsers', 'GetUser']) {
    try {
      const found = await call(iam, action, first(action), signal)
      const arns = found ? xmlEvery(found, 'Arn').map((arn) => accountOf(arn.text.trim())) : []
      const account = arns.find((of) => of !== undefined)
      if (account !== undefined) return account
    } catch (error) {
      if (error instanceof KeyOver) throw new Unreadable(error.message, { cause: error })
      if (!(error instanceof Denied)) throw error
    }
  }
  throw new Unreadable(
    `the key may list nothing by which the account is known: it takes iam:${DETAILS}, iam:ListRoles or iam:ListUsers`,
  )
}

/** Of a list the first thing is enough to see that it may be asked for. */
function first(action: string): Parameters {
  if (action === DETAILS) return { MaxItems: '1', 'Filter.member.1': 'Role' }
  return /^List(?:Users|Roles)$/.test(action) ? { MaxItems: '1' } : {}
}

/** Only what lists without changing is tried before; making a report tells in reading whether it may be made. */
async function probe(iam: Iam, account: string, signal: AbortSignal) {
  const tried = new Map<string, Missing[]>()
  const probed: ProbedScope[] = []
  for (const [scope, { actions }] of Object.entries(PARTS)) {
    const [action] = actions
    if (action !== undefined && !tried.has(action)) tried.set(action, await mayAsk(iam, action, signal))
    const missing = action === undefined ? [] : (tried.get(action) ?? [])
    const isDark = scope === 'trail' && iam.settings.trail === undefined
    probed.push({ scope, isVisible: missing.length === 0 && !isDark, missing: isDark ? [TRAIL_MISSING] : missing })
  }
  return { authority: `aws:${account}`, system: `AWS account ${account}`, scopes: probed }
}

async function mayAsk(iam: Iam, action: string, signal: AbortSignal): Promise<Missing[]> {
  if (action === 'GenerateServiceLastAccessedDetails') return []
  try {
    await call(iam, action, first(action), signal)
    return []
  } catch (error) {
    if (error instanceof KeyOver || !(error instanceof Denied)) throw error
    return [missingOf(action)]
  }
}

async function* readHolders(
  { iam, account, signal }: Reading,
  filter: 'User' | 'Group' | 'Role',
): AsyncGenerator<Page, ScopeReport> {
  let unread = 0
  for await (const page of entities(iam, [filter], signal)) {
    const told: Observation[] = []
    for (const one of page) {
      if (one.kind === 'policy') continue
      told.push(tellHolder(one))
      if (one.kind !== 'role') continue
      if (one.trust) told.push(...tellTrusts(one, account))
      else unread += 1
      if (one.lastUsed) told.push(lastUse(one.id, one.lastUsed.at))
    }
    yield* inPages(told)
  }
  if (unread === 0) return { status: 'complete', missing: [] }
  return { status: 'partial', missing: [{ what: `trust policies of ${unread} roles`, why: 'they are not understood' }] }
}

function lastUse(role: string, at: Date): Observation {
  return {
    kind: 'usage',
    subject: { kind: 'role', id: role },
    semantics: 'assume',
    at,
    actor: { known: false, why: 'unsupported' },
  }
}

async function* readPolicies({ iam, signal }: Reading): AsyncGenerator<Page, ScopeReport> {
  const { told, unread } = tellPolicies(await readAccount(iam, signal))
  yield* inPages(told)
  const [one, ...more] = unread
  if (one === undefined) return { status: 'complete', missing: [] }
  const what = more.length === 0 ? one : `${one}, and ${more.length} more`
  return { status: 'partial', missing: [{ what, why: 'what it says is not understood, or not there' }] }
}

/** Complete also where some rights depend on the moment of use: that is all that can be known of them. */
async function* readRights({ iam, account, signal }: Reading): AsyncGenerator<Page, ScopeReport> {
  const { told, open, unread, isCut } = await tellRights(await readAccount(iam, signal), account, signal)
  yield* inPages(told)
  const missing: Missing[] = []
  if (isCut) missing.push({ what: 'further rights', why: 'there are more than are worked out' })
  if (open.count > 0) {
    const why = `they depend on what is known when they are used: ${open.on.slice(0, 20).join(', ')}`
    missing.push({ what: `whether ${open.count} rights hold`, why })
  }
  if (unread > 0)
    missing.push({
      what: `rights of ${unread} users and roles, or to them`,
      why: 'a policy of theirs is not understood',
    })
  return { status: isCut || unread > 0 ? 'partial' : 'complete', missing }
}
