/**
 * Airflow's API as a reader asks it. Lists leave out what the login may not see, and answer 200: so whether it may see all of a kind is asked by a
 * name that nobody has, which is `not found` to whoever may and `forbidden` to whoever may not.
 */
import { z } from 'zod'
import type { Clock } from '../../kernel/clock.ts'
import { Instant, instantAt } from '../../kernel/instant.ts'
import { Secret } from '../../kernel/secret.ts'
import {
  Denied,
  Faltering,
  jsonOf,
  known,
  parsed,
  unknown,
  Unreadable,
  type Given,
  type Known,
  type Missing,
  type NativeId,
  type SourceHttp,
} from '../connector.ts'
import type { AirflowSourceCredential, AirflowSourceSettings } from './settings.ts'

export type Airflow = {
  readonly settings: AirflowSourceSettings
  readonly clock: Clock
  readonly fingerprint: Given['fingerprint']
  /** An answer by JSON; undefined where there is no such thing. Throws `Denied` with what is needed. */
  readonly ask: (path: string, need: string, signal: AbortSignal) => Promise<unknown>
  /** What the token says of itself; nothing of it is believed but what makes less visible. */
  readonly claims: (signal: AbortSignal) => Promise<Claims>
}

const ANSWER_BYTES = 32 * 1024 * 1024
/** A token that ends sooner is not used any more. */
const SPARE_SECONDS = 30
/** Of a token that does not say when it ends. */
const LIFE_SECONDS = 600

const Token = z.object({ access_token: z.string().min(1).max(100_000) })
const Claims = z.object({
  exp: z.number().optional(),
  /** Of the simple auth manager alone. */
  role: z.string().optional().catch(undefined),
})
type Claims = z.output<typeof Claims>

export function airflowOf(
  given: { readonly http: SourceHttp; readonly clock: Clock; readonly fingerprint: Given['fingerprint'] },
  settings: AirflowSourceSettings,
  credential: AirflowSourceCredential,
): Airflow {
  const { http, clock, fingerprint } = given
  const root = rootOf(settings.url)
  const ca = settings.authorities === undefined ? {} : { ca: settings.authorities }
  let held: { readonly token: Secret; readonly until: Date } | undefined

  async function logIn(signal: AbortSignal): Promise<Secret> {
    if ('token' in credential) return new Secret(credential.token)
    const headers = { 'content-type': 'application/json', accept: 'application/json' }
    const body = JSON.stringify({ username: credential.username, password: credential.password })
    const asked = { method: 'POST' as const, path: `${root}/auth/token`, headers, body, maxBytes: 1_000_000, ...ca }
    const { status, body: told } = await http(asked, signal)
    if (status === 400 || status === 401 || status === 403 || status === 422) throw new Denied(LOGIN_MISSING)
    if (status !== 200 && status !== 201) throw new Faltering(`the server answered ${status} to the login`)
    const token = new Secret(parsed(Token, jsonOf(told)).access_token)
    const end = instantAt((claimsOf(token).exp ?? 0) * 1000)
    const until = end && end > clock.now() ? end : instantAt(clock.now().getTime() + LIFE_SECONDS * 1000)
    held = { token, until: instantAt((until ?? clock.now()).getTime() - SPARE_SECONDS * 1000) ?? clock.now() }
    return token
  }
  const tokenNow = async (signal: AbortSignal) => (held && held.until > clock.now() ? held.token : logIn(signal))

  return {
    settings,
    clock,
    fingerprint,
    claims: async (signal) => claimsOf(await tokenNow(signal)),
    async ask(path, need, signal) {
      const send = async (token: Secret) =>
        http(
          {
            path: `${root}${path}`,
            headers: { authorization: new Secret(`Bearer ${token.reveal()}`), accept: 'application/json' },
            maxBytes: ANSWER_BYTES,
            ...ca,
          },
          signal,
        )
      let answer = await send(await tokenNow(signal))
      if (answer.status === 401) answer = await send(await logIn(signal))
      const { status } = answer
      if (status === 401) throw new Denied(LOGIN_MISSING)
      if (status === 403) throw new Denied(missingOf(need))
      if (status === 404) return undefined
      if (status !== 200) throw new Faltering(`the server answered ${status}`)
      // The simple auth manager answers what it does not have with its own page.
      if (path.startsWith('/auth/') && !/json/i.test(answer.headers['content-type'] ?? '')) return undefined
      return jsonOf(answer.body)
    },
  }
}

