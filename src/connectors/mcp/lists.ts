import { z } from 'zod'
import { canonicalJson } from '../../kernel/canonical-json.ts'
import { sha256 } from '../../kernel/crypto.ts'
import {
  Holes,
  resource,
  Unreadable,
  type NativeId,
  type Observation,
  type Page,
  type ScopeReport,
} from '../connector.ts'
import { marksOf } from './marks.ts'
import { RpcRefused, type Talk } from './wire.ts'

/** More than any server offers; a list that goes on is a trap. */
const ITEMS_MAX = 20_000
const PAGES_MAX = 1_000
/** JSON-RPC 2.0 §5.1. */
const NO_SUCH_METHOD = -32_601

const Text = z.string()
const Hint = z.boolean().optional().catch(undefined)
const Tool = z.object({
  name: Text.min(1),
  title: Text.optional(),
  description: Text.optional(),
  inputSchema: z.unknown().optional(),
  outputSchema: z.unknown().optional(),
  annotations: z
    .object({
      title: Text.optional().catch(undefined),
      readOnlyHint: Hint,
      destructiveHint: Hint,
      idempotentHint: Hint,
      openWorldHint: Hint,
    })
    .optional()
    .catch(undefined),
})
const Prompt = z.object({
  name: Text.min(1),
  title: Text.optional(),
  description: Text.optional(),
  arguments: z.array(z.object({ name: Text, description: Text.optional() })).optional(),
})
const Resource = z.object({
  uri: Text.min(1),
  name: Text.optional(),
  title: Text.optional(),
  description: Text.optional(),
  mimeType: Text.optional(),
})
const Template = Resource.omit({ uri: true }).extend({ uriTemplate: Text.min(1) })

type Told = { readonly key: string; readonly observation: Observation }
type Kind = {
  readonly method: string
  readonly list: string
  readonly tell: (item: unknown) => Told | undefined
}

export const SERVER: NativeId = { kind: 'mcp-server', id: 'server' }

const KINDS: Readonly<Record<string, readonly Kind[]>> = {
  tools: [{ method: 'tools/list', list: 'tools', tell: toolOf }],
  prompts: [{ method: 'prompts/list', list: 'prompts', tell: promptOf }],
  resources: [
    { method: 'resources/list', list: 'resources', tell: resourceOf },
    { method: 'resources/templates/list', list: 'resourceTemplates', tell: templateOf },
  ],
}

/** Of what a tool is known by: name, description and schemas. What it claims of itself is not in it. */
export function toolDigest({ name, description, inputSchema, outputSchema }: Partial<z.output<typeof Tool>>): string {
  return digestOf({ name, description, inputSchema, outputSchema })
}

function digestOf(of: object): string {
  return sha256(canonicalJson(of)).toString('hex')
}

/** Deeper than any schema of a tool; whoever reads on in it runs out of stack. */
const DEPTH_MAX = 200

function isTooDeep(item: unknown): boolean {
  let level: readonly unknown[] = [item]
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > DEPTH_MAX) return true
    level = level.flatMap((value) => (typeof value === 'object' && value !== null ? Object.values(value) : []))
  }
  return false
}

/** Everything of one capability, page after page. */
export async function* readLists(
  capability: string,
  talk: Talk,
  signal: AbortSignal,
): AsyncGenerator<Page, ScopeReport> {
  const kinds = KINDS[capability]
  if (!kinds) throw new Unreadable('there is no such scope')
  if (talk.greeting.capabilities[capability] === undefined)
    return { status: 'unsupported', missing: [{ what: capability, why: 'the server says that it has none' }] }
  const holes = new Holes()
  for (const kind of kinds) yield* readList(kind, talk, holes, signal)
  const missing = holes.all()
  return { status: missing.length > 0 ? 'partial' : 'complete', missing }
}

