/** Microsoft Graph as a reader asks it: a token of the login service, lists by `@odata.nextLink`, refusals with the permission that would help. */
import { z } from 'zod'
import { secondsAfter, type Clock } from '../../kernel/clock.ts'
import { certificateDer, sha256 } from '../../kernel/crypto.ts'
import { Instant } from '../../kernel/instant.ts'
import { signedJws } from '../../kernel/jws.ts'
import { newId, systemRandom } from '../../kernel/random.ts'
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
import { CLOUDS, type EntraSourceCredential, type EntraSourceSettings } from './settings.ts'

type Need = {
  readonly what: string
  /** Of Microsoft Graph, for an application: any one of them. */
  readonly permission: string
}

export type Graph = {
  readonly settings: EntraSourceSettings
  readonly clock: Clock
  readonly origin: string
  /** An answer by JSON, or undefined where there is no such thing. Throws `Denied`, `PageOver`. */
  readonly ask: (path: string, need: Need, signal: AbortSignal) => Promise<unknown>
}

const ANSWER_BYTES = 64 * 1024 * 1024
/** Tokens live about an hour; one that ends sooner than this is not used any more. */
const SPARE_SECONDS = 60
const ASSERTION_SECONDS = 300
/** Pages of a hundred and more: a list that goes on is a circle. */
const PAGES_MAX = 100_000

const Token = z.object({ access_token: z.string().min(1).max(100_000), expires_in: z.number().optional() })
const Failure = z.object({ error: z.object({ code: z.string() }) })

export function addressesOf({ cloud, graphFrom, loginFrom, azureFrom }: EntraSourceSettings) {
  const [graph, login, azure] = CLOUDS[cloud]
  return [graphFrom ?? graph, loginFrom ?? login, azureFrom ?? azure] as const
}

type Asks = {
  readonly graph: SourceHttp
  /** The login goes nowhere else, and what it gives nowhere but to Graph. */
  readonly login: SourceHttp
  readonly clock: Clock
}

export function graphOf(asks: Asks, settings: EntraSourceSettings, credential: EntraSourceCredential): Graph {
  const [address] = addressesOf(settings)
  const ca = settings.authorities === undefined ? {} : { ca: settings.authorities }
  let held: Held | undefined

  async function logIn(signal: AbortSignal): Promise<Secret> {
    const [scopeOf] = settings.graphFrom === undefined ? [address] : CLOUDS[settings.cloud]
    held = await tokenFor(asks, settings, credential, scopeOf, signal)
    return held.token
  }

  const send = async (path: string, token: Secret, signal: AbortSignal) => {
    const headers = { authorization: new Secret(`Bearer ${token.reveal()}`), accept: 'application/json' }
    return asks.graph({ path, headers, maxBytes: ANSWER_BYTES, ...ca }, signal)
  }

  return {
    settings,
    clock: asks.clock,
    origin: new URL(address).origin,
    async ask(path, need, signal) {
      const isHeld = held && held.until > asks.clock.now()
      let answer = await send(path, isHeld && held ? held.token : await logIn(signal), signal)
      if (answer.status === 401) answer = await send(path, await logIn(signal), signal)
      if (answer.status === 200) return jsonOf(answer.body)
      throwRefusal(answer.status, Failure.safeParse(quietly(answer.body)).data?.error.code, need)
      return undefined
    },
  }
}

type Held = { readonly token: Secret; readonly until: Date }

