import { z } from 'zod'
import { Secret } from '../../kernel/secret.ts'
import { loginOf, type Connector, type Manifest, type OpenSource, type Probe } from '../connector.ts'
import { readOne, type Asked, type Forge } from '../forge/api.ts'
import { opening, probedBy, sourceOf, type Part } from '../forge/source.ts'
import {
  appsOf,
  membersOf,
  readApps,
  readMembers,
  readOrganizationSecrets,
  readTeams,
  readTokens,
  secretsOf,
  teamsOf,
  tokensOf,
  type Org,
} from './organization.ts'
import {
  readAccess,
  readDeployKeys,
  readHooks,
  readPipelines,
  readRepositories,
  readSecrets,
  repositoriesOf,
} from './repositories.ts'
import { GithubSourceCredential, GithubSourceSettings } from './settings.ts'

type OrgPart = Part<Org> & {
  readonly permission?: string
  readonly list: (org: Pick<Org, 'name'>) => Asked
}

const PARTS: Readonly<Record<string, OrgPart>> = {
  members: { gives: 'members and owners of the organization, bots', list: membersOf, read: readMembers },
  teams: { gives: 'teams, who is in them', list: teamsOf, read: readTeams },
  apps: { gives: 'installed GitHub Apps with each permission', list: appsOf, read: readApps },
  tokens: { gives: 'fine-grained personal access tokens: rights, expiry, last use', list: tokensOf, read: readTokens },
  'organization-secrets': {
    gives: 'names of secrets of the organization',
    list: secretsOf,
    read: readOrganizationSecrets,
  },
  repositories: { gives: 'repositories, which are public or archived', list: repositoriesOf, read: readRepositories },
  access: {
    gives: 'collaborators and teams of repositories',
    permission: 'repository Administration: read',
    list: repositoriesOf,
    read: readAccess,
  },
  'deploy-keys': {
    gives: 'deploy keys with fingerprints and last use',
    permission: 'repository Administration: read',
    list: repositoriesOf,
    read: readDeployKeys,
  },
  hooks: {
    gives: 'hooks, where they lead, and whether they have a secret',
    permission: 'repository Webhooks: read',
    list: repositoriesOf,
    read: readHooks,
  },
  secrets: {
    gives: 'names of secrets of repositories and environments, what guards environments',
    permission: 'repository Secrets, Environments and Actions: read',
    list: repositoriesOf,
    read: readSecrets,
  },
  pipelines: {
    gives: 'workflow files: unpinned actions, code of strangers, rights of the token, secrets, identity tokens',
    permission:
      'repository Contents: read; Administration: read for the rights of a token where a workflow declares none',
    list: repositoriesOf,
    read: readPipelines,
  },
}

const manifest: Manifest = {
  id: 'github',
  version: '1',
  source: 'GitHub, one organization',
  observes: ['principal', 'credential', 'resource', 'grant', 'trust', 'reference', 'usage'],
  reads: Object.entries(PARTS).map(([scope, { gives, permission, list }]) => ({
    scope,
    gives,
    permission: permission ?? list({ name: '' }).permission,
    isOptional: scope !== 'repositories',
  })),
  writes: [],
  blindSpots: [
    'classic personal access tokens and SSH keys of people, which GitHub shows to nobody but them',
    'OAuth applications that members let in',
    'values of secrets; variables; secrets of Dependabot and Codespaces',
    'rulesets and protection of branches; runners; settings of Actions but the rights of a token by default',
    'workflow files of other branches than the default one, and actions that a called workflow uses',
    'the audit log',
  ],
  metadataHandling:
    'Names, ids, fingerprints of keys, rights, times, hosts of hooks. Of workflow files what they use, may and read. No value of a secret, no address of a hook beyond its host.',
  risks: ['NHI1:2025', 'NHI2:2025', 'NHI3:2025', 'NHI5:2025', 'NHI6:2025', 'NHI7:2025', 'NHI9:2025'],
}

/** Reads who and what can change code in an organization at GitHub, and what its workflows may. */
export const githubConnector: Connector = {
  manifest,
  settings: GithubSourceSettings,
  credential: GithubSourceCredential,
  address: (settings) => GithubSourceSettings.parse(settings).url,
  async open(given, signal): Promise<OpenSource> {
    const { url, authorities, organization: name } = GithubSourceSettings.parse(given.settings)
    const { token } = loginOf(given, GithubSourceCredential, 'token to log in with')
    const base = new URL(url)
    const forge: Forge = {
      http: given.http,
      url: base.origin,
      root: base.pathname.replace(/\/+$/, ''),
      headers: {
        authorization: new Secret(`Bearer ${token}`),
        accept: 'application/vnd.github+json',
        'x-github-api-version': '2022-11-28',
        'user-agent': 'reeve',
      },
      ca: authorities,
      hides: true,
      now: () => given.clock.now(),
    }
    return sourceOf<Org>(PARTS, { forge, name, id: await idOf(forge, name, signal) }, probe)
  },
}

async function idOf(forge: Forge, name: string, signal: AbortSignal): Promise<number> {
  const asked = {
    path: `/orgs/${name}`,
    what: 'the organization',
    permission: 'repository Metadata: read, in this organization',
  }
  return (await opening(readOne(forge, asked, z.object({ id: z.int() }), signal))).id
}

/** An organization keeps its number when it is renamed. */
async function probe(org: Org, signal: AbortSignal): Promise<Probe> {
  const lists = Object.fromEntries(Object.entries(PARTS).map(([scope, { list }]) => [scope, list(org)]))
  return {
    authority: `${new URL(org.forge.url).host}:organization:${org.id}`,
    system: `GitHub, ${org.name}`,
    scopes: await probedBy(org.forge, lists, signal),
  }
}
