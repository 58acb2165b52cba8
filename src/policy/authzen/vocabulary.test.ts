import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { buildSchema } from '../schema.ts'
import { attributesOf, fitted, fittedAttributes } from '../typing.ts'
import { parseVocabulary, vocabularyInvalid } from './vocabulary.ts'

const schema = buildSchema(
  `namespace Reeve {
  entity Team in [Team];
  entity Person, Machine, Workload, Agent in [Team] = { name: String };
  entity AccessRequest;
  entity Document in [Team] = { id: String, level?: Long, open?: Bool, due?: datetime, owner?: Team, tags?: Set<String>, place?: Place };
  type Place = { room: String, floor?: Long };
  type Context = { now: datetime };
  action "privileged";
}`,
  [{ name: 'document.read', groups: ['privileged'], resources: ['Document'] }],
)

function faultsOf(text: string): string {
  try {
    parseVocabulary(text, schema)
    return ''
  } catch (error) {
    assert.ok(vocabularyInvalid.is(error), String(error))
    return error.message
  }
}

test('a word is an alias, or the type or action of that name; people are users to everybody else', () => {
  const vocabulary = parseVocabulary('types: { file: Document }\nactions: { GET: document.read }', schema)

  assert.deepEqual(
    ['file', 'document', 'user', 'access-request', 'access_request', 'spaceship', 'toString', '__proto__'].map((word) =>
      vocabulary.typeOf(word),
    ),
    ['Document', 'Document', 'Person', 'AccessRequest', 'AccessRequest', undefined, undefined, undefined],
  )
  assert.deepEqual(
    ['GET', 'document.read', 'privileged', 'constructor'].map((word) => vocabulary.actionOf(word)),
    ['document.read', 'document.read', undefined, undefined],
  )
  assert.equal(vocabulary.wordOfAction('document.read'), 'GET')
})

test('what is listed has the attributes that the schema declares, and its groups', () => {
  const text = `entities:
  Document: { plan: { level: 3, due: '2030-01-01T00:00:00Z', tags: [a, b], in: [Team/x] } }
  Team: { x: {} }`

  const plan = parseVocabulary(text, schema).listed('Document')?.get('plan')

  assert.deepEqual(plan?.attributes, { level: 3, due: new Date('2030-01-01T00:00:00Z'), tags: ['a', 'b'] })
  assert.deepEqual(plan?.parents, [{ type: 'Team', id: 'x' }])
})

test('what the schema does not know is refused, and says where', () => {
  assert.match(faultsOf('types: { file: Fiel }'), /types\.file: the schema has no type Fiel/)
  assert.match(faultsOf('actions: { GET: privileged }'), /actions\.GET: the schema has no action privileged/)
  assert.match(faultsOf('entities: { Documet: { a: {} } }'), /entities\.Documet/)
  assert.match(
    faultsOf('entities: { Document: { a: { levl: 1 } } }'),
    /entities\.Document\.a\.levl: the schema has no such/,
  )
  assert.match(faultsOf('entities: { Document: { a: { level: high } } }'), /entities\.Document\.a\.level: not what/)
  assert.match(faultsOf('entities: { Document: { a: { in: x } } }'), /in: expected a list/)
  assert.match(faultsOf('entities: { Document: { a: &x {}, b: *x } }'), /aliases/)
  assert.match(faultsOf('typs: {}'), /typs/)
  assert.match(faultsOf('{'), /not valid/)
})

test('attack: groups that hold themselves are refused before any question is asked about them', () => {
  const text = 'entities: { Team: { a: { in: [Team/b] }, b: { in: [Team/c] }, c: { in: [Team/a] } } }'

  assert.match(faultsOf(text), /Team\/a is in Team\/b is in Team\/c is in Team\/a/)
})

test('attack: a value that only looks like what the schema wants is not taken', () => {
  const attributes = attributesOf(schema, 'Document') ?? new Map()
  const taken = (values: Record<string, unknown>) => Object.keys(fittedAttributes(attributes, values)).sort()

  assert.deepEqual(
    taken({ level: '3', open: 'true', due: 'tomorrow', owner: { type: 'Person', id: 'x' }, tags: ['a', 1] }),
    [],
  )
  assert.deepEqual(taken({ level: 2 ** 53, open: 1, due: 0, owner: 5, tags: 'a', place: { floor: 1 } }), [])
  assert.deepEqual(taken({ level: 1.5, open: null, place: ['x'], ghost: 1, id: '\ud800' }), [])
  assert.deepEqual(
    taken({ level: 3, open: false, due: '2030-01-01T00:00:00+02:00', owner: 'x', place: { room: 'r', no: 1 } }),
    ['due', 'level', 'open', 'owner', 'place'],
  )
})

test('whatever is given, a value fits or is left out, and nothing throws', () => {
  const attributes = attributesOf(schema, 'Document') ?? new Map()
  fc.assert(
    fc.property(fc.constantFrom(...attributes.keys()), fc.jsonValue(), (name, value) => {
      fitted(attributes.get(name)?.type ?? { kind: 'other' }, value)
    }),
    { numRuns: 1000 },
  )
})
