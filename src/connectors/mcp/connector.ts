import { Secret } from '../../kernel/secret.ts'
import {
  Denied,
  Unreadable,
  type Connector,
  type Given,
  type Manifest,
  type OpenSource,
  type Page,
  type ProbedScope,
  type ScopeReport,
} from '../connector.ts'
import { readLists } from './lists.ts'
import { readServer } from './server.ts'
import { McpSourceCredential, McpSourceSettings } from './settings.ts'
import { talkTo, type Endpoint, type Talk } from './wire.ts'

const PARTS = {
  server: 'the server: name, version, protocol, instructions, whose tokens it takes, whether it answers without one',
  tools: 'tools with the digest of name, description and schemas, what they claim, and hostile texts',
  prompts: 'prompts with their arguments',
  resources: 'resources and templates of them, by address',
} as const
const LAST_WORD_MS = 5_000

const manifest: Manifest = {
  id: 'mcp',
  version: '1',
  source: 'A server of the Model Context Protocol, over Streamable HTTP',
  observes: ['resource'],
  reads: Object.entries(PARTS).map(([scope, gives]) => ({
    scope,
    gives,
    permission: 'a token for this server, where it asks for one',
    isOptional: scope !== 'server',
  })),
  writes: [],
  blindSpots: [
    'what a tool does: nothing is called, and what it claims of itself is a claim',
    'what a resource or prompt holds: none is read or got',
    'tools that the server shows to others, or later: a list is of this login at this moment',
    'whoever uses the server, and with which rights its tools act elsewhere',
    'texts that lead a model astray in words that nobody foresaw',
    'servers that are programs of a machine (stdio): they would have to be run to be asked',
  ],
  metadataHandling:
    'Names, titles, descriptions (cut at 1,000 characters), addresses of resources, digests, hints, metadata of authorization. No schema, no argument, no content; the token is used and not kept.',
  risks: ['NHI3:2025', 'NHI4:2025', 'NHI5:2025'],
}

/** Reads what an MCP server offers to agents, as it stands, so that a change of it is seen. */
export const mcpConnector: Connector = {
  manifest,
  settings: McpSourceSettings,
  credential: McpSourceCredential,
  address: (settings) => McpSourceSettings.parse(settings).url,
  async open(given): Promise<OpenSource> {
    return opened(endpointOf(given))
  },
}

function endpointOf({ settings, credential, http }: Given): Endpoint {
  const { token } = McpSourceCredential.parse(credential ? JSON.parse(credential.reveal()) : {})
  return {
    http,
    settings: McpSourceSettings.parse(settings),
    token: token === undefined ? undefined : new Secret(token),
  }
}

function opened(endpoint: Endpoint): OpenSource {
  let begun: Promise<Talk> | undefined
  const talk = (signal: AbortSignal) => {
    begun ??= talkTo(endpoint, signal)
    // What failed is begun anew by the next try.
    begun.catch(() => (begun = undefined))
    return begun
  }
  return {
    async probe(signal) {
      const { greeting } = await talk(signal).catch(orDenied)
      const scopes = Object.keys(PARTS).map((scope): ProbedScope => ({ scope, isVisible: true, missing: [] }))
      return {
        authority: `mcp:${endpoint.settings.url}#${greeting.name.slice(0, 50)}`,
        system: `${greeting.name || 'an MCP server'} ${greeting.version ?? ''}, MCP ${greeting.protocol}`.slice(0, 200),
        scopes,
      }
    },
    async *scopes() {
      for (const [scope, title] of Object.entries(PARTS)) yield { scope, title }
      return { isAll: true, missing: [] }
    },
    async *read(scope, _since, signal): AsyncGenerator<Page, ScopeReport> {
      const open = await talk(signal)
      return yield* scope === 'server' ? readServer(endpoint, open, signal) : readLists(scope, open, signal)
    },
    async [Symbol.asyncDispose]() {
      const open = await begun?.catch(() => undefined)
      // A server that does not hear it forgets the session by itself.
      await open?.end(AbortSignal.timeout(LAST_WORD_MS)).catch(() => undefined)
    },
  }
}

/** Without its greeting nothing is known of a server, not even which one it is. */
function orDenied(error: unknown): never {
  if (error instanceof Denied) throw new Unreadable(error.missing.why, { cause: error })
  throw error
}
