import { known, unknown, type Observation, type Page, type ScopeReport, type Since } from '../connector.ts'
import { listAll, type Asked, type Forge } from '../forge/api.ts'
import { tellEach, tellList } from '../forge/read.ts'
import {
  credential,
  grant,
  instantOf,
  levelOf,
  organization,
  principal,
  resource,
  sshFingerprint,
  teamOf,
  userOf,
  whenOf,
} from '../forge/tell.ts'
import { Application, Key, Organization, Team, Token, User } from './shapes.ts'

export const USERS: Asked = {
  path: '/admin/users?limit=50',
  what: 'users',
  permission: 'a token of an administrator with read:admin',
}
export const ORGANIZATIONS: Asked = {
  path: '/admin/orgs?limit=50',
  what: 'organizations',
  permission: 'a token of an administrator with read:admin',
}

/** Users; whether somebody can log in as one, and when that was last. */
export function readUsers(forge: Forge, since: Since, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const tell = (user: User): Observation[] => {
    const id = userOf(user.id)
    const at = instantOf(user.last_login)
    const canLogIn = user.prohibit_login !== true && user.active !== false
    return [
      principal({
        id,
        type: 'account',
        name: user.login,
        ...(user.full_name !== undefined && user.full_name !== '' && { aliases: [user.full_name] }),
        state: user.active === undefined ? unknown('unsupported') : known(canLogIn ? 'active' : 'disabled'),
        createdAt: whenOf(user.created),
        interactive: known(canLogIn),
        ...(user.email !== undefined && user.email !== '' && { tags: { email: user.email } }),
        facts: { isAdministrator: user.is_admin, isRestricted: user.restricted ?? null },
      }),
      ...(user.is_admin
        ? [
            grant({
              id: { kind: 'site-administrator', id: String(user.id) },
              principal: id,
              on: { kind: 'forge', id: forge.url },
              privilege: 'SITE ADMINISTRATOR',
              level: 'admin',
            }),
          ]
        : []),
      ...(at
        ? [{ kind: 'usage' as const, subject: id, semantics: 'auth' as const, at, actor: unknown('unsupported') }]
        : []),
    ]
  }
  return tellList(forge, { asked: USERS, shape: User, tell }, since, signal)
}

/** Organizations with their teams: who is in which, and what a team may in all its repositories. */
export function readOrganizations(forge: Forge, since: Since, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const permission = 'a token with read:organization of an owner or administrator'
  const tell = async (org: Organization): Promise<Observation[]> => {
    const name = org.username ?? org.name ?? ''
    const told: Observation[] = [
      resource({ id: organization(org.id), type: 'organization', name, facts: { visibility: org.visibility ?? null } }),
    ]
    const asked = { path: `/orgs/${encodeURIComponent(name)}/teams?limit=50`, what: 'teams', permission }
    for (const team of await listAll(forge, asked, Team, signal)) {
      told.push(...tellTeam(team, org, name))
      const members = { path: `/teams/${team.id}/members?limit=50`, what: 'members of teams', permission }
      for (const member of await listAll(forge, members, User, signal)) {
        const id = { kind: 'membership', id: `${team.id}/${member.id}` }
        told.push(grant({ id, principal: userOf(member.id), on: teamOf(team.id), privilege: 'MEMBER', level: 'use' }))
      }
    }
    return told
  }
  return tellEach(
    forge,
    { asked: ORGANIZATIONS, shape: Organization, tell, nameOf: (org) => org.username ?? org.name ?? '' },
    since,
    signal,
  )
}

function tellTeam(team: Team, org: Organization, name: string): Observation[] {
  const units = Object.entries(team.units_map ?? {}).map(([unit, level]) => `${unit}: ${level}`)
  return [
    principal({
      id: teamOf(team.id),
      type: 'group',
      name: `${name}/${team.name}`,
      state: known('active'),
      interactive: known(false),
    }),
    grant({
      id: { kind: 'team-rights', id: String(team.id) },
      principal: teamOf(team.id),
      on: organization(org.id),
      privilege: team.permission ?? 'none',
      level: levelOf(team.permission ?? 'none'),
      facts: {
        units,
        isAllRepositories: team.includes_all_repositories ?? null,
        createsRepositories: team.can_create_org_repo ?? null,
      },
    }),
  ]
}

