/**
 * The administration of one realm as a reader asks it. Keycloak leaves out of its lists what the login may only query, and answers 200: so what the
 * login may is read from its own token, before a part is read and after it.
 */
import { z } from 'zod'
import type { Clock } from '../../kernel/clock.ts'
import { instantAt } from '../../kernel/instant.ts'
import { Secret } from '../../kernel/secret.ts'
import {
  Denied,
  Faltering,
  jsonOf,
  known,
  parsed,
  unknown,
  Unreadable,
  type Known,
  type Missing,
  type NativeId,
  type SourceHttp,
} from '../connector.ts'
import type { KeycloakSourceCredential, KeycloakSourceSettings } from './settings.ts'

export type Keycloak = {
  readonly settings: KeycloakSourceSettings
  readonly clock: Clock
  /** The client whose roles let the login in: one of the realm, and in the realm of administrators one for each other. */
  readonly rightsAt: string
  /** What the realm says it is called in its tokens (OpenID Connect Discovery 1.0 §4.3). */
  readonly issuer: (signal: AbortSignal) => Promise<string | undefined>
  /** An answer by JSON, or undefined where there is no such thing. Throws `Denied`. */
  readonly ask: (path: string, need: string, signal: AbortSignal) => Promise<unknown>
  /** Which of these roles the login lacks by a new token; undefined where its token does not name roles. */
  readonly lacking: (roles: readonly string[], signal: AbortSignal) => Promise<readonly string[] | undefined>
}

/** The server's own no, of another kind than those that have a meaning everywhere. */
export class Refused extends Faltering {
  readonly status: number

  constructor(status: number) {
    super(`the server answered ${status}`)
    this.status = status
  }
}

const ANSWER_BYTES = 32 * 1024 * 1024
/** Tokens that live shorter are used once and again until they are refused. */
const SPARE_SECONDS = 20

const Token = z.object({ access_token: z.string().min(1).max(100_000), expires_in: z.number().optional() })
/** How Keycloak says itself that something is not there; any other 404 is of somebody on the way. */
const Absent = z.object({ error: z.string() })
const Discovery = z.object({ issuer: z.url({ protocol: /^https?$/ }).max(300) })
const Claims = z.object({
  resource_access: z.record(z.string(), z.object({ roles: z.array(z.string()).default([]) })).optional(),
})

export function keycloakOf(
  given: { readonly http: SourceHttp; readonly clock: Clock },
  settings: KeycloakSourceSettings,
  credential: KeycloakSourceCredential,
): Keycloak {
  const { http, clock } = given
  const root = new URL(settings.url).pathname.replace(/\/+$/, '')
  const ca = settings.authorities === undefined ? {} : { ca: settings.authorities }
  const loginRealm = settings.loginRealm ?? settings.realm
  const rightsAt = loginRealm === settings.realm ? 'realm-management' : `${settings.realm}-realm`
  let held: { readonly token: Secret; readonly until: Date } | undefined

  async function logIn(signal: AbortSignal): Promise<Secret> {
    const body = new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: credential.clientId,
      client_secret: credential.clientSecret,
    })
    const path = `${root}/realms/${encodeURIComponent(loginRealm)}/protocol/openid-connect/token`
    const headers = { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' }
    const answer = await http(
      { method: 'POST', path, headers, body: body.toString(), maxBytes: 1_000_000, ...ca },
      signal,
    )
    // RFC 6749 §5.2: a client that is not known is a 401, one without the grant a 400.
    if (answer.status === 400 || answer.status === 401 || answer.status === 403) throw new Denied(LOGIN_MISSING)
    const told = answer.status === 200 ? Token.safeParse(jsonOf(answer.body)).data : undefined
    if (!told) throw new Unreadable('the server gives no token in the way that OpenID Connect has it')
    const token = new Secret(told.access_token)
    const lives = Math.max(0, (told.expires_in ?? 60) - SPARE_SECONDS)
    held = { token, until: instantAt(clock.now().getTime() + lives * 1000) ?? clock.now() }
    return token
  }

  const ask = async (path: string, need: string, signal: AbortSignal): Promise<unknown> => {
    const full = `${root}/admin/realms/${encodeURIComponent(settings.realm)}${path}`
    const send = async (token: Secret) =>
      http(
        {
          path: full,
          headers: { authorization: new Secret(`Bearer ${token.reveal()}`), accept: 'application/json' },
          maxBytes: ANSWER_BYTES,
          ...ca,
        },
        signal,
      )
    let answer = await send(held && held.until > clock.now() ? held.token : await logIn(signal))
    if (answer.status === 401) answer = await send(await logIn(signal))
    const { status } = answer
    if (status === 401) throw new Denied(LOGIN_MISSING)
    if (status === 403) throw new Denied(missingOf({ rightsAt }, need))
    if (status === 404 && Absent.safeParse(jsonOf(answer.body)).success) return undefined
    if (status !== 200) throw new Refused(status)
    return jsonOf(answer.body)
  }

  return {
    settings,
    clock,
    rightsAt,
    ask,
    async issuer(signal) {
      const path = `${root}/realms/${encodeURIComponent(settings.realm)}/.well-known/openid-configuration`
      const { status, body } = await http({ path, maxBytes: 1_000_000, ...ca }, signal)
      return status === 200 ? Discovery.safeParse(jsonOf(body)).data?.issuer : undefined
    },
    async lacking(roles, signal) {
      const access = claimsOf(await logIn(signal))?.resource_access
      if (access === undefined) return undefined
      const holds = new Set(access[rightsAt]?.roles)
      return roles.filter((role) => !holds.has(role) && !holds.has(role.replace(/^view-/, 'manage-')))
    },
  }
}

