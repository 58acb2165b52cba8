import { known, unknown, type Observation, type Page, type ScopeReport, type Since } from '../connector.ts'
import { listAll, type Asked, type Forge } from '../forge/api.ts'
import { tellEach, tellList } from '../forge/read.ts'
import {
  ciSecret,
  credential,
  grant,
  instantOf,
  levelOf,
  organization,
  principal,
  teamOf,
  userOf,
  whenOf,
} from '../forge/tell.ts'
import { Installation, PersonalToken, Secret, Team, User } from './shapes.ts'

export type Org = { readonly forge: Forge; readonly name: string; readonly id: number }

const list = (path: string, what: string, permission: string, key?: string): Asked => ({
  path,
  what,
  permission,
  ...(key !== undefined && { key }),
})

export const membersOf = ({ name }: Pick<Org, 'name'>) =>
  list(`/orgs/${name}/members?per_page=100`, 'members', 'organization Members: read')
export const teamsOf = ({ name }: Pick<Org, 'name'>) =>
  list(`/orgs/${name}/teams?per_page=100`, 'teams', 'organization Members: read')
export const appsOf = ({ name }: Pick<Org, 'name'>) =>
  list(
    `/orgs/${name}/installations?per_page=100`,
    'installed apps',
    'organization Administration: read',
    'installations',
  )
export const tokensOf = ({ name }: Pick<Org, 'name'>) =>
  list(
    `/orgs/${name}/personal-access-tokens?per_page=100`,
    'fine-grained personal access tokens',
    'a GitHub App with organization Personal access tokens: read',
  )
export const secretsOf = ({ name }: Pick<Org, 'name'>) =>
  list(
    `/orgs/${name}/actions/secrets?per_page=100`,
    'secrets of the organization',
    'organization Secrets: read',
    'secrets',
  )

/** Members, and who of them owns the organization. */
export async function* readMembers(org: Org, since: Since, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const owners = new Set(
    (
      await listAll(
        org.forge,
        { ...membersOf(org), path: `/orgs/${org.name}/members?role=admin&per_page=100` },
        User,
        signal,
      )
    ).map(({ id }) => id),
  )
  const tell = ({
    id,
    login,
    type,
  }: {
    readonly id: number
    readonly login: string
    readonly type?: string | undefined
  }): Observation[] => [
    principal({
      id: userOf(id),
      type: type === 'Bot' ? 'service' : 'account',
      name: login,
      state: known('active'),
      facts: { isOwner: owners.has(id), isBot: type === 'Bot' },
    }),
    grant({
      id: { kind: 'organization-member', id: `${org.id}/${id}` },
      principal: userOf(id),
      on: organization(org.id),
      privilege: owners.has(id) ? 'owner' : 'member',
      level: owners.has(id) ? 'admin' : 'use',
    }),
  ]
  return yield* tellList(org.forge, { asked: membersOf(org), shape: User, tell }, since, signal)
}

export function readTeams(org: Org, since: Since, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const tell = async ({
    id,
    name,
    slug,
    parent,
  }: {
    readonly id: number
    readonly name: string
    readonly slug: string
    readonly parent?: { readonly id: number } | null | undefined
  }) => {
    const asked = {
      ...teamsOf(org),
      path: `/orgs/${org.name}/teams/${encodeURIComponent(slug)}/members?per_page=100`,
      what: 'members of teams',
    }
    const members = await listAll(org.forge, asked, User, signal)
    return [
      principal({
        id: teamOf(id),
        type: 'group',
        name: `${org.name}/${name}`,
        state: known('active'),
        interactive: known(false),
      }),
      ...(parent
        ? [
            grant({
              id: { kind: 'child-team', id: String(id) },
              principal: teamOf(id),
              on: teamOf(parent.id),
              privilege: 'CHILD',
              level: 'use',
            }),
          ]
        : []),
      ...members.map((member) =>
        grant({
          id: { kind: 'membership', id: `${id}/${member.id}` },
          principal: userOf(member.id),
          on: teamOf(id),
          privilege: 'MEMBER',
          level: 'use',
        }),
      ),
    ]
  }
  return tellEach(org.forge, { asked: teamsOf(org), shape: Team, tell, nameOf: ({ slug }) => slug }, since, signal)
}

/** GitHub Apps that are installed, with each permission that they hold. */
export function readApps(org: Org, since: Since, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  return tellList(
    org.forge,
    {
      asked: appsOf(org),
      shape: Installation,
      tell: (app) => {
        const id = { kind: 'app-installation', id: String(app.id) }
        return [
          principal({
            id,
            type: 'app',
            name: app.app_slug,
            state: known(app.suspended_at === null || app.suspended_at === undefined ? 'active' : 'disabled'),
            createdAt: whenOf(app.created_at),
            interactive: known(false),
            facts: {
              appId: app.app_id,
              repositories: app.repository_selection ?? null,
              events: (app.events ?? []).slice(0, 50),
            },
          }),
          ...Object.entries(app.permissions).map(([right, level]) =>
            grant({
              id: { kind: 'app-right', id: `${app.id}/${right}` },
              principal: id,
              on: organization(org.id),
              privilege: `${right}: ${level}`,
              level: levelOf(level),
              facts: { isAllRepositories: app.repository_selection === 'all' },
            }),
          ),
        ]
      },
    },
    since,
    signal,
  )
}

/** Fine-grained personal access tokens that were let in. Classic ones are shown to nobody but their owners. */
export async function* readTokens(org: Org, since: Since, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const report = yield* tellList(
    org.forge,
    {
      asked: tokensOf(org),
      shape: PersonalToken,
      tell: (token): Observation[] => {
        const id = { kind: 'personal-access-token', id: String(token.token_id) }
        const rights = Object.values(token.permissions).flatMap((group) =>
          Object.entries(group ?? {}).map(([right, level]) => `${right}: ${level}`),
        )
        const expiresAt = instantOf(token.token_expires_at)
        const at = instantOf(token.token_last_used_at)
        return [
          credential({
            id,
            principal: known(userOf(token.owner.id)),
            type: 'token',
            name: token.token_name ?? `token of ${token.owner.login}`,
            state: known(token.token_expired === true ? 'expired' : 'active'),
            createdAt: whenOf(token.access_granted_at),
            expiresAt: known(expiresAt ?? 'never'),
            scopes: known(rights),
            facts: { repositories: token.repository_selection ?? null },
          }),
          ...(at
            ? [{ kind: 'usage' as const, subject: id, semantics: 'auth' as const, at, actor: unknown('unsupported') }]
            : []),
        ]
      },
    },
    since,
    signal,
  )
  const classic = {
    what: 'classic personal access tokens',
    why: 'GitHub shows them to their owner alone, and to organizations with SAML',
  }
  return { ...report, missing: [...report.missing, classic] }
}

export function readOrganizationSecrets(
  org: Org,
  since: Since,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  return tellList(
    org.forge,
    {
      asked: secretsOf(org),
      shape: Secret,
      tell: (secret) => [
        credential({
          id: ciSecret(`organization/${org.id}`, secret.name),
          type: 'stored-secret',
          name: `${org.name}: ${secret.name}`,
          createdAt: whenOf(secret.created_at),
          rotatedAt: whenOf(secret.updated_at),
          heldBy: known('ci'),
          facts: { visibility: secret.visibility ?? null },
        }),
      ],
    },
    since,
    signal,
  )
}
