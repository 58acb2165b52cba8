import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { Instant } from '../instant.ts'
import { operation } from '../operation.ts'
import { problem } from '../problem.ts'
import { apiDocuments, openApiDocument, problemsOf } from './openapi.ts'

const gone = problem('gone-off', 409, 'It went off', { at: Instant })
const Thing = z.object({ id: z.uuid(), at: Instant }).meta({ id: 'Thing' })
const readThing = operation({
  id: 'thing.read',
  method: 'GET',
  path: '/v1/things/:id',
  summary: 'Reads a thing',
  function: 'pam',
  resource: 'Thing',
  params: z.object({ id: z.uuid() }),
  query: z.object({ limit: z.coerce.number().int().max(5).default(3) }),
  output: Thing,
})
const makeThing = operation({
  id: 'thing.make',
  method: 'POST',
  path: '/v1/things',
  summary: 'Makes a thing',
  function: 'pam',
  resource: 'Installation',
  input: z.object({ at: Instant }),
  output: Thing,
  status: 201,
  problems: [gone],
})

const askThing = operation({
  id: 'thing.ask',
  method: 'POST',
  path: '/access/v1/thing',
  standard: 'Things 1.0 §2',
  effect: 'read',
  summary: 'Asks about a thing',
  function: 'pam',
  resource: 'Thing',
  input: z.object({ at: Instant }),
  output: Thing,
})

test('an operation on the path of a standard names it, and one that only reads keeps no answer under a key', () => {
  const { post } = loosely(openApiDocument([askThing, makeThing], '1.0.0')).paths['/access/v1/thing']

  assert.equal(post['x-standard'], 'Things 1.0 §2')
  assert.deepEqual(post.parameters, [])
  assert.equal(post.responses['409'], undefined)
})

test('the document says what is on the wire: instants as text, schemas with an id by reference', () => {
  const document = loosely(openApiDocument([readThing, makeThing], '1.0.0'))

  const { get } = document.paths['/v1/things/{id}']
  assert.deepEqual(get.responses['200'].content['application/json'].schema, { $ref: '#/components/schemas/Thing' })
  assert.deepEqual(document.components.schemas.Thing.properties.at, {
    type: 'string',
    format: 'date-time',
    'x-classification': 'public',
  })
  assert.deepEqual(
    get.parameters.map(({ name, in: place, required }: Record<string, unknown>) => [name, place, required]),
    [
      ['id', 'path', true],
      ['limit', 'query', false],
    ],
  )
})

test('every problem of an operation stands under its status with its facts', () => {
  const document = loosely(openApiDocument([readThing, makeThing], '1.0.0'))

  const refused = document.paths['/v1/things'].post.responses['409'].content['application/problem+json'].schema
  assert.ok(refused.oneOf.some(({ $ref }: Record<string, unknown>) => $ref === '#/components/schemas/Problem.gone-off'))
  assert.equal(document.components.schemas['Problem.gone-off'].properties.facts.properties.at.format, 'date-time')
  const served = apiDocuments(document, [makeThing])
  assert.ok(served['/v1/problems/gone-off'])
  assert.equal(served['/v1/openapi.json'], document)
})

test('every reference of the document leads somewhere', () => {
  const document = loosely(openApiDocument([readThing, makeThing], '1.0.0'))
  const references = JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)

  const names = [...references].map((match) => match[1] ?? '')

  assert.ok(names.length > 5)
  assert.deepEqual(
    names.filter((name) => !(name in document.components.schemas)),
    [],
  )
})

test('bytes have a media type and no schema, text has both, and a rest of the path is a parameter', () => {
  const part = operation({
    id: 'thing.part',
    method: 'GET',
    path: '/v1/things/:id/*place',
    summary: 'Gives bytes',
    function: 'pam',
    resource: 'Thing',
    params: z.object({ id: z.uuid(), place: z.string() }),
    output: z.instanceof(Uint8Array),
    answer: 'bytes',
  })
  const text = {
    ...part,
    id: 'thing.text',
    path: '/v1/texts/:id/*place',
    output: z.string(),
    mediaType: 'text/plain; charset=utf-8',
  }

  const { paths } = loosely(openApiDocument([part, text], '1.0.0'))

  const { get } = paths['/v1/things/{id}/{place}']
  assert.deepEqual(get.responses['200'].content, { 'application/octet-stream': {} })
  assert.deepEqual(
    get.parameters.map(({ name }: Record<string, unknown>) => name),
    ['id', 'place'],
  )
  assert.deepEqual(paths['/v1/texts/{id}/{place}'].get.responses['200'].content, {
    'text/plain': { schema: { type: 'string' } },
  })
})

test('two operations of one name or route, and two problems of one slug, are refused', () => {
  const twin = { ...makeThing, id: 'thing.other' }
  const other = { ...makeThing, problems: [problem('gone-off', 410, 'Something else', {})] }

  assert.throws(() => openApiDocument([makeThing, twin], '1'), /two operations POST/)
  assert.throws(() => openApiDocument([makeThing, makeThing], '1'), /two operations thing\.make/)
  assert.throws(() => problemsOf([makeThing, other]), /share the slug gone-off/)
})

// oxlint-disable-next-line typescript/no-explicit-any -- a test looks into the document as a reader of JSON does
function loosely(document: unknown): any {
  return document
}
