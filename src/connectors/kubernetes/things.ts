/** What metadata of a thing is read, how things are named, and the names that stand for ids elsewhere. */
import { z } from 'zod'
import { Instant } from '../../kernel/instant.ts'
import { Denied, known, unknown, Unreadable, type NativeId } from '../connector.ts'
import { TOKEN_NEED, type Api, type Kind } from './api.ts'
import { everyOf, Lists } from './lists.ts'

const Words = z.record(z.string(), z.string()).nullish()

export const Metadata = z.object({
  name: z.string(),
  uid: z.string().min(1),
  namespace: z.string().optional(),
  creationTimestamp: z.string().nullish(),
  labels: Words,
  annotations: Words,
  ownerReferences: z
    .array(z.object({ kind: z.string(), name: z.string(), uid: z.string(), controller: z.boolean().optional() }))
    .nullish(),
  managedFields: z
    .array(z.object({ time: z.string().optional(), fieldsV1: z.record(z.string(), z.unknown()).optional() }))
    .nullish(),
})
export type Metadata = z.output<typeof Metadata>

export const SERVICE_ACCOUNTS: Kind = { group: '', version: 'v1', resource: 'serviceaccounts' }
export const SECRETS: Kind = { group: '', version: 'v1', resource: 'secrets' }
export const PODS: Kind = { group: '', version: 'v1', resource: 'pods' }
const RBAC = { group: 'rbac.authorization.k8s.io', version: 'v1' } as const
export const CLUSTER_ROLES: Kind = { ...RBAC, resource: 'clusterroles', isClusterWide: true }
export const ROLES: Kind = { ...RBAC, resource: 'roles' }
export const CLUSTER_ROLE_BINDINGS: Kind = { ...RBAC, resource: 'clusterrolebindings', isClusterWide: true }
export const ROLE_BINDINGS: Kind = { ...RBAC, resource: 'rolebindings' }
const APPS = { group: 'apps', version: 'v1' } as const
export const DEPLOYMENTS: Kind = { ...APPS, resource: 'deployments' }
export const STATEFUL_SETS: Kind = { ...APPS, resource: 'statefulsets' }
export const DAEMON_SETS: Kind = { ...APPS, resource: 'daemonsets' }
export const REPLICA_SETS: Kind = { ...APPS, resource: 'replicasets' }
const BATCH = { group: 'batch', version: 'v1' } as const
export const CRON_JOBS: Kind = { ...BATCH, resource: 'cronjobs' }
export const JOBS: Kind = { ...BATCH, resource: 'jobs' }

export const user = (name: string): NativeId => ({ kind: 'user', id: name })
export const group = (name: string): NativeId => ({ kind: 'group', id: name })
export const role = (uid: string): NativeId => ({ kind: 'role', id: uid })
export const serviceAccount = (uid: string): NativeId => ({ kind: 'service-account', id: uid })
export const secret = (uid: string): NativeId => ({ kind: 'secret', id: uid })
export const workload = (uid: string): NativeId => ({ kind: 'workload', id: uid })
export const apiResource = (group_: string, resource: string): NativeId => ({
  kind: 'api-resource',
  id: `${group_ === '' ? 'core' : group_}/${resource}`,
})

/** The account that a username of one (`system:serviceaccount:…`) means now. */
export type AccountOf = (username: string) => NativeId | undefined

export function instantOf(text: string | null | undefined): Date | undefined {
  return typeof text === 'string' ? Instant.safeDecode(text).data : undefined
}

export function made({ creationTimestamp }: Metadata) {
  const at = instantOf(creationTimestamp)
  return at ? known(at) : unknown('unsupported' as const)
}

export function shownName({ namespace, name }: Pick<Metadata, 'name' | 'namespace'>): string {
  return namespace === undefined ? name : `${namespace}/${name}`
}

/** Annotations may hold anything, a whole secret as well (`last-applied-configuration`): only those are kept that say whose a thing is. */
const OF_OWNERS =
  /(?:^|[/.-])(?:owner|owners|team|contact|email|maintainer|squad|slack|on-?call|department|cost-?cent(?:er|re)|business-?service|runbook|repository|repo|created-?by|managed-?by|description)$/i
const ANNOTATION_MAX = 300
const TAGS_MAX = 40

/** Labels, and annotations that name owners: evidence of whose it is. */
export function tagsOf({ labels, annotations }: Metadata): Record<string, string> {
  const notes = Object.entries(annotations ?? {}).filter(
    ([key, value]) => OF_OWNERS.test(key) && value.length <= ANNOTATION_MAX,
  )
  return Object.fromEntries([...Object.entries(labels ?? {}), ...notes].slice(0, TAGS_MAX))
}

/** More things of one kind than are told apart by name at once. */
const NAMED_MAX = 1_000_000

type Named = {
  readonly uid: string
  readonly owner: NonNullable<Metadata['ownerReferences']>[number] | undefined
  readonly labels: readonly string[]
}
/** Ids by `namespace/name`, of the namespaces that are shown; undefined where the login may not list the kind anywhere. */
export type Names = (kind: Kind, signal: AbortSignal) => Promise<NamedThings | undefined>
/** `unread`: of how many the metadata were not as the API has them, so that whoever names one of them names nothing. */
export type NamedThings = ReadonlyMap<string, Named> & { readonly unread: number }

/** Looks names up by metadata alone, once for each kind. */
export function namesOf(api: Api): Names {
  const found = new Map<string, Promise<NamedThings | undefined>>()
  return (kind, signal) => {
    const before = found.get(kind.resource)
    if (before) return before
    const reading = readNames(api, kind, signal)
    found.set(kind.resource, reading)
    reading.catch(() => found.delete(kind.resource))
    return reading
  }
}

async function readNames(api: Api, kind: Kind, signal: AbortSignal) {
  const names = Object.assign(new Map<string, Named>(), { unread: 0 })
  const lists = new Lists()
  try {
    for await (const { items } of everyOf(api, [kind], { form: 'metadata', lists }, signal)) {
      for (const item of items) {
        const { data } = Item.safeParse(item)
        if (!data) {
          names.unread += 1
          continue
        }
        if (names.size >= NAMED_MAX) throw new Unreadable('it has more things than any cluster has')
        const { uid, ownerReferences, labels } = data.metadata
        const owner = ownerReferences?.find(({ controller }) => controller === true)
        names.set(shownName(data.metadata), { uid, owner, labels: aggregationLabels(labels) })
      }
    }
  } catch (error) {
    if (error instanceof Denied && error.missing.permission !== TOKEN_NEED) return undefined
    throw error
  }
  return lists.status === 'complete' || lists.status === 'partial' ? names : undefined
}

const Item = z.object({ metadata: Metadata })

/** Labels by which roles flow into others; of all the rest nothing is remembered. */
function aggregationLabels(labels: Metadata['labels']): string[] {
  return Object.entries(labels ?? {})
    .filter(([key]) => key.includes('aggregate'))
    .map(([key, value]) => `${key}=${value}`)
}
