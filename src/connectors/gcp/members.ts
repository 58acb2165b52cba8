/** Who a binding names, and what is told of them (IAM, "Principal identifiers"). */
import { credential, known, principal, unknown, type NativeId, type Observation } from '../connector.ts'
import { accountOf, poolOf, type Accounts } from './things.ts'

export type Member = {
  readonly id: NativeId
  /** What tells it; empty for what another part tells. */
  readonly told: readonly Observation[]
}

/** Domains of service accounts that Google runs its own services as ("Service agents"); a project of a customer cannot have them. */
const AGENT =
  /@(?:gcp-sa-[a-z0-9-]+|compute-system|container-engine-robot|containerregistry|serverless-robot-prod|dataflow-service-producer-prod|cloudcomposer-accounts|bigquery-encryption|gs-project-accounts|sourcerepo-service-accounts|service-networking|gcf-admin-robot|gae-api-prod|firebase-rules|cloud-ml\.google\.com|remotebuildexecution|endpoints-portal)\.iam\.gserviceaccount\.com$|@(?:cloudservices|cloudbuild)\.gserviceaccount\.com$/
const KUBERNETES = /^([a-z0-9:.-]+)\.svc\.id\.goog\[([^/\]]+)\/([^\]]+)\]$/
const FEDERATED =
  /^principal(?:Set)?:\/\/iam\.googleapis\.com\/(projects\/\d+\/locations\/global\/workloadIdentityPools\/[^/]+)\/(.+)$/

/** `isWhole`: whether every service account of the company is known, so that one that is not is somebody else's. */
export function memberOf(member: string, accounts: Accounts, isWhole: boolean): Member {
  const at = member.indexOf(':')
  const [sort, name] = at < 0 ? [member, ''] : [member.slice(0, at), member.slice(at + 1)]
  switch (sort) {
    case 'serviceAccount': {
      const account = accounts.get(name.toLowerCase())
      return account ? { id: accountOf(account.uniqueId), told: [] } : otherAccount(name, isWhole)
    }
    case 'user':
      return one('user', name.toLowerCase(), { type: 'human', interactive: known(true) })
    case 'group':
      return one('group', name.toLowerCase(), { type: 'group', interactive: known(false) })
    case 'domain':
      return one('domain', name.toLowerCase(), { type: 'group', interactive: known(false) })
    case 'allUsers':
    case 'allAuthenticatedUsers':
      return one('everyone', sort, { type: 'group', interactive: known(false), facts: { everybody: true } })
    case 'deleted':
      return one('deleted', name, { type: 'account', state: known('deleted') })
    case 'principal':
    case 'principalSet':
      return federated(member)
    default:
      // projectOwner:, projectEditor:, projectViewer: and what is yet to come.
      return one('member', member, { type: 'group' })
  }
}

type About = Pick<Extract<Observation, { kind: 'principal' }>, 'type'> &
  Partial<Extract<Observation, { kind: 'principal' }>>

function one(kind: string, name: string, about: About): Member {
  const id = { kind, id: name === '' ? '(nobody)' : name }
  return { id, told: [principal({ id, name: id.id, ...about })] }
}

function otherAccount(name: string, isWhole: boolean): Member {
  const email = name.toLowerCase()
  const inCluster = KUBERNETES.exec(name)
  if (inCluster) {
    const [, project = '', namespace = '', account = ''] = inCluster
    const facts = { project, kubernetesNamespace: namespace, kubernetesAccount: account }
    return one('kubernetes-workload', name, { type: 'workload', interactive: known(false), facts })
  }
  const base = { type: 'service' as const, interactive: known(false) }
  if (AGENT.test(email)) return one('service-agent', email, { ...base, facts: { isBuiltIn: true } })
  // Names of projects are given once for all of Google Cloud: this one says whose it is.
  const vendor = /@([a-z0-9.-]+?)(?:\.iam)?\.gserviceaccount\.com$/.exec(email)?.[1]
  const { id, told } = one('foreign-service-account', email, {
    ...base,
    ...(vendor !== undefined && { facts: { project: vendor } }),
  })
  const login = credential({
    id: { kind: 'foreign-login', id: id.id },
    principal: known(id),
    type: 'other',
    name: `logins of ${id.id}`,
    state: unknown('denied'),
    heldBy: isWhole ? known('third-party') : unknown('not-collected'),
    facts: { vendor: vendor ?? null, isForeign: isWhole },
  })
  return { id, told: [...told, login] }
}

/** Whoever shows a token of the pool with what the name says. */
function federated(member: string): Member {
  const { id, told } = one('federated', member, { type: 'workload', interactive: known(false) })
  const [, pool, which = ''] = FEDERATED.exec(member) ?? []
  if (pool === undefined) return { id, told }
  const trust: Observation = {
    kind: 'trust',
    id: { kind: 'pool-member', id: member },
    from: poolOf(pool),
    to: id,
    wildcard: !which.startsWith('subject/'),
    facts: { where: which },
  }
  return { id, told: [...told, trust] }
}
