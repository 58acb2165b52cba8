/**
 * A stub of the API server: lists in pages, metadata and tables, self-reviews, refusals. What counts as proven is the real one
 * (`test/interop/connector-kubernetes.interop.ts`); this is for what a real one does not do on demand.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { TestContext } from 'node:test'

type Thing = {
  metadata: { name: string; namespace?: string; uid?: string; [field: string]: unknown }
  [field: string]: unknown
}
export type Stub = {
  readonly url: string
  readonly things: Map<string, Thing[]>
  /** Resources that the login may not list. */
  readonly denied: Set<string>
  /** `METHOD path accept` of each request. */
  readonly asked: string[]
  pageSize: number
  /** Answers in place of the stub when it says so. */
  intercept: (request: IncomingMessage, response: ServerResponse) => boolean
  put: (resource: string, ...things: Thing[]) => void
}

export const TOKEN = 'stub-token-of-the-reader'
/** What a Secret holds: it must leave the stub in no other way than in a whole answer that nobody asked for. */
export const SECRET_VALUE = 'c3R1Yi1zZWNyZXQtdmFsdWU='

export async function stubApiServer(t: Pick<TestContext, 'after'>): Promise<Stub> {
  let made = 0
  const server = createServer((request, response) => {
    stub.asked.push(`${request.method} ${request.url} ${request.headers.accept}`)
    if (stub.intercept(request, response)) return
    if (request.headers.authorization !== `Bearer ${TOKEN}`) response.writeHead(401).end()
    else if (request.method === 'POST') review(stub, request, response).catch(() => response.destroy())
    else answer(stub, new URL(request.url ?? '/', 'http://stub'), request.headers.accept ?? '', response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  const stub: Stub = {
    url: `http://127.0.0.1:${port}`,
    things: new Map(),
    denied: new Set(),
    asked: [],
    pageSize: 3,
    intercept: () => false,
    put(resource, ...things) {
      for (const thing of things) {
        thing.metadata.uid ??= `uid-${resource}-${(made += 1)}`
        thing.metadata['creationTimestamp'] ??= '2025-03-01T10:00:00Z'
      }
      stub.things.set(resource, [...(stub.things.get(resource) ?? []), ...things])
    },
  }
  stub.put(
    'namespaces',
    { metadata: { name: 'kube-system' } },
    { metadata: { name: 'shop', labels: { team: 'payments' } } },
  )
  return stub
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

async function review(stub: Stub, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
  const resource = /"resource":"([^"]*)"/.exec(Buffer.concat(chunks).toString())?.[1] ?? ''
  send(response, 201, { status: { allowed: !stub.denied.has(resource) } })
}

function answer(stub: Stub, url: URL, accept: string, response: ServerResponse): void {
  if (url.pathname === '/.well-known/openid-configuration')
    return send(response, 200, { issuer: 'https://cluster.example' })
  if (url.pathname === '/version') return send(response, 200, { gitVersion: 'v1.0.0-stub' })
  const named = /^\/api\/v1\/namespaces\/([^/]+)$/.exec(url.pathname)?.[1]
  if (named !== undefined) {
    const found = stub.things.get('namespaces')?.find(({ metadata }) => metadata.name === named)
    return send(response, found ? 200 : 404, found ?? {})
  }
  const resource = url.pathname.split('/').at(-1) ?? ''
  if (stub.denied.has(resource)) return send(response, 403, { kind: 'Status', code: 403 })
  const namespace = /\/namespaces\/([^/]+)\//.exec(url.pathname)?.[1]
  const all = (stub.things.get(resource) ?? []).filter(
    ({ metadata }) => namespace === undefined || metadata.namespace === namespace,
  )
  const limit = Math.min(Number(url.searchParams.get('limit') ?? all.length), stub.pageSize)
  const from = Number(url.searchParams.get('continue') ?? 0)
  const items = all.slice(from, from + limit)
  const more = from + limit < all.length ? { continue: String(from + limit) } : {}
  const metadata = { resourceVersion: '7', ...more }
  if (accept.includes('as=Table')) {
    const columnDefinitions = ['Name', 'Type', 'Data', 'Age'].map((name) => ({ name }))
    const rows = items.map((item) => ({
      cells: [item.metadata.name, item['type'], 1, '3d'],
      object: { kind: 'PartialObjectMetadata', metadata: item.metadata },
    }))
    return send(response, 200, { kind: 'Table', metadata, columnDefinitions, rows })
  }
  if (accept.includes('as=PartialObjectMetadataList')) {
    return send(response, 200, { metadata, items: items.map((item) => ({ metadata: item.metadata })) })
  }
  send(response, 200, { metadata, items })
}
