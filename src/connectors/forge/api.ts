/** What forges have in common as APIs: lists in pages that a `Link` header joins, refusals that hide as absence, limits of pace in headers. */
import type { z } from 'zod'
import { ELSEWHERE, nextLink } from '../../kernel/http-client.ts'
import { jsonItems, ListInvalid } from '../../kernel/json-list.ts'
import type { Secret } from '../../kernel/secret.ts'
import { Denied, Faltering, Rounds, SlowDown, Unreadable, type SourceHttp } from '../connector.ts'

export type Forge = {
  readonly http: SourceHttp
  /** The registered address. */
  readonly url: string
  /** Before each path: `/api/v1`. */
  readonly root: string
  readonly headers: Readonly<Record<string, string | Secret>>
  readonly ca?: string | undefined
  /** Whether the forge says "not there" of what the login may not see. */
  readonly hides: boolean
  readonly now: () => Date
}

/** What is asked for, and what one has to be allowed for it. */
export type Asked = {
  readonly path: string
  /** Where the list stands in the answer, when the answer is not the list. */
  readonly key?: string
  readonly what: string
  readonly permission: string
}

/** Forges give a hundred at most; one that gives more than this in a page does not heed what it is asked. */
const PAGE_MAX = 5_000
/** Things of one list that is held whole: members of a team, keys of a repository. */
const LIST_MAX = 20_000
const ANSWER_BYTES = 4 * 1024 * 1024

export type Listed = { readonly items: readonly unknown[]; readonly next: string | undefined }

/** One page, by the path that the page before named or the first. */
export async function listPage(
  forge: Forge,
  asked: Asked,
  at: string | undefined,
  signal: AbortSignal,
): Promise<Listed> {
  const path = at ?? `${forge.root}${asked.path}`
  using answer = await forge.http.stream({ path, headers: forge.headers, ...caOf(forge) }, signal)
  if (answer.status === 204) return { items: [], next: undefined }
  refuse(forge, answer, asked)
  const items: unknown[] = []
  try {
    for await (const item of jsonItems(answer.body, asked.key)) {
      items.push(item)
      if (items.length > PAGE_MAX) throw new Unreadable('the forge gives more in a page than it was asked for')
    }
  } catch (error) {
    throw error instanceof ListInvalid ? new Unreadable(error.message, { cause: error }) : error
  }
  const next = nextLink(answer.headers['link'], new URL(path, forge.url))
  // Not the last page: a forge that takes itself for another address would otherwise end each list after its first.
  if (next === ELSEWHERE)
    throw new Unreadable('the forge names another address for the next page of a list than its own')
  return { items, next }
}

/** A whole list that is small by its nature, parsed. What is not as the API has it makes the answer unreadable: it must not pass for absent. */
export async function listAll<T>(forge: Forge, asked: Asked, shape: z.ZodType<T>, signal: AbortSignal): Promise<T[]> {
  const all: T[] = []
  let next: string | undefined
  const seen = new Set<string>()
  const rounds = new Rounds()
  do {
    const page = await listPage(forge, asked, next, signal)
    for (const item of page.items) all.push(parsed(shape, item))
    next = page.next
    rounds.page(page.items)
    if (all.length > LIST_MAX || (next !== undefined && seen.has(next)))
      throw new Unreadable('the forge gives the same pages again and again')
    if (next !== undefined) seen.add(next)
  } while (next !== undefined)
  return all
}

export async function readOne<T>(forge: Forge, asked: Asked, shape: z.ZodType<T>, signal: AbortSignal): Promise<T> {
  const path = `${forge.root}${asked.path}`
  const answer = await forge.http({ path, headers: forge.headers, ...caOf(forge), maxBytes: ANSWER_BYTES }, signal)
  refuse(forge, answer, asked)
  try {
    return parsed(shape, JSON.parse(answer.body.toString('utf8')))
  } catch (error) {
    throw error instanceof SyntaxError ? new Unreadable('the answer is not JSON', { cause: error }) : error
  }
}

export function parsed<T>(shape: z.ZodType<T>, told: unknown): T {
  const { data } = shape.safeParse(told)
  if (data === undefined) throw new Unreadable('the forge answered in another way than its API has it')
  return data
}

/** The forge has no such thing, or has it switched off there. */
export class Absent extends Error {
  override readonly name = 'Absent'
}

function refuse(
  forge: Forge,
  { status, headers }: { readonly status: number; readonly headers: Readonly<Record<string, string>> },
  { what, permission }: Asked,
): void {
  if (status >= 200 && status < 300) return
  if (status === 401)
    throw new Denied({ what, why: 'the forge does not accept the login', permission: 'a login that has not expired' })
  if (status === 403) {
    // GitHub, "Rate limits for the REST API": used up is a 403 with nothing remaining, or one that says for how long to wait.
    if (headers['x-ratelimit-remaining'] === '0')
      throw new SlowDown(untilReset(headers['x-ratelimit-reset'], forge.now()))
    if (/^\d{1,6}$/.test(headers['retry-after'] ?? '')) throw new SlowDown(Number(headers['retry-after']) * 1000)
    throw new Denied({ what, why: 'the login may not see it', permission })
  }
  if (status === 404 && forge.hides) throw new Denied({ what, why: 'it is not there for this login', permission })
  if (status === 404) throw new Absent()
  throw new Faltering(`the forge answered ${status}`)
}

function untilReset(header: string | undefined, now: Date): number | undefined {
  return /^\d{1,12}$/.test(header ?? '') ? Math.max(0, Number(header) * 1000 - now.getTime()) : undefined
}

function caOf({ ca }: Forge) {
  return ca === undefined ? {} : { ca }
}
