/** A stub of an MCP server with one tool; its source is another one each time, since it has another port. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { json } from 'node:stream/consumers'
import { z } from 'zod'

const Asked = z.object({ id: z.number(), method: z.string() })
const ANSWERS: Readonly<Record<string, object>> = {
  'server/discover': {
    supportedVersions: ['2026-07-28'],
    capabilities: { tools: {} },
    serverInfo: { name: 'stub', version: '1' },
  },
  'tools/list': { tools: [{ name: 'order.read', description: 'Reads an order.', inputSchema: { type: 'object' } }] },
}

/** Listens until the process ends; the address of its endpoint. */
export async function toolServer(): Promise<string> {
  const server = createServer((request, response) => {
    if (request.method !== 'POST') {
      response.writeHead(404).end()
      return
    }
    void json(request).then((body) => {
      const { id, method } = Asked.parse(body)
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ jsonrpc: '2.0', id, result: ANSWERS[method] }))
    })
  })
  server.unref()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}/mcp`
}
