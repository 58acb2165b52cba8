import { z } from 'zod'
import { PATH_PARAMETER, type Operation } from '../operation.ts'
import {
  approvalOwed,
  insufficientUserAuthentication,
  invalidInput,
  notFound,
  notPermitted,
  tooManyRequests,
  unauthenticated,
  type ProblemKind,
} from '../problem.ts'
import { PROBLEM_TYPE, typeOf } from './problem-body.ts'
import { HTTP_PROBLEMS, internalError, keyInProgress, keyReused } from './problems.ts'

type Json = { [key: string]: unknown }

/** Schemas by name, gathered while the document is written. */
type Components = Map<string, Json>

/** The OpenAPI 3.1 document of the operations, ordered by path so that a change of the contract is a small difference. */
export function openApiDocument(operations: readonly Operation[], version: string, deferral?: Deferral): Json {
  refuseDoubles(operations)
  const components: Components = new Map()
  const paths: Record<string, Json> = {}
  const ordered = operations.toSorted((a, b) => compare(a.path, b.path) || compare(a.method, b.method))
  for (const operation of ordered) {
    const path = operation.path.replaceAll(PATH_PARAMETER, '{$1}')
    paths[path] = { ...paths[path], [operation.method.toLowerCase()]: describe(operation, components, deferral) }
  }
  components.set('Problem', problemSchema())
  return {
    openapi: '3.1.0',
    info: {
      title: 'Reeve',
      version,
      description: 'Control plane for privileged execution. Errors are problems (RFC 9457); lists are read by cursor.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    security: [{ token: [] }],
    paths,
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
      schemas: Object.fromEntries([...components].toSorted(([a], [b]) => compare(a, b))),
    },
  }
}

/** What the API serves besides its operations: `document`, and each kind of problem under the reference that names it. */
export function apiDocuments(
  document: unknown,
  operations: readonly Operation[],
  deferral?: Deferral,
): Record<`/v1/${string}`, unknown> {
  const documents: Record<`/v1/${string}`, unknown> = { '/v1/openapi.json': document }
  for (const { slug, status, title } of problemsOf(operations, deferral?.problems))
    documents[`/v1/problems/${slug}`] = { slug, status, title }
  return documents
}

/** Every kind of problem a caller may meet, by slug. */
export function problemsOf(operations: readonly Operation[], more: readonly ProblemKind[] = []): ProblemKind[] {
  const kinds = new Map<string, ProblemKind>()
  for (const kind of [...HTTP_PROBLEMS, ...operations.flatMap(problemsOfOne), ...more]) {
    const known = kinds.get(kind.slug)
    if (known && known.title !== kind.title) throw new Error(`two problems share the slug ${kind.slug}`)
    kinds.set(kind.slug, kind)
  }
  return [...kinds.values()].toSorted((a, b) => compare(a.slug, b.slug))
}

/** An operation's own problems with those that every call of its kind may end in. */
export function problemsOfOne(operation: Operation): ProblemKind[] {
  const decided =
    operation.caller === 'identity'
      ? [unauthenticated, insufficientUserAuthentication, notPermitted, approvalOwed, notFound]
      : []
  const isKeyed = operation.caller === 'identity' && operation.effect === 'write' && operation.answer === 'json'
  const keyed = isKeyed ? [keyReused, keyInProgress] : []
  return [...new Set([invalidInput, ...decided, ...keyed, tooManyRequests, internalError, ...operation.problems])]
}

/** What a call that others have to approve may answer besides, and end in. */
export type Deferral = { readonly output: z.ZodType; readonly problems: readonly ProblemKind[] }

function describe(operation: Operation, components: Components, deferral: Deferral | undefined): Json {
  const { id, summary, params, query, input, caller, problems: _own, ...rest } = operation
  const hasBody = !(input instanceof z.ZodUndefined)
  return {
    operationId: id,
    summary,
    tags: [id.split('.')[0]],
    'x-deciding-function': rest.function,
    'x-resource': rest.resource,
    ...(rest.standard !== undefined && { 'x-standard': rest.standard }),
    ...(caller === 'none' && { security: [] }),
    parameters: [
      ...parametersOf('path', params, components),
      ...parametersOf('query', query, components),
      ...(isDecidedWrite(operation) ? [IDEMPOTENCY_KEY, ...(deferral ? APPROVAL_HEADERS : [])] : []),
      ...(deferral && caller === 'identity' ? STEP_UP_HEADERS : []),
    ],
    ...(hasBody && {
      requestBody: {
        required: !input.safeParse(undefined).success,
        content: { 'application/json': { schema: schemaOf(input, components) } },
      },
    }),
    responses: {
      ...answerOf(operation, components),
      ...(deferral && isDecidedWrite(operation) ? deferred(deferral, components) : {}),
      ...refusalsOf(operation, components, deferral),
    },
  }
}

function isDecidedWrite({ caller, effect }: Operation): boolean {
  return caller === 'identity' && effect === 'write'
}

function deferred({ output }: Deferral, components: Components): Json {
  const description = 'Kept for others to approve, or for the person to step up; nothing ran.'
  return { 202: { description, content: { 'application/json': { schema: schemaOf(output, components) } } } }
}

const APPROVAL_HEADERS = [
  {
    name: 'Reeve-Request-Approval',
    in: 'header',
    required: false,
    description:
      'Why, percent-encoded: where others have to approve the call, it is put before them instead of refused.',
    schema: { type: 'string', minLength: 3, maxLength: 4500 },
  },
  {
    name: 'Reeve-Change',
    in: 'header',
    required: false,
    description: 'The id of the change by which others approved exactly this call.',
    schema: { type: 'string', format: 'uuid' },
  },
]

