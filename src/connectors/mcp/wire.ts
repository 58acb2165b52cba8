/**
 * JSON-RPC over the Streamable HTTP of the Model Context Protocol, in both of its eras: 2026-07-28, where each request stands alone, and up to
 * 2025-11-25, where a session is begun and ended. Only lists and what the server says of itself are asked; nothing is called, read or got.
 */
import { z } from 'zod'
import { Secret } from '../../kernel/secret.ts'
import { Denied, Faltering, Unreadable, type HttpAsked, type SourceHttp } from '../connector.ts'
import type { McpSourceSettings } from './settings.ts'

const MODERN = '2026-07-28'
const LEGACY = '2025-11-25'
const CLIENT = { name: 'reeve', version: '1' }
/** One page of a list with the schemas of its tools. */
const ANSWER_BYTES = 8 * 1024 * 1024
/** What may come before the answer in a stream of events: progress and logging. */
const EVENTS_MAX = 10_000

export type Endpoint = {
  readonly http: SourceHttp
  readonly settings: McpSourceSettings
  readonly token: Secret | undefined
}

const ServerInfo = z.object({ name: z.string(), version: z.string().optional(), title: z.string().optional() })
const Capabilities = z.record(z.string(), z.unknown())
const Initialized = z.object({
  protocolVersion: z.string().max(100),
  capabilities: Capabilities.default({}),
  serverInfo: ServerInfo,
  instructions: z.string().optional(),
})
const Discovered = z.object({
  supportedVersions: z.array(z.string().max(100)).max(100),
  capabilities: Capabilities.default({}),
  instructions: z.string().optional(),
  serverInfo: ServerInfo.optional(),
  _meta: z.object({ 'io.modelcontextprotocol/serverInfo': ServerInfo.optional() }).optional(),
})
const Reply = z.object({
  id: z.union([z.number(), z.string()]).nullish(),
  result: z.unknown().optional(),
  error: z.object({ code: z.number() }).optional(),
})

/** What a server says of itself. */
type Greeting = {
  readonly protocol: string
  readonly name: string
  readonly title: string | undefined
  readonly version: string | undefined
  readonly capabilities: Readonly<Record<string, unknown>>
  readonly instructions: string | undefined
}
export type Talk = {
  readonly greeting: Greeting
  readonly ask: (method: string, params: Readonly<Record<string, unknown>>, signal: AbortSignal) => Promise<unknown>
  /** Ends the session, where there is one. */
  readonly end: (signal: AbortSignal) => Promise<void>
}

/** The server understood the request and answered with an error; `code` is JSON-RPC's. */
export class RpcRefused extends Error {
  override readonly name = 'RpcRefused'
  readonly code: number

  constructor(code: number) {
    super(`the server answered with error ${code}`)
    this.code = code
  }
}

/** Asks as 2026-07-28 has it, and where the server does not know that, begins a session. */
export async function talkTo(endpoint: Endpoint, signal: AbortSignal): Promise<Talk> {
  return (await modern(endpoint, signal)) ?? legacy(endpoint, signal)
}

async function modern(endpoint: Endpoint, signal: AbortSignal): Promise<Talk | undefined> {
  const ask = async (method: string, params: Readonly<Record<string, unknown>>, until: AbortSignal) => {
    // 2026-07-28 §transports: the headers say what the body says.
    const meta = {
      'io.modelcontextprotocol/protocolVersion': MODERN,
      'io.modelcontextprotocol/clientInfo': CLIENT,
      'io.modelcontextprotocol/clientCapabilities': {},
    }
    const headers = { 'mcp-protocol-version': MODERN, 'mcp-method': method }
    const { reply } = await exchange(endpoint, { method, params: { ...params, _meta: meta }, headers }, until)
    return reply
  }
  const told = await ask('server/discover', {}, signal).catch((error: unknown) => {
    if (error instanceof RpcRefused || error instanceof OtherAnswer) return undefined
    throw error
  })
  const { data } = Discovered.safeParse(told)
  if (!data?.supportedVersions.includes(MODERN)) return undefined
  const info = data._meta?.['io.modelcontextprotocol/serverInfo'] ?? data.serverInfo ?? { name: '' }
  const { capabilities, instructions } = data
  return { greeting: greetingOf(MODERN, info, capabilities, instructions), ask, end: async () => undefined }
}

