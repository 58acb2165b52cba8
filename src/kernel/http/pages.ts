import type { FastifyInstance, FastifyRequest } from 'fastify'
import { formFields } from './form.ts'

/** A request of a browser for one of the few pages that are rendered here. */
export type PageAsked = {
  /** Of the query of a GET, or of the form of a POST: each once. */
  readonly fields: ReadonlyMap<string, string>
  /** Whether that means one thing to every reader. */
  readonly isClear: boolean
  /** The `Cookie` header as it came. */
  readonly cookies: string | undefined
  readonly client: { readonly address: string; readonly agent: string }
  /** Path and query, as asked for. */
  readonly url: string
  /** The query as it came. */
  readonly query: string
  /** By which name and port this node was reached; one of its own. */
  readonly host: string
}

export type PageAnswer = {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly cookies?: readonly string[]
  readonly body?: string
}

/** A page, or what a form of one is sent to. */
export type PageDoor = {
  readonly method: 'GET' | 'POST'
  readonly path: `/${string}`
  /** Of a GET: whether a link on another site may lead here. Then it shows or asks, and changes nothing of who is logged in by itself. */
  readonly isEntered?: boolean
  readonly answer: (asked: PageAsked) => Promise<PageAnswer>
}

/** A form of ours is a few words. */
const MAX_BYTES = 16_384
/** Browsers resend what they know; more than this is none. */
const QUERY_MAX_CHARS = 8_192

export function addPages(app: FastifyInstance, doors: readonly PageDoor[]): void {
  for (const { method, path, isEntered = false, answer } of doors) {
    app.route({
      method,
      url: path,
      bodyLimit: MAX_BYTES,
      config: { operationId: `${method} ${path}`, isEntered },
      handler: async (request, reply) => {
        const { status, headers, cookies = [], body } = await answer(askedOf(request))
        reply.code(status).headers(headers)
        // A page of ours sends its origin to ourselves, so that a form of it is told from that of any other site.
        reply.header('referrer-policy', 'same-origin')
        if (cookies.length > 0) reply.header('set-cookie', [...cookies])
        return body === undefined ? reply.send() : reply.send(Buffer.from(body, 'utf8'))
      },
    })
  }
}

function askedOf(request: FastifyRequest): PageAsked {
  const url = request.raw.url ?? ''
  const at = url.indexOf('?')
  const query = at === -1 ? '' : url.slice(at + 1)
  const { fields, isClear } = request.method === 'GET' ? formFields(query) : formFields(request)
  return {
    fields,
    isClear: isClear && query.length <= QUERY_MAX_CHARS && (request.method === 'GET' || query === ''),
    cookies: request.headers.cookie,
    client: { address: request.raw.socket.remoteAddress ?? '', agent: request.headers['user-agent'] ?? '' },
    url,
    query,
    host: request.host,
  }
}

declare module 'fastify' {
  interface FastifyContextConfig {
    isEntered?: boolean
  }
}
