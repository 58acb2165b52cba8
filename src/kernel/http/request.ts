import type { FastifyRequest } from 'fastify'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { z } from 'zod'
import type { Operation } from '../operation.ts'
import { invalidInput } from '../problem.ts'
import { Secret } from '../secret.ts'
import { CHANGE, REQUEST_APPROVAL, type Wire } from './approval.ts'
import { REQUEST_STEP_UP, STEP_UP } from './step-up.ts'
import { malformedRequest, unsupportedMediaType } from './problems.ts'
import { isStorable, JsonRefused, parseStrictJson } from './strict-json.ts'
import { validated } from './validate.ts'

/** What a caller shows to prove an identity. */
export type Presented = {
  readonly bearer: Secret | undefined
  /** DER of a client certificate whose chain was verified against the client CA; its key was used in this handshake. */
  readonly certificate: Buffer | undefined
  /** DER of the client certificate of this handshake, whoever issued it: it proves its key and nothing else. */
  readonly keyCertificate?: Buffer | undefined
  /** Of a token that was sent as `DPoP` (RFC 9449 §7.1): what is to prove its key, and for which request. */
  readonly dpop?: DpopPresented | undefined
  readonly clientAddress: string
}

export type DpopPresented = { readonly proof: string; readonly method: string; readonly url: string }

/** Said twice, these mean two things to two readers. */
const SINGLE_HEADERS = new Set([
  'host',
  'content-type',
  'content-length',
  'content-encoding',
  'authorization',
  'dpop',
  'idempotency-key',
  'origin',
  REQUEST_APPROVAL,
  CHANGE,
  REQUEST_STEP_UP,
  STEP_UP,
])

export function refuseAmbiguous(request: FastifyRequest): void {
  const seen = new Set<string>()
  for (const [at, name] of request.raw.rawHeaders.entries()) {
    if (at % 2 === 1) continue
    const lower = name.toLowerCase()
    if (seen.has(lower) && SINGLE_HEADERS.has(lower)) throw malformedRequest(`The header ${lower} is given twice.`, {})
    seen.add(lower)
  }
  const hasBody =
    request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0
  if (hasBody && (request.method === 'GET' || request.method === 'HEAD')) {
    throw malformedRequest('A read has no body.', {})
  }
}

/** Token (RFC 6750 §2.1, RFC 9449 §7.1) and client certificate of a request. */
export function presentedBy(request: FastifyRequest): Presented {
  const match = /^(Bearer|DPoP) ([A-Za-z0-9._~+/-]{1,4096}=*)$/i.exec(request.headers.authorization ?? '')
  const dpop = match?.[1]?.toLowerCase() === 'dpop' ? dpopOf(request) : undefined
  return { ...presentedOn(request.raw.socket, match?.[2]), dpop }
}

type Peer = Pick<Presented, 'certificate' | 'keyCertificate'>

/** A handshake is made once for a connection. */
const peers = new WeakMap<Socket, Peer>()

function peerOf(socket: Socket): Peer {
  const known = peers.get(socket)
  if (known) return known
  const shown = socket instanceof TLSSocket ? socket.getPeerCertificate().raw : undefined
  const isVerified = socket instanceof TLSSocket && socket.authorized
  const peer = { certificate: isVerified ? shown : undefined, keyCertificate: shown }
  peers.set(socket, peer)
  return peer
}

/** What comes with a connection, and the bearer token of one request on it. */
export function presentedOn(socket: Socket, bearer: string | undefined): Presented {
  return {
    bearer: bearer === undefined ? undefined : new Secret(bearer),
    ...peerOf(socket),
    dpop: undefined,
    clientAddress: socket.remoteAddress ?? '',
  }
}

/** The proof that came along, empty where none did, and the request it has to be for. */
export function dpopOf(request: FastifyRequest): DpopPresented {
  const { dpop } = request.headers
  const path = (request.raw.url ?? '').split('?', 1)[0] ?? ''
  return {
    proof: typeof dpop === 'string' ? dpop : '',
    method: request.method,
    url: `${request.protocol}://${request.host}${path}`,
  }
}

/** What a call says, as it came. Content types route nothing: whatever came is parsed here, or refused here. */
export function wireOf(operation: Operation, request: FastifyRequest): Wire {
  return {
    params: storable(paramsOf(operation, request)),
    query: storable(queryOf(request)),
    input: inputOf(operation, request),
  }
}

/** Path, query and body, each through its schema. */
export function readInput(
  operation: Operation,
  wire: Wire,
): { params: Record<string, unknown>; query: Record<string, unknown>; input: unknown } {
  return {
    params: validated(operation.params, wire.params, 'path'),
    query: validated(operation.query, wire.query, 'query'),
    input: validated(operation.input, wire.input, 'body'),
  }
}

/** The bytes of the body, empty when there was none. */
export function bodyBytes(request: FastifyRequest): Buffer {
  return Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
}

function inputOf(operation: Operation, request: FastifyRequest): unknown {
  const bytes = bodyBytes(request)
  if (operation.input instanceof z.ZodUndefined) {
    if (bytes.length > 0) throw invalidInput('This operation takes no body.', { issues: [] })
    return undefined
  }
  if (bytes.length === 0) return undefined
  const { 'content-type': type, 'content-encoding': encoding } = request.headers
  if (!/^application\/json(?:; ?charset=utf-8)?$/i.test(type ?? '') || encoding !== undefined) {
    const detail = 'Send the body as application/json, without content encoding.'
    // AuthZEN §10.1.2 knows 400 only, and its certification asks for it.
    throw operation.standard === undefined ? unsupportedMediaType(detail, {}) : invalidInput(detail, { issues: [] })
  }
  return bodyIn(bytes, operation.texts)
}

/** The value of a body of strict JSON; throws `invalidInput`. */
export function bodyIn(bytes: Buffer, texts: Operation['texts'] = 'storable'): unknown {
  try {
    return parseStrictJson(bytes, texts)
  } catch (error) {
    if (!(error instanceof JsonRefused)) throw error
    throw invalidInput(`The body cannot be taken: ${error.message}.`, { issues: [] }, { cause: error })
  }
}

function storable(values: unknown): Record<string, unknown> {
  const entries = Object.entries(values ?? {})
  if (entries.some(([, text]) => typeof text === 'string' && !isStorable(text))) {
    throw invalidInput('The path or the query holds a NUL.', { issues: [] })
  }
  return Object.fromEntries(entries)
}

/** The listener calls the rest of a path `*`; the operation has a name for it. */
function paramsOf({ path }: Operation, { params }: FastifyRequest): unknown {
  const [, rest] = /\*(\w+)$/.exec(path) ?? []
  if (rest === undefined) return params
  return Object.fromEntries(Object.entries(params ?? {}).map(([name, value]) => [name === '*' ? rest : name, value]))
}

function queryOf(request: FastifyRequest): Record<string, string> {
  const found: Record<string, string> = Object.create(null)
  const at = (request.raw.url ?? '').indexOf('?')
  if (at === -1) return found
  for (const [name, value] of new URLSearchParams((request.raw.url ?? '').slice(at + 1))) {
    if (name in found) throw invalidInput('A query parameter is given twice.', { issues: [] })
    found[name] = value
  }
  return found
}
