/** APIs of Google as a reader asks them: a token for each, pages by `nextPageToken`, refusals with the permission that would help. */
import { z } from 'zod'
import { Instant } from '../../kernel/instant.ts'
import type { Clock } from '../../kernel/clock.ts'
import { signedJws } from '../../kernel/jws.ts'
import { Secret } from '../../kernel/secret.ts'
import {
  Denied,
  Faltering,
  known,
  Rounds,
  unknown,
  Unreadable,
  type Known,
  type Missing,
  type SourceHttp,
} from '../connector.ts'
import type { GcpLogin } from './settings.ts'

export type Api = {
  readonly http: SourceHttp
  /** As tokens name it, whatever address answers for it. */
  readonly audience: string
  readonly clock: Clock
  readonly credential: GcpLogin
  readonly ca: { readonly ca?: string }
}

const ANSWER_BYTES = 64 * 1024 * 1024
/** "Using OAuth 2.0 for Server to Server Applications": an hour is the longest that a token may live. */
const TOKEN_SECONDS = 900
/** Pages of a thousand: more than any estate has, so a list that goes on is a circle. */
const PAGES_MAX = 20_000

const Failure = z.object({
  error: z.object({
    status: z.string().optional(),
    details: z.array(z.object({ reason: z.string().optional() })).optional(),
  }),
})

export type Asked = {
  readonly path: string
  readonly query: readonly (readonly [string, string])[]
  /** What is not seen without it, and which permission shows it. */
  readonly need: Missing
}

/** One page of a list: what stands under `key`, and the token of the next one. */
async function pageOf(
  api: Api,
  { path, query, need }: Asked,
  token: string | undefined,
  signal: AbortSignal,
): Promise<unknown> {
  const search = new URLSearchParams(query.map(([name, value]): [string, string] => [name, value]))
  if (token !== undefined) search.set('pageToken', token)
  const answer = await api.http(
    {
      path: `${path}?${search.toString()}`,
      headers: { authorization: new Secret(`Bearer ${bearerOf(api).reveal()}`), accept: 'application/json' },
      maxBytes: ANSWER_BYTES,
      ...api.ca,
    },
    signal,
  )
  if (answer.status === 200) return jsonOf(answer.body)
  const failure = Failure.safeParse(quietly(answer.body)).data?.error
  if (answer.status === 401) throw new Denied(LOGIN_MISSING)
  if (answer.status === 403) {
    const isOff = failure?.details?.some(({ reason }) => reason === 'SERVICE_DISABLED') === true
    if (!isOff) throw new Denied(need)
    const permission = `${new URL(api.audience).hostname} enabled in the project of the service account that reads`
    throw new Denied({ what: need.what, why: 'the API is not enabled', permission })
  }
  if (answer.status === 404) throw new Unreadable('there is nothing of this name that the login may see')
  if (answer.status === 400 && token !== undefined) throw new PageOver()
  throw new Faltering(`${new URL(api.audience).hostname} answered ${answer.status}`)
}

/** A page token is not taken any more: reading begins again. */
class PageOver extends Error {
  override readonly name = 'PageOver'
}

const LOGIN_MISSING: Missing = {
  what: 'everything',
  why: 'Google does not take the login: it is over, disabled or none, or the clocks differ',
  permission: 'an enabled key of a service account, or a token that has not expired',
}

export type Listed<T> = { readonly items: readonly T[]; readonly next: string | undefined }

/** Each page of a list, from the place behind `cursor`. Throws `Unreadable` for one that leads back to where it was. */
export async function* pages<T>(
  api: Api,
  asked: Asked,
  list: { readonly key: string; readonly shape: z.ZodType<T>; readonly cursor?: string | undefined },
  signal: AbortSignal,
): AsyncGenerator<Listed<T>, void> {
  const shape = z.object({ nextPageToken: z.string().optional(), [list.key]: z.array(z.unknown()).optional() })
  const seen = new Set<string>()
  const rounds = new Rounds()
  let at = list.cursor
  for (;;) {
    signal.throwIfAborted()
    let told: unknown
    try {
      told = await pageOf(api, asked, at, signal)
    } catch (error) {
      if (!(error instanceof PageOver) || seen.size > 0) throw error
      at = undefined
      continue
    }
    const page = parsed(shape, told)
    const next = page.nextPageToken === '' ? undefined : page.nextPageToken
    const items = z.array(list.shape).safeParse(page[list.key] ?? [])
    if (!items.success) throw new Unreadable('Google answered in another way than its API has it')
    if (typeof next === 'string' && (seen.has(next) || seen.size >= PAGES_MAX))
      throw new Unreadable('a list leads back to where it was')
    rounds.page(items.data)
    yield { items: items.data, next: typeof next === 'string' ? next : undefined }
    if (typeof next !== 'string') return
    seen.add(next)
    at = next
  }
}

/** AIP-4111: a JWT that the key itself signs is a token for the one API that it names, and nobody is asked for another. */
function bearerOf({ credential, clock, audience }: Api): Secret {
  if ('token' in credential) return new Secret(credential.token)
  const now = Math.floor(clock.now().getTime() / 1000)
  const { client_email: email, private_key_id: kid, private_key: key } = credential
  const claims = { iss: email, sub: email, aud: audience, iat: now, exp: now + TOKEN_SECONDS }
  const token = signedJws({ alg: 'RS256', typ: 'JWT', kid }, claims, new Secret(key))
  if (token === undefined) throw new Unreadable('the private key of the login cannot be read')
  return new Secret(token)
}

function quietly(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    return undefined
  }
}

function jsonOf(body: Buffer): unknown {
  const told = quietly(body)
  if (told === undefined) throw new Unreadable('the answer is not JSON')
  return told
}

function parsed<T>(shape: z.ZodType<T>, told: unknown): T {
  const { data } = shape.safeParse(told)
  if (data === undefined) throw new Unreadable('Google answered in another way than its API has it')
  return data
}

export function whenOf(text: string | undefined): Known<Date> {
  const at = text === undefined ? undefined : Instant.safeDecode(text).data
  return at ? known(at) : unknown(text === undefined ? 'unsupported' : 'failed')
}
