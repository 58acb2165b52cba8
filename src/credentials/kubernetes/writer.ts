import { secondsAfter, type Clock } from '../../kernel/clock.ts'
import type { Egress } from '../../kernel/egress.ts'
import { Instant } from '../../kernel/instant.ts'
import { askTarget, at, refusedBy, textAt, type Answer } from '../issued/ask.ts'
import { secretOf, valuesOf, type HandedWriter } from '../issued/handed.ts'
import {
  LeaseFailure,
  NotWanted,
  type Applied,
  type LeaseTerms,
  type Making,
  type Site,
  type WrittenLease,
} from '../writer.ts'
import { KubernetesTokenSettings } from './settings.ts'

/** The protocol of clusters whose API is called with tokens of service accounts, without a gateway in between. */
export const KUBERNETES_TOKEN = 'kubernetes-token'

/** Kubernetes API, TokenRequestSpec: ten minutes at least. */
const LEAST_SECONDS = 600
/** RFC 1123 labels and names, as the API server checks them: nothing else gets into a path. */
const NAMESPACE = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/
const ACCOUNT = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/

/**
 * A token of a service account, bound to a Secret that is made for this lease alone and holds nothing: the API server takes such a token only while
 * its Secret is there, so deleting it ends the token at once. The Secret is also the fence: it is made before it is asked whether the lease
 * is still wanted, so whoever ended the lease finds it.
 */
export function kubernetesTokenWriter(needs: Needs): HandedWriter {
  const cluster = (site: Site, signal: AbortSignal) => openCluster(needs.egress, site, signal)
  return {
    kind: KUBERNETES_TOKEN,
    protocol: KUBERNETES_TOKEN,
    mode: 'lease',
    capability: {
      revocability: 'immediate',
      coexisting: null,
      isReversible: false,
      permissions: [
        'create, delete secrets in the namespace',
        'create serviceaccounts/token in the namespace',
        'create tokenreviews.authentication.k8s.io',
      ],
    },
    needsSite: true,
    plan: (_random, { terms }) => ({ principal: nameOf(serviceAccountOf(terms)), revocability: 'immediate' }),
    apply: (site, lease, making, signal) => bindToken(needs, site, lease, { making, signal }),
    async end(site, lease, signal) {
      const { ask } = cluster(site, signal)
      await deleteSecret(ask, serviceAccountOf(lease.terms).namespace, lease.id)
      return { appeared: [], unread: [] }
    },
    async verify(site, lease, signal) {
      const { settings, ask } = cluster(site, signal)
      const { namespace } = serviceAccountOf(lease.terms)
      const secret = await ask('GET', secretPath(namespace, lease.id))
      if (secret.status !== 404) return { kind: 'alive', why: 'the Secret that it is bound to is still there' }
      const evidence = { secret: `${namespace}/${secretName(lease.id)}`, secretStatus: 404 }
      const { token } = valuesOf(lease.secret)
      if (token === undefined) return { kind: 'dead', evidence: { ...evidence, token: 'never received' } }
      const review = await ask('POST', '/apis/authentication.k8s.io/v1/tokenreviews', {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenReview',
        spec: { token, ...(settings.audiences.length > 0 && { audiences: settings.audiences }) },
      })
      if (review.status !== 201) throw refusedBy('TokenReview', review)
      // An API server remembers for ten seconds that it took a token.
      if (at(review.json, ['status', 'authenticated']) === true) {
        return { kind: 'alive', why: 'the API server still takes it' }
      }
      return { kind: 'dead', evidence: { ...evidence, tokenReview: 'not authenticated' } }
    },
  }
}

type Needs = { readonly egress: Egress; readonly clock: Pick<Clock, 'now'> }
type Working = { readonly making: Making; readonly signal: AbortSignal }