async function* readList(
  { method, list, tell }: Kind,
  talk: Talk,
  holes: Holes,
  signal: AbortSignal,
): AsyncGenerator<Page, void> {
  const Listed = z.object({ [list]: z.array(z.unknown()), nextCursor: z.string().max(10_000).nullish() })
  const [keys, cursors] = [new Set<string>(), new Set<string>()]
  let cursor: string | undefined
  do {
    signal.throwIfAborted()
    const answer = await talk
      .ask(method, cursor === undefined ? {} : { cursor }, signal)
      .catch((error: unknown) => absent(error, method))
    const page = Listed.safeParse(answer).data
    if (!page) throw new Unreadable('the server answered with no list')
    const items = z.array(z.unknown()).parse(page[list])
    const told: Observation[] = []
    for (const item of items) {
      const thing = isTooDeep(item) ? undefined : tell(item)
      if (!thing) holes.add({ what: `one of ${list}`, why: 'it is not written as the protocol has it' })
      else if (keys.has(thing.key)) holes.add({ what: `one of ${list}`, why: 'another has the same name' })
      else {
        keys.add(thing.key)
        told.push(thing.observation)
      }
    }
    if (told.length > 0) yield { observations: told }
    cursor = z
      .string()
      .optional()
      .parse(page.nextCursor ?? undefined)
    if (cursor !== undefined && cursors.has(cursor)) throw new Unreadable('the pages of the server run in a circle')
    if (cursor !== undefined) cursors.add(cursor)
    if (keys.size > ITEMS_MAX || cursors.size > PAGES_MAX)
      throw new Unreadable('the server lists more than any server has')
  } while (cursor !== undefined)
}

/** Templates are younger than resources: a server that does not know the method has none. */
function absent(error: unknown, method: string) {
  if (error instanceof RpcRefused && error.code === NO_SUCH_METHOD && method === 'resources/templates/list')
    return { resourceTemplates: [] }
  throw error
}

const described = (description: string | undefined) => description ?? null

function toolOf(item: unknown): Told | undefined {
  const { data } = Tool.safeParse(item)
  if (!data) return undefined
  const { name, title, description, annotations: hints } = data
  const observation = resource({
    id: { kind: 'mcp-tool', id: name },
    type: 'mcp-tool',
    name,
    parent: SERVER,
    facts: {
      digest: toolDigest(data),
      title: title ?? hints?.title ?? null,
      description: described(description),
      // What a server says of its own tools is its word. 2025-11-25 §tools: never to be believed of a server that is not trusted.
      claimsReadOnly: hints?.readOnlyHint ?? null,
      claimsDestructive: hints?.destructiveHint ?? null,
      claimsIdempotent: hints?.idempotentHint ?? null,
      claimsOpenWorld: hints?.openWorldHint ?? null,
      marks: marksOf(item),
    },
  })
  return { key: name, observation }
}

function promptOf(item: unknown): Told | undefined {
  const { data } = Prompt.safeParse(item)
  if (!data) return undefined
  const { name, title, description, arguments: given = [] } = data
  const facts = {
    digest: digestOf({ name, description, arguments: given }),
    title: title ?? null,
    description: described(description),
    arguments: given.map((each) => each.name),
    marks: marksOf(item),
  }
  const id = { kind: 'mcp-prompt', id: name }
  return { key: name, observation: resource({ id, type: 'mcp-prompt', name, parent: SERVER, facts }) }
}

function resourceOf(item: unknown): Told | undefined {
  const { data } = Resource.safeParse(item)
  return data && placeOf('mcp-resource', data.uri, data, item)
}

function templateOf(item: unknown): Told | undefined {
  const { data } = Template.safeParse(item)
  return data && placeOf('mcp-template', data.uriTemplate, data, item)
}

type Place = Pick<z.output<typeof Resource>, 'name' | 'description' | 'mimeType'>

function placeOf(type: string, uri: string, { name, description, mimeType }: Place, item: unknown): Told {
  const facts = {
    uri,
    digest: digestOf({ uri, name, description, mimeType }),
    description: described(description),
    mimeType: mimeType ?? null,
    marks: marksOf(item),
  }
  const observation = resource({ id: { kind: type, id: uri }, type, name: name ?? uri, parent: SERVER, facts })
  return { key: uri, observation }
}