/** SSH keys by which users reach git. */
export function readUserKeys(forge: Forge, since: Since, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const tell = async ({ id: userId, login }: User): Promise<Observation[]> => {
    const asked = {
      path: `/users/${encodeURIComponent(login)}/keys?limit=50`,
      what: 'SSH keys',
      permission: 'a token with read:user',
    }
    const keys = await listAll(forge, asked, Key, signal)
    return keys.flatMap((key): Observation[] => {
      const id = { kind: 'user-key', id: String(key.id) }
      const at = instantOf(key.last_used_at)
      return [
        credential({
          id,
          principal: known(userOf(userId)),
          type: 'ssh-key',
          name: key.title ?? key.fingerprint ?? `key ${key.id}`,
          createdAt: whenOf(key.created_at),
          expiresAt: known('never'),
          fingerprints: sshFingerprint(key.fingerprint),
          facts: { isReadOnly: key.read_only ?? null },
        }),
        ...(at
          ? [{ kind: 'usage' as const, subject: id, semantics: 'auth' as const, at, actor: unknown('unsupported') }]
          : []),
      ]
    })
  }
  return tellEach(forge, { asked: USERS, shape: User, tell, nameOf: ({ login }) => login }, since, signal)
}

/** Access tokens of each user: names, scopes, last use. Gitea gives the last eight characters; they are not kept. */
export function readTokens(
  forge: Forge,
  byPassword: Forge | undefined,
  since: Since,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  const tell = async ({ id: userId, login }: User): Promise<Observation[]> => {
    const asked = { path: `/users/${encodeURIComponent(login)}/tokens?limit=50`, ...TOKENS_MISSING }
    const tokens = await listAll(byPassword ?? forge, asked, Token, signal)
    return tokens.flatMap((token): Observation[] => {
      const id = { kind: 'access-token', id: String(token.id) }
      const at = instantOf(token.last_used_at)
      return [
        credential({
          id,
          principal: known(userOf(userId)),
          type: 'token',
          name: token.name,
          createdAt: whenOf(token.created_at),
          // Gitea's tokens have no end.
          expiresAt: known('never'),
          scopes: known(token.scopes ?? []),
          bindings: known([]),
        }),
        ...(at
          ? [{ kind: 'usage' as const, subject: id, semantics: 'auth' as const, at, actor: unknown('unsupported') }]
          : []),
      ]
    })
  }
  return tellEach(forge, { asked: USERS, shape: User, tell, nameOf: ({ login }) => login }, since, signal)
}

export const TOKENS_MISSING = {
  what: 'access tokens',
  permission: 'user and password of an administrator in the credential: Gitea lists tokens for no token',
} as const

/** OAuth applications of the login itself: Gitea lists those of others for nobody but them. */
export async function* readApplications(
  forge: Forge,
  self: User,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  const asked = {
    path: '/user/applications/oauth2?limit=50',
    what: 'OAuth applications',
    permission: 'a token with read:user',
  }
  const applications = await listAll(forge, asked, Application, signal)
  const observations = applications.flatMap((application): Observation[] => {
    const app = { kind: 'oauth-application', id: String(application.id) }
    return [
      principal({
        id: app,
        type: 'app',
        name: application.name,
        state: known('active'),
        interactive: known(false),
        createdAt: whenOf(application.created),
        createdBy: known(userOf(self.id)),
        facts: {
          clientId: application.client_id,
          redirects: application.redirect_uris ?? [],
          isConfidential: application.confidential_client ?? null,
        },
      }),
      credential({
        id: { kind: 'client-secret', id: String(application.id) },
        principal: known(app),
        type: application.confidential_client === false ? 'none' : 'client-secret',
        name: application.name,
        createdAt: whenOf(application.created),
        expiresAt: known('never'),
        fingerprints: known([{ alg: 'key-id', value: application.client_id.slice(0, 300) }]),
        heldBy: known('third-party'),
      }),
    ]
  })
  yield { observations }
  return {
    status: 'partial',
    missing: [{ what: 'OAuth applications of other users', why: 'Gitea lists applications for their owner alone' }],
  }
}
