import { z } from 'zod'
import {
  known,
  unknown,
  type NativeId,
  type Observation,
  type Page,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import type { Kind } from './api.ts'
import { groupNamed, memberOf, tellEvery, UNSAID, type Cluster } from './cluster.ts'
import {
  apiResource,
  CLUSTER_ROLE_BINDINGS,
  CLUSTER_ROLES,
  group,
  made,
  Metadata,
  role,
  ROLE_BINDINGS,
  ROLES,
  serviceAccount,
  SERVICE_ACCOUNTS,
  shownName,
  tagsOf,
  user,
  type NamedThings,
} from './things.ts'

const Texts = z.array(z.string()).nullish()
const PolicyRule = z.object({
  verbs: Texts,
  apiGroups: Texts,
  resources: Texts,
  resourceNames: Texts,
  nonResourceURLs: Texts,
})
type PolicyRule = z.output<typeof PolicyRule>
const Selector = z.object({ matchLabels: z.record(z.string(), z.string()).nullish() })
const Role = z.object({
  metadata: Metadata,
  rules: z.array(PolicyRule).nullish(),
  aggregationRule: z.object({ clusterRoleSelectors: z.array(Selector).nullish() }).nullish(),
})
type Role = z.output<typeof Role>

/** Rules of one role that are told apart; what is beyond is said to be. */
const RULES_MAX = 1_000

/** Roles of the cluster and of namespaces: what each may do to what, and which flow into others. */
export async function* readRoles(
  cluster: Cluster,
  since: Since,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  const clusterRoles = await cluster.names(CLUSTER_ROLES, signal)
  const told = new Set<string>()
  const tell = (it: Role, kind: Kind): Observation[] => {
    const grants = grantsOf(it)
    const resources = new Map(grants.map(({ on }) => [on.id, on]))
    const fresh = [...resources.values()].filter(({ id }) => !told.has(id))
    for (const { id } of fresh) told.add(id)
    return [tellRole(it, kind), ...fresh.map((id) => tellResource(id)), ...grants, ...aggregated(it, clusterRoles)]
  }
  return yield* tellEvery(
    cluster,
    { kinds: [CLUSTER_ROLES, ROLES], form: 'whole', shape: Role, by: [clusterRoles], tell },
    since,
    signal,
  )
}

function tellRole({ metadata, rules, aggregationRule }: Role, kind: Kind): Observation {
  const verbs = new Set((rules ?? []).flatMap((rule) => rule.verbs ?? []))
  return {
    kind: 'principal',
    id: role(metadata.uid),
    type: 'role',
    name: shownName(metadata),
    createdAt: made(metadata),
    tags: tagsOf(metadata),
    facts: {
      roleKind: kind === CLUSTER_ROLES ? 'ClusterRole' : 'Role',
      namespace: metadata.namespace ?? null,
      rules: rules?.length ?? 0,
      escalates: ['escalate', 'bind', 'impersonate'].filter((verb) => verbs.has(verb)),
      isAdministrator: (rules ?? []).some(
        (rule) => isAll(rule.verbs) && isAll(rule.apiGroups) && isAll(rule.resources),
      ),
      aggregates: selectorsOf(aggregationRule),
      isBuiltIn: metadata.labels?.['kubernetes.io/bootstrapping'] === 'rbac-defaults',
    },
    ...UNSAID,
  }
}

type Grant = Extract<Observation, { kind: 'grant' }>

/** One grant for each thing a role's rules are about, with all its verbs: `get,list core/secrets`. */
function grantsOf({ metadata, rules }: Role): Grant[] {
  const grants = new Map<string, { on: NativeId; verbs: Set<string>; names: readonly string[] }>()
  for (const rule of (rules ?? []).slice(0, RULES_MAX)) {
    const names = [...(rule.resourceNames ?? [])].toSorted()
    for (const on of onOf(rule)) {
      const key = JSON.stringify([on.id, names])
      const before = grants.get(key)
      if (before) for (const verb of rule.verbs ?? []) before.verbs.add(verb)
      else grants.set(key, { on, verbs: new Set(rule.verbs ?? []), names })
    }
  }
  return [...grants].map(([key, { on, verbs, names }]) => {
    const all = [...verbs].toSorted()
    const level = levelOf(on, verbs)
    return {
      kind: 'grant',
      id: { kind: 'rule', id: `${metadata.uid}${key}` },
      principal: role(metadata.uid),
      on,
      privilege: all.join(','),
      level,
      grantable: known(level === 'admin' || level === 'grant'),
      grantedBy: unknown('unsupported'),
      expiresAt: known('never'),
      facts: {
        verbs: all.slice(0, 50),
        resourceNames: names.slice(0, 50),
        namespace: metadata.namespace ?? null,
        // A path under which everything may be read, such as that of discovery, is no star: what stands there is the API server's own.
        isWildcard: verbs.has('*') || (on.kind === 'api-path' ? /^\/?\*$/ : /\*/).test(on.id),
      },
    }
  })
}

function onOf({ apiGroups, resources, nonResourceURLs }: PolicyRule): NativeId[] {
  const things = (apiGroups ?? []).flatMap((each) => (resources ?? []).map((resource) => apiResource(each, resource)))
  return [...things, ...(nonResourceURLs ?? []).map((path): NativeId => ({ kind: 'api-path', id: path }))]
}

const isAll = (list: readonly string[] | null | undefined) => (list ?? []).includes('*')

/** What a right amounts to. Who makes tokens or acts as others, and who widens roles, does more than writing. */
function levelOf(on: NativeId, verbs: ReadonlySet<string>): Grant['level'] {
  const has = (...some: string[]) => some.some((verb) => verbs.has(verb))
  if (verbs.has('*')) return on.id === '*/*' || on.id === 'core/*' || on.id.startsWith('rbac.') ? 'admin' : 'write'
  if (has('impersonate')) return 'impersonate'
  if (on.id === 'core/serviceaccounts/token' && has('create')) return 'impersonate'
  if (has('escalate', 'bind', 'approve', 'sign')) return 'grant'
  if (has('create', 'update', 'patch', 'delete', 'deletecollection')) return 'write'
  return has('get', 'list', 'watch') ? 'read' : 'use'
}

// What leads to everything else (Kubernetes, "RBAC good practices", privilege escalation risks), then what runs code.
const TIER_0 =
  /^(\*\/|core\/(\*|secrets|serviceaccounts\/token|nodes\/proxy|persistentvolumes|users|groups|serviceaccounts)$|rbac\.authorization\.k8s\.io\/|certificates\.k8s\.io\/|admissionregistration\.k8s\.io\/|authentication\.k8s\.io\/)/
const TIER_1 =
  /^(core\/(pods|pods\/exec|pods\/attach|pods\/ephemeralcontainers|replicationcontrollers|configmaps|namespaces)|apps\/.*|batch\/.*)$/

function tellResource(id: NativeId): Observation {
  const tier = TIER_0.test(id.id) ? 0 : TIER_1.test(id.id) ? 1 : 2
  return {
    kind: 'resource',
    id,
    type: id.kind === 'api-path' ? 'kubernetes-api-path' : 'kubernetes-resource',
    name: id.id,
    environment: unknown('unsupported'),
    sensitivity: known(tier),
  }
}

function selectorsOf(aggregation: Role['aggregationRule']): string[] {
  return (aggregation?.clusterRoleSelectors ?? []).flatMap(({ matchLabels }) => {
    const labels = Object.entries(matchLabels ?? {}).map(([key, value]) => `${key}=${value}`)
    return labels.length > 0 ? [labels.toSorted().join(',')] : []
  })
}

/** Whoever holds an aggregated role holds every role with these labels; also those that are made tomorrow. */
function aggregated({ metadata, aggregationRule }: Role, roles: NamedThings | undefined): Observation[] {
  const into = new Map<string, Observation>()
  for (const selector of selectorsOf(aggregationRule)) {
    for (const { uid, labels } of roles?.values() ?? []) {
      if (uid === metadata.uid || !selector.split(',').every((label) => labels.includes(label))) continue
      const more = { privilege: 'AGGREGATES', facts: { selector } }
      into.set(uid, memberOf(`aggregates/${metadata.uid}/${uid}`, role(metadata.uid), role(uid), more))
    }
  }
  return [...into.values()]
}

const Binding = z.object({
  metadata: Metadata,
  roleRef: z.object({ kind: z.string(), name: z.string() }),
  subjects: z.array(z.object({ kind: z.string(), name: z.string(), namespace: z.string().optional() })).nullish(),
})
type Binding = z.output<typeof Binding>
type Maps = Readonly<Record<'accounts' | 'roles' | 'clusterRoles', NamedThings | undefined>>

/** Who is bound to which role, in the cluster or in one namespace; and the users and groups that only bindings name. */
export async function* readBindings(
  cluster: Cluster,
  since: Since,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  const maps: Maps = {
    accounts: await cluster.names(SERVICE_ACCOUNTS, signal),
    roles: await cluster.names(ROLES, signal),
    clusterRoles: await cluster.names(CLUSTER_ROLES, signal),
  }
  const told = new Set<string>()
  const tell = (binding: Binding): Observation[] => {
    const bound = boundBy(binding, maps)
    const fresh = bound.filter(({ subject: { kind, id } }) => isNamedHere({ kind, id }) && !told.has(`${kind}/${id}`))
    for (const { subject } of fresh) told.add(`${subject.kind}/${subject.id}`)
    const principals = new Map(fresh.map(({ subject }) => [`${subject.kind}/${subject.id}`, tellSubject(subject)]))
    return [...principals.values(), ...bound.map(({ grant }) => grant)]
  }
  const kinds = [CLUSTER_ROLE_BINDINGS, ROLE_BINDINGS]
  return yield* tellEvery(
    cluster,
    { kinds, form: 'whole', shape: Binding, by: Object.values(maps), tell },
    since,
    signal,
  )
}

/** Groups of service accounts are told with the namespaces. */
function isNamedHere({ kind, id }: NativeId): boolean {
  return kind === 'user' || (kind === 'group' && !/^system:serviceaccounts(:|$)/.test(id))
}

function tellSubject(id: NativeId): Observation {
  if (id.kind === 'group') return groupNamed(id)
  const { state: _state, interactive: _interactive, ...unsaid } = UNSAID
  return {
    kind: 'principal',
    id,
    type: 'account',
    name: id.id,
    // Kubernetes knows users by the name in their proof alone.
    state: unknown('unsupported'),
    interactive: unknown('unsupported'),
    createdAt: unknown('unsupported'),
    facts: { isSystem: id.id.startsWith('system:') },
    ...unsaid,
  }
}

function boundBy({ metadata, roleRef, subjects }: Binding, { accounts, roles, clusterRoles }: Maps) {
  const { namespace } = metadata
  const found =
    roleRef.kind === 'Role' ? roles?.get(`${namespace ?? ''}/${roleRef.name}`) : clusterRoles?.get(roleRef.name)
  const name = roleRef.kind === 'Role' ? `${namespace ?? ''}/${roleRef.name}` : roleRef.name
  const on: NativeId = found ? role(found.uid) : { kind: 'role-name', id: name }
  const once = new Map((subjects ?? []).map((each) => [JSON.stringify([each.kind, each.namespace, each.name]), each]))
  return [...once.values()].map((each) => {
    const account = `${each.namespace ?? namespace ?? ''}/${each.name}`
    const subject = subjectOf(each, account, accounts)
    const facts = { binding: shownName(metadata), namespace: namespace ?? null, role: name }
    const id = `${metadata.uid}/${subject.kind}/${subject.id}`
    return {
      subject,
      grant: memberOf(id, subject, on, { id: { kind: 'binding', id }, privilege: `BOUND ${roleRef.kind}`, facts }),
    }
  })
}

function subjectOf(
  { kind, name }: { readonly kind: string; readonly name: string },
  account: string,
  accounts: NamedThings | undefined,
): NativeId {
  if (kind === 'Group') return group(name)
  if (kind !== 'ServiceAccount') return user(name)
  const found = accounts?.get(account)
  return found ? serviceAccount(found.uid) : { kind: 'service-account-name', id: account }
}
