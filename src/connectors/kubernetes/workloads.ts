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
import { tellEvery, UNSAID, type Cluster } from './cluster.ts'
import { credentialsOf, PodSpec, type Mount } from './pod-spec.ts'
import { secretNamed } from './service-accounts.ts'
import {
  CRON_JOBS,
  DAEMON_SETS,
  DEPLOYMENTS,
  JOBS,
  made,
  Metadata,
  PODS,
  REPLICA_SETS,
  SECRETS,
  serviceAccount,
  SERVICE_ACCOUNTS,
  shownName,
  STATEFUL_SETS,
  tagsOf,
  workload,
  type NamedThings,
} from './things.ts'

const Template = z.object({ spec: PodSpec })
const Workload = z.object({
  metadata: Metadata,
  spec: z.object({
    template: Template.optional(),
    jobTemplate: z.object({ spec: z.object({ template: Template }) }).optional(),
  }),
})

type Maps = {
  readonly accounts: NamedThings | undefined
  readonly secrets: NamedThings | undefined
}

async function mapsOf(cluster: Cluster, signal: AbortSignal): Promise<Maps> {
  return { accounts: await cluster.names(SERVICE_ACCOUNTS, signal), secrets: await cluster.names(SECRETS, signal) }
}

const KINDS = [DEPLOYMENTS, STATEFUL_SETS, DAEMON_SETS, CRON_JOBS, JOBS, REPLICA_SETS]

/** What runs by definition, also with nothing of it running now: as whom, and with which secrets. */
export async function* readWorkloads(
  cluster: Cluster,
  since: Since,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  const maps = await mapsOf(cluster, signal)
  const tell = ({ metadata, spec }: z.output<typeof Workload>, kind: Kind): Observation[] => {
    // What another thing made (a ReplicaSet of a Deployment, a Job of a CronJob) is an instance of that.
    if (metadata.ownerReferences?.some(({ controller }) => controller === true)) return []
    const template = spec.jobTemplate?.spec.template ?? spec.template
    const id = workload(metadata.uid)
    const principal = tellWorkload(metadata, kind)
    return template ? [principal, ...usesOf(id, metadata, template.spec, { maps, evidence: 'static' })] : [principal]
  }
  return yield* tellEvery(
    cluster,
    { kinds: KINDS, form: 'whole', shape: Workload, by: Object.values(maps), tell },
    since,
    signal,
  )
}

function tellWorkload(metadata: Metadata, kind: Kind): Observation {
  return {
    kind: 'principal',
    id: workload(metadata.uid),
    type: 'workload',
    name: shownName(metadata),
    createdAt: made(metadata),
    tags: tagsOf(metadata),
    facts: {
      workloadKind: kind.resource,
      namespace: metadata.namespace ?? '',
      owner: metadata.ownerReferences?.[0]
        ? `${metadata.ownerReferences[0].kind}/${metadata.ownerReferences[0].name}`
        : null,
    },
    ...UNSAID,
  }
}

const Pod = z.object({ metadata: Metadata, spec: PodSpec })

/** What is in pods now: what admission put there as well (tokens, side cars), told of the workload that each is an instance of. */
export async function* readPods(
  cluster: Cluster,
  since: Since,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  const maps = await mapsOf(cluster, signal)
  const sets = await cluster.names(REPLICA_SETS, signal)
  const jobs = await cluster.names(JOBS, signal)
  const told = new Set<string>()
  const tell = ({ metadata, spec }: z.output<typeof Pod>): Observation[] => {
    const owner = metadata.ownerReferences?.find(({ controller }) => controller === true)
    const above =
      owner && (owner.kind === 'ReplicaSet' ? sets : jobs)?.get(`${metadata.namespace ?? ''}/${owner.name}`)?.owner
    const id = workload(above?.uid ?? owner?.uid ?? metadata.uid)
    const uses = usesOf(id, metadata, spec, { maps, evidence: 'runtime' })
    const all = owner ? uses : [tellWorkload(metadata, PODS), ...uses]
    return all.filter((each) => {
      const key = 'id' in each ? `${each.kind} ${each.id.kind}/${each.id.id}` : ''
      const isFresh = !told.has(key)
      told.add(key)
      return isFresh
    })
  }
  return yield* tellEvery(
    cluster,
    { kinds: [PODS], form: 'whole', shape: Pod, by: [...Object.values(maps), sets, jobs], tell },
    since,
    signal,
  )
}

type Uses = { readonly maps: Maps; readonly evidence: 'static' | 'runtime' }

function usesOf(
  id: NativeId,
  { namespace = '' }: Metadata,
  spec: z.output<typeof PodSpec>,
  { maps, evidence }: Uses,
): Observation[] {
  const account = spec.serviceAccountName ?? spec.serviceAccount ?? 'default'
  const found = maps.accounts?.get(`${namespace}/${account}`)
  const accountId: NativeId = found
    ? serviceAccount(found.uid)
    : { kind: 'service-account-name', id: `${namespace}/${account}` }
  const mark = evidence === 'static' ? 'definition' : 'pods'
  const runsAs: Observation = {
    kind: 'trust',
    id: { kind: 'runs-as', id: `${mark}/${id.id}/${accountId.id}` },
    from: id,
    to: accountId,
    wildcard: false,
    facts: { automountsToken: spec.automountServiceAccountToken ?? 'as the account says', evidence },
  }
  const { tokens, mounts } = credentialsOf(spec)
  return [
    runsAs,
    ...tokens.flatMap((token): Observation[] => {
      const key = `${mark}/${id.id}/${accountId.id}/${token.audience}/${token.seconds}`
      const tokenId: NativeId = { kind: 'bound-token', id: key }
      return [
        {
          kind: 'credential',
          id: tokenId,
          principal: known(accountId),
          type: 'service-account-token',
          name: `token of ${namespace}/${account} for ${token.audience === '' ? 'the API server' : token.audience}`,
          state: known('active'),
          createdAt: unknown('unsupported'),
          rotatedAt: unknown('unsupported'),
          // The kubelet asks for another before it ends; each ends with its pod.
          expiresAt: unknown('unsupported'),
          fingerprints: unknown('unsupported'),
          scopes: known([]),
          bindings: known(token.audience === '' ? [] : ['audience']),
          strength: known('strong'),
          heldBy: known('self'),
          facts: { tokenKind: 'bound', seconds: token.seconds, audience: token.audience, namespace },
        },
        reference(id, `token/${key}`, tokenId, { how: 'projected', where: token.where }, evidence),
      ]
    }),
    ...mounts.map((mount) => {
      const key = `${mark}/${id.id}/${mount.how}/${mount.secret}/${mount.where}`
      return reference(id, key, secretNamed(maps.secrets, namespace, mount.secret), mount, evidence)
    }),
  ]
}

function reference(
  consumer: NativeId,
  key: string,
  credential: NativeId,
  { how, where }: Pick<Mount, 'how' | 'where'>,
  evidence: 'static' | 'runtime',
): Observation {
  return {
    kind: 'reference',
    id: { kind: 'pod-secret', id: key },
    consumer,
    credential,
    how: how === 'env' ? 'env' : how === 'imagePullSecrets' ? 'config' : 'volume',
    location: where,
    evidence,
    facts: { mount: how },
  }
}