/** A token of the login service for one audience. */
export async function tokenFor(
  { login, clock }: Pick<Asks, 'login' | 'clock'>,
  settings: EntraSourceSettings,
  credential: EntraSourceCredential,
  audience: string,
  signal: AbortSignal,
): Promise<Held> {
  const ca = settings.authorities === undefined ? {} : { ca: settings.authorities }
  const { path, body } = loginOf(clock, settings, credential, audience)
  const headers = { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' }
  const answer = await login({ method: 'POST', path, headers, body, maxBytes: 1_000_000, ...ca }, signal)
  // RFC 6749 §5.2: 400 and 401 are the client's fault.
  if (answer.status === 400 || answer.status === 401 || answer.status === 403) throw new Denied(LOGIN_MISSING)
  const told = answer.status === 200 ? Token.safeParse(quietly(answer.body)).data : undefined
  if (!told) throw new Unreadable('the login service gives no token in the way that OAuth has it')
  const lives = Math.min(Math.max(0, (told.expires_in ?? SPARE_SECONDS) - SPARE_SECONDS), 86_400)
  return { token: new Secret(told.access_token), until: secondsAfter(clock.now(), lives) }
}

/** Undefined behind it is absence. */
function throwRefusal(status: number, code: string | undefined, need: Need): void {
  if (status === 401) throw new Denied(LOGIN_MISSING)
  // Sign-in activity is kept for tenants with a licence for it.
  if (status === 403 && /NonPremiumTenant/.test(code ?? ''))
    throw new Denied({
      what: need.what,
      why: 'the tenant has no licence by which it is kept',
      permission: 'Microsoft Entra ID P1',
    })
  if (status === 403) throw new Denied(missingOf(need))
  if (status === 404) return
  if (status === 400 && code === 'AadPremiumLicenseRequired') throw new NoLicence(need.what)
  if (status === 400 || status === 410) throw new PageOver(`Graph answered ${status}`)
  throw new Faltering(`Graph answered ${status}`)
}

/** Privileged Identity Management is not there without one. */
export class NoLicence extends Denied {
  constructor(what: string) {
    super({ what, why: 'the tenant has no licence for it', permission: 'Microsoft Entra ID P2 or ID Governance' })
  }
}

/** Graph does not take what was asked: of a page that was named before, that it ran out. */
class PageOver extends Error {
  override readonly name = 'PageOver'
}

/** What was not a place of another reading is refused as it stands. */
function notOver(error: unknown): unknown {
  return error instanceof PageOver ? new Faltering(error.message, { cause: error }) : error
}

export const LOGIN_MISSING: Missing = {
  what: 'the tenant',
  why: 'the login is not accepted',
  permission: 'an application of the tenant with a secret or certificate that has not expired',
}

function missingOf({ what, permission }: Need): Missing {
  return {
    what,
    why: 'the application that reads was not given it',
    permission: `${permission} (application permission)`,
  }
}

/** Microsoft identity platform, "OAuth 2.0 client credentials flow" and "Certificate credentials". */
function loginOf(clock: Clock, settings: EntraSourceSettings, credential: EntraSourceCredential, audience: string) {
  const [, login] = addressesOf(settings)
  const path = `/${settings.tenant}/oauth2/v2.0/token`
  const body = new URLSearchParams({
    grant_type: 'client_credentials',
    client_id: credential.clientId,
    scope: `${audience}/.default`,
  })
  if ('clientSecret' in credential) body.set('client_secret', credential.clientSecret)
  else {
    // RFC 7523 §2.2.
    body.set('client_assertion_type', 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
    body.set('client_assertion', assertionOf(clock, `${login.replace(/\/$/, '')}${path}`, credential))
  }
  return { path, body: body.toString() }
}

function assertionOf(
  clock: Clock,
  audience: string,
  { clientId, privateKey, certificate }: Extract<EntraSourceCredential, { privateKey: string }>,
): string {
  const now = Math.floor(clock.now().getTime() / 1000)
  const header = { alg: 'PS256', typ: 'JWT', 'x5t#S256': thumbprintOf(certificate) } as const
  const times = { iat: now, nbf: now, exp: now + ASSERTION_SECONDS }
  const claims = { aud: audience, iss: clientId, sub: clientId, jti: newId(clock, systemRandom), ...times }
  const assertion = signedJws(header, claims, new Secret(privateKey))
  if (assertion === undefined) throw new Unreadable('the private key of the login cannot be read')
  return assertion
}

function thumbprintOf(certificate: string): string {
  try {
    return sha256(certificateDer(certificate)).toString('base64url')
  } catch (error) {
    throw new Unreadable('the certificate of the login cannot be read', { cause: error })
  }
}

export type Asked<T> = {
  readonly path: string
  readonly need: Need
  readonly shape: z.ZodType<T>
  /** Of a list of one thing, which may have gone since it was told; a list of the tenant itself is always there. */
  readonly mayBeGone?: true
}
export type Listed<T> = { readonly items: readonly T[]; readonly next: string | undefined }

/** Each page of a list, from the place behind `cursor`. The next one is where the last one says, if that is still Graph. */
export async function* pages<T>(
  graph: Graph,
  { path, need, shape, mayBeGone }: Asked<T>,
  cursor: string | undefined,
  signal: AbortSignal,
): AsyncGenerator<Listed<T>, void> {
  const Page = z.object({ value: z.array(shape), '@odata.nextLink': z.string().max(20_000).optional() })
  const seen = new Set<string>()
  const rounds = new Rounds()
  let at = cursor ?? path
  for (;;) {
    signal.throwIfAborted()
    let told: unknown
    try {
      told = await graph.ask(at, need, signal)
    } catch (error) {
      // A place that was kept from another reading runs out after a while.
      if (!(error instanceof PageOver) || at !== cursor) throw notOver(error)
      at = path
      continue
    }
    if (told === undefined && mayBeGone !== true) throw new Unreadable('Graph has no such list')
    const page = told === undefined ? { value: [] } : parsed(Page, told)
    const link = '@odata.nextLink' in page ? page['@odata.nextLink'] : undefined
    const next = link === undefined ? undefined : pathIn(graph, link)
    if (next !== undefined && (next === at || seen.has(next) || seen.size >= PAGES_MAX))
      throw new Unreadable('a list of Graph leads back to where it was')
    rounds.page(page.value)
    yield { items: page.value, next }
    if (next === undefined) return
    seen.add(next)
    at = next
  }
}

/** Our token goes where the link leads: to Graph, or nowhere. */
function pathIn({ origin }: Graph, link: string): string {
  const url = URL.parse(link)
  if (!url || url.origin !== origin || url.username !== '' || !/^\/(?:v1\.0|beta)\//.test(url.pathname))
    throw new Unreadable('a list leads away from the address of Graph')
  return `${url.pathname}${url.search}`
}

export async function* everyOf<T>(graph: Graph, asked: Asked<T>, signal: AbortSignal): AsyncGenerator<T, void> {
  for await (const { items } of pages(graph, asked, undefined, signal)) yield* items
}

export async function one<T>(
  graph: Graph,
  { path, need, shape }: Asked<T>,
  signal: AbortSignal,
): Promise<T | undefined> {
  const told = await graph.ask(path, need, signal).catch((error: unknown) => {
    throw notOver(error)
  })
  return told === undefined ? undefined : parsed(shape, told)
}

export function quietly(body: Buffer): unknown {
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
  if (data === undefined) throw new Unreadable('Graph answered in another way than its reference has it')
  return data
}

export function whenOf(text: string | null | undefined): Known<Date> {
  const at = text === undefined || text === null ? undefined : Instant.safeDecode(text).data
  return at ? known(at) : unknown(text === undefined || text === null ? 'unsupported' : 'failed')
}