function rootOf(url: string): string {
  return new URL(url).pathname.replace(/\/+$/, '')
}

/** A token is read and not verified: it came over the line that the login was sent by, and only says what will not be seen. */
function claimsOf(token: Secret): Claims {
  const [, payload = ''] = token.reveal().split('.')
  try {
    return Claims.safeParse(JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))).data ?? {}
  } catch {
    return {}
  }
}

const LOGIN_MISSING: Missing = {
  what: 'the deployment',
  why: 'the server does not accept the login',
  permission: 'a user of this deployment who is active, or a token of one that has not ended',
}

export function missingOf(need: string, what = 'a part of the deployment'): Missing {
  return { what, why: 'the login may not read it', permission: need }
}

/** One thing, as its shape; undefined where there is no such thing. */
export async function askFor<T>(
  airflow: Airflow,
  asked: { readonly path: string; readonly need: string; readonly shape: z.ZodType<T> },
  signal: AbortSignal,
): Promise<T | undefined> {
  const told = await airflow.ask(asked.path, asked.need, signal)
  return told === undefined ? undefined : parsed(asked.shape, told)
}

/** No more in one answer than this, whatever was asked for: what `[api] maximum_page_limit` is unless somebody changed it. */
export const PAGE = 100
/** More things than a list of any deployment has. */
const LIST_MAX = 2_000_000

export type Listed<T> = {
  readonly path: string
  /** The field that the list stands in. */
  readonly field: string
  readonly order: string
  readonly need: string
  readonly shape: z.ZodType<T>
  readonly idOf: (item: T) => string
}

/**
 * A whole list, each thing once. Each page begins with the last thing of the page before: where it does not, something moved while it was read, and
 * what was passed over cannot be known.
 */
export async function* everyOf<T>(airflow: Airflow, asked: Listed<T>, signal: AbortSignal): AsyncGenerator<T, void> {
  const { path, field, order, need, shape, idOf } = asked
  const Answer = z.object({ [field]: z.array(shape).max(PAGE) })
  let last: string | undefined
  for (let at = 0; ;) {
    const from = Math.max(0, at - 1)
    const query = new URLSearchParams({ limit: String(PAGE), offset: String(from), order_by: order })
    const told = await airflow.ask(`${path}${path.includes('?') ? '&' : '?'}${query.toString()}`, need, signal)
    if (told === undefined) throw new Unreadable('the server has no such list')
    const items = parsed(Answer, told)[field] ?? []
    const total = parsed(Total, told).total_entries
    const [first] = items
    if (last !== undefined && (first === undefined || idOf(first) !== last))
      throw new Unreadable('the list changed while it was read')
    const fresh = last === undefined ? items : items.slice(1)
    yield* fresh
    at += fresh.length
    const end = fresh.at(-1)
    if (end !== undefined) last = idOf(end)
    if (at >= total) return
    if (fresh.length === 0) throw new Unreadable('the server gives less than it counts')
    if (at > LIST_MAX) throw new Unreadable('the server lists more than any deployment has')
  }
}

const Total = z.object({ total_entries: z.number().int().min(0) })

/** Airflow writes instants in ISO 8601, with microseconds; those of its auth manager name no zone and are UTC. */
export function instantOf(text: string | null | undefined): Date | undefined {
  if (text === null || text === undefined) return undefined
  return Instant.safeDecode(/(?:Z|[+-]\d\d:?\d\d)$/i.test(text) ? text : `${text}Z`).data
}

export function whenOf(text: string | null | undefined): Known<Date> {
  const at = instantOf(text)
  return at ? known(at) : unknown('unsupported')
}

export const connectionOf = (id: string): NativeId => ({ kind: 'connection', id })
export const variableOf = (key: string): NativeId => ({ kind: 'variable', id: key })
export const dagOf = (id: string): NativeId => ({ kind: 'dag', id })
export const userOf = (name: string): NativeId => ({ kind: 'user', id: name })
export const roleOf = (name: string): NativeId => ({ kind: 'role', id: name })
