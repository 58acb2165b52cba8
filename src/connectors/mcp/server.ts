import { z } from 'zod'
import { sha256 } from '../../kernel/crypto.ts'
import { Denied, resource, Unreadable, type Missing, type Page, type ScopeReport } from '../connector.ts'
import { SERVER } from './lists.ts'
import { marksOf } from './marks.ts'
import { talkTo, type Endpoint, type Talk } from './wire.ts'

const METADATA_BYTES = 256 * 1024

// RFC 9728 §2.
const Metadata = z.object({
  resource: z.string().max(2_000),
  authorization_servers: z.array(z.string().max(2_000)).max(50).optional(),
  scopes_supported: z.array(z.string().max(300)).max(200).optional(),
  bearer_methods_supported: z.array(z.string().max(50)).max(10).optional(),
  dpop_bound_access_tokens_required: z.boolean().optional(),
})

/** The server itself: what it says of itself, whom it takes tokens of, and whether it answers without one. */
export async function* readServer(
  endpoint: Endpoint,
  talk: Talk,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  const { greeting } = talk
  const metadata = await metadataOf(endpoint, signal)
  const isPublic = endpoint.token === undefined ? true : await answersAnybody(endpoint, signal)
  const { name, title, version, protocol, capabilities, instructions } = greeting
  const servers = metadata.is === 'there' ? (metadata.of.authorization_servers ?? []) : null
  yield {
    observations: [
      resource({
        id: SERVER,
        type: 'mcp-server',
        name: name === '' ? new URL(endpoint.settings.url).host : name,
        facts: {
          url: endpoint.settings.url,
          title: title ?? null,
          version: version ?? null,
          protocol,
          capabilities: Object.keys(capabilities).sort(),
          instructions: instructions ?? null,
          digest: sha256(instructions ?? '').toString('hex'),
          marks: marksOf([name, title, instructions]),
          isPublic,
          authorizationServers: servers,
          scopes: metadata.is === 'there' ? (metadata.of.scopes_supported ?? []) : null,
          tokensInQuery:
            metadata.is === 'there' ? (metadata.of.bearer_methods_supported?.includes('query') ?? null) : null,
          bindsTokens: metadata.is === 'there' ? (metadata.of.dpop_bound_access_tokens_required ?? false) : null,
          // RFC 9728 §3.3: metadata that is of something else is not to be used.
          isMetadataItsOwn: metadata.is === 'there' ? isSame(metadata.of.resource, endpoint.settings.url) : null,
        },
      }),
    ],
  }
  const missing = missingOf(metadata)
  return { status: 'complete', missing }
}

type Found = { readonly is: 'there'; readonly of: z.output<typeof Metadata> } | { readonly is: 'none' | 'odd' }

/** RFC 9728 §3.1: between the host and the path, then at the root; at this origin only. */
async function metadataOf({ http, settings }: Endpoint, signal: AbortSignal): Promise<Found> {
  const { pathname } = new URL(settings.url)
  const root = '/.well-known/oauth-protected-resource'
  for (const path of pathname === '/' ? [root] : [`${root}${pathname.replace(/\/$/, '')}`, root]) {
    const { status, body } = await http(
      {
        path,
        headers: { accept: 'application/json' },
        maxBytes: METADATA_BYTES,
        ...(settings.authorities !== undefined && { ca: settings.authorities }),
      },
      signal,
    )
    if (status !== 200) continue
    const { data } = Metadata.safeParse(jsonOf(body))
    return data ? { is: 'there', of: data } : { is: 'odd' }
  }
  return { is: 'none' }
}

function jsonOf(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    return undefined
  }
}

function missingOf({ is }: Found): Missing[] {
  if (is !== 'odd') return []
  return [{ what: 'whom it takes tokens of', why: 'its metadata are not as RFC 9728 has them' }]
}

function isSame(resource: string, url: string): boolean {
  const [one, other] = [URL.parse(resource), URL.parse(url)]
  return one !== null && one.href.replace(/\/$/, '') === other?.href.replace(/\/$/, '')
}

/** The same greeting without the token: a server that answers it is open to whoever reaches it. */
async function answersAnybody(endpoint: Endpoint, signal: AbortSignal): Promise<boolean | null> {
  try {
    const talk = await talkTo({ ...endpoint, token: undefined }, signal)
    await talk.end(signal)
    return true
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof Denied) return false
    if (error instanceof Unreadable) return null
    throw error
  }
}
