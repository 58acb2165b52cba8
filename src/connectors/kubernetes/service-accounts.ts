import { z } from 'zod'
import {
  tokenIssuer,
  type Missing,
  type NativeId,
  type Observation,
  type Page,
  type ScopeReport,
  type Since,
} from '../connector.ts'
import { askFor, jsonOf, refuse, NAMESPACES, type Api } from './api.ts'
import { groupNamed, memberOf, tellEvery, UNSAID, type Cluster } from './cluster.ts'
import {
  group,
  made,
  Metadata,
  SECRETS,
  secret,
  serviceAccount,
  SERVICE_ACCOUNTS,
  shownName,
  tagsOf,
  type NamedThings,
} from './things.ts'

const ServiceAccount = z.object({
  metadata: Metadata,
  secrets: z.array(z.object({ name: z.string().optional() })).nullish(),
  imagePullSecrets: z.array(z.object({ name: z.string().optional() })).nullish(),
  automountServiceAccountToken: z.boolean().nullish(),
})

/** Namespaces, as resources with the labels that say whose they are. */
export function readNamespaces(cluster: Cluster, since: Since, signal: AbortSignal): AsyncGenerator<Page, ScopeReport> {
  const shape = z.object({ metadata: Metadata })
  const tell = ({ metadata }: z.output<typeof shape>): Observation[] => [
    {
      kind: 'resource',
      id: { kind: 'namespace', id: metadata.uid },
      type: 'kubernetes-namespace',
      name: metadata.name,
      environment: UNSAID.environment,
      sensitivity: UNSAID.environment,
      tags: tagsOf(metadata),
    },
    // Every service account of a namespace is in the group of its name (Kubernetes, "Service account groups").
    groupNamed(accountsOf(metadata.name)),
    memberOf(`accounts/${metadata.uid}`, accountsOf(metadata.name), ALL_ACCOUNTS),
  ]
  return tellEvery(cluster, { kinds: [NAMESPACES], form: 'metadata', shape, tell }, since, signal)
}

const ALL_ACCOUNTS: NativeId = group('system:serviceaccounts')
const accountsOf = (namespace: string): NativeId => group(`system:serviceaccounts:${namespace}`)

/** Service accounts, what they mount, and the secrets they are given to pull images with. */
export async function* readServiceAccounts(
  cluster: Cluster,
  since: Since,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  const secrets = await cluster.names(SECRETS, signal)
  const ours = await cluster.given.ours()
  const { issuer, isServed } = await issuerOf(cluster.api, signal)
  if (since.cursor === undefined)
    yield {
      observations: [
        groupNamed(ALL_ACCOUNTS),
        memberOf('accounts', ALL_ACCOUNTS, group('system:authenticated')),
        ...(issuer === undefined ? [] : [tokenIssuer(issuer)]),
      ],
    }
  const tell = (account: z.output<typeof ServiceAccount>): Observation[] => {
    const { metadata, automountServiceAccountToken: automount } = account
    if (ours.has(metadata.name)) return []
    const { namespace = '' } = metadata
    const id = serviceAccount(metadata.uid)
    const subject = `system:serviceaccount:${namespace}:${metadata.name}`
    const named = (list: typeof account.secrets) =>
      (list ?? []).flatMap(({ name }) => (name === undefined ? [] : [name]))
    return [
      {
        kind: 'principal',
        id,
        type: 'service',
        name: shownName(metadata),
        aliases: [subject],
        createdAt: made(metadata),
        tags: tagsOf(metadata),
        facts: {
          namespace,
          automountsToken: automount ?? true,
          isDefault: metadata.name === 'default',
          tokenSubjects: [subject],
        },
        ...UNSAID,
      },
      memberOf(`account/${metadata.uid}`, id, accountsOf(namespace)),
      ...[...new Set(named(account.imagePullSecrets))].map((name) =>
        uses(id, 'imagePullSecrets', { namespace, name }, secrets),
      ),
      ...[...new Set(named(account.secrets))].map((name) => uses(id, 'secrets', { namespace, name }, secrets)),
    ]
  }
  const report = yield* tellEvery(
    cluster,
    { kinds: [SERVICE_ACCOUNTS], form: 'whole', shape: ServiceAccount, by: [secrets], tell },
    since,
    signal,
  )
  if (issuer !== undefined) return report
  // What was not shown is not taken for a cluster that tells none.
  const status = isServed && report.status === 'complete' ? 'partial' : report.status
  return { ...report, status, missing: [...report.missing, ISSUER_MISSING] }
}

const ISSUER_MISSING: Missing = {
  what: 'by which issuer others believe the tokens of its accounts',
  why: 'the cluster does not tell its issuer to the login',
  permission: 'get /.well-known/openid-configuration: the role system:service-account-issuer-discovery',
}
const Discovery = z.object({ issuer: z.url({ protocol: /^https$/ }).max(300) })

/** Kubernetes, "Service account issuer discovery". */
async function issuerOf(api: Api, signal: AbortSignal) {
  const { status, body } = await askFor(api, '/.well-known/openid-configuration', signal)
  if (status === 401) refuse(status, SERVICE_ACCOUNTS)
  // Only where nothing is served there is none; any other answer shows nothing.
  const isServed = status !== 404
  return { issuer: status === 200 ? Discovery.safeParse(jsonOf(body)).data?.issuer : undefined, isServed }
}

function uses(
  consumer: NativeId,
  how: 'imagePullSecrets' | 'secrets',
  { namespace, name }: { readonly namespace: string; readonly name: string },
  secrets: NamedThings | undefined,
): Observation {
  return {
    kind: 'reference',
    id: { kind: 'account-secret', id: `${consumer.id}/${how}/${name}` },
    consumer,
    credential: secretNamed(secrets, namespace, name),
    how: 'config',
    location: `serviceaccount ${how} ${namespace}/${name}`,
    evidence: 'static',
    facts: { mount: how },
  }
}

/** The secret of this name: by its id, or by the name where the login may not list them or none is there. */
export function secretNamed(secrets: NamedThings | undefined, namespace: string, name: string): NativeId {
  const found = secrets?.get(`${namespace}/${name}`)
  return found ? secret(found.uid) : { kind: 'secret-name', id: `${namespace}/${name}` }
}
