import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Operation } from '../operation.ts'
import { bodyBytes, presentedBy, type Presented } from './request.ts'
import type { Caller } from './route.ts'

/** A request of a protocol whose paths, bodies, answers and errors are its own and not ours (SCIM, webhooks). */
export type DoorAsked = {
  readonly method: string
  /** Below the door's own path, without the slash before it; still percent-encoded. */
  readonly path: string
  readonly query: URLSearchParams
  readonly header: (name: string) => string | undefined
  readonly body: Buffer
  readonly presented: Presented
  /** Throws when the caller calls too often, or came with a proof that is not good for this. */
  readonly admit: (caller: Caller, action: string) => void
}

export type DoorAnswer = {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  /** Sent as JSON; undefined sends nothing. */
  readonly body?: unknown
  readonly mediaType?: string
}

/** Everything under a path. What it throws is answered as everywhere else. */
export type Door = {
  readonly path: `/${string}`
  readonly methods: readonly ('GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE')[]
  readonly bodyBytes: number
  readonly answer: (asked: DoorAsked) => Promise<DoorAnswer>
}

type Admit = (caller: Caller, operation: Pick<Operation, 'id' | 'rate'>) => void

export function addDoors(app: FastifyInstance, doors: readonly Door[], admit: Admit): void {
  for (const door of doors) {
    for (const url of [door.path, `${door.path}/*`]) {
      app.route({
        method: [...door.methods],
        url,
        bodyLimit: door.bodyBytes,
        config: { operationId: door.path },
        handler: async (request, reply) => {
          const {
            status,
            headers = {},
            body,
            mediaType = 'application/json; charset=utf-8',
          } = await door.answer(askedOf(door, request, admit))
          reply.code(status).headers({ ...headers })
          if (body === undefined) return reply.send()
          return reply.header('content-type', mediaType).send(Buffer.from(JSON.stringify(body), 'utf8'))
        },
      })
    }
  }
}

function askedOf(door: Door, request: FastifyRequest, admit: Admit): DoorAsked {
  const [path = '', ...rest] = (request.raw.url ?? '').split('?')
  return {
    method: request.method,
    path: path.slice(door.path.length + 1),
    query: new URLSearchParams(rest.join('?')),
    header: (name) => {
      const value = request.headers[name]
      return typeof value === 'string' ? value : undefined
    },
    body: bodyBytes(request),
    presented: presentedBy(request),
    admit: (caller, action) => admit(caller, { id: action, rate: 'ordinary' }),
  }
}
