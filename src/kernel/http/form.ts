import type { FastifyInstance, FastifyRequest } from 'fastify'
import { bodyBytes, dpopOf, presentedBy, type DpopPresented, type Presented } from './request.ts'
import { isStorable } from './strict-json.ts'

/** A request of a protocol that sends forms (RFC 6749 §3.2), whose answers and errors are that protocol's and not ours. */
export type FormAsked = {
  /** What was given, once each. */
  readonly fields: ReadonlyMap<string, string>
  /** All values of the names that may be given several times. */
  readonly lists: ReadonlyMap<string, readonly string[]>
  /** Whether the body was a form that means one thing to every reader. */
  readonly isClear: boolean
  readonly presented: Presented
  /** Of the `DPoP` header, which needs no token here (RFC 9449 §5); undefined where none was sent. */
  readonly dpop: DpopPresented | undefined
  /** What the program calls itself (`User-Agent`), as it came; empty where it says nothing. */
  readonly agent: string
  /** Whether a header of HTTP authentication came along (RFC 6749 §5.2). */
  readonly hasAuthorization: boolean
}

export type FormAnswer = {
  readonly status: number
  /** Sent as JSON; undefined sends nothing. */
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** A door for forms. It throws for nothing that a caller can act on. */
export type FormDoor = {
  readonly path: `/oauth2/${string}`
  /** Names that may be given several times (RFC 8707 §2, RFC 8693 §2.1). */
  readonly repeatable: readonly string[]
  readonly answer: (asked: FormAsked) => Promise<FormAnswer>
}

/** A form is a few tokens and a few words. */
const MAX_BYTES = 65_536
const MOST_FIELDS = 64

export function addForms(app: FastifyInstance, doors: readonly FormDoor[]): void {
  for (const { path, repeatable, answer } of doors) {
    app.route({
      method: 'POST',
      url: path,
      bodyLimit: MAX_BYTES,
      config: { operationId: path },
      handler: async (request, reply) => {
        const { status, body, headers = {} } = await answer(askedOf(request, repeatable))
        reply.code(status).headers({ pragma: 'no-cache', ...headers })
        if (body === undefined) return reply.send()
        return reply
          .header('content-type', 'application/json; charset=utf-8')
          .send(Buffer.from(JSON.stringify(body), 'utf8'))
      },
    })
  }
}

type Fields = Pick<FormAsked, 'fields' | 'lists' | 'isClear'>

/** The fields of a form: of a body, or of a query, which is written the same. */
export function formFields(from: FastifyRequest | string, repeatable: readonly string[] = []): Fields {
  const fields = new Map<string, string>()
  const lists = new Map<string, string[]>(repeatable.map((name) => [name, []]))
  const text = typeof from === 'string' ? storableText(from) : formText(from)
  let isClear = text !== undefined
  const pairs = [...new URLSearchParams(text ?? '')]
  if (pairs.length > MOST_FIELDS) isClear = false
  for (const [name, value] of isClear ? pairs : []) {
    if (!isStorable(name) || !isStorable(value)) isClear = false
    // RFC 6749 §3.2: without a value it is as if it was not there, and nothing is there twice.
    if (value === '') continue
    const list = lists.get(name)
    if (list) list.push(value)
    else if (fields.has(name)) isClear = false
    if (!fields.has(name)) fields.set(name, value)
  }
  return { fields, lists, isClear }
}

function askedOf(request: FastifyRequest, repeatable: readonly string[]): FormAsked {
  return {
    ...formFields(request, repeatable),
    presented: presentedBy(request),
    dpop: request.headers['dpop'] === undefined ? undefined : dpopOf(request),
    agent: request.headers['user-agent'] ?? '',
    hasAuthorization: request.headers.authorization !== undefined,
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The body, when it is a form in UTF-8; bytes that are percent-encoded are held to the same. */
function formText(request: FastifyRequest): string | undefined {
  const { 'content-type': type, 'content-encoding': encoding } = request.headers
  if (!/^application\/x-www-form-urlencoded(?:; ?charset=utf-8)?$/i.test(type ?? '') || encoding !== undefined) {
    return undefined
  }
  try {
    return storableText(utf8.decode(bodyBytes(request)))
  } catch {
    return undefined
  }
}

function storableText(text: string): string | undefined {
  try {
    // `URLSearchParams` writes a replacement for what it cannot read; two different requests would look alike.
    decodeURIComponent(text.replaceAll(/%(?![0-9a-fA-F]{2})/g, '%25'))
    return text
  } catch {
    return undefined
  }
}
