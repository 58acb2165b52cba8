import type { z } from 'zod'
import { Secret } from '../../kernel/secret.ts'
import {
  tokenIssuer,
  known,
  unknown,
  type Given,
  type NativeId,
  type Observation,
  type Page,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { listAll, type Asked, type Forge } from '../forge/api.ts'
import { tellEach, tellList } from '../forge/read.ts'
import {
  ciSecret,
  credential,
  grant,
  hostOf,
  instantOf,
  levelOf,
  organization,
  principal,
  repository,
  resource,
  sshFingerprint,
  userOf,
  whenOf,
} from '../forge/tell.ts'
import {
  AccessToken,
  DeployKey,
  DeployToken,
  Environment,
  Hook,
  Member,
  Project,
  ProtectedBranch,
  Variable,
} from './shapes.ts'

export type Group = {
  readonly forge: Forge
  readonly id: number
  readonly path: string
  readonly fingerprint: Given['fingerprint']
}
type Reader = (group: Group, since: Since, signal: AbortSignal) => AsyncGenerator<Page, ScopeReport>

const READ = 'a token with read_api'
const OWNER = 'a token with read_api of an owner of the group'
export const MAINTAINER = 'a token with read_api of a maintainer of each project'

const ofGroup =
  (what: string, permission: string, path: string) =>
  ({ id }: Pick<Group, 'id'>): Asked => ({ path: `/groups/${id}/${path}`, what, permission })
export const membersOf = ofGroup('members', READ, 'members/all?per_page=100')
export const tokensOf = ofGroup('access tokens of the group', OWNER, 'access_tokens?per_page=100')
export const deployTokensOf = ofGroup('deploy tokens of the group', OWNER, 'deploy_tokens?per_page=100')
export const variablesOf = ofGroup('variables of the group', OWNER, 'variables?per_page=100')
export const projectsOf = ofGroup('projects', READ, 'projects?include_subgroups=true&per_page=100')

/** GitLab, "Roles": levels are numbers. */
function roleOf(level: number): string {
  const role = [
    [50, 'owner'],
    [40, 'maintainer'],
    [30, 'developer'],
    [20, 'reporter'],
    [10, 'guest'],
  ].find(([least]) => level >= Number(least))?.[1]
  return typeof role === 'string' ? role : 'none'
}

/** Days without a time end as they begin. */
function endOf(text: string | null | undefined) {
  if (text === null || text === undefined) return known<'never'>('never')
  const at = instantOf(/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : text)
  return at ? known(at) : unknown('failed')
}

export const readMembers: Reader = (group, since, signal) =>
  tellList(
    group.forge,
    {
      asked: membersOf(group),
      shape: Member,
      tell: (member) => {
        const isBot = /^(group|project)_\d+_bot/.test(member.username)
        const role = roleOf(member.access_level)
        return [
          principal({
            id: userOf(member.id),
            type: isBot ? 'service' : 'account',
            name: member.username,
            ...(member.name !== undefined && { aliases: [member.name] }),
            state:
              member.state === undefined
                ? unknown('unsupported')
                : known(member.state === 'active' ? 'active' : 'disabled'),
            interactive: known(!isBot),
          }),
          grant({
            id: { kind: 'group-member', id: `${group.id}/${member.id}` },
            principal: userOf(member.id),
            on: organization(group.id),
            privilege: role,
            level: levelOf(role),
            expiresAt: endOf(member.expires_at),
          }),
        ]
      },
    },
    since,
    signal,
  )

function tellToken(token: AccessToken, place: string, at: string): Observation[] {
  const id: NativeId = { kind: 'access-token', id: String(token.id) }
  const used = instantOf(token.last_used_at)
  return [
    credential({
      id,
      principal: token.user_id === undefined ? unknown('unsupported') : known(userOf(token.user_id)),
      type: 'token',
      name: `${place}: ${token.name}`,
      state: known(token.revoked === true ? 'revoked' : token.active === false ? 'expired' : 'active'),
      createdAt: whenOf(token.created_at),
      expiresAt: endOf(token.expires_at),
      scopes: known(token.scopes ?? []),
      facts: { place: at },
    }),
    ...(used
      ? [{ kind: 'usage' as const, subject: id, semantics: 'auth' as const, at: used, actor: unknown('unsupported') }]
      : []),
  ]
}

export const readTokens: Reader = (group, since, signal) =>
  tellList(
    group.forge,
    { asked: tokensOf(group), shape: AccessToken, tell: (token) => tellToken(token, group.path, 'group') },
    since,
    signal,
  )

function tellDeployToken(token: z.output<typeof DeployToken>, place: string): Observation {
  return credential({
    id: { kind: 'deploy-token', id: String(token.id) },
    type: 'token',
    name: `${place}: ${token.name}`,
    state: known(token.revoked === true ? 'revoked' : token.expired === true ? 'expired' : 'active'),
    expiresAt: endOf(token.expires_at),
    scopes: known(token.scopes ?? []),
    facts: { username: token.username ?? null },
  })
}

export const readDeployTokens: Reader = (group, since, signal) =>
  tellList(
    group.forge,
    { asked: deployTokensOf(group), shape: DeployToken, tell: (token) => [tellDeployToken(token, group.path)] },
    since,
    signal,
  )

/** The API gives values. Of a masked one a fingerprint under our own key leaves; of others only that they are there. */
function tellVariable(group: Group, variable: Variable, place: string, owner: string): Observation {
  const { key, value, masked = false, environment_scope: scope = '*' } = variable
  const isSecret = masked && typeof value === 'string' && value !== ''
  return credential({
    id: ciSecret(`${place}/${scope}`, key),
    type: 'stored-secret',
    name: `${owner}: ${key}`,
    fingerprints: isSecret ? known([group.fingerprint(new Secret(value))]) : unknown('not-collected'),
    heldBy: known('ci'),
    strength: known(masked ? 'strong' : 'weak'),
    strengthWhy: masked ? [] : ['it is not masked: a job that prints it shows it to everybody who reads its log'],
    facts: { place, isMasked: masked, isProtected: variable.protected ?? null, environments: scope },
  })
}

export const readGroupVariables: Reader = (group, since, signal) =>
  tellList(
    group.forge,
    {
      asked: variablesOf(group),
      shape: Variable,
      tell: (variable) => [tellVariable(group, variable, `organization/${group.id}`, group.path)],
    },
    since,
    signal,
  )

export const readProjects: Reader = async function* (group, since, signal) {
  // "OpenID Connect in GitLab": the issuer is the address of the instance.
  if (since.cursor === undefined) yield { observations: [tokenIssuer(group.forge.url)] }
  return yield* tellList(
    group.forge,
    {
      asked: projectsOf(group),
      shape: Project,
      tell: (it) => [
        resource({
          id: repository(it.id),
          type: 'repository',
          name: it.path_with_namespace,
          parent: organization(group.id),
          facts: {
            visibility: it.visibility ?? null,
            isArchived: it.archived ?? null,
            defaultBranch: it.default_branch ?? null,
            tokenSubjects: ['branch', 'tag'].map((of) => `project_path:${it.path_with_namespace}:ref_type:${of}:ref:*`),
            'tokenClaim:project_path': it.path_with_namespace,
            'tokenClaim:project_id': String(it.id),
          },
        }),
      ],
    },
    since,
    signal,
  )
}

type List = <T>(path: string, what: string, shape: z.ZodType<T>) => Promise<T[]>

export function ofEach(
  tell: (it: Project, list: List, group: Group, signal: AbortSignal) => Promise<readonly Observation[]>,
): Reader {
  return (group, since, signal) => {
    const told = (it: Project) => {
      const list: List = (path, what, shape) =>
        listAll(
          group.forge,
          { path: `/projects/${it.id}/${path}?per_page=100`, what, permission: MAINTAINER },
          shape,
          signal,
        )
      return tell(it, list, group, signal)
    }
    return tellEach(
      group.forge,
      { asked: projectsOf(group), shape: Project, tell: told, nameOf: (it) => it.path_with_namespace },
      since,
      signal,
    )
  }
}

export const readAccess = ofEach(async (it, list) => {
  const members = await list('members', 'members of projects', Member)
  const branches = await list('protected_branches', 'protected branches', ProtectedBranch)
  const environments = await list('environments', 'environments', Environment)
  return [
    ...members.map((member) => {
      const role = roleOf(member.access_level)
      const id = { kind: 'project-member', id: `${it.id}/${member.id}` }
      return grant({
        id,
        principal: userOf(member.id),
        on: repository(it.id),
        privilege: role,
        level: levelOf(role),
        expiresAt: endOf(member.expires_at),
      })
    }),
    ...branches.map((branch) =>
      resource({
        id: { kind: 'branch-protection', id: `${it.id}/${branch.name}` },
        type: 'branch-protection',
        name: `${it.path_with_namespace}: ${branch.name}`,
        parent: repository(it.id),
        facts: {
          allowsForcePush: branch.allow_force_push ?? null,
          pushedBy: (branch.push_access_levels ?? []).map((each) => roleOf(each.access_level ?? 0)),
        },
      }),
    ),
    ...environments.map(({ id, name, state }) =>
      resource({
        id: { kind: 'environment', id: String(id) },
        type: 'ci-environment',
        name: `${it.path_with_namespace}: ${name}`,
        parent: repository(it.id),
        environment: known(name),
        facts: { state: state ?? null },
      }),
    ),
  ]
})

export const readProjectTokens = ofEach(async (it, list) => [
  ...(await list('access_tokens', 'access tokens of projects', AccessToken)).flatMap((token) =>
    tellToken(token, it.path_with_namespace, 'project'),
  ),
  ...(await list('deploy_tokens', 'deploy tokens of projects', DeployToken)).map((token) =>
    tellDeployToken(token, it.path_with_namespace),
  ),
])

export const readDeployKeys = ofEach(async (it, list) =>
  (await list('deploy_keys', 'deploy keys', DeployKey)).flatMap((key): Observation[] => {
    // One key may be let into many projects: each is a right of its own.
    const id: NativeId = { kind: 'deploy-key', id: `${it.id}/${key.id}` }
    const level = key.can_push === true ? 'write' : 'read'
    return [
      credential({
        id,
        type: 'ssh-key',
        name: `${it.path_with_namespace}: ${key.title ?? key.id}`,
        createdAt: whenOf(key.created_at),
        expiresAt: endOf(key.expires_at),
        fingerprints: sshFingerprint(key.fingerprint_sha256 ?? undefined),
        scopes: known([`${it.path_with_namespace}: ${level}`]),
      }),
      grant({
        id: { kind: 'deploy-key-right', id: id.id },
        principal: id,
        on: repository(it.id),
        privilege: `deploy key: ${level}`,
        level,
      }),
    ]
  }),
)

export const readHooks = ofEach(async (it, list) =>
  (await list('hooks', 'hooks', Hook)).map((hook): Observation => {
    const host = hostOf(hook.url)
    const why = [
      ...(hook.enable_ssl_verification === false ? ['it does not look at the certificate of who receives'] : []),
      ...(host.startsWith('http:') ? ['it sends in the clear'] : []),
    ]
    return credential({
      id: { kind: 'hook', id: String(hook.id) },
      type: 'webhook-secret',
      name: `${it.path_with_namespace}: hook to ${host}`,
      createdAt: whenOf(hook.created_at),
      expiresAt: known('never'),
      strength: why.length > 0 ? known('weak') : unknown('unsupported'),
      strengthWhy: why,
      heldBy: known('third-party'),
      facts: { repository: it.path_with_namespace, host },
    })
  }),
)

export const readVariables = ofEach(async (it, list, group) =>
  (await list('variables', 'variables of projects', Variable)).map((variable) =>
    tellVariable(group, variable, `repository/${it.id}`, it.path_with_namespace),
  ),
)
