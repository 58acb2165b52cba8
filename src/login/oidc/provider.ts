import {
  allowInsecureRequests,
  authorizationCodeGrant,
  buildAuthorizationUrl,
  buildAuthorizationUrlWithPAR,
  buildEndSessionUrl,
  calculatePKCECodeChallenge,
  ClientSecretBasic,
  ClientSecretPost,
  clockTolerance,
  Configuration,
  customFetch,
  discovery,
  enableNonRepudiationChecks,
  None,
  type CustomFetch,
  type IDToken,
} from 'openid-client'
import type { Clock } from '../../kernel/clock.ts'
import { EgressFailed, type Egress } from '../../kernel/egress.ts'
import type { Log } from '../../kernel/log.ts'
import { Secret } from '../../kernel/secret.ts'
import { LoginRefused } from '../refused.ts'

/** A provider as it was configured. */
export type ProviderTerms = {
  readonly name: string
  readonly title: string
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: Secret | undefined
  readonly scopes: readonly string[]
  readonly acrValues: readonly string[]
  /** Those that say of a login that more than one factor was shown. */
  readonly stepUpAcrValues: readonly string[]
  readonly algorithm: string
  /** Whether what is asked is pushed where it offers that, so that no browser reads or bends it. */
  readonly isPushed: boolean
  /** Whether who logs out here is sent there to log out as well. */
  readonly isLeft: boolean
}

/** What one login is known by again when the browser comes back. */
export type Checks = { readonly state: string; readonly nonce: string; readonly verifier: string }

/** An OpenID provider, asked by its own metadata. */
export type Provider = ProviderTerms & {
  /** Where a browser is sent to log in; `isFresh`: whoever is logged in there proves themselves again, by more than one factor. Throws `LoginRefused`. */
  begin(checks: Checks, redirectUri: string, isFresh: boolean): Promise<URL>
  /** What its ID token says, when everything about the answer holds. Throws `LoginRefused`. */
  finish(answer: URL, checks: Checks): Promise<{ readonly claims: IDToken; readonly idToken: Secret }>
  /** Where a browser is sent to log out there as well; undefined where it has no such place, or cannot be asked now. */
  leave(idToken: Secret | undefined, redirectUri: string, state: string): Promise<URL | undefined>
}

/** Metadata and keys are asked for again after this. */
const FRESH_MS = 600_000
const TIMEOUT_SECONDS = 10
const HINT_MAX_CHARS = 4_096
/** By how much clocks may differ. */
const SKEW_SECONDS = 30

export function openProvider(
  needs: { readonly egress: Egress; readonly clock: Clock; readonly log: Log },
  terms: ProviderTerms,
): Provider {
  const { clock, log } = needs
  let known: { readonly found: Promise<Configuration>; readonly atMs: number } | undefined
  const configuration = () => {
    if (!known || clock.monotonicMs() - known.atMs > FRESH_MS) {
      const found = discovered(needs.egress, terms)
      const made = { found, atMs: clock.monotonicMs() }
      known = made
      // What failed is tried again by the next who comes.
      found.catch(() => {
        if (known === made) known = undefined
      })
    }
    return known.found
  }
  const asking = async <T>(work: (config: Configuration) => Promise<T> | T): Promise<T> => {
    try {
      return await work(await configuration())
    } catch (error) {
      log.warn({ err: error, provider: terms.name }, 'a login at a provider did not come about')
      throw refusalOf(terms, error)
    }
  }
  return {
    ...terms,
    begin: ({ state, nonce, verifier }, redirectUri, isFresh) =>
      asking(async (config) => {
        const wanted = {
          redirect_uri: redirectUri,
          scope: terms.scopes.join(' '),
          state,
          nonce,
          code_challenge: await calculatePKCECodeChallenge(verifier),
          code_challenge_method: 'S256',
          ...strengthOf(terms, isFresh),
        }
        // RFC 9126: what could not be pushed is not sent by the browser instead, or whoever is in between would choose that.
        const isOffered = config.serverMetadata().pushed_authorization_request_endpoint !== undefined
        return terms.isPushed && isOffered
          ? buildAuthorizationUrlWithPAR(config, wanted)
          : buildAuthorizationUrl(config, wanted)
      }),
    finish: (answer, { state, nonce, verifier }) =>
      asking(async (config) => {
        // RFC 9207: an `iss` that is not this provider's is refused, and so is a missing one where the provider said that it sends it.
        const checks = { expectedState: state, expectedNonce: nonce, pkceCodeVerifier: verifier, idTokenExpected: true }
        const answered = await authorizationCodeGrant(config, answer, checks)
        const claims = answered.claims()
        if (!claims || answered.id_token === undefined) {
          throw new LoginRefused('forged', 'The provider sent no ID token.')
        }
        return { claims, idToken: new Secret(answered.id_token) }
      }),
    leave: (idToken, redirectUri, state) =>
      asking((config) => {
        if (!terms.isLeft || config.serverMetadata().end_session_endpoint === undefined) return undefined
        const hint = idToken?.reveal() ?? ''
        // OpenID Connect RP-Initiated Logout §2. One that is too long for an address is left out, and the person asked there.
        return buildEndSessionUrl(config, {
          post_logout_redirect_uri: redirectUri,
          state,
          ...(hint !== '' && hint.length <= HINT_MAX_CHARS && { id_token_hint: hint }),
        })
      }).catch(() => undefined),
  }
}

