// A server made with the official SDK, as a program: SDK version 1 with sessions (`sessions`), or version 2 that answers both eras (`modern`).
// What it offers stands in a file that is read for each list, so that a test can change it.
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'

const [mode, packages, file, token] = process.argv.slice(2)
const from = createRequire(packages)
const load = (name) => import(pathToFileURL(from.resolve(name)).href)
const offered = () => JSON.parse(readFileSync(file, 'utf8'))
const INFO = { name: 'shop-tools', version: '1.4.0' }
const PAGE = 2

function pageOf(key, cursor) {
  const { circle = false, ...all } = offered()
  const at = cursor === undefined ? 0 : Number(cursor)
  const more = at + PAGE < all[key].length || circle
  return { [key]: all[key].slice(at, at + PAGE), ...(more && { nextCursor: circle ? '0' : String(at + PAGE) }) }
}

const CAPABILITIES = { tools: {}, prompts: {}, resources: {} }
const LISTS = {
  'tools/list': 'tools',
  'prompts/list': 'prompts',
  'resources/list': 'resources',
  'resources/templates/list': 'resourceTemplates',
}

async function withSessions() {
  const { Server } = await load('@modelcontextprotocol/sdk/server/index.js')
  const { StreamableHTTPServerTransport } = await load('@modelcontextprotocol/sdk/server/streamableHttp.js')
  const types = await load('@modelcontextprotocol/sdk/types.js')
  const SCHEMAS = {
    'tools/list': types.ListToolsRequestSchema,
    'prompts/list': types.ListPromptsRequestSchema,
    'resources/list': types.ListResourcesRequestSchema,
    'resources/templates/list': types.ListResourceTemplatesRequestSchema,
  }
  const sessions = new Map()
  return async (request, response) => {
    const standing = sessions.get(request.headers['mcp-session-id'])
    if (standing) {
      await standing.handleRequest(request, response)
      return
    }
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      onsessioninitialized: (id) => void sessions.set(id, transport),
      onsessionclosed: (id) => {
        sessions.delete(id)
        console.log(`ended ${sessions.size}`)
      },
    })
    const server = new Server(INFO, { capabilities: CAPABILITIES, instructions: offered().instructions })
    for (const [method, key] of Object.entries(LISTS))
      server.setRequestHandler(SCHEMAS[method], ({ params }) => pageOf(key, params?.cursor))
    await server.connect(transport)
    await transport.handleRequest(request, response)
  }
}

async function inBothEras() {
  const { createMcpHandler, Server } = await load('@modelcontextprotocol/server')
  const { toNodeHandler } = await load('@modelcontextprotocol/node')
  const handler = createMcpHandler(
    () => {
      const server = new Server(INFO, { capabilities: CAPABILITIES, instructions: offered().instructions })
      for (const [method, key] of Object.entries(LISTS))
        server.setRequestHandler(method, ({ params }) => pageOf(key, params?.cursor))
      return server
    },
    { legacy: 'stateless' },
  )
  return toNodeHandler(handler)
}

const handle = await (mode === 'modern' ? inBothEras() : withSessions())
const asked = []
const server = createServer((request, response) => {
  asked.push(`${request.method} ${request.headers['mcp-method'] ?? ''}`)
  const origin = `http://${request.headers.host}`
  if (request.url === '/asked') return response.end(JSON.stringify(asked))
  if (request.url === '/.well-known/oauth-protected-resource/mcp')
    return response.writeHead(200, { 'content-type': 'application/json' }).end(
      JSON.stringify({
        resource: `${origin}/mcp`,
        authorization_servers: ['https://id.example'],
        scopes_supported: ['tools:read', 'tools:call'],
        bearer_methods_supported: ['header'],
      }),
    )
  if (request.url !== '/mcp') return response.writeHead(404).end()
  if (token && request.headers.authorization !== `Bearer ${token}`)
    return response
      .writeHead(401, {
        'www-authenticate': `Bearer resource_metadata="${origin}/.well-known/oauth-protected-resource/mcp"`,
      })
      .end()
  return handle(request, response)
})
server.listen(0, '127.0.0.1', () => console.log(`listening on ${server.address().port}`))
