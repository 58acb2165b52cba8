import { known, type Observation, type Page, type ScopeReport, type Since } from '../connector.ts'
import { Absent, listAll, readOne, type Asked, type Forge } from '../forge/api.ts'
import { NotWhole, tellEach, tellList } from '../forge/read.ts'
import {
  ciSecret,
  credential,
  grant,
  hostOf,
  levelOf,
  organization,
  repository,
  resource,
  sshFingerprint,
  teamOf,
  tellWorkflow,
  userOf,
  whenOf,
} from '../forge/tell.ts'
import { readWorkflow } from '../forge/workflow.ts'
import {
  ActionSecret,
  Entry,
  File,
  Hook,
  Key,
  Permission,
  Protection,
  Repository,
  Team,
  User,
  Variable,
  type Organization,
} from './shapes.ts'
import { ORGANIZATIONS } from './people.ts'
import { Organization as OrganizationShape } from './shapes.ts'

export const REPOSITORIES: Asked = {
  path: '/repos/search?limit=50',
  key: 'data',
  what: 'repositories',
  permission: 'a token with read:repository',
}
const ADMIN = 'a token with read:repository of an administrator of the repository'

const at = ({ owner, name }: Repository) => `/repos/${encodeURIComponent(owner.login)}/${encodeURIComponent(name)}`
const nameOf = ({ full_name: name }: Repository) => name

export function readRepositories(forge: Forge, since: Since, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const tell = (it: Repository): Observation[] => [
    resource({
      id: repository(it.id),
      type: 'repository',
      name: it.full_name,
      parent: organization(it.owner.id),
      facts: {
        isPrivate: it.private ?? null,
        isArchived: it.archived ?? null,
        isFork: it.fork ?? null,
        isMirror: it.mirror ?? null,
        defaultBranch: it.default_branch ?? null,
        hasPipelines: it.has_actions ?? null,
        createdAt: it.created_at ?? null,
      },
    }),
  ]
  return tellList(forge, { asked: REPOSITORIES, shape: Repository, tell }, since, signal)
}

/** Who may what in each repository, and what its branches are protected by. */
export function readAccess(forge: Forge, since: Since, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const tell = async (it: Repository): Promise<Observation[]> => {
    const told: Observation[] = [
      grant({
        id: { kind: 'owner', id: `${it.id}/${it.owner.id}` },
        principal: userOf(it.owner.id),
        on: repository(it.id),
        privilege: 'owner',
        level: 'admin',
      }),
    ]
    const list = <T>(path: string, what: string, shape: Parameters<typeof listAll<T>>[2]) =>
      orNone(listAll(forge, { path: `${at(it)}/${path}?limit=50`, what, permission: ADMIN }, shape, signal))
    for (const user of await list('collaborators', 'collaborators', User)) {
      const asked = {
        path: `${at(it)}/collaborators/${encodeURIComponent(user.login)}/permission`,
        what: 'rights of collaborators',
        permission: ADMIN,
      }
      const { permission } = await readOne(forge, asked, Permission, signal)
      const id = { kind: 'collaborator', id: `${it.id}/${user.id}` }
      told.push(
        grant({
          id,
          principal: userOf(user.id),
          on: repository(it.id),
          privilege: permission,
          level: levelOf(permission),
        }),
      )
    }
    for (const team of await list('teams', 'teams of the repository', Team)) {
      const privilege = team.permission ?? 'none'
      const id = { kind: 'repository-team', id: `${it.id}/${team.id}` }
      told.push(grant({ id, principal: teamOf(team.id), on: repository(it.id), privilege, level: levelOf(privilege) }))
    }
    for (const rule of await list('branch_protections', 'protection of branches', Protection)) {
      const name = rule.rule_name ?? rule.branch_name ?? ''
      told.push(
        resource({
          id: { kind: 'branch-protection', id: `${it.id}/${name}` },
          type: 'branch-protection',
          name: `${it.full_name}: ${name}`,
          parent: repository(it.id),
          facts: {
            approvals: rule.required_approvals ?? null,
            allowsPush: rule.enable_push ?? null,
            allowsForcePush: rule.enable_force_push ?? null,
            needsChecks: rule.enable_status_check ?? null,
            needsSignatures: rule.require_signed_commits ?? null,
            letsDeployKeysPush: rule.push_whitelist_deploy_keys ?? null,
          },
        }),
      )
    }
    return told
  }
  return tellEach(forge, { asked: REPOSITORIES, shape: Repository, tell, nameOf }, since, signal)
}

