import { z } from 'zod'
import { Secret } from '../../kernel/secret.ts'
import {
  loginOf,
  Unreadable,
  type Connector,
  type Manifest,
  type Missing,
  type OpenSource,
  type Probe,
} from '../connector.ts'
import { Absent, readOne, type Asked, type Forge } from '../forge/api.ts'
import { opening, probedBy, sourceOf, type Part } from '../forge/source.ts'
import { limitsOf, within, type Limits } from './limits.ts'
import {
  ORGANIZATIONS,
  readApplications,
  readOrganizations,
  readTokens,
  readUserKeys,
  readUsers,
  TOKENS_MISSING,
  USERS,
} from './people.ts'
import {
  readAccess,
  readDeployKeys,
  readHooks,
  readOrganizationSecrets,
  readPipelines,
  readRepositories,
  readSecrets,
  REPOSITORIES,
} from './repositories.ts'
import { GiteaSourceCredential, GiteaSourceSettings } from './settings.ts'
import { User } from './shapes.ts'

type Open = {
  readonly forge: Forge
  readonly byPassword: Forge | undefined
  readonly self: User
  readonly limits: Limits
}
type GiteaPart = Part<Open> & {
  readonly permission: string
  readonly list: Asked | undefined
}

const OF_REPOSITORIES = 'read:repository of an administrator of each repository'

const PARTS: Readonly<Record<string, GiteaPart>> = {
  users: {
    gives: 'users, administrators, last logins',
    permission: USERS.permission,
    list: USERS,
    read: ({ forge }, since, signal) => readUsers(forge, since, signal),
  },
  organizations: {
    gives: 'organizations, teams, who is in them and what a team may',
    permission: `${ORGANIZATIONS.permission} and read:organization`,
    list: ORGANIZATIONS,
    read: ({ forge }, since, signal) => readOrganizations(forge, since, signal),
  },
  'user-keys': {
    gives: 'SSH keys of users, with fingerprints',
    permission: `${USERS.permission} and read:user`,
    list: USERS,
    read: ({ forge }, since, signal) => readUserKeys(forge, since, signal),
  },
  tokens: {
    gives: 'access tokens: name, scopes, last use',
    permission: TOKENS_MISSING.permission,
    list: USERS,
    read: ({ forge, byPassword }, since, signal) => readTokens(forge, byPassword, since, signal),
  },
  applications: {
    gives: 'OAuth applications of the login itself',
    permission: 'a token with read:user',
    list: undefined,
    read: ({ forge, self }, _since, signal) => readApplications(forge, self, signal),
  },
  repositories: {
    gives: 'repositories, which are archived',
    permission: `${REPOSITORIES.permission} of an administrator`,
    list: REPOSITORIES,
    read: ({ forge }, since, signal) => readRepositories(forge, since, signal),
  },
  access: {
    gives: 'owners, collaborators, teams, protection of branches',
    permission: OF_REPOSITORIES,
    list: REPOSITORIES,
    read: ({ forge }, since, signal) => readAccess(forge, since, signal),
  },
  'deploy-keys': {
    gives: 'deploy keys, with fingerprints',
    permission: OF_REPOSITORIES,
    list: REPOSITORIES,
    read: ({ forge }, since, signal) => readDeployKeys(forge, since, signal),
  },
  hooks: {
    gives: 'hooks of repositories and where they lead',
    permission: OF_REPOSITORIES,
    list: REPOSITORIES,
    read: ({ forge }, since, signal) => readHooks(forge, since, signal),
  },
  secrets: {
    gives: 'names of secrets and variables of repositories',
    permission: OF_REPOSITORIES,
    list: REPOSITORIES,
    read: ({ forge }, since, signal) => readSecrets(forge, since, signal),
  },
  'organization-secrets': {
    gives: 'names of secrets of organizations',
    permission: `${ORGANIZATIONS.permission} and read:organization`,
    list: ORGANIZATIONS,
    read: ({ forge }, since, signal) => readOrganizationSecrets(forge, since, signal),
  },
  pipelines: {
    gives: 'pipeline files: unpinned actions, code of strangers, rights of the token, secrets, identity tokens',
    permission: `${REPOSITORIES.permission} of an administrator`,
    list: REPOSITORIES,
    read: ({ forge }, since, signal) => readPipelines(forge, since, signal),
  },
}