/** A token is read and not verified: it came over the line that the login was sent by, and only says what will not be seen. */
function claimsOf(token: Secret): z.output<typeof Claims> | undefined {
  const [, payload = ''] = token.reveal().split('.')
  try {
    return Claims.safeParse(JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))).data
  } catch {
    return undefined
  }
}

const LOGIN_MISSING: Missing = {
  what: 'the realm',
  why: 'the server does not accept the login',
  permission: 'a confidential client with its secret, enabled, with service accounts on',
}

export function missingOf(
  { rightsAt }: Pick<Keycloak, 'rightsAt'>,
  role: string,
  what = 'a part of the realm',
): Missing {
  return {
    what,
    why: 'the login may not view it',
    permission: `role ${role} of client ${rightsAt} for its service account`,
  }
}

export async function one<T>(
  kc: Keycloak,
  asked: { readonly path: string; readonly need: string; readonly shape: z.ZodType<T> },
  signal: AbortSignal,
): Promise<T | undefined> {
  const told = await kc.ask(asked.path, asked.need, signal)
  return told === undefined ? undefined : parsed(asked.shape, told)
}

const PAGE = 500
/** More things than a list of any realm has. */
const LIST_MAX = 5_000_000
/** Lists that are there as long as the realm is. Others end with what they are of. */
const OF_THE_REALM = /^\/[a-z]+(?:-provider\/instances)?(?:\?|$)/

export type Listed<T> = {
  readonly path: string
  readonly need: string
  readonly shape: z.ZodType<T>
  /** What makes two things one, to notice a server that gives the same page again. */
  readonly idOf: (item: T) => string
  readonly max?: number
}

/** A list in pages, with the place behind each. */
export async function* listed<T>(
  kc: Keycloak,
  { path, need, shape, idOf, max = PAGE }: Listed<T>,
  first: number,
  signal: AbortSignal,
): AsyncGenerator<{ readonly items: readonly T[]; readonly next: number | undefined }, void> {
  let before: string | undefined
  for (let at = first; ;) {
    const told = await kc.ask(`${path}${path.includes('?') ? '&' : '?'}first=${at}&max=${max}`, need, signal)
    if (told === undefined && OF_THE_REALM.test(path))
      throw new Faltering('the server does not give what every realm has')
    const items = told === undefined ? [] : parsed(z.array(shape).max(max), told)
    const [head] = items
    if (head !== undefined && idOf(head) === before)
      throw new Unreadable('the server gives the same page again and again')
    before = head && idOf(head)
    at += items.length
    if (at > LIST_MAX) throw new Unreadable('the server lists more than any realm has')
    const isLast = items.length < max
    yield { items, next: isLast ? undefined : at }
    if (isLast) return
  }
}

/** A whole list, each thing once. Of what changes while it is read, one that moved up may be told in the next reading. */
export async function* everyOf<T>(kc: Keycloak, asked: Listed<T>, signal: AbortSignal): AsyncGenerator<T, void> {
  for await (const { items } of listed(kc, asked, 0, signal)) yield* items
}

/** Instants are milliseconds, and of secrets and limits seconds. */
export function whenOf(milliseconds: number | undefined): Known<Date> {
  const at = milliseconds === undefined || milliseconds <= 0 ? undefined : instantAt(milliseconds)
  return at ? known(at) : unknown('unsupported')
}

export const clientOf = (id: string): NativeId => ({ kind: 'client', id })
export const userOf = (id: string): NativeId => ({ kind: 'user', id })
export const roleOf = (id: string): NativeId => ({ kind: 'role', id })
export const groupOf = (id: string): NativeId => ({ kind: 'group', id })
export const realmOf = (id: string): NativeId => ({ kind: 'realm', id })
