/** A stub of a forge: lists by path, in pages joined by `Link`, behind a token. Written from published API documentation; it is no forge. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { TestContext } from 'node:test'

export type ForgeStub = {
  readonly url: string
  /** By path without its query: a list that is paged, or one thing. */
  readonly answers: Map<string, unknown>
  /** Paths that begin so are refused with this status. */
  readonly refused: Map<string, number>
  /** With this text. */
  refusal: string
  readonly asked: string[]
  pageSize: number
  intercept: (request: IncomingMessage, response: ServerResponse) => boolean
}

/** A list that stands in an answer under a key. */
type Under = { readonly under: string; readonly list: readonly unknown[] }

export async function forgeStub(t: Pick<TestContext, 'after'>, authorization: string): Promise<ForgeStub> {
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://stub')
    stub.asked.push(`${request.method} ${request.url}`)
    if (stub.intercept(request, response)) return
    const refusal = [...stub.refused].find(([path]) => url.pathname.startsWith(path))?.[1]
    if (request.headers.authorization !== authorization) response.writeHead(401).end('{}')
    else if (refusal !== undefined) response.writeHead(refusal).end(stub.refusal)
    else answer(stub, url, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  const stub: ForgeStub = {
    url: `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`,
    answers: new Map(),
    refused: new Map(),
    refusal: '{}',
    asked: [],
    pageSize: 2,
    intercept: () => false,
  }
  return stub
}

function answer(stub: ForgeStub, url: URL, response: ServerResponse): void {
  const found = stub.answers.get(decodeURIComponent(url.pathname))
  if (found === undefined) return void response.writeHead(404).end('{}')
  const under = isUnder(found) ? found.under : undefined
  const list: unknown = isUnder(found) ? found.list : found
  if (!Array.isArray(list)) return void response.end(JSON.stringify(list))
  const page = Number(url.searchParams.get('page') ?? 1)
  const items: unknown[] = list.slice((page - 1) * stub.pageSize, page * stub.pageSize)
  if (page * stub.pageSize < list.length) {
    url.searchParams.set('page', String(page + 1))
    response.setHeader('link', `<${stub.url}${url.pathname}${url.search}>; rel="next", <${stub.url}/last>; rel="last"`)
  }
  response.end(JSON.stringify(under === undefined ? items : { total_count: list.length, [under]: items }))
}

function isUnder(value: unknown): value is Under {
  return typeof value === 'object' && value !== null && 'under' in value && 'list' in value
}