async function bindToken(needs: Needs, site: Site, lease: WrittenLease, { making, signal }: Working): Promise<Applied> {
  const account = serviceAccountOf(lease.terms)
  const { settings, ask } = openCluster(needs.egress, site, signal)
  const uid = await makeSecret(ask, account.namespace, lease.id)
  if (!(await making.isWanted())) {
    await deleteSecret(ask, account.namespace, lease.id)
    throw new NotWanted('the lease was ended while it was being made')
  }
  const now = needs.clock.now()
  const leftSeconds = Math.floor((lease.terms.validUntil.getTime() - now.getTime()) / 1000)
  const seconds = Math.max(LEAST_SECONDS, Math.min(settings.maxSeconds, leftSeconds))
  const answer = await ask('POST', tokenPath(account), {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: {
      ...(settings.audiences.length > 0 && { audiences: settings.audiences }),
      expirationSeconds: seconds,
      boundObjectRef: { kind: 'Secret', apiVersion: 'v1', name: secretName(lease.id), uid },
    },
  })
  if (answer.status === 404) throw new LeaseFailure('there is no such service account')
  if (answer.status !== 201) throw refusedBy('TokenRequest', answer)
  const token = textAt(answer.json, 'status', 'token')
  if (token === undefined) throw new LeaseFailure('the cluster answered without a token')
  mustBeBound(token, uid)
  return {
    details: {
      about: {
        server: settings.server,
        namespace: account.namespace,
        serviceAccount: account.name,
        ...(settings.ca !== undefined && { certificateAuthority: settings.ca }),
      },
    },
    secret: secretOf({ token }),
    validBefore: expiryOf(answer, secondsAfter(now, seconds)),
  }
}

type ServiceAccount = { readonly namespace: string; readonly name: string }

/** The service account that bounds the strongest granted action: `namespace/name`. */
function serviceAccountOf({ roles }: LeaseTerms): ServiceAccount {
  const [namespace = '', name = '', more] = (roles[0] ?? '').split('/')
  if (more !== undefined || !NAMESPACE.test(namespace) || !ACCOUNT.test(name) || name.includes('..')) {
    throw new LeaseFailure('the account, or what bounds the action, is not namespace/serviceaccount')
  }
  return { namespace, name }
}

function nameOf({ namespace, name }: ServiceAccount): string {
  return `system:serviceaccount:${namespace}:${name}`
}

function secretName(leaseId: string): string {
  return `reeve-${leaseId}`
}

function secretPath(namespace: string, leaseId: string): string {
  return `/api/v1/namespaces/${namespace}/secrets/${secretName(leaseId)}`
}

function tokenPath({ namespace, name }: ServiceAccount): string {
  return `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`
}

type Ask = (method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown) => Promise<Answer>

function openCluster(egress: Egress, site: Site, signal: AbortSignal) {
  const settings = KubernetesTokenSettings.parse(site.settings)
  const base = settings.server.replace(/\/+$/, '')
  const ask: Ask = (method, path, body) =>
    askTarget(
      egress,
      {
        method,
        url: `${base}${path}`,
        headers: {
          authorization: `Bearer ${site.provisioner.secret.reveal()}`,
          ...(body !== undefined && { 'content-type': 'application/json' }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        ca: settings.ca,
      },
      signal,
    )
  return { settings, ask }
}

/** Its uid. One that stands there under this lease's name was made by an attempt before this one. */
async function makeSecret(ask: Ask, namespace: string, leaseId: string): Promise<string> {
  const made = await ask('POST', `/api/v1/namespaces/${namespace}/secrets`, {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: secretName(leaseId), labels: { 'app.kubernetes.io/managed-by': 'reeve' } },
    type: 'reeve/lease',
    immutable: true,
  })
  const answer = made.status === 409 ? await ask('GET', secretPath(namespace, leaseId)) : made
  if (answer.status === 404) throw new LeaseFailure('there is no such namespace')
  if (answer.status !== 200 && answer.status !== 201) throw refusedBy('making a Secret', answer)
  const uid = textAt(answer.json, 'metadata', 'uid')
  if (uid === undefined) throw new LeaseFailure('the cluster answered without a uid')
  return uid
}

async function deleteSecret(ask: Ask, namespace: string, leaseId: string): Promise<void> {
  const answer = await ask('DELETE', secretPath(namespace, leaseId))
  if (answer.status !== 200 && answer.status !== 202 && answer.status !== 404) {
    throw refusedBy('deleting its Secret', answer)
  }
}

/** A server that ignored what the token was to be bound to gave out one that nobody could end. */
function mustBeBound(token: string, uid: string): void {
  let claims: unknown
  try {
    claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'))
  } catch {
    claims = undefined
  }
  if (textAt(claims, 'kubernetes.io', 'secret', 'uid') !== uid) {
    throw new LeaseFailure('the cluster gave a token that is not bound to its Secret, so it could not be ended')
  }
}

function expiryOf(answer: Answer, asked: Date): Date {
  return Instant.safeDecode(textAt(answer.json, 'status', 'expirationTimestamp') ?? '').data ?? asked
}