async function legacy(endpoint: Endpoint, signal: AbortSignal): Promise<Talk> {
  const params = { protocolVersion: LEGACY, capabilities: {}, clientInfo: CLIENT }
  const first = await exchange(endpoint, { method: 'initialize', params, headers: {} }, signal)
  const { data } = Initialized.safeParse(first.reply)
  if (!data) throw new Unreadable('this is no MCP server')
  const headers = {
    'mcp-protocol-version': data.protocolVersion,
    ...(first.session !== undefined && { 'mcp-session-id': first.session }),
  }
  await notify(endpoint, 'notifications/initialized', headers, signal)
  return {
    greeting: greetingOf(data.protocolVersion, data.serverInfo, data.capabilities, data.instructions),
    ask: async (method, asked, until) => (await exchange(endpoint, { method, params: asked, headers }, until)).reply,
    async end(until) {
      if (first.session === undefined) return
      // 2025-11-25 §transports: whoever needs a session no longer says so; a server may not allow it (405).
      await endpoint.http({ ...asked(endpoint, headers), method: 'DELETE' }, until)
    },
  }
}

function greetingOf(
  protocol: string,
  { name, title, version }: z.output<typeof ServerInfo>,
  capabilities: Readonly<Record<string, unknown>>,
  instructions: string | undefined,
): Greeting {
  return { protocol, name, title, version, capabilities, instructions }
}

/** It answered, but not as this era of the protocol has it. */
class OtherAnswer extends Unreadable {}

type Headers = Readonly<Record<string, string>>
type Request = { readonly method: string; readonly params: object; readonly headers: Headers }
let made = 0

async function exchange(
  endpoint: Endpoint,
  { method, params, headers }: Request,
  signal: AbortSignal,
): Promise<{ readonly reply: unknown; readonly session: string | undefined }> {
  const id = (made += 1)
  const body = JSON.stringify({ jsonrpc: '2.0', id, method, params })
  using answer = await endpoint.http.stream({ ...asked(endpoint, headers), method: 'POST', body }, signal)
  const { status, headers: got } = answer
  if (status === 401 || status === 403) throw new Denied(deniedBy(method, status))
  const isEvents = (got['content-type'] ?? '').startsWith('text/event-stream')
  const found = isEvents ? await fromEvents(answer.body, id) : await fromJson(answer.body)
  if (status !== 200) {
    if (status >= 400 && status < 500)
      throw found?.error ? new RpcRefused(found.error.code) : new OtherAnswer(`the server answered ${status}`)
    throw new Faltering(`the server answered ${status}`)
  }
  if (!found || (found.id !== id && !(found.error && (found.id ?? null) === null)))
    throw new OtherAnswer('the answer is none of JSON-RPC')
  if (found.error) throw new RpcRefused(found.error.code)
  return { reply: found.result, session: got['mcp-session-id'] }
}

async function notify(endpoint: Endpoint, method: string, headers: Headers, signal: AbortSignal): Promise<void> {
  const body = JSON.stringify({ jsonrpc: '2.0', method })
  await endpoint.http({ ...asked(endpoint, headers), method: 'POST', body }, signal)
}

function asked({ settings, token }: Endpoint, headers: Headers): HttpAsked {
  return {
    path: new URL(settings.url).pathname,
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...headers,
      ...(token && { authorization: new Secret(`Bearer ${token.reveal()}`) }),
    },
    maxBytes: ANSWER_BYTES,
    ...(settings.authorities !== undefined && { ca: settings.authorities }),
  }
}

function deniedBy(method: string, status: number) {
  return {
    what: `the answer to ${method}`,
    why: status === 401 ? 'the server asks for a token that it takes' : 'the token may not ask for it',
    permission: 'a token of the authorization server that it names, with the scope of its lists',
  }
}

async function fromJson(body: AsyncIterable<Buffer>) {
  const chunks: Buffer[] = []
  for await (const chunk of body) chunks.push(chunk)
  return replyOf(Buffer.concat(chunks).toString('utf8'))
}

function replyOf(text: string) {
  try {
    return Reply.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}

/** The answer to `id` out of a stream of events (HTML §9.2.6); what a server says besides is passed over. */
async function fromEvents(body: AsyncIterable<Buffer>, id: number) {
  let count = 0
  for await (const data of events(body)) {
    const reply = replyOf(data)
    if (reply && reply.id === id && (reply.error ?? reply.result) !== undefined) return reply
    count += 1
    if (count > EVENTS_MAX) throw new Unreadable('the server tells of other things without an end')
  }
  return undefined
}

async function* events(body: AsyncIterable<Buffer>): AsyncGenerator<string, void> {
  const decoder = new TextDecoder()
  let [rest, data]: [string, string[]] = ['', []]
  for await (const chunk of body) {
    rest += decoder.decode(chunk, { stream: true })
    const lines = rest.split(/\r\n|\n|\r(?!$)/)
    rest = lines.pop() ?? ''
    for (const line of lines) {
      if (line === '' && data.length > 0) {
        yield data.join('\n')
        data = []
      } else if (line.startsWith('data:')) data.push(line.slice(line[5] === ' ' ? 6 : 5))
    }
  }
  if (rest.startsWith('data:')) data.push(rest.slice(5).trim())
  if (data.length > 0) yield data.join('\n')
}
