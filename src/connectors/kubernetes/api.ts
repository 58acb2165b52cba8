/** The API of a cluster, read only: lists in pages, metadata without content, and what the login may list. */
import { z } from 'zod'
import { jsonItems, ListInvalid } from '../../kernel/json-list.ts'
import type { Secret } from '../../kernel/secret.ts'
import { Denied, Unreadable, type HttpAnswer, type Missing, type SourceHttp } from '../connector.ts'
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

const PAGE_ITEMS = 500
const ANSWER_BYTES = 4 * 1024 * 1024
/** The API server expires places in lists after minutes; one that always does is not read. */
const EXPIRIES_MAX = 5

const WHOLE = 'application/json'
/** Names, labels, owners and times of things, nothing of what they hold (Kubernetes API concepts, "Metadata-only fetches"). */
const METADATA = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1'
/** The columns that `kubectl get` shows, computed by the server, with metadata beside them ("Receiving resources as Tables"). */
const TABLE = 'application/json;as=Table;g=meta.k8s.io;v=v1'

export type Form = 'whole' | 'metadata' | 'table'
const ACCEPT: Readonly<Record<Form, string>> = { whole: WHOLE, metadata: METADATA, table: TABLE }

const Rest = z.object({
  kind: z.string().optional(),
  metadata: z.object({ continue: z.string().optional(), resourceVersion: z.string().optional() }),
  columnDefinitions: z.array(z.object({ name: z.string() })).optional(),
})

export type Batch = {
  readonly kind: Kind
  readonly items: readonly unknown[]
  /** Where the reading may go on; with the last items of a page of the server. */
  readonly cursor?: string
}

