import { createServer } from 'node:http'
import { request as httpsRequest } from 'node:https'
import {
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
  SignJWT,
  type CryptoKey,
  type JWK,
  type JWTHeaderParameters,
} from 'jose'
import { enrolFounder } from '../../demo/people.ts'
import type { Client } from '../../src/cli/client.ts'
import {
  activateIdentity,
  attestOwner,
  registerIdentity,
  type RegisterIdentity,
} from '../../src/identities/contract.ts'
import { createTrustRule, type CreateTrustRule, type TrustRule } from '../../src/tokens/contract.ts'
import type { z } from 'zod'
import { site, type Cleaning, type Site } from './installation.ts'

export type Answer = {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  // oxlint-disable-next-line typescript/no-explicit-any -- a test looks into answers of every shape
  readonly json: any
}

export type Sent = {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string | string[]>>
  readonly body?: string
  readonly cert?: string
  readonly key?: string
}

/** A key with its public half, for DPoP and for assertions. */
export type TestKey = { readonly privateKey: CryptoKey; readonly jwk: JWK; readonly thumbprint: string }

export async function newTestKey(alg = 'ES256'): Promise<TestKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  const jwk = await exportJWK(publicKey)
  return { privateKey, jwk, thumbprint: await calculateJwkThumbprint(jwk) }
}

let counter = 0
const seconds = () => Math.floor(Date.now() / 1000)
const fresh = () => `jti-${process.pid}-${(counter += 1)}`

type Header = { readonly [Name in keyof JWTHeaderParameters]?: JWTHeaderParameters[Name] | undefined }

function defined(header: Header) {
  return Object.fromEntries(Object.entries(header).filter(([, value]) => value !== undefined))
}

/** A signed token that says what the test says; times, id and type stand unless they are given, and go where `undefined` is given. */
export async function signed(
  key: TestKey,
  claims: Readonly<Record<string, unknown>>,
  header: Header = {},
): Promise<string> {
  const now = seconds()
  const all = { iat: now, exp: now + 120, jti: fresh(), ...claims }
  const told = Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
  const { alg = 'ES256', ...more } = header
  return new SignJWT(told).setProtectedHeader({ ...defined(more), alg }).sign(key.privateKey)
}

/** A DPoP proof for a request (RFC 9449 §4.2). */
export function dpopProof(
  key: TestKey,
  claims: Readonly<Record<string, unknown>>,
  header: Header = {},
): Promise<string> {
  return signed(key, { exp: undefined, ...claims }, { typ: 'dpop+jwt', jwk: key.jwk, ...header })
}

/** An issuer on loopback with metadata and keys, which a test changes as it likes. */
export type TestIssuer = {
  readonly url: string
  readonly key: TestKey
  /** What is served as its set of keys; a function answers by itself. */
  keys: JWK[]
  isDown: boolean
  body: string | undefined
  readonly asked: string[]
  token(claims: Readonly<Record<string, unknown>>, header?: Header, key?: TestKey): Promise<string>
}

export async function startIssuer(t: Cleaning): Promise<TestIssuer> {
  const key = await newTestKey()
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(request.url ?? '')
    if (issuer.isDown) {
      response.socket?.destroy()
      return
    }
    response.setHeader('content-type', 'application/json')
    if (request.url === '/.well-known/openid-configuration') {
      response.end(JSON.stringify({ issuer: issuer.url, jwks_uri: `${issuer.url}/keys` }))
      return
    }
    response.end(issuer.body ?? JSON.stringify({ keys: issuer.keys }))
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new Error('no address')
  const url = `http://127.0.0.1:${address.port}`
  const issuer: TestIssuer = {
    url,
    key,
    keys: [{ ...key.jwk, kid: 'one', alg: 'ES256', use: 'sig' }],
    isDown: false,
    body: undefined,
    asked,
    token: (claims, header = {}, by = key) => signed(by, { iss: url, ...claims }, { kid: 'one', ...header }),
  }
  return issuer
}

export type TokenWorld = Site & {
  readonly ada: Client
  /** What the token service calls itself. */
  readonly issuer: string
  send(path: string, sent?: Sent, url?: string): Promise<Answer>
  /** Posts a form to the token endpoint, with a DPoP proof of the key where one is given. */
  ask(form: Readonly<Record<string, string>> | [string, string][], more?: Sent & { dpop?: TestKey }): Promise<Answer>
  workload(name: string, more?: Partial<z.input<typeof RegisterIdentity>>): Promise<string>
  rule(identity: string, rule: z.input<typeof CreateTrustRule>): Promise<TrustRule>
  /** A call of the API with a token, by DPoP where a key is given. */
  whoami(token: string, key?: TestKey, more?: Sent): Promise<Answer>
}

/** A whole server whose founder is enrolled, which may ask issuers on loopback. */
export async function tokenWorld(t: Cleaning, more: Readonly<Record<string, unknown>> = {}): Promise<TokenWorld> {
  const made = await site(t, {
    egress: { allow: ['http://127.0.0.1'] },
    tokens: { resources: ['https://billing.example'] },
    authzen: { enforcementPoints: ['proxy'] },
    ...more,
  })
  const ada = await enrolFounder(made.server)
  const { port } = made.server.api
  const issuer = `https://localhost:${port}`
  const send = (path: string, sent: Sent = {}, url = made.server.api.url) =>
    sendTo(url, made.server.authority.certificate, path, sent)
  return {
    ...made,
    ada,
    issuer,
    send,
    ask: async (form, { dpop, headers, ...sent } = {}) => {
      const proof = dpop && (await dpopProof(dpop, { htm: 'POST', htu: `${issuer}/oauth2/token` }))
      return send('/oauth2/token', {
        method: 'POST',
        body: new URLSearchParams(form).toString(),
        headers: {
          'content-type': 'application/x-www-form-urlencoded',
          ...(proof && { dpop: proof }),
          ...headers,
        },
        ...sent,
      })
    },
    workload: async (name, given = {}) => {
      const input = { kind: 'workload', name, profile: 'pipeline', owner: 'ada', ownerTeam: 'administrators', ...given }
      const { id } = await ada.ask(registerIdentity, { input })
      await ada.ask(attestOwner, { params: { identity: name } })
      await ada.ask(activateIdentity, { params: { identity: name } })
      return id
    },
    rule: (identity, rule) => ada.ask(createTrustRule, { params: { identity }, input: rule }),
    whoami: async (token, key, sent = {}) => {
      const ath = Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from(token))).toString('base64url')
      const proof = key && (await dpopProof(key, { htm: 'GET', htu: `${issuer}/v1/whoami`, ath }))
      const authorization = `${key ? 'DPoP' : 'Bearer'} ${token}`
      return send('/v1/whoami', { headers: { authorization, ...(proof && { dpop: proof }) }, ...sent })
    },
  }
}

/** One request on a connection of its own. */
export function sendTo(
  url: string,
  ca: string,
  path: string,
  { method = 'GET', headers, body, cert, key }: Sent,
): Promise<Answer> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const sent = httpsRequest(
      {
        host: hostname,
        servername: 'localhost',
        port,
        path,
        method,
        ca,
        agent: false,
        headers: { host: `localhost:${port}`, ...headers },
        ...(cert !== undefined && { cert }),
        ...(key !== undefined && { key }),
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8')
          const isJson = response.headers['content-type']?.includes('json') === true
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            json: isJson && text !== '' ? JSON.parse(text) : text,
          })
        })
      },
    )
    sent.on('error', reject)
    sent.end(body)
  })
}
