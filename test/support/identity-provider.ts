import { createHash, randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import type { JWK } from 'jose'
import type { Cleaning } from './installation.ts'
import { newTestKey, signed, type TestKey } from './token-world.ts'

type Claims = Readonly<Record<string, unknown>>

/**
 * A stub of an OpenID provider on loopback, whose every answer a test can bend. What is proven against a real one is in test/interop.
 * Whoever comes to its authorization endpoint is logged in at once, as `subject`.
 */
export type TestProvider = {
  readonly url: string
  readonly key: TestKey
  readonly clientId: string
  readonly clientSecret: string
  subject: string
  /** Joined over the claims of the next ID tokens; `undefined` takes one away. */
  claims: Claims
  /** Over the header of the next ID tokens. */
  header: { readonly alg?: string; readonly kid?: string; readonly typ?: string }
  signer: TestKey
  keys: JWK[]
  isDown: boolean
  /** Over the parameters that it sends a browser back with; `undefined` takes one away. */
  answer: Readonly<Record<string, string | undefined>>
  /** Whether its metadata says that answers carry `iss` (RFC 9207). */
  saysIss: boolean
  /** An ID token for the nonce, instead of the one it would make. */
  idToken: ((nonce: string) => Promise<string>) | undefined
  /** Whether it offers to have requests pushed (RFC 9126), and what it answers to one instead of taking it. */
  pushes: boolean
  pushAnswer: { readonly status: number; readonly body: unknown } | undefined
  /** Whether it has a place to log out at (OpenID Connect RP-Initiated Logout). */
  leaves: boolean
  /** What was pushed to it, the latest last. */
  readonly pushed: URLSearchParams[]
  /** What its authorization endpoint was sent, the latest last. */
  readonly authorized: URLSearchParams[]
  /** What its token endpoint was sent. */
  readonly redeemed: URLSearchParams[]
  logoutToken(claims?: Claims, header?: Readonly<Record<string, string>>, key?: TestKey): Promise<string>
}

type Waiting = { readonly nonce: string; readonly challenge: string; readonly redirectUri: string }

export async function startProvider(t: Cleaning): Promise<TestProvider> {
  const key = await newTestKey()
  const codes = new Map<string, Waiting>()
  const server = createServer((request, response) => {
    if (provider.isDown) {
      response.socket?.destroy()
      return
    }
    const json = (body: unknown, status = 200) => {
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(JSON.stringify(body))
    }
    const url = new URL(request.url ?? '', provider.url)
    switch (url.pathname) {
      case '/.well-known/openid-configuration':
        return json(metadataOf(provider))
      case '/keys':
        return json({ keys: provider.keys })
      case '/par':
        return void pushedTo(provider, request).then(
          ({ status, body }) => json(body, status),
          (error: unknown) => json({ error: 'invalid_client', error_description: String(error) }, 401),
        )
      case '/authorize': {
        provider.authorized.push(url.searchParams)
        const asked = provider.pushed[Number(url.searchParams.get('request_uri')?.split(':').at(-1))]
        response.writeHead(302, { location: sentBack(provider, codes, asked ?? url.searchParams) })
        return response.end()
      }
      case '/token':
        return void tokens(provider, codes, request).then(
          (body) => json(body),
          (error: unknown) => json({ error: 'invalid_grant', error_description: String(error) }, 400),
        )
      default:
        return json({}, 404)
    }
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('no address')
  const url = `http://127.0.0.1:${address.port}`
  const provider: TestProvider = {
    url,
    key,
    clientId: 'reeve',
    clientSecret: 'a secret of the client',
    subject: 'alice-at-the-provider',
    claims: {},
    header: {},
    signer: key,
    keys: [{ ...key.jwk, kid: 'one', alg: 'ES256', use: 'sig' }],
    isDown: false,
    answer: {},
    saysIss: true,
    idToken: undefined,
    pushes: false,
    leaves: false,
    pushAnswer: undefined,
    pushed: [],
    authorized: [],
    redeemed: [],
    logoutToken: (claims = {}, header = {}, by = key) =>
      signed(
        by,
        {
          iss: url,
          aud: 'reeve',
          sub: provider.subject,
          events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
          ...claims,
        },
        { kid: 'one', typ: 'logout+jwt', ...header },
      ),
  }
  return provider
}

function metadataOf({ url, saysIss, pushes, leaves }: TestProvider) {
  return {
    issuer: url,
    authorization_endpoint: `${url}/authorize`,
    token_endpoint: `${url}/token`,
    jwks_uri: `${url}/keys`,
    response_types_supported: ['code'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: ['ES256'],
    authorization_response_iss_parameter_supported: saysIss,
    ...(leaves && { end_session_endpoint: `${url}/logout` }),
    ...(pushes && { pushed_authorization_request_endpoint: `${url}/par` }),
  }
}

function sentBack(provider: TestProvider, codes: Map<string, Waiting>, asked: URLSearchParams): string {
  const redirectUri = asked.get('redirect_uri') ?? ''
  const code = randomUUID()
  codes.set(code, {
    redirectUri,
    nonce: asked.get('nonce') ?? '',
    challenge: asked.get('code_challenge') ?? '',
  })
  const said = {
    code,
    state: asked.get('state') ?? '',
    ...(provider.saysIss && { iss: provider.url }),
    ...provider.answer,
  }
  const to = new URL(redirectUri)
  for (const [name, value] of Object.entries(said)) if (value !== undefined) to.searchParams.set(name, value)
  return to.href
}

/** The form of a client that proves itself by its secret. */
async function formOf({ clientSecret }: TestProvider, request: IncomingMessage): Promise<URLSearchParams> {
  let text = ''
  for await (const chunk of request) text += String(chunk)
  const secret = Buffer.from(`reeve:${encodeURIComponent(clientSecret).replaceAll('%20', '+')}`)
  if (request.headers.authorization !== `Basic ${secret.toString('base64')}`)
    throw new Error('the client is not proven')
  return new URLSearchParams(text)
}

async function pushedTo(provider: TestProvider, request: IncomingMessage) {
  provider.pushed.push(await formOf(provider, request))
  const body = { request_uri: `urn:ietf:params:oauth:request_uri:${provider.pushed.length - 1}`, expires_in: 60 }
  return provider.pushAnswer ?? { status: 201, body }
}

async function tokens(provider: TestProvider, codes: Map<string, Waiting>, request: IncomingMessage) {
  const form = await formOf(provider, request)
  provider.redeemed.push(form)
  const code = form.get('code') ?? ''
  const waiting = codes.get(code)
  codes.delete(code)
  const challenge = createHash('sha256')
    .update(form.get('code_verifier') ?? '')
    .digest('base64url')
  if (!waiting || challenge !== waiting.challenge || form.get('redirect_uri') !== waiting.redirectUri) {
    throw new Error('the code is not good')
  }
  const claims = {
    iss: provider.url,
    sub: provider.subject,
    aud: provider.clientId,
    nonce: waiting.nonce,
    sid: 'session-at-the-provider',
    auth_time: Math.floor(Date.now() / 1000) - 30,
    acr: 'urn:example:gold',
    amr: ['pwd', 'otp'],
    ...provider.claims,
  }
  const idToken = provider.idToken
    ? await provider.idToken(waiting.nonce)
    : await signed(provider.signer, claims, { kid: 'one', ...provider.header })
  return { access_token: 'of no use here', token_type: 'Bearer', expires_in: 60, id_token: idToken }
}
