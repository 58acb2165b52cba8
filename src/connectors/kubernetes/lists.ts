/** Lists of the API in pages; where a whole list is refused, what of it can be seen in the namespaces, and what cannot. */
import { z } from 'zod'
import { jsonItems, ListInvalid } from '../../kernel/json-list.ts'
import { parsed, Rounds, Unreadable, type Missing, type ScopeReport } from '../connector.ts'
import {
  askFor,
  caOf,
  headersOf,
  jsonOf,
  may,
  missingOf,
  NAMESPACES,
  pathOf,
  permissionOf,
  refuse,
  type Api,
  type Form,
  type Kind,
} from './api.ts'

const PAGE_ITEMS = 500
/** What says that a place expired. */
const EXPIRY_BYTES = 4 * 1024 * 1024
/** The API server expires places in lists after minutes; one that always does is not read. */
const EXPIRIES_MAX = 5
/** Namespaces that are asked one by one where all of them together are refused; of a kind that nobody may list that many refusals. */
const NAMESPACES_MAX = 1_000
/** The same before a reading, of which one that is allowed is enough. */
const PROBED_MAX = 50
const NAMED = 5

export type Batch = {
  readonly kind: Kind
  readonly items: readonly unknown[]
  /** Where the reading may go on; with the last items of a page of the server. */
  readonly cursor?: string
}

type Asked = { readonly kind: Kind; readonly namespace?: string }
type Outcome = 'shown' | 'refused' | 'not served'

/** Which lists were shown and which were not. */
export class Lists {
  readonly #outcomes: (Asked & { readonly outcome: Outcome })[] = []

  note(asked: Asked, outcome: Outcome): void {
    this.#outcomes.push({ ...asked, outcome })
  }

  get isWhole(): boolean {
    return this.#outcomes.every(({ outcome }) => outcome === 'shown')
  }

  get status(): ScopeReport['status'] {
    if (this.isWhole) return 'complete'
    const has = (outcome: Outcome) => this.#outcomes.some((each) => each.outcome === outcome)
    if (has('shown')) return 'partial'
    return has('refused') ? 'denied' : 'unsupported'
  }