/** RFC 9470 §4: how strong, and that it is now. `prompt` says the same to providers that take no notice of `max_age=0`. */
function strengthOf(terms: ProviderTerms, isFresh: boolean): Record<string, string> {
  const values = isFresh ? terms.stepUpAcrValues : terms.acrValues
  return {
    ...(values.length > 0 && { acr_values: values.join(' ') }),
    ...(isFresh && { prompt: 'login', max_age: '0' }),
  }
}

async function discovered(egress: Egress, terms: ProviderTerms): Promise<Configuration> {
  const { issuer, clientId, clientSecret, algorithm } = terms
  const isPlaintext = issuer.startsWith('http:')
  const metadata = { id_token_signed_response_alg: algorithm, [clockTolerance]: SKEW_SECONDS }
  const options = {
    timeout: TIMEOUT_SECONDS,
    [customFetch]: fetchThrough(egress),
    // Whether plain HTTP may be asked is the guarded client's to say.
    ...(isPlaintext && { execute: [allowInsecureRequests] }),
  }
  const found = await discovery(new URL(issuer), clientId, metadata, None(), options)
  const server = found.serverMetadata()
  const config = new Configuration(server, clientId, metadata, authenticationOf(server, clientSecret))
  config.timeout = TIMEOUT_SECONDS
  config[customFetch] = fetchThrough(egress)
  if (isPlaintext) allowInsecureRequests(config)
  // The ID token is verified by its signature too, although it comes from the provider itself.
  enableNonRepudiationChecks(config)
  return config
}

/** RFC 8414 §2: without a word of it, a secret is sent in the header. */
function authenticationOf(
  { token_endpoint_auth_methods_supported: methods }: ReturnType<Configuration['serverMetadata']>,
  secret: Secret | undefined,
): ReturnType<typeof None> {
  if (secret === undefined) return None()
  const isPostOnly = methods !== undefined && !methods.includes('client_secret_basic')
  return isPostOnly ? ClientSecretPost(secret.reveal()) : ClientSecretBasic(secret.reveal())
}

const TYPES = ['application/json', 'application/jwk-set+json']

function fetchThrough(egress: Egress): CustomFetch {
  return async (url, { method, headers, body, signal }) => {
    const text = body instanceof URLSearchParams ? body.toString() : typeof body === 'string' ? body : undefined
    const { 'content-type': type, ...rest } = lowerCased(headers)
    const answer = await egress.ask(
      url,
      {
        method: method === 'POST' ? 'POST' : 'GET',
        headers: {
          ...rest,
          ...(text !== undefined && { 'content-type': type ?? 'application/x-www-form-urlencoded;charset=UTF-8' }),
        },
        ...(text !== undefined && { body: text }),
        types: TYPES,
      },
      signal,
    )
    return new Response(new Uint8Array(answer.body), {
      status: answer.status,
      headers: { 'content-type': 'application/json' },
    })
  }
}

function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}

/** One sentence for the person; what exactly did not hold is for the log. */
function refusalOf({ title }: ProviderTerms, error: unknown): LoginRefused {
  if (error instanceof LoginRefused) return error
  const isUnreachable = [...causesOf(error)].some(
    (cause) => cause instanceof EgressFailed || (cause instanceof Error && cause.name === 'TimeoutError'),
  )
  return isUnreachable
    ? new LoginRefused('unreachable', `${title} cannot be asked now. Try again in a minute.`, { cause: error })
    : new LoginRefused('forged', `What came back from ${title} is not the answer to this login. Start again.`, {
        cause: error,
      })
}

function* causesOf(error: unknown): Generator {
  for (let at = error, depth = 0; at !== undefined && depth < 5; depth += 1) {
    yield at
    at = at instanceof Error ? at.cause : undefined
  }
}