const STEP_UP_HEADERS = [
  {
    name: 'Reeve-Request-Step-Up',
    in: 'header',
    required: false,
    description: 'Where the call owes a fresh proof of its person: they are shown exactly this call, and nothing runs.',
    schema: { type: 'string', enum: ['1'] },
  },
  {
    name: 'Reeve-Step-Up',
    in: 'header',
    required: false,
    description: 'The id of the step-up by which the person proved themselves for exactly this call.',
    schema: { type: 'string', format: 'uuid' },
  },
]

const IDEMPOTENCY_KEY = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  description: 'The same key within a day gets the first answer.',
  schema: { type: 'string', minLength: 1, maxLength: 200 },
}

function parametersOf(place: 'path' | 'query', schema: z.ZodObject, components: Components): Json[] {
  return Object.entries(schema.shape).map(([name, member]) => ({
    name,
    in: place,
    required: place === 'path' || !z.safeParse(member, undefined).success,
    ...descriptionOf(member),
    schema: schemaOf(member, components),
  }))
}

function descriptionOf(schema: z.core.$ZodType): Json {
  const description = z.globalRegistry.get(schema)?.description
  return description === undefined ? {} : { description }
}

function answerOf({ output, status, answer, mediaType }: Operation, components: Components): Json {
  if (output instanceof z.ZodUndefined) return { [status]: { description: 'Done.' } }
  const [type = ''] = mediaType.split(';')
  const description = answer === 'stream' ? 'Lines of JSON, each of this schema.' : 'The answer.'
  // OpenAPI 3.1 §4.8.14.2: of bytes the media type says all there is to say.
  const isBinary = answer === 'bytes' && !(output instanceof z.ZodString)
  return { [status]: { description, content: { [type]: isBinary ? {} : { schema: schemaOf(output, components) } } } }
}

function refusalsOf(operation: Operation, components: Components, deferral: Deferral | undefined): Json {
  const more = deferral && isDecidedWrite(operation) ? deferral.problems : []
  const byStatus = Map.groupBy(new Set([...problemsOfOne(operation), ...more]), ({ status }) => status)
  const responses: Json = {}
  for (const [status, kinds] of [...byStatus].toSorted(([a], [b]) => a - b)) {
    const schemas = kinds.map((kind) => problemRef(kind, components)).toSorted((a, b) => compare(a.$ref, b.$ref))
    responses[status] = {
      description: kinds.map(({ title }) => `${title}.`).join(' '),
      content: { [PROBLEM_TYPE]: { schema: schemas.length === 1 ? schemas[0] : { oneOf: schemas } } },
    }
  }
  return responses
}

function problemRef(kind: ProblemKind, components: Components): { $ref: string } {
  const name = `Problem.${kind.slug}`
  if (!components.has(name)) {
    const hasFacts = Object.keys(kind.facts.shape).length > 0
    components.set(name, {
      title: kind.title,
      allOf: [{ $ref: '#/components/schemas/Problem' }],
      properties: {
        type: { const: typeOf(kind) },
        status: { const: kind.status },
        ...(hasFacts && { facts: schemaOf(kind.facts, components) }),
      },
    })
  }
  return { $ref: `#/components/schemas/${name}` }
}

function problemSchema(): Json {
  return {
    type: 'object',
    required: ['type', 'title', 'status', 'requestId'],
    properties: {
      type: { type: 'string', description: 'Names the kind of problem, for ever.' },
      title: { type: 'string' },
      status: { type: 'integer' },
      detail: { type: 'string', description: 'A sentence for a person to act on.' },
      requestId: { type: 'string' },
      facts: { type: 'object' },
    },
  }
}

/** What is on the wire: codecs as their encoded side. Schemas with an id move to the components. */
function schemaOf(schema: z.core.$ZodType, components: Components): Json {
  const made: unknown = z.toJSONSchema(schema, {
    io: 'input',
    override: ({ jsonSchema }) => tidy(jsonSchema),
  })
  const { $schema: _dialect, $defs: defs, ...rest } = asJson(rebased(made))
  for (const [name, definition] of Object.entries(asJson(defs))) {
    const known = components.get(name)
    const found = asJson(definition)
    if (known && JSON.stringify(known) !== JSON.stringify(found)) throw new Error(`two schemas share the id ${name}`)
    components.set(name, found)
  }
  return rest
}

/** A format says what the pattern beside it spells out at length; the widest numbers JavaScript has are no bound of ours. */
function tidy(schema: Json): void {
  if (typeof schema['format'] === 'string') delete schema['pattern']
  if (schema['minimum'] === Number.MIN_SAFE_INTEGER) delete schema['minimum']
  if (schema['maximum'] === Number.MAX_SAFE_INTEGER) delete schema['maximum']
  if (typeof schema['classification'] === 'string') {
    schema['x-classification'] = schema['classification']
    delete schema['classification']
  }
}

function rebased(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(rebased)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [
      key,
      key === '$ref' && typeof member === 'string'
        ? member.replace('#/$defs/', '#/components/schemas/')
        : rebased(member),
    ]),
  )
}

function refuseDoubles(operations: readonly Operation[]): void {
  const seen = new Set<string>()
  for (const { id, method, path } of operations) {
    for (const key of [id, `${method} ${path.replaceAll(PATH_PARAMETER, ':')}`]) {
      if (seen.has(key)) throw new Error(`there are two operations ${key}`)
      seen.add(key)
    }
  }
}

function asJson(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {}
}

/** By code unit, so that every machine orders alike. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