/** A part that is switched off in a repository is an empty one. */
async function orNone<T>(list: Promise<T[]>): Promise<T[]> {
  try {
    return await list
  } catch (error) {
    if (error instanceof Absent) return []
    throw error
  }
}

/** Keys that machines pull and push by. */
export function readDeployKeys(forge: Forge, since: Since, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const tell = async (it: Repository): Promise<Observation[]> => {
    const asked = { path: `${at(it)}/keys?limit=50`, what: 'deploy keys', permission: ADMIN }
    return (await listAll(forge, asked, Key, signal)).flatMap((key): Observation[] => {
      const id = { kind: 'deploy-key', id: String(key.id) }
      const level = key.read_only === false ? 'write' : 'read'
      return [
        credential({
          id,
          type: 'ssh-key',
          name: `${it.full_name}: ${key.title ?? key.id}`,
          createdAt: whenOf(key.created_at),
          expiresAt: known('never'),
          fingerprints: sshFingerprint(key.fingerprint),
          scopes: known([`${it.full_name}: ${level}`]),
          facts: { repository: it.full_name, isReadOnly: key.read_only ?? null, isArchived: it.archived ?? null },
        }),
        grant({
          id: { kind: 'deploy-key-right', id: String(key.id) },
          principal: id,
          on: repository(it.id),
          privilege: `deploy key: ${level}`,
          level,
        }),
      ]
    })
  }
  return tellEach(forge, { asked: REPOSITORIES, shape: Repository, tell, nameOf }, since, signal)
}

/** Where events are sent. Addresses often are the secret: the host is kept of them. */
export function readHooks(forge: Forge, since: Since, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const tell = async (it: Repository): Promise<Observation[]> => {
    const asked = { path: `${at(it)}/hooks?limit=50`, what: 'hooks', permission: ADMIN }
    return (await listAll(forge, asked, Hook, signal)).map((hook) => tellHook(hook, it))
  }
  return tellEach(forge, { asked: REPOSITORIES, shape: Repository, tell, nameOf }, since, signal)
}

function tellHook(hook: Hook, { full_name: name }: Repository): Observation {
  const host = hostOf(hook.config?.['url'])
  return credential({
    id: { kind: 'hook', id: String(hook.id) },
    type: 'webhook-secret',
    name: `${name}: hook to ${host}`,
    state: known(hook.active === false ? 'inactive' : 'active'),
    createdAt: whenOf(hook.created_at),
    // Gitea moves its time of change with every delivery, so that says nothing of the secret.
    expiresAt: known('never'),
    heldBy: known('third-party'),
    ...(host.startsWith('http:') && { strength: known('weak' as const), strengthWhy: ['it sends in the clear'] }),
    facts: {
      repository: name,
      host,
      hookType: hook.type ?? null,
      events: (hook.events ?? []).slice(0, 50),
      hasAuthorization: (hook.authorization_header ?? '') !== '',
    },
  })
}