function pathOf({ group, version, resource }: Kind, namespace?: string): string {
  const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`
  return namespace === undefined
    ? `${root}/${resource}`
    : `${root}/namespaces/${encodeURIComponent(namespace)}/${resource}`
}

/** The lists that a scope is made of: of each kind one, or one in each namespace that was named. */
function listsOf({ settings }: Api, kinds: readonly Kind[]): { readonly kind: Kind; readonly path: string }[] {
  return kinds.flatMap((kind) =>
    settings.namespaces && kind.isClusterWide !== true
      ? settings.namespaces.map((namespace) => ({ kind, path: pathOf(kind, namespace) }))
      : [{ kind, path: pathOf(kind) }],
  )
}

/** Every item of these kinds, batch by batch. A cursor is which list, and the server's own place in it. */
export async function* everyOf(
  api: Api,
  kinds: readonly Kind[],
  { form, cursor }: { readonly form: Form; readonly cursor?: string | undefined },
  signal: AbortSignal,
): AsyncGenerator<Batch, void> {
  const lists = listsOf(api, kinds)
  const [first = '0', ...place] = (cursor ?? '0 ').split(' ')
  let at = Number(first)
  let next = place.join(' ')
  const places = new Places()
  for (let expiries = 0; at < lists.length;) {
    const { kind, path } = lists[at] ?? { kind: kinds[0], path: '' }
    if (!kind) return
    const query = new URLSearchParams({ limit: String(PAGE_ITEMS), ...(next !== '' && { continue: next }) })
    if (form === 'table') query.set('includeObject', 'Metadata')
    using answer = await api.http.stream(
      { path: `${path}?${query.toString()}`, headers: headersOf(api, form), ...caOf(api) },
      signal,
    )
    if (answer.status === 410 && next !== '') {
      expiries += 1
      if (expiries > EXPIRIES_MAX)
        throw new Unreadable('the API server forgets its places in lists faster than they are read')
      next = await placeAfterExpiry(answer.body)
      continue
    }
    refuse(answer.status, kind)
    const rest = yield* pageOf(answer.body, { kind, form }, (more) => {
      if (more !== undefined && more !== '') places.step(more)
      next = more ?? ''
      if (next === '') at += 1
      return `${at} ${next}`
    })
    if (form === 'table' && rest.columnDefinitions?.[1]?.name !== 'Type')
      throw new Unreadable('the API server shows secrets in another way than it should')
  }
}

/** Notices a list that goes round in circles, by Brent's way: one place is remembered, and moved on at each power of two. */
class Places {
  #remembered = ''
  #steps = 0
  #until = 1

  step(place: string): void {
    if (place === this.#remembered) throw new Unreadable('the API server gives the same pages again and again')
    this.#steps += 1
    if (this.#steps < this.#until) return
    this.#remembered = place
    this.#until *= 2
    this.#steps = 0
  }
}

async function* pageOf(
  body: AsyncIterable<Buffer>,
  { kind, form }: { readonly kind: Kind; readonly form: Form },
  cursorAfter: (next: string | undefined) => string,
): AsyncGenerator<Batch, z.output<typeof Rest>> {
  const reading = jsonItems(body, form === 'table' ? 'rows' : 'items')
  let items: unknown[] = []
  try {
    for (;;) {
      const next = await reading.next()
      if (next.done) {
        const rest = Rest.parse(next.value)
        yield { kind, items, cursor: cursorAfter(rest.metadata.continue) }
        return rest
      }
      items.push(next.value)
      // A server that does not heed the limit is read in pieces all the same.
      if (items.length < PAGE_ITEMS * 2) continue
      yield { kind, items }
      items = []
    }
  } catch (error) {
    if (error instanceof ListInvalid) throw new Unreadable(error.message, { cause: error })
    if (error instanceof z.ZodError)
      throw new Unreadable('the answer is not the list that was asked for', { cause: error })
    throw error
  }
}

/** Kubernetes API concepts, "410 Gone responses": the answer holds a place from which the list goes on in its newest state. Without one it begins again. */
async function placeAfterExpiry(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > ANSWER_BYTES) return ''
    chunks.push(chunk)
  }
  const Status = z.object({ metadata: z.object({ continue: z.string().max(10_000).optional() }) })
  return Status.safeParse(jsonOf(Buffer.concat(chunks))).data?.metadata.continue ?? ''
}

function refuse(status: number, kind: Kind): void {
  if (status === 200) return
  if (status === 401)
    throw new Denied({
      what: kind.resource,
      why: 'the cluster does not accept the token',
      permission: 'a token that has not expired',
    })
  if (status === 403) throw new Denied(missingOf(kind))
  if (status === 404) throw new NotServed()
  throw new Error(`the API server answered ${status}`)
}

/** The API server has no such resource. */
export class NotServed extends Error {
  override readonly name = 'NotServed'
}

export function missingOf(kind: Kind): Missing {
  return { what: kind.resource, why: 'the login may not list it', permission: permissionOf(kind) }
}

/** As a rule of a role would say it. */
export function permissionOf({ group, resource }: Kind): string {
  return `list ${resource}${group === '' ? '' : ` in ${group}`}`
}

function headersOf({ authorization }: Api, form: Form) {
  return { authorization, accept: ACCEPT[form] }
}

function caOf({ settings }: Api) {
  return settings.authorities === undefined ? {} : { ca: settings.authorities }
}

export async function askFor(api: Api, path: string, signal: AbortSignal, body?: unknown): Promise<HttpAnswer> {
  return api.http(
    {
      path,
      headers: { ...headersOf(api, 'whole'), ...(body !== undefined && { 'content-type': 'application/json' }) },
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
 * Whether the login may list all of a kind. The question is posted and nothing is kept by it (`SelfSubjectAccessReview`, which every authenticated
 * login may ask); where it cannot be asked, reading will tell.
 */
export async function mayList(api: Api, kind: Kind, signal: AbortSignal): Promise<boolean> {
  const namespaces = api.settings.namespaces && kind.isClusterWide !== true ? api.settings.namespaces : ['']
  for (const namespace of namespaces) {
    const resourceAttributes = { verb: 'list', group: kind.group, resource: kind.resource, namespace }
    const body = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SelfSubjectAccessReview',
      spec: { resourceAttributes },
    }
    const answer = await askFor(api, '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', signal, body)
    const review = Review.safeParse(jsonOf(answer.body)).data
    if (answer.status === 401 || review?.status.allowed === false) return false
  }
  return true
}
