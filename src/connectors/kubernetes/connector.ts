import { z } from 'zod'
import { Secret } from '../../kernel/secret.ts'
import {
  Denied,
  loginOf,
  sourceOfParts,
  Unreadable,
  type Connector,
  type Manifest,
  type Missing,
  type OpenSource,
  type Page,
  type ProbedScope,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { askFor, jsonOf, missingOf, NAMESPACES, permissionOf, type Api, type Kind } from './api.ts'
import { auditInbox } from './audit-posted.ts'
import { AUDIT_MISSING, readAudit } from './audit.ts'
import type { Cluster } from './cluster.ts'
import { visibilityOf } from './lists.ts'
import { readBindings, readRoles } from './rbac.ts'
import { readSecrets } from './secrets.ts'
import { readNamespaces, readServiceAccounts } from './service-accounts.ts'
import { KubernetesSourceCredential, KubernetesSourceSettings } from './settings.ts'
import {
  CLUSTER_ROLE_BINDINGS,
  CLUSTER_ROLES,
  CRON_JOBS,
  DAEMON_SETS,
  DEPLOYMENTS,
  JOBS,
  namesOf,
  PODS,
  REPLICA_SETS,
  ROLE_BINDINGS,
  ROLES,
  SECRETS,
  SERVICE_ACCOUNTS,
  STATEFUL_SETS,
} from './things.ts'
import { readPods, readWorkloads } from './workloads.ts'

type Read = (cluster: Cluster, since: Since, signal: AbortSignal) => AsyncGenerator<Page, ScopeReport>
type Part = {
  readonly title: string
  readonly gives: string
  readonly kinds: readonly Kind[]
  readonly isFeed?: boolean
  readonly read: Read
}

const PARTS: Readonly<Record<string, Part>> = {
  namespaces: {
    title: 'namespaces',
    gives: 'namespaces with their labels, the group of accounts of each',
    kinds: [NAMESPACES],
    read: readNamespaces,
  },
  'service-accounts': {
    title: 'service accounts',
    gives: 'service accounts, whether they mount tokens by themselves, secrets they are given',
    kinds: [SERVICE_ACCOUNTS],
    read: readServiceAccounts,
  },
  'rbac/roles': {
    title: 'roles',
    gives: 'what each role may do to what, escalate, bind and impersonate, aggregation',
    kinds: [CLUSTER_ROLES, ROLES],
    read: readRoles,
  },
  'rbac/bindings': {
    title: 'bindings of roles',
    gives: 'users, groups and accounts that are bound, where',
    kinds: [CLUSTER_ROLE_BINDINGS, ROLE_BINDINGS],
    read: readBindings,
  },
  secrets: {
    title: 'secrets, without their data',
    gives: 'type, age, last writing, owners by labels; tokens that never expire',
    kinds: [SECRETS],
    read: readSecrets,
  },
  workloads: {
    title: 'workloads as they are defined',
    gives: 'as which account they run, with which secrets, how these are mounted, labels of owners',
    kinds: [DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS, CRON_JOBS, JOBS, REPLICA_SETS],
    read: readWorkloads,
  },
  pods: {
    title: 'pods',
    gives: 'what is mounted now, also by admission: bound tokens with audience and lifetime',
    kinds: [PODS],
    read: readPods,
  },
  audit: {
    title: 'the audit log',
    gives: 'requests by account, right and day, with the window they cover',
    kinds: [],
    isFeed: true,
    read: readAudit,
  },
}

const manifest: Manifest = {
  id: 'kubernetes',
  version: '1',
  source: 'Kubernetes, by its API',
  observes: ['principal', 'credential', 'resource', 'grant', 'trust', 'reference', 'usage', 'usage-window'],
  reads: Object.entries(PARTS).map(([scope, { gives, kinds }]) => ({
    scope,
    gives,
    permission: scope === 'audit' ? (AUDIT_MISSING.permission ?? '') : kinds.map(permissionOf).join(', '),
    isOptional: true,
  })),
  writes: [],
  blindSpots: [
    'values of secrets: they are not asked for, so the same value elsewhere is not recognised',
    'tokens that were asked for by TokenRequest and left the cluster, and tokens that are not in a Secret',
    'client certificates: which were signed and whom they still let in',
    'who is in a group: the issuer of the login says so, and the cluster keeps no list',
    'authorizers beside RBAC (webhooks, Node, ABAC) and admission that refuses what RBAC allows',
    'secrets that a program reads by the API, and secrets of drivers (CSI) that are no Secret of the cluster',
    'requests that the audit policy leaves out, what was logged between two files, and events that an API server which posts them could not post',
  ],
  metadataHandling:
    'Names, labels, annotations whose key names an owner, types, times, rules of roles, references by name. Secrets are read as a table with metadata: data is never asked for. Other annotations, environment values and bodies of requests are not kept.',
  risks: ['NHI1:2025', 'NHI2:2025', 'NHI4:2025', 'NHI5:2025', 'NHI6:2025', 'NHI7:2025', 'NHI9:2025'],
}

/** Reads who may do what in a Kubernetes cluster, and which workload uses which secret. */
export const kubernetesConnector: Connector = {
  manifest,
  settings: KubernetesSourceSettings,
  credential: KubernetesSourceCredential,
  address: (settings) => KubernetesSourceSettings.parse(settings).url,
  inbox: auditInbox,
  async open(given): Promise<OpenSource> {
    const settings = KubernetesSourceSettings.parse(given.settings)
    const { token } = loginOf(given, KubernetesSourceCredential, 'token to log in with')
    const api: Api = { http: given.http, authorization: new Secret(`Bearer ${token}`), settings }
    const cluster: Cluster = { api, names: namesOf(api), given }
    return sourceOfParts(PARTS, {
      probe: (signal) => probe(api, signal),
      read: (part, since, signal) => part.read(cluster, since, signal),
    })
  },
}

const Namespace = z.object({ metadata: z.object({ uid: z.string().min(1) }) })
const Version = z.object({ gitVersion: z.string().max(100) })

/** A cluster is known by the id of its namespace `kube-system`, which is made once and lives as long as the cluster. */
async function probe(api: Api, signal: AbortSignal) {
  const answer = await askFor(api, '/api/v1/namespaces/kube-system', signal)
  if (answer.status === 401) throw new Unreadable('the cluster does not accept the token')
  if (answer.status === 403)
    throw new Denied({
      what: 'which cluster this is',
      why: 'the login may not read the namespace kube-system, by which a cluster is known',
      permission: 'get namespaces, for kube-system',
    })
  const system = Namespace.safeParse(jsonOf(answer.body)).data
  if (answer.status !== 200 || !system) throw new Unreadable('this is no API server of Kubernetes')
  const version = Version.safeParse(jsonOf((await askFor(api, '/version', signal)).body)).data
  const scopesProbed: ProbedScope[] = []
  for (const [scope, { kinds }] of Object.entries(PARTS)) {
    scopesProbed.push(
      scope !== 'audit' || isAudited(api.settings)
        ? { scope, ...(await seenOf(api, kinds, signal)) }
        : { scope, isVisible: false, missing: [AUDIT_MISSING] },
    )
  }
  return {
    authority: `kubernetes:${system.metadata.uid}`,
    system: `Kubernetes ${version?.gitVersion ?? ''}`.trim(),
    scopes: scopesProbed,
  }
}

function isAudited({ auditLog, auditDeliveredBy }: KubernetesSourceSettings): boolean {
  return auditLog !== undefined || auditDeliveredBy !== undefined
}

/** A part is visible when anything of it is; what is not wholly is named. */
async function seenOf(api: Api, kinds: readonly Kind[], signal: AbortSignal): Promise<Omit<ProbedScope, 'scope'>> {
  const missing: Missing[] = []
  let isVisible = kinds.length === 0
  for (const kind of kinds) {
    const seen = await visibilityOf(api, kind, signal)
    if (seen !== 'all') missing.push(missingOf(kind))
    isVisible ||= seen !== 'none'
  }
  return { isVisible, missing }
}
