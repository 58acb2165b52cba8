/** The API of a cluster, read only: lists in pages, metadata without content, and what the login may list. */
import { z } from 'zod'
import type { Secret } from '../../kernel/secret.ts'
import { Denied, Faltering, type HttpAnswer, type Missing, type SourceHttp } from '../connector.ts'
import type { KubernetesSourceSettings } from './settings.ts'

/** One kind of thing that the API lists. */
export type Kind = {
  readonly group: string
  readonly version: string
  readonly resource: string
  readonly isClusterWide?: boolean
}

export type Api = {
  readonly http: SourceHttp
  /** `Bearer …`. */
  readonly authorization: Secret
  readonly settings: KubernetesSourceSettings
}

const ANSWER_BYTES = 4 * 1024 * 1024

const WHOLE = 'application/json'
/** Names, labels, owners and times of things, nothing of what they hold (Kubernetes API concepts, "Metadata-only fetches"). */
const METADATA = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1'
/** The columns that `kubectl get` shows, computed by the server, with metadata beside them ("Receiving resources as Tables"). */
const TABLE = 'application/json;as=Table;g=meta.k8s.io;v=v1'

/** One thing of these, where it is asked for by its name. */
const ONE = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1'

export type Form = 'whole' | 'metadata' | 'table' | 'one'
const ACCEPT: Readonly<Record<Form, string>> = { whole: WHOLE, metadata: METADATA, table: TABLE, one: ONE }

export const NAMESPACES: Kind = { group: '', version: 'v1', resource: 'namespaces', isClusterWide: true }

export function pathOf({ group, version, resource }: Kind, namespace?: string): string {
  const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`
  return namespace === undefined
    ? `${root}/${resource}`
    : `${root}/namespaces/${encodeURIComponent(namespace)}/${resource}`
}

/** Without one that is taken nothing is seen: it is not the right to one list that lacks. */
export const TOKEN_NEED = 'a token that has not expired'

export function refuse(status: number, kind: Kind): void {
  if (status === 200) return
  if (status === 401)
    throw new Denied({
      what: kind.resource,
      why: 'the cluster does not accept the token',
      permission: TOKEN_NEED,
    })
  if (status === 403) throw new Denied(missingOf(kind))
  throw new Faltering(`the API server answered ${status}`)
}

export function missingOf(kind: Kind): Missing {
  return { what: kind.resource, why: 'the login may not list it', permission: permissionOf(kind) }
}

/** As a rule of a role would say it. */
export function permissionOf({ group, resource }: Kind): string {
  return `list ${resource}${group === '' ? '' : ` in ${group}`}`
}

export function headersOf({ authorization }: Pick<Api, 'authorization'>, form: Form) {
  return { authorization, accept: ACCEPT[form] }
}

export function caOf({ settings }: Pick<Api, 'settings'>) {
  return settings.authorities === undefined ? {} : { ca: settings.authorities }
}

export async function askFor(
  api: Api,
  path: string,
  signal: AbortSignal,
  body?: unknown,
  form: Form = 'whole',
): Promise<HttpAnswer> {
  return api.http(
    {
      path,
      headers: { ...headersOf(api, form), ...(body !== undefined && { 'content-type': 'application/json' }) },
      ...(body !== undefined && { method: 'POST', body: JSON.stringify(body) }),
      ...caOf(api),
      maxBytes: ANSWER_BYTES,
    },
    signal,
  )
}

export function jsonOf(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    return undefined
  }
}

const Review = z.object({ status: z.object({ allowed: z.boolean() }) })

/**
 * Whether the login may do this to all of a kind, or to those of one namespace. The question is posted and nothing is kept by it
 * (`SelfSubjectAccessReview`, which every authenticated login may ask); where it cannot be asked, reading will tell.
 */
export async function may(
  api: Api,
  {
    kind,
    verb = 'list',
    namespace = '',
  }: { readonly kind: Kind; readonly verb?: 'list' | 'get'; readonly namespace?: string },
  signal: AbortSignal,
): Promise<boolean> {
  const name = verb === 'get' && kind === NAMESPACES ? { name: namespace } : {}
  const resourceAttributes = { verb, group: kind.group, resource: kind.resource, namespace, ...name }
  const body = { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview', spec: { resourceAttributes } }
  const answer = await askFor(api, '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', signal, body)
  return answer.status !== 401 && Review.safeParse(jsonOf(answer.body)).data?.status.allowed !== false
}
