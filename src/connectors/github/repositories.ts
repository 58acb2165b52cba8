import { sha256 } from '../../kernel/crypto.ts'
import {
  tokenIssuer,
  Denied,
  known,
  unknown,
  type Missing,
  type Observation,
  type Page,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { Absent, listAll, readOne, type Asked, type Forge } from '../forge/api.ts'
import { NotWhole, tellEach, tellList } from '../forge/read.ts'
import {
  ciSecret,
  credential,
  grant,
  hostOf,
  instantOf,
  levelOf,
  organization,
  repository,
  resource,
  sshFingerprint,
  teamOf,
  tellWorkflow,
  userOf,
  whenOf,
  type TokenDefault,
} from '../forge/tell.ts'
import { readWorkflow, type Workflow } from '../forge/workflow.ts'
import type { Org } from './organization.ts'
import {
  Collaborator,
  DeployKey,
  Entry,
  Environment,
  File,
  Hook,
  Repository,
  Secret,
  Team,
  WorkflowRights,
} from './shapes.ts'

export const repositoriesOf = ({ name }: Pick<Org, 'name'>): Asked => ({
  path: `/orgs/${name}/repos?per_page=100`,
  what: 'repositories',
  permission: 'repository Metadata: read, for all repositories',
})
const at = ({ owner, name }: Repository) => `/repos/${encodeURIComponent(owner.login)}/${encodeURIComponent(name)}`
const nameOf = ({ full_name: name }: Repository) => name

type Tell = (it: Repository, signal: AbortSignal) => Promise<readonly Observation[]>
type Reader = (org: Org, since: Since, signal: AbortSignal) => AsyncGenerator<Page, ScopeReport>

function ofEach(tellOf: (org: Org) => Tell): Reader {
  return (org, since, signal) =>
    tellEach(org.forge, { asked: repositoriesOf(org), shape: Repository, tell: tellOf(org), nameOf }, since, signal)
}

export async function* readRepositories(
  org: Org,
  since: Since,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  if (since.cursor === undefined) yield { observations: [tokenIssuer(issuerOf(org.forge))] }
  const tell = (it: Repository): Observation[] => [
    resource({
      id: repository(it.id),
      type: 'repository',
      name: it.full_name,
      parent: organization(org.id),
      facts: {
        visibility: it.visibility ?? (it.private === true ? 'private' : 'public'),
        isArchived: it.archived ?? null,
        isFork: it.fork ?? null,
        defaultBranch: it.default_branch ?? null,
        createdAt: it.created_at ?? null,
        ...tokensOf(it),
      },
    }),
  ]
  return yield* tellList(org.forge, { asked: repositoriesOf(org), shape: Repository, tell }, since, signal)
}

/** "OpenID Connect reference": who writes workflows names branches, tags and environments. None of them has a colon in a subject. */
function tokensOf({ full_name: name, owner }: Repository) {
  return {
    tokenSubjects: ['ref:*', 'environment:*', 'pull_request'].map((rest) => `repo:${name}:${rest}`),
    'tokenClaim:repository': name,
    'tokenClaim:repository_owner': owner.login,
  }
}

export const readAccess = ofEach(({ forge }) => async (it, signal) => {
  const permission = 'repository Administration: read'
  const people = await listAll(
    forge,
    { path: `${at(it)}/collaborators?affiliation=direct&per_page=100`, what: 'collaborators', permission },
    Collaborator,
    signal,
  )
  const teams = await listAll(
    forge,
    { path: `${at(it)}/teams?per_page=100`, what: 'teams of the repository', permission },
    Team,
    signal,
  )
  return [
    ...people.map(({ id, role_name: role = 'unknown' }) =>
      grant({
        id: { kind: 'collaborator', id: `${it.id}/${id}` },
        principal: userOf(id),
        on: repository(it.id),
        privilege: role,
        level: levelOf(role),
      }),
    ),
    ...teams.map(({ id, permission: right = 'pull' }) =>
      grant({
        id: { kind: 'repository-team', id: `${it.id}/${id}` },
        principal: teamOf(id),
        on: repository(it.id),
        privilege: right,
        level: levelOf(right),
      }),
    ),
  ]
})

/** RFC 4253 §6.6: what is hashed is the key in the middle of the line. */
function fingerprintOf(line: string) {
  const blob = Buffer.from(line.trim().split(/\s+/)[1] ?? '', 'base64')
  return blob.length === 0
    ? unknown('failed')
    : sshFingerprint(`SHA256:${sha256(blob).toString('base64').replace(/=+$/, '')}`)
}

export const readDeployKeys = ofEach(({ forge }) => async (it, signal) => {
  const asked = {
    path: `${at(it)}/keys?per_page=100`,
    what: 'deploy keys',
    permission: 'repository Administration: read',
  }
  return (await listAll(forge, asked, DeployKey, signal)).flatMap((key): Observation[] => {
    const id = { kind: 'deploy-key', id: String(key.id) }
    const level = key.read_only === false ? 'write' : 'read'
    const used = instantOf(key.last_used)
    return [
      credential({
        id,
        type: 'ssh-key',
        name: `${it.full_name}: ${key.title ?? key.id}`,
        state: known(key.enabled === false ? 'inactive' : 'active'),
        createdAt: whenOf(key.created_at),
        expiresAt: known('never'),
        fingerprints: fingerprintOf(key.key),
        scopes: known([`${it.full_name}: ${level}`]),
        facts: { repository: it.full_name, isReadOnly: key.read_only ?? null, addedBy: key.added_by ?? null },
      }),
      grant({
        id: { kind: 'deploy-key-right', id: String(key.id) },
        principal: id,
        on: repository(it.id),
        privilege: `deploy key: ${level}`,
        level,
      }),
      ...(used
        ? [{ kind: 'usage' as const, subject: id, semantics: 'auth' as const, at: used, actor: unknown('unsupported') }]
        : []),
    ]
  })
})

export const readHooks = ofEach(({ forge }) => async (it, signal) => {
  const asked = { path: `${at(it)}/hooks?per_page=100`, what: 'hooks', permission: 'repository Webhooks: read' }
  return (await listAll(forge, asked, Hook, signal)).map((hook): Observation => {
    const host = hostOf(hook.config.url)
    // GitHub shows a secret as stars, and leaves the field out where there is none.
    const hasSecret = hook.config.secret !== undefined
    const why = [
      ...(hasSecret ? [] : ['it has no secret: whoever knows the address can send in its name']),
      ...(String(hook.config.insecure_ssl ?? '0') === '0'
        ? []
        : ['it does not look at the certificate of who receives']),
      ...(host.startsWith('http:') ? ['it sends in the clear'] : []),
    ]
    return credential({
      id: { kind: 'hook', id: String(hook.id) },
      type: 'webhook-secret',
      name: `${it.full_name}: hook to ${host}`,
      state: known(hook.active === false ? 'inactive' : 'active'),
      createdAt: whenOf(hook.created_at),
      rotatedAt: whenOf(hook.updated_at),
      expiresAt: known('never'),
      strength: known(why.length > 0 ? 'weak' : 'strong'),
      strengthWhy: why,
      heldBy: known('third-party'),
      facts: { repository: it.full_name, host, events: (hook.events ?? []).slice(0, 50), hasSecret },
    })
  })
})

/** Names of secrets of repositories and of their environments, and what environments are guarded by. */
export const readSecrets = ofEach(({ forge }) => async (it, signal) => {
  const listed = async (path: string, permission: string) =>
    orNone(
      listAll(
        forge,
        { path: `${path}/secrets?per_page=100`, key: 'secrets', what: 'secrets of pipelines', permission },
        Secret,
        signal,
      ),
    )
  const told = (await listed(`${at(it)}/actions`, 'repository Secrets: read')).map((secret) =>
    tellSecret(`repository/${it.id}`, it.full_name, secret),
  )
  const asked = {
    path: `${at(it)}/environments?per_page=100`,
    key: 'environments',
    what: 'environments',
    permission: 'repository Actions: read',
  }
  for (const environment of await orNone(listAll(forge, asked, Environment, signal))) {
    const name = `${it.full_name}: ${environment.name}`
    told.push(
      resource({
        id: { kind: 'environment', id: String(environment.id) },
        type: 'ci-environment',
        name,
        parent: repository(it.id),
        environment: known(environment.name),
        facts: {
          guards: (environment.protection_rules ?? []).map(({ type }) => type),
          isOfProtectedBranches: environment.deployment_branch_policy?.protected_branches ?? false,
        },
      }),
    )
    const path = `${at(it)}/environments/${encodeURIComponent(environment.name)}`
    for (const secret of await listed(path, 'repository Environments: read'))
      told.push(tellSecret(`environment/${environment.id}`, name, secret))
  }
  return told
})

async function orNone<T>(found: Promise<T[]>): Promise<T[]> {
  try {
    return await found
  } catch (error) {
    if (error instanceof Absent) return []
    throw error
  }
}

function tellSecret(
  place: string,
  owner: string,
  secret: {
    readonly name: string
    readonly created_at?: string | null | undefined
    readonly updated_at?: string | null | undefined
  },
): Observation {
  return credential({
    id: ciSecret(place, secret.name),
    type: 'stored-secret',
    name: `${owner}: ${secret.name}`,
    createdAt: whenOf(secret.created_at),
    rotatedAt: whenOf(secret.updated_at),
    heldBy: known('ci'),
    facts: { place },
  })
}

const FILE_BYTES = 512 * 1024
const FILES_MAX = 500

export const readPipelines = ofEach(({ forge }) => async (it, signal) => {
  const permission = 'repository Contents: read'
  // Only here does "not there" say that there is none: reading contents at all was shown by the repository's own list.
  const open = { ...forge, hides: false }
  const asked = { path: `${at(it)}/contents/.github/workflows`, what: 'pipeline files', permission }
  const files = (await orNone(listAll(open, asked, Entry, signal))).filter(
    ({ type, name }) => type === 'file' && /\.ya?ml$/.test(name),
  )
  const read: { readonly path: string; readonly workflow: Workflow }[] = []
  let unread = Math.max(0, files.length - FILES_MAX)
  for (const { path, size = 0 } of files.slice(0, FILES_MAX)) {
    const encoded = path.split('/').map(encodeURIComponent).join('/')
    const { content = '' } =
      size > FILE_BYTES
        ? {}
        : await readOne(
            forge,
            { path: `${at(it)}/contents/${encoded}`, what: 'pipeline files', permission },
            File,
            signal,
          )
    const workflow = readWorkflow(Buffer.from(content, 'base64').toString('utf8'))
    if (workflow) read.push({ path, workflow })
    else unread += 1
  }
  const isAsked = read.some(({ workflow }) => workflow.token === 'default')
  const { byDefault, missing } = isAsked ? await defaultOf(forge, it, signal) : { byDefault: undefined, missing: [] }
  const told = read.flatMap(({ path, workflow }) =>
    tellWorkflow(workflow, { repository: { id: it.id, name: it.full_name }, path, issuer: issuerOf(forge), byDefault }),
  )
  const holes = [
    ...(unread > 0 ? [{ what: `${unread} pipeline files`, why: 'they cannot be read as workflows' }] : []),
    ...missing,
  ]
  if (holes.length > 0) throw new NotWhole(told, ...holes)
  return told
})

/** What the token of a workflow may that says nothing of it: a setting of the repository, which the organization's bounds. */
async function defaultOf(
  forge: Forge,
  it: Repository,
  signal: AbortSignal,
): Promise<{ readonly byDefault: TokenDefault; readonly missing: readonly Missing[] }> {
  const asked = {
    path: `${at(it)}/actions/permissions/workflow`,
    what: 'rights of tokens of workflows that declare none',
    permission: 'repository Administration: read',
  }
  try {
    const found = await readOne(forge, asked, WorkflowRights, signal)
    const { default_workflow_permissions: right, can_approve_pull_request_reviews: canApprove } = found
    return { byDefault: { right, canApprove }, missing: [] }
  } catch (error) {
    if (!(error instanceof Denied) || error.missing.permission !== asked.permission) throw error
    return { byDefault: undefined, missing: [error.missing] }
  }
}

/** Who signs identity tokens of workflows: one for all of github.com, one for each enterprise at an address of its own, one for each server. */
function issuerOf({ url }: Pick<Forge, 'url'>): string {
  const { host } = new URL(url)
  if (host === 'api.github.com') return 'https://token.actions.githubusercontent.com'
  const own = /^api\.([a-z0-9-]+\.ghe\.com)$/.exec(host)?.[1]
  return own === undefined ? `${url}/_services/token` : `https://token.actions.${own}`
}
