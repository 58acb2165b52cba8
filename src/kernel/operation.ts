import { z } from 'zod'
import type { ProblemKind } from './problem.ts'

/** Which of the four functions holds the decision right over an operation. */
type DecidingFunction = 'iam' | 'pam' | 'nhi' | 'governance'

/**
 * An operation as a value: router, OpenAPI document, problem catalogue, CLI and the actions that policies know derive from the list.
 * `id` is `<noun>.<verb>`: it is the policy action and the CLI command. Path parameters are written `:name`; the last one may be `*name`, which
 * takes the rest of the path with its slashes.
 */
export type Operation<
  Params extends z.ZodObject = z.ZodObject,
  Query extends z.ZodObject = z.ZodObject,
  Input extends z.ZodType = z.ZodType,
  Output extends z.ZodType = z.ZodType,
  Name extends string = string,
> = {
  readonly id: Name
  readonly method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE'
  readonly path: string
  /** Of a path that a standard names: which, and where in it. All others stand under `/v1`. */
  readonly standard?: string
  /** `read` by POST: a question too long for a path. It changes nothing, so no answer of it is kept under an Idempotency-Key. */
  readonly effect: 'read' | 'write'
  readonly summary: string
  readonly function: DecidingFunction
  /** Type of the resource that the decision is about: `Grant`, `Target`, `Installation` … */
  readonly resource: string
  readonly params: Params
  readonly query: Query
  readonly input: Input
  readonly output: Output
  readonly problems: readonly ProblemKind[]
  /** `none`: callable without a token (enrolment). Everything else needs a proven identity. */
  readonly caller: 'identity' | 'none'
  readonly status: number
  /** `stream`: the handler returns NDJSON lines of `output`. `bytes`: it returns text or bytes that are sent as they are; for reads. */
  readonly answer: 'json' | 'stream' | 'bytes'
  /** Of an answer that went well. */
  readonly mediaType: string
  /** `immutable`: what a path answers once it answers for ever, so who got it may keep it. */
  readonly caching: 'none' | 'immutable'
  /** `tight`: what gives out proofs (enrolment, tokens, tickets) is limited far below the rest. */
  readonly rate: 'ordinary' | 'tight'
  /** `any`: other systems told the texts of the body, which may hold what no table keeps (a NUL, half a character): whoever takes it writes that out. */
  readonly texts: 'storable' | 'any'
}

type Declared<
  P extends z.ZodObject,
  Q extends z.ZodObject,
  I extends z.ZodType,
  O extends z.ZodType,
  N extends string,
> = {
  id: N
  method: Operation['method']
  effect?: Operation['effect']
  summary: string
  function: DecidingFunction
  resource: string
  params?: P
  query?: Q
  input?: I
  output: O
  problems?: readonly ProblemKind[]
  caller?: Operation['caller']
  status?: number
  answer?: Operation['answer']
  mediaType?: string
  caching?: Operation['caching']
  rate?: Operation['rate']
  texts?: Operation['texts']
} & ({ path: `/v1/${string}`; standard?: never } | { path: `/${string}`; standard: string })

const nothing = z.object({})

const MEDIA_TYPES: Readonly<Record<Operation['answer'], string>> = {
  json: 'application/json; charset=utf-8',
  stream: 'application/x-ndjson',
  bytes: 'application/octet-stream',
}

/** A parameter in the path of an operation: `:name`, or `*name` for the rest of it. */
export const PATH_PARAMETER = /[:*](\w+)/g

/** Declares an operation; what is left out takes no value. */
export function operation<
  const N extends string,
  O extends z.ZodType,
  P extends z.ZodObject = z.ZodObject<Record<never, never>>,
  Q extends z.ZodObject = z.ZodObject<Record<never, never>>,
  I extends z.ZodType = z.ZodUndefined,
>(declared: Declared<P, Q, I, O, N>): Operation<P, Q, I, O, N> {
  return {
    problems: [],
    caller: 'identity',
    status: 200,
    answer: 'json',
    effect: declared.method === 'GET' ? 'read' : 'write',
    mediaType: MEDIA_TYPES[declared.answer ?? 'json'],
    caching: 'none',
    rate: declared.caller === 'none' ? 'tight' : 'ordinary',
    texts: 'storable',
    ...declared,
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the default of the type parameter is this very schema
    params: declared.params ?? (nothing as unknown as P),
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as above
    query: declared.query ?? (nothing as unknown as Q),
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as above
    input: declared.input ?? (z.undefined() as unknown as I),
  }
}

/** How many rows a page holds at most. */
const PAGE_LIMIT = 200

/** The query of every list: a cursor from the page before, and a size. */
export const PageQuery = z.object({
  cursor: z.string().max(200).optional().describe('the nextCursor of the page before'),
  limit: z.coerce.number().int().min(1).max(PAGE_LIMIT).default(50),
})

/** A page of a list; without `nextCursor` it is the last. */
export function pageOf<Item extends z.ZodType>(item: Item) {
  return z.object({ items: z.array(item).max(PAGE_LIMIT), nextCursor: z.string().nullable() })
}