const manifest: Manifest = {
  id: 'gitea',
  version: '1',
  source: 'Gitea and Forgejo',
  observes: ['principal', 'credential', 'resource', 'grant', 'trust', 'reference', 'usage'],
  reads: Object.entries(PARTS).map(([scope, { gives, permission }]) => ({
    scope,
    gives,
    permission,
    isOptional: true,
  })),
  writes: [],
  blindSpots: [
    'values of secrets and of tokens',
    'OAuth applications and grants of other users: Gitea lists them for their owner alone',
    'hooks of organizations, of users and of the whole system; runners',
    'pipeline files of other branches than the default one, and actions that a called workflow uses',
    'whether a user is a person or a program: Gitea tells no bots apart by its API',
    'uses other than the last one: Gitea keeps no log that its API gives',
    'environments: Gitea has none',
  ],
  metadataHandling:
    'Names, ids, e-mail addresses of users, fingerprints of keys, scopes, times, hosts of hooks. Of pipeline files what they use, may and read. No value of a secret or variable, no address of a hook beyond its host, no part of a token.',
  risks: ['NHI1:2025', 'NHI2:2025', 'NHI3:2025', 'NHI5:2025', 'NHI6:2025', 'NHI7:2025', 'NHI9:2025'],
}

/** Reads who and what can change code in a Gitea or Forgejo, and what its pipelines may. */
export const giteaConnector: Connector = {
  manifest,
  settings: GiteaSourceSettings,
  credential: GiteaSourceCredential,
  address: (settings) => GiteaSourceSettings.parse(settings).url,
  async open(given, signal): Promise<OpenSource> {
    const { url, authorities } = GiteaSourceSettings.parse(given.settings)
    const { token, user, password } = loginOf(given, GiteaSourceCredential, 'token to log in with')
    const base = new URL(url)
    const forge: Forge = {
      http: given.http,
      url: base.origin,
      root: `${base.pathname.replace(/\/+$/, '')}/api/v1`,
      headers: { authorization: new Secret(`token ${token}`), accept: 'application/json' },
      ca: authorities,
      hides: false,
      now: () => given.clock.now(),
    }
    const basic =
      user !== undefined && password !== undefined ? Buffer.from(`${user}:${password}`).toString('base64') : undefined
    const byPassword =
      basic === undefined
        ? undefined
        : { ...forge, headers: { ...forge.headers, authorization: new Secret(`Basic ${basic}`) } }
    const self = await selfOf(forge, signal)
    const limits = await limitsOf(forge, { self, token, byPassword }, signal)
    return sourceOf<Open>(LIMITED, { forge, byPassword, self, limits }, probe)
  },
}

/** What a part lacks whatever it is shown. Tokens are read by password, users as an administrator; neither heeds what the token is limited to. */
function limitOf(scope: string, { ofRepositories, ofAll }: Limits): Missing[] {
  const isOfAll = scope !== 'users' && scope !== 'tokens' && scope !== 'applications'
  return [...(PARTS[scope]?.list === REPOSITORIES ? ofRepositories : []), ...(isOfAll ? ofAll : [])]
}

const LIMITED: Readonly<Record<string, Part<Open>>> = Object.fromEntries(
  Object.entries(PARTS).map(([scope, part]) => {
    const read: Part<Open>['read'] = (open, since, signal) =>
      within(limitOf(scope, open.limits), part.read(open, since, signal))
    return [scope, { ...part, read }]
  }),
)

async function selfOf(forge: Forge, signal: AbortSignal): Promise<User> {
  const asked = { path: '/user', what: 'the login itself', permission: 'a token with read:user' }
  try {
    return await opening(readOne(forge, asked, User, signal))
  } catch (error) {
    if (error instanceof Absent) throw new Unreadable('this is no Gitea', { cause: error })
    throw error
  }
}

/** A Gitea has no id that its API gives: it is known by the login's own account, which another one would not have made at the same instant. */
async function probe({ forge, byPassword, self, limits }: Open, signal: AbortSignal): Promise<Probe> {
  const asked = { path: '/version', what: 'the version', permission: '' }
  const { version } = await readOne(forge, asked, z.object({ version: z.string().max(100) }), signal)
  const lists = Object.fromEntries(Object.entries(PARTS).map(([scope, { list }]) => [scope, list]))
  const scopes = (await probedBy(forge, lists, signal)).map((probed) =>
    probed.scope === 'tokens' && probed.isVisible && !byPassword
      ? { ...probed, isVisible: false, missing: [{ ...TOKENS_MISSING, why: 'only a token was given' }] }
      : { ...probed, missing: [...probed.missing, ...(probed.isVisible ? limitOf(probed.scope, limits) : [])] },
  )
  return { authority: `gitea:${self.id}@${self.created ?? ''}`, system: `Gitea ${version}`, scopes }
}
