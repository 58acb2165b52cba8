import type { DoorAnswer } from '../../kernel/http/door.ts'
import { asScimError, errorBody, invalidValue, ScimError } from './error.ts'
import { isDoc, type Doc } from './resource.ts'

/** RFC 7644 §3.7.4: what one request may hold. Each operation is a transaction and a decision of its own. */
export const MOST_OPERATIONS = 100
export const MOST_BULK_BYTES = 1_000_000

const REQUEST = 'urn:ietf:params:scim:api:messages:2.0:BulkRequest'
const RESPONSE = 'urn:ietf:params:scim:api:messages:2.0:BulkResponse'
const METHODS = ['POST', 'PUT', 'PATCH', 'DELETE'] as const
type Method = (typeof METHODS)[number]
const PATH = /^\/(Users|Groups)(?:\/([^/?#]{1,200}))?$/i
const BULK_ID = /^[\x21-\x7e]{1,100}$/
const REFERENCE = /^bulkId:(.+)$/
const DEEPEST = 20

/** One operation as it is done: a request like any other. */
export type BulkCall = {
  readonly method: Method
  /** Below `/scim/v2/`. */
  readonly path: string
  readonly version: string | undefined
  readonly data: unknown
}

type Operation = {
  readonly method: Method
  readonly bulkId: string | undefined
  readonly collection: string
  readonly id: string | undefined
  readonly version: string | undefined
  readonly data: unknown
  /** Other operations that it names. */
  readonly names: readonly string[]
}

type Known = ReadonlyMap<string, string>

/**
 * Many operations in one request (RFC 7644 §3.7), in the order they stand in, but that whatever names another one comes right after it. Nothing
 * is undone when a later one fails: each is done, or is not, and says so. Throws `ScimError` for a request that cannot be read, before any is done.
 */
export async function bulk(
  base: string,
  sent: unknown,
  run: (call: BulkCall) => Promise<DoorAnswer>,
): Promise<DoorAnswer> {
  const { operations, failOnErrors } = readRequest(sent)
  const answers = new Map<Operation, DoorAnswer>()
  const known = new Map<string, string>()
  const failed = new Set<string>()
  const waiting = [...operations]
  for (let errors = 0; waiting.length > 0 && errors < failOnErrors;) {
    const isReady = ({ names }: Operation) => names.every((name) => known.has(name)) || isVain(names)
    const isVain = (names: readonly string[]) => names.some((name) => failed.has(name))
    const next = waiting.findIndex(isReady)
    const [operation] = waiting.splice(Math.max(next, 0), 1)
    if (!operation) break
    const answer =
      // §3.7.1: what names each other in a circle can be made in no order.
      next === -1
        ? refusedAs(409, 'It names an operation that waits for it in turn.')
        : isVain(operation.names)
          ? refusedAs(400, 'It names an operation that failed.')
          : await done(run, operation, known)
    answers.set(operation, answer)
    if (answer.status >= 400) errors += 1
    const { bulkId } = operation
    const id = idIn(answer)
    if (bulkId !== undefined && answer.status < 300 && id !== undefined) known.set(bulkId, id)
    else if (bulkId !== undefined && next !== -1) failed.add(bulkId)
  }
  const Operations = operations.flatMap((operation) => {
    const answer = answers.get(operation)
    return answer ? [said(operation, answer, placeOf(base, operation, known))] : []
  })
  return { status: 200, body: { schemas: [RESPONSE], Operations } }
}

async function done(
  run: (call: BulkCall) => Promise<DoorAnswer>,
  { method, collection, id, version, data }: Operation,
  known: Known,
): Promise<DoorAnswer> {
  try {
    const at = id === undefined ? '' : `/${resolved(id, known)}`
    return await run({ method, path: `${collection}${at}`, version, data: inserted(data, known) })
  } catch (error) {
    const refusal = asScimError(error)
    // What is our own fault ends the request: what was done before it stays done, and can be sent again.
    if (!refusal) throw error
    return { status: refusal.status, body: errorBody(refusal) }
  }
}

function refusedAs(status: number, detail: string): DoorAnswer {
  return { status, body: errorBody(new ScimError(status, status === 400 ? 'invalidValue' : undefined, detail)) }
}

function idIn({ headers }: DoorAnswer): string | undefined {
  return headers?.['location']?.split('/').at(-1)
}

/** §3.7.3: there always is one, but of what was not made. */
function placeOf(base: string, { collection, id }: Operation, known: Known): string | undefined {
  return id === undefined ? undefined : `${base}/${collection}/${resolved(id, known)}`
}

/** §3.7.3: where it is and which version, or why not. */
function said({ method, bulkId }: Operation, { status, headers = {}, body }: DoorAnswer, place?: string): Doc {
  const location = headers['location'] ?? place
  return {
    method,
    ...(bulkId !== undefined && { bulkId }),
    ...(location !== undefined && { location }),
    ...(headers['etag'] !== undefined && { version: headers['etag'] }),
    status: String(status),
    ...(status >= 400 && { response: body }),
  }
}

function readRequest(sent: unknown): { readonly operations: readonly Operation[]; readonly failOnErrors: number } {
  if (!isDoc(sent)) throw new ScimError(400, 'invalidSyntax', 'A bulk request is a JSON object.')
  const { schemas, Operations, failOnErrors = MOST_OPERATIONS + 1 } = sent
  if (!Array.isArray(schemas) || !schemas.includes(REQUEST)) {
    throw new ScimError(400, 'invalidSyntax', 'A bulk request has the schema of one.')
  }
  if (!Array.isArray(Operations) || Operations.length === 0) throw invalidValue('A bulk request has Operations.')
  if (Operations.length > MOST_OPERATIONS) {
    throw new ScimError(413, undefined, `A bulk request has ${MOST_OPERATIONS} operations at most (maxOperations).`)
  }
  if (typeof failOnErrors !== 'number' || !Number.isInteger(failOnErrors) || failOnErrors < 1) {
    throw invalidValue('failOnErrors is a number of errors, at least one.')
  }
  const list: unknown[] = Operations
  const operations = list.map(readOperation)
  const named = operations.flatMap(({ bulkId }) => bulkId ?? [])
  if (new Set(named).size !== named.length) throw invalidValue('A bulkId is there twice.')
  const all = new Set(named)
  if (operations.some(({ names }) => names.some((name) => !all.has(name)))) {
    throw invalidValue('A reference by bulkId names no operation of this request.')
  }
  return { operations, failOnErrors }
}

function readOperation(sent: unknown): Operation {
  if (!isDoc(sent)) throw new ScimError(400, 'invalidSyntax', 'An operation is a JSON object.')
  const { bulkId, path, version, data } = sent
  const method = METHODS.find((each) => typeof sent['method'] === 'string' && each === sent['method'].toUpperCase())
  const found = typeof path === 'string' ? PATH.exec(path) : null
  if (!method) throw invalidValue('The method of an operation is POST, PUT, PATCH or DELETE.')
  if (!found) throw invalidValue('The path of an operation is that of users or groups, or of one of them.')
  const [, collection = '', id] = found
  if ((method === 'POST') !== (id === undefined)) {
    throw invalidValue('POST is sent to users or groups, everything else to one of them.')
  }
  if (bulkId !== undefined && (typeof bulkId !== 'string' || !BULK_ID.test(bulkId))) {
    throw invalidValue('A bulkId is a short text without blanks.')
  }
  if (method === 'POST' && bulkId === undefined) throw invalidValue('POST has a bulkId.')
  if (version !== undefined && typeof version !== 'string') throw invalidValue('A version is a text.')
  if (method !== 'DELETE' && !isDoc(data)) throw invalidValue('An operation that changes something has data.')
  return { method, bulkId, collection, id, version, data, names: referencesOf(id, data) }
}

/** §3.7.2: other operations that one names, in its path or anywhere in its data. */
function referencesOf(id: string | undefined, data: unknown): string[] {
  const found: string[] = []
  const look = (value: unknown, depth: number): void => {
    if (depth > DEEPEST) throw invalidValue('The data of an operation is nested too deeply.')
    if (typeof value === 'string') {
      const name = REFERENCE.exec(value)?.[1]
      if (name !== undefined) found.push(name)
    } else if (Array.isArray(value)) for (const each of value) look(each, depth + 1)
    else if (isDoc(value)) for (const each of Object.values(value)) look(each, depth + 1)
  }
  look(id, 0)
  look(data, 0)
  return found
}

function resolved(text: string, known: Known): string {
  const name = REFERENCE.exec(text)?.[1]
  return name === undefined ? text : (known.get(name) ?? text)
}

function inserted(value: unknown, known: Known): unknown {
  if (typeof value === 'string') return resolved(value, known)
  if (Array.isArray(value)) return value.map((each) => inserted(each, known))
  if (!isDoc(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, inserted(each, known)]))
}
