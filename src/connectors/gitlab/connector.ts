import { Secret } from '../../kernel/secret.ts'
import { loginOf, type Connector, type Manifest, type OpenSource, type Probe } from '../connector.ts'
import { readOne, type Asked, type Forge } from '../forge/api.ts'
import { opening, probedBy, sourceOf, type Part } from '../forge/source.ts'
import { readJobTokens } from './job-token.ts'
import { readPipelines } from './pipelines.ts'
import {
  deployTokensOf,
  MAINTAINER,
  membersOf,
  projectsOf,
  readAccess,
  readDeployKeys,
  readDeployTokens,
  readGroupVariables,
  readHooks,
  readMembers,
  readProjects,
  readProjectTokens,
  readTokens,
  readVariables,
  tokensOf,
  variablesOf,
  type Group,
} from './read.ts'
import { GitlabSourceCredential, GitlabSourceSettings } from './settings.ts'
import { Group as GroupShape } from './shapes.ts'

type GroupPart = Part<Group> & {
  readonly permission?: string
  readonly list: (group: Pick<Group, 'id'>) => Asked
}

const PARTS: Readonly<Record<string, GroupPart>> = {
  members: { gives: 'members of the group with their roles, bots of tokens', list: membersOf, read: readMembers },
  tokens: { gives: 'access tokens of the group: scopes, expiry, last use', list: tokensOf, read: readTokens },
  'deploy-tokens': { gives: 'deploy tokens of the group', list: deployTokensOf, read: readDeployTokens },
  'group-variables': {
    gives: 'names of variables of the group, fingerprints of masked ones',
    list: variablesOf,
    read: readGroupVariables,
  },
  projects: { gives: 'projects, which are public or archived', list: projectsOf, read: readProjects },
  access: {
    gives: 'members of projects, protected branches, environments',
    permission: MAINTAINER,
    list: projectsOf,
    read: readAccess,
  },
  'project-tokens': {
    gives: 'access and deploy tokens of projects',
    permission: MAINTAINER,
    list: projectsOf,
    read: readProjectTokens,
  },
  'deploy-keys': {
    gives: 'deploy keys with fingerprints',
    permission: MAINTAINER,
    list: projectsOf,
    read: readDeployKeys,
  },
  hooks: { gives: 'hooks and where they lead', permission: MAINTAINER, list: projectsOf, read: readHooks },
  variables: {
    gives: 'names of variables of projects, fingerprints of masked ones',
    permission: MAINTAINER,
    list: projectsOf,
    read: readVariables,
  },
  'job-tokens': {
    gives: 'projects and groups whose job tokens are let in, or that all are',
    permission: MAINTAINER,
    list: projectsOf,
    read: readJobTokens,
  },
  pipelines: {
    gives: 'what pipeline files take in from elsewhere, identity tokens, whether a job may push',
    permission: 'a token with read_api or read_repository',
    list: projectsOf,
    read: readPipelines,
  },
}

const manifest: Manifest = {
  id: 'gitlab',
  version: '1',
  source: 'GitLab, one group',
  observes: ['principal', 'credential', 'resource', 'grant', 'trust', 'usage'],
  reads: Object.entries(PARTS).map(([scope, { gives, permission, list }]) => ({
    scope,
    gives,
    permission: permission ?? list({ id: 0 }).permission,
    isOptional: scope !== 'projects',
  })),
  writes: [],
  blindSpots: [
    'personal access tokens and SSH keys of people, which GitLab shows to administrators of the instance alone',
    'OAuth applications; hooks of groups and of the system; runners; tokens and variables of subgroups',
    'values of hidden variables, and of those that are not masked a fingerprint',
    'what included files include in turn, images of jobs, pipeline files of other branches or under another name',
    'which job reads which variable: GitLab gives them to every job',
    'what one job may: its token has the rights of whoever set it off, in projects that let it in; finer rights of a list',
    'the audit log',
  ],
  metadataHandling:
    'Names, ids, fingerprints of keys, scopes, times, hosts of hooks. Values of masked variables leave as fingerprints under the key of this installation, values of others not at all.',
  risks: ['NHI1:2025', 'NHI2:2025', 'NHI3:2025', 'NHI5:2025', 'NHI6:2025', 'NHI7:2025', 'NHI9:2025'],
}

/** Reads who and what can change code in a group at GitLab, and what its pipelines take in. */
export const gitlabConnector: Connector = {
  manifest,
  settings: GitlabSourceSettings,
  credential: GitlabSourceCredential,
  address: (settings) => GitlabSourceSettings.parse(settings).url,
  async open(given, signal): Promise<OpenSource> {
    const { url, authorities, group } = GitlabSourceSettings.parse(given.settings)
    const { token } = loginOf(given, GitlabSourceCredential, 'token to log in with')
    const base = new URL(url)
    const forge: Forge = {
      http: given.http,
      url: base.origin,
      root: `${base.pathname.replace(/\/+$/, '')}/api/v4`,
      headers: { authorization: new Secret(`Bearer ${token}`), accept: 'application/json' },
      ca: authorities,
      hides: true,
      now: () => given.clock.now(),
    }
    const asked = {
      path: `/groups/${encodeURIComponent(group)}?with_projects=false`,
      what: 'the group',
      permission: 'a token with read_api that sees it',
    }
    const { id, full_path: path } = await opening(readOne(forge, asked, GroupShape, signal))
    return sourceOf<Group>(PARTS, { forge, id, path, fingerprint: given.fingerprint }, probe)
  },
}

/** A group keeps its number when it is moved. */
async function probe(group: Group, signal: AbortSignal): Promise<Probe> {
  const lists = Object.fromEntries(Object.entries(PARTS).map(([scope, { list }]) => [scope, list(group)]))
  return {
    authority: `${new URL(group.forge.url).host}:group:${group.id}`,
    system: `GitLab, ${group.path}`,
    scopes: await probedBy(group.forge, lists, signal),
  }
}