  get missing(): Missing[] {
    const kinds = new Set(this.#outcomes.map(({ kind }) => kind))
    return [...kinds].flatMap((kind) => this.#missingOf(kind))
  }

  #missingOf(kind: Kind): Missing[] {
    const of = this.#outcomes.filter((each) => each.kind === kind)
    const refused = of.filter(({ outcome }) => outcome === 'refused')
    if (refused.length === 0) {
      const isServed = of.every(({ outcome }) => outcome !== 'not served')
      return isServed ? [] : [{ what: kind.resource, why: 'this API server does not have them' }]
    }
    const places = refused.flatMap(({ namespace }) => namespace ?? [])
    if (places.length < refused.length || places.length === of.length) return [missingOf(kind)]
    const more = places.length > NAMED ? ` and ${places.length - NAMED} more` : ''
    return [
      {
        what: `${kind.resource} of the namespaces ${places.slice(0, NAMED).join(', ')}${more}`,
        why: 'the login may not list it there',
        permission: permissionOf(kind),
      },
    ]
  }
}

/** The lists that a scope is made of: of each kind one, or one in each namespace that was named. */
function listsOf({ settings }: Api, kinds: readonly Kind[]): Asked[] {
  return kinds.flatMap((kind): Asked[] =>
    settings.namespaces && kind.isClusterWide !== true
      ? settings.namespaces.map((namespace) => ({ kind, namespace }))
      : [{ kind }],
  )
}

type Told = {
  readonly form: Exclude<Form, 'one'>
  readonly cursor?: string | undefined
  /** Is told which lists were shown. */
  readonly lists?: Lists
}

/** Every item of these kinds, batch by batch. A cursor is which list, and the server's own place in it; behind a list that was refused there is none. */
export async function* everyOf(
  api: Api,
  kinds: readonly Kind[],
  { form, cursor, lists = new Lists() }: Told,
  signal: AbortSignal,
): AsyncGenerator<Batch, void> {
  const all = listsOf(api, kinds)
  const [first = '0', ...rest] = (cursor ?? '0 ').split(' ')
  for (let at = Number(first); at < all.length; at += 1) {
    const asked = all[at]
    if (!asked) return
    const place = at === Number(first) ? rest.join(' ') : ''
    const cursorAfter = (next: string) =>
      lists.isWhole ? { cursor: next === '' ? `${at + 1} ` : `${at} ${next}` } : {}
    const outcome = yield* listed(api, asked, { form, place, cursorAfter }, signal)
    if (outcome === 'refused') yield* inNamespaces(api, asked, { form, lists }, signal)
    else lists.note(asked, outcome)
  }
}

type Reading = {
  readonly form: Exclude<Form, 'one'>
  readonly place: string
  readonly cursorAfter: (next: string) => { readonly cursor?: string }
}

/** One list, page by page. Refused is one whose first page is; a right that goes in the middle denies. */
async function* listed(
  api: Api,
  { kind, namespace }: Asked,
  { form, place, cursorAfter }: Reading,
  signal: AbortSignal,
): AsyncGenerator<Batch, Outcome> {
  const places = new Places()
  const rounds = new Rounds()
  let next = place
  for (let expiries = 0; ;) {
    const query = new URLSearchParams({ limit: String(PAGE_ITEMS), ...(next !== '' && { continue: next }) })
    if (form === 'table') query.set('includeObject', 'Metadata')
    const path = `${pathOf(kind, namespace)}?${query.toString()}`
    using answer = await api.http.stream({ path, headers: headersOf(api, form), ...caOf(api) }, signal)
    if (next === '' && answer.status === 403) return 'refused'
    if (next === '' && answer.status === 404) return 'not served'
    if (answer.status === 410 && next !== '') {
      expiries += 1
      if (expiries > EXPIRIES_MAX)
        throw new Unreadable('the API server forgets its places in lists faster than they are read')
      next = await placeAfterExpiry(answer.body)
      continue
    }
    refuse(answer.status, kind)
    const rest = yield* pageOf(answer.body, { kind, form }, (more, items) => {
      rounds.page(items)
      next = more ?? ''
      if (next !== '') places.step(next)
      return cursorAfter(next)
    })
    if (form === 'table' && rest.columnDefinitions?.[1]?.name !== 'Type')
      throw new Unreadable('the API server shows secrets in another way than it should')
    if (next === '') return 'shown'
  }
}

/** What of a refused list can be seen: those of each namespace, as far as these are known; of namespaces those that the settings name. */
async function* inNamespaces(
  api: Api,
  asked: Asked,
  { form, lists }: { readonly form: Reading['form']; readonly lists: Lists },
  signal: AbortSignal,
): AsyncGenerator<Batch, void> {
  const { kind, namespace } = asked
  if (kind === NAMESPACES && api.settings.namespaces) {
    for (const name of api.settings.namespaces) yield* oneNamespace(api, name, lists, signal)
    lists.note(asked, 'refused')
    return
  }
  const names = kind.isClusterWide === true || namespace !== undefined ? undefined : await namespacesOf(api, signal)
  if (names === undefined || names.length === 0) lists.note(asked, 'refused')
  for (const [at, name] of (names ?? []).entries()) {
    const one = { kind, namespace: name }
    const reading = { form, place: '', cursorAfter: () => ({}) }
    lists.note(one, at < NAMESPACES_MAX ? yield* listed(api, one, reading, signal) : 'refused')
  }
}

async function* oneNamespace(api: Api, name: string, lists: Lists, signal: AbortSignal): AsyncGenerator<Batch, void> {
  const path = `${pathOf(NAMESPACES)}/${encodeURIComponent(name)}`
  const { status, body } = await askFor(api, path, signal, undefined, 'one')
  if (status === 404) return
  if (status !== 403) refuse(status, NAMESPACES)
  lists.note({ kind: NAMESPACES, namespace: name }, status === 403 ? 'refused' : 'shown')
  if (status !== 403) yield { kind: NAMESPACES, items: [jsonOf(body)] }
}

const known = new WeakMap<Api, Promise<readonly string[] | undefined>>()

/** Names of all namespaces, asked for once; undefined where the login may not list them. */
async function namespacesOf(api: Api, signal: AbortSignal): Promise<readonly string[] | undefined> {
  const before = known.get(api)
  if (before) return before
  const reading = readNamespaces(api, signal)
  known.set(api, reading)
  reading.catch(() => known.delete(api))
  return reading
}

const Named = z.object({ metadata: z.object({ name: z.string().min(1).max(253) }) })

async function readNamespaces(api: Api, signal: AbortSignal): Promise<readonly string[] | undefined> {
  const names: string[] = []
  const reading = listed(api, { kind: NAMESPACES }, { form: 'metadata', place: '', cursorAfter: () => ({}) }, signal)
  for (;;) {
    const next = await reading.next()
    if (next.done) return next.value === 'shown' ? names.toSorted() : undefined
    for (const item of next.value.items) names.push(parsed(Named, item).metadata.name)
  }
}

/** Whether all, some or none of a kind would be shown, without reading any. */
export async function visibilityOf(api: Api, kind: Kind, signal: AbortSignal): Promise<'all' | 'some' | 'none'> {
  const { namespaces } = api.settings
  const isPlaced = kind.isClusterWide !== true
  if (!namespaces || !isPlaced) {
    if (await may(api, { kind }, signal)) return 'all'
    if (!isPlaced && kind !== NAMESPACES) return 'none'
  }
  const verb = isPlaced ? 'list' : 'get'
  const places = namespaces ?? (isPlaced ? await namespacesOf(api, signal) : undefined) ?? []
  let allowed = 0
  for (const namespace of places.slice(0, PROBED_MAX)) {
    if (await may(api, { kind, verb, namespace }, signal)) allowed += 1
    if (!namespaces && allowed > 0) return 'some'
  }
  if (allowed === 0) return 'none'
  return isPlaced && allowed === Math.min(places.length, PROBED_MAX) ? 'all' : 'some'
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

const Rest = z.object({
  kind: z.string().optional(),
  metadata: z.object({ continue: z.string().optional(), resourceVersion: z.string().optional() }),
  columnDefinitions: z.array(z.object({ name: z.string() })).optional(),
})

async function* pageOf(
  body: AsyncIterable<Buffer>,
  { kind, form }: { readonly kind: Kind; readonly form: Form },
  cursorAfter: (next: string | undefined, items: readonly unknown[]) => { readonly cursor?: string },
): AsyncGenerator<Batch, z.output<typeof Rest>> {
  const reading = jsonItems(body, form === 'table' ? 'rows' : 'items')
  let items: unknown[] = []
  try {
    for (;;) {
      const next = await reading.next()
      if (next.done) {
        const rest = Rest.parse(next.value)
        yield { kind, items, ...cursorAfter(rest.metadata.continue, items) }
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
    if (size > EXPIRY_BYTES) return ''
    chunks.push(chunk)
  }
  const Status = z.object({ metadata: z.object({ continue: z.string().max(10_000).optional() }) })
  return Status.safeParse(jsonOf(Buffer.concat(chunks))).data?.metadata.continue ?? ''
}