/** Secrets of pipelines by name, of repositories; and names of variables, whose values are not kept. */
export function readSecrets(forge: Forge, since: Since, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const tell = async (it: Repository): Promise<Observation[]> => {
    const place = `repository/${it.id}`
    const secrets = await orNone(
      listAll(
        forge,
        { path: `${at(it)}/actions/secrets?limit=50`, what: 'secrets of pipelines', permission: ADMIN },
        ActionSecret,
        signal,
      ),
    )
    const variables = await orNone(
      listAll(
        forge,
        { path: `${at(it)}/actions/variables?limit=50`, what: 'variables of pipelines', permission: ADMIN },
        Variable,
        signal,
      ),
    )
    return [
      ...secrets.map((secret) => tellSecret(place, it.full_name, secret)),
      ...variables.map(({ name }) =>
        resource({
          id: { kind: 'ci-variable', id: `${place}/${name}` },
          type: 'ci-variable',
          name: `${it.full_name}: ${name}`,
          parent: repository(it.id),
        }),
      ),
    ]
  }
  return tellEach(forge, { asked: REPOSITORIES, shape: Repository, tell, nameOf }, since, signal)
}

/** The same of organizations: every repository of theirs may read these. */
export function readOrganizationSecrets(
  forge: Forge,
  since: Since,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  const permission = 'a token with read:organization of an owner'
  const tell = async (org: Organization): Promise<Observation[]> => {
    const name = org.username ?? org.name ?? ''
    const asked = {
      path: `/orgs/${encodeURIComponent(name)}/actions/secrets?limit=50`,
      what: 'secrets of the organization',
      permission,
    }
    return (await orNone(listAll(forge, asked, ActionSecret, signal))).map((secret) =>
      tellSecret(`organization/${org.id}`, name, secret),
    )
  }
  return tellEach(
    forge,
    { asked: ORGANIZATIONS, shape: OrganizationShape, tell, nameOf: (org) => org.username ?? org.name ?? '' },
    since,
    signal,
  )
}

function tellSecret(
  place: string,
  owner: string,
  { name, created_at: at }: { readonly name: string; readonly created_at?: string | null | undefined },
): Observation {
  return credential({
    id: ciSecret(place, name),
    type: 'stored-secret',
    name: `${owner}: ${name}`,
    // Writing it again sets the same time anew.
    rotatedAt: whenOf(at),
    heldBy: known('ci'),
    facts: { place },
  })
}

const FOLDERS = ['.gitea/workflows', '.forgejo/workflows', '.github/workflows']
const FILES_MAX = 500
const FILE_BYTES = 512 * 1024

/** Pipeline files of the default branch: whom they trust, what they may, which secrets they read. */
export function readPipelines(forge: Forge, since: Since, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const tell = async (it: Repository): Promise<Observation[]> => {
    if (it.empty === true) return []
    const told: Observation[] = []
    const unread: string[] = []
    for (const folder of FOLDERS) {
      const asked = {
        path: `${at(it)}/contents/${folder}`,
        what: 'pipeline files',
        permission: 'a token with read:repository',
      }
      const files = (await orNone(listAll(forge, asked, Entry, signal))).filter(
        ({ type, name }) => type === 'file' && /\.ya?ml$/.test(name),
      )
      for (const { path, size = 0 } of files.slice(0, FILES_MAX)) {
        const workflow = size > FILE_BYTES ? undefined : readWorkflow(await textAt(forge, it, path, signal))
        if (workflow)
          told.push(
            ...tellWorkflow(workflow, { repository: { id: it.id, name: it.full_name }, path, issuer: forge.url }),
          )
        else unread.push(path)
      }
    }
    if (unread.length > 0)
      throw new NotWhole(told, { what: `${unread.length} pipeline files`, why: 'they cannot be read as workflows' })
    return told
  }
  return tellEach(forge, { asked: REPOSITORIES, shape: Repository, tell, nameOf }, since, signal)
}

async function textAt(forge: Forge, it: Repository, path: string, signal: AbortSignal): Promise<string> {
  const encoded = path.split('/').map(encodeURIComponent).join('/')
  const asked = {
    path: `${at(it)}/contents/${encoded}`,
    what: 'pipeline files',
    permission: 'a token with read:repository',
  }
  const { content } = await readOne(forge, asked, File, signal)
  return Buffer.from(content ?? '', 'base64').toString('utf8')
}
