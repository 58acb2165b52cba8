import { z } from 'zod'
import { known, unknown, type Observation, type Page, type ScopeReport, type Since } from '../connector.ts'
import { tellEvery, type Cluster } from './cluster.ts'
import {
  instantOf,
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

const Row = z.object({ cells: z.array(z.unknown()).min(3), object: z.object({ metadata: Metadata }) })

const ACCOUNT_UID = 'kubernetes.io/service-account.uid'
const ACCOUNT_NAME = 'kubernetes.io/service-account.name'
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration'
const TOKEN_TYPE = 'kubernetes.io/service-account-token'

/** Secrets as `kubectl get` lists them: name, type, how many values, age. Their data is never asked for. */
export async function* readSecrets(
  cluster: Cluster,
  since: Since,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  const accounts = await cluster.names(SERVICE_ACCOUNTS, signal)
  const tell = (row: z.output<typeof Row>) => [tellSecret(row, accounts)]
  return yield* tellEvery(cluster, { kinds: [SECRETS], form: 'table', shape: Row, by: [accounts], tell }, since, signal)
}

function tellSecret(
  { cells, object: { metadata } }: z.output<typeof Row>,
  accounts: NamedThings | undefined,
): Observation {
  const type = typeof cells[1] === 'string' ? cells[1] : ''
  const { namespace = '', annotations, labels } = metadata
  const isToken = type === TOKEN_TYPE
  const accountUid =
    annotations?.[ACCOUNT_UID] ?? accounts?.get(`${namespace}/${annotations?.[ACCOUNT_NAME] ?? ''}`)?.uid
  // The legacy token cleaner disables before it deletes (Kubernetes, "Legacy ServiceAccount token cleaner").
  const isInvalid = labels?.['kubernetes.io/legacy-token-invalid-since'] !== undefined
  const lastUsed = labels?.['kubernetes.io/legacy-token-last-used']
  const written = writtenAt(metadata)
  const isCopied = annotations?.[LAST_APPLIED] !== undefined
  return {
    kind: 'credential',
    id: secret(metadata.uid),
    principal:
      isToken && accountUid !== undefined
        ? known(serviceAccount(accountUid))
        : unknown(isToken ? 'not-collected' : 'unsupported'),
    type: isToken ? 'service-account-token' : 'stored-secret',
    name: shownName(metadata),
    state: known(isInvalid ? 'inactive' : 'active'),
    createdAt: made(metadata),
    rotatedAt: written ? known(written) : unknown('unsupported'),
    // A token in a Secret has no end; of other values nobody can say without seeing them.
    expiresAt: isToken ? known('never') : unknown('not-collected'),
    fingerprints: unknown('not-collected'),
    scopes: unknown('unsupported'),
    bindings: isToken ? known([]) : unknown('unsupported'),
    strength: isCopied ? known('weak') : isToken ? known('deprecated') : unknown('not-collected'),
    strengthWhy: [
      ...(isToken
        ? ['it is a token of a service account in a Secret, which never expires and is bound to no pod']
        : []),
      ...(isCopied ? ['its values also stand in an annotation, which whoever reads its metadata reads'] : []),
    ],
    heldBy: known('self'),
    facts: {
      secretType: type,
      namespace,
      values: Number(cells[2]) || 0,
      tokenKind: isToken ? 'legacy' : null,
      lastUsedDay: lastUsed ?? null,
      isCopiedInAnnotation: isCopied,
      ...tagFacts(metadata),
    },
  }
}

/** A credential has no tags of its own: labels and notes about owners stand among its facts. */
function tagFacts(metadata: Metadata): Record<string, string> {
  const tags = Object.entries(tagsOf(metadata)).slice(0, 20)
  return Object.fromEntries(tags.map(([key, value]) => [`tag:${key.slice(0, 60)}`, value]))
}

/** When the data was written last: each writer's fields stand in the metadata with a time. */
function writtenAt({ managedFields }: Metadata): Date | undefined {
  const times = (managedFields ?? []).flatMap(({ time, fieldsV1 }) => {
    const at = fieldsV1 && 'f:data' in fieldsV1 ? instantOf(time) : undefined
    return at ? [at] : []
  })
  return times.reduce<Date | undefined>((latest, at) => (latest === undefined || at > latest ? at : latest), undefined)
}
