import { Secret } from '../../kernel/secret.ts'
import {
  Denied,
  Unreadable,
  type Connector,
  type Manifest,
  type Missing,
  type OpenSource,
  type Page,
  type ProbedScope,
  type ScopeRef,
  type ScopeReport,
  type ScopesReport,
  type Since,
} from '../connector.ts'
import { listPage, readOne, type Asked, type Forge } from '../forge/api.ts'
import {
  deployTokensOf,
  membersOf,
  projectsOf,
  readAccess,
  readDeployKeys,
  readDeployTokens,
  readGroupVariables,
  readHooks,
  readMembers,
  readPipelines,
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

type Part = {
  readonly gives: string
  readonly permission?: string
  readonly list: (group: Pick<Group, 'id'>) => Asked
  readonly read: (group: Group, since: Since, signal: AbortSignal) => AsyncGenerator<Page, ScopeReport>
}

const MAINTAINER = 'a token with read_api of a maintainer of each project'

const PARTS: Readonly<Record<string, Part>> = {
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
  pipelines: {
    gives: 'what pipeline files take in from elsewhere, identity tokens',
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
    if (!given.credential) throw new Unreadable('there is no token to log in with')
    const { token } = GitlabSourceCredential.parse(JSON.parse(given.credential.reveal()))
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
    try {
      const { id, full_path: path } = await readOne(forge, asked, GroupShape, signal)
      return sourceOf({ forge, id, path, fingerprint: given.fingerprint })
    } catch (error) {
      if (error instanceof Denied)
        throw new Unreadable(`${error.missing.why} (${error.missing.permission ?? ''})`, { cause: error })
      throw error
    }
  },
}

function sourceOf(group: Group): OpenSource {
  return {
    probe: (signal) => probe(group, signal),
    scopes: () => scopes(),
    read(scope, since, signal) {
      const part = PARTS[scope]
      if (!part) throw new Unreadable('there is no such scope')
      return part.read(group, since, signal)
    },
    [Symbol.asyncDispose]: async () => undefined,
  }
}

async function* scopes(): AsyncGenerator<ScopeRef, ScopesReport> {
  for (const [scope, { gives }] of Object.entries(PARTS)) yield { scope, title: gives }
  return { isAll: true, missing: [] }
}

/** A group keeps its number when it is moved. */
async function probe(group: Group, signal: AbortSignal) {
  const lists = new Map<string, Missing | undefined>()
  const found: ProbedScope[] = []
  for (const [scope, { list }] of Object.entries(PARTS)) {
    const asked = list(group)
    if (!lists.has(asked.path)) lists.set(asked.path, await missingOf(group.forge, asked, signal))
    const without = lists.get(asked.path)
    found.push({ scope, isVisible: without === undefined, missing: without ? [without] : [] })
  }
  return {
    authority: `${new URL(group.forge.url).host}:group:${group.id}`,
    system: `GitLab, ${group.path}`,
    scopes: found,
  }
}

async function missingOf(forge: Forge, asked: Asked, signal: AbortSignal): Promise<Missing | undefined> {
  try {
    await listPage(forge, { ...asked, path: asked.path.replace('per_page=100', 'per_page=1') }, undefined, signal)
    return undefined
  } catch (error) {
    if (error instanceof Denied) return error.missing
    throw error
  }
}
