import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ScimError } from './error.ts'
import { matches, parseFilter } from './filter.ts'
import { patched } from './patch.ts'
import { canonical, isDoc, projected, type Doc } from './resource.ts'
import { ENTERPRISE, GROUPS, USERS } from './schema.ts'

const JOAN: Doc = {
  userName: 'joan@example.org',
  externalId: '42',
  active: true,
  title: 'Engineer',
  name: { givenName: 'Joan', familyName: 'Clarke' },
  emails: [
    { value: 'joan@example.org', type: 'work', primary: true },
    { value: 'joan@home.example', type: 'home' },
  ],
  [ENTERPRISE]: { department: 'payments', manager: { value: 'm1' } },
}

function after(...Operations: unknown[]): Doc {
  return patched(USERS, JOAN, { schemas: ['urn:ietf:params:scim:api:messages:2.0:PatchOp'], Operations })
}

function refusedAs(scimType: string) {
  return (error: unknown) => error instanceof ScimError && error.scimType === scimType && error.status === 400
}

test('what Entra sends: verbs with a capital, booleans as text, dotted and qualified names in one object', () => {
  assert.equal(after({ op: 'Replace', path: 'active', value: 'False' })['active'], false)
  const doc = after({
    op: 'Add',
    value: {
      'name.givenName': 'Jo',
      active: 'True',
      [`${ENTERPRISE}:department`]: 'research',
      'emails[type eq "work"].value': 'jo@example.org',
    },
  })
  assert.deepEqual(doc['name'], { givenName: 'Jo', familyName: 'Clarke' })
  assert.deepEqual(doc[ENTERPRISE], { department: 'research', manager: { value: 'm1' } })
  assert.deepEqual(doc['emails'], [
    { value: 'jo@example.org', type: 'work', primary: true },
    { value: 'joan@home.example', type: 'home' },
  ])
  assert.equal(JOAN['active'], true, 'the one that was given stays as it was')
})

test('what Entra sends of a manager and of phones: the bare id, and a value for a type that is not there yet', () => {
  const doc = after(
    { op: 'Add', path: `${ENTERPRISE}:manager`, value: 'm2' },
    { op: 'Add', path: 'phoneNumbers[type eq "mobile"].value', value: '+1 555' },
  )
  assert.deepEqual(doc[ENTERPRISE], { department: 'payments', manager: { value: 'm2' } })
  assert.deepEqual(doc['phoneNumbers'], [{ value: '+1 555', type: 'mobile' }])
  const without = after(
    { op: 'Remove', path: `${ENTERPRISE}:manager` },
    { op: 'Remove', path: `${ENTERPRISE}:department` },
  )
  assert.ok(!(ENTERPRISE in without))
})

test('what Okta sends: no path, the id repeated, and the members of a group by a filter or as a whole', () => {
  const doc = after({ op: 'replace', value: { id: 'another', active: false } })
  assert.deepEqual([doc['active'], doc['id']], [false, undefined])
  const group: Doc = {
    displayName: 'all',
    members: [
      { value: 'a', type: 'User' },
      { value: 'b', type: 'User' },
    ],
  }
  const members = (...Operations: unknown[]) => {
    const found = patched(GROUPS, group, { Operations })['members'] ?? []
    assert.ok(Array.isArray(found))
    return found.map((each: unknown) => (isDoc(each) ? each['value'] : each))
  }
  assert.deepEqual(members({ op: 'remove', path: 'members[value eq "a"]' }), ['b'])
  assert.deepEqual(members({ op: 'Remove', path: 'members', value: [{ value: 'b', $ref: null }] }), ['a'])
  assert.deepEqual(members({ op: 'add', path: 'members', value: [{ value: 'b', display: 'B' }, { value: 'c' }] }), [
    'a',
    'b',
    'c',
  ])
  assert.deepEqual(members({ op: 'replace', value: { displayName: 'x', members: [{ value: 'z' }] } }), ['z'])
  assert.deepEqual(members({ op: 'remove', path: 'members[value eq "nobody"]' }), ['a', 'b'])
  assert.deepEqual(members({ op: 'remove', path: 'members' }), [])
})

test('the rules of the standard: none or all, what is missing is said, and a new primary takes the place of the old one', () => {
  assert.throws(
    () => after({ op: 'replace', path: 'emails[type eq "other"].value', value: 'x' }),
    refusedAs('noTarget'),
  )
  assert.throws(() => after({ op: 'remove' }), refusedAs('noTarget'))
  assert.throws(() => after({ op: 'move', path: 'title', value: 'x' }), refusedAs('invalidSyntax'))
  assert.throws(() => after({ op: 'replace', path: 'no.such.place', value: 'x' }), refusedAs('invalidPath'))
  assert.throws(() => after({ op: 'replace', path: 'title[type eq "x"]', value: 'x' }), refusedAs('invalidPath'))
  assert.throws(() => after({ op: 'replace', path: 'active', value: 'perhaps' }), refusedAs('invalidValue'))
  assert.throws(() => patched(USERS, JOAN, { Operations: [] }), refusedAs('invalidSyntax'))
  assert.throws(
    () => after({ op: 'replace', path: 'title', value: 'x' }, { op: 'replace', path: 'id', value: 'y' }),
    refusedAs('mutability'),
  )
  const doc = after({ op: 'add', path: 'emails', value: [{ value: 'new@example.org', primary: true }] })
  assert.ok(Array.isArray(doc['emails']))
  assert.deepEqual(
    doc['emails'].map((each: unknown) => isDoc(each) && each['primary']),
    [false, undefined, true],
  )
})

const FILTERS: readonly (readonly [string, boolean])[] = [
  ['userName eq "JOAN@example.org"', true],
  ['externalId eq "42"', true],
  ['externalId eq "4"', false],
  ['emails.value co "home"', true],
  ['emails[type eq "work" and value co "@example.org"]', true],
  ['emails[type eq "home" and primary eq true]', false],
  ['emails co "joan@"', true],
  ['title pr and not (title eq "Lead")', true],
  ['not(active eq true)', false],
  ['active eq "True"', true],
  ['title eq "x" or title sw "eng" and active eq true', true],
  ['(title eq "x" or title sw "eng") and active eq false', false],
  [`${ENTERPRISE}:department eq "payments"`, true],
  [`${ENTERPRISE}:manager.value eq "m1"`, true],
  ['nickName eq null', true],
  ['nickName ne "x"', true],
  ['title gt "D" and title le "Engineer"', true],
  ['urn:ietf:params:scim:schemas:core:2.0:User:title ew "NEER"', true],
  ['userName eq "a\\" or active eq true"', false],
]

test('filters find what they ask for, whatever precedence, case and quoting', () => {
  for (const [text, isFound] of FILTERS) assert.equal(matches(parseFilter(USERS, text), JOAN), isFound, text)
})

test('attack: filters that inject, nest, repeat or never end are refused, and cost no more than reading them', () => {
  const bad = [
    `userName eq "x" or 1=1`,
    `userName eq 'x'`,
    `userName eq "x"; drop table identity`,
    'userName eq "x',
    'userName eq "\\',
    '('.repeat(2_000) + 'title pr' + ')'.repeat(2_000),
    'not ('.repeat(100) + 'title pr' + ')'.repeat(100),
    Array.from({ length: 200 }, () => 'title pr').join(' or '),
    `title eq "${'a'.repeat(5_000)}"`,
    'emails[emails[type eq "x"]]',
    'title[type eq "x"]',
    '__proto__ pr',
    'constructor.name eq "Object"',
    'title eq',
    'title',
    '',
    ' ',
    'title eq "a" and',
    'title eq NaNa',
    'title xx "a"',
  ]
  for (const text of bad) assert.throws(() => parseFilter(USERS, text), refusedAs('invalidFilter'), text.slice(0, 60))
})

const anything = fc.oneof(
  fc.string({ maxLength: 60 }),
  fc.stringMatching(/^[a-z()" [\].:]{0,60}$/),
  fc
    .constantFrom('eq', 'userName', ' and ', '(', ')', '"x"', 'emails[', ']', 'not ', 'pr')
    .chain((a) => fc.constant(a)),
)

test('whatever text comes as a filter is a filter or invalidFilter, and whatever body comes as a patch is a patch or an error of the protocol', () => {
  fc.assert(
    fc.property(fc.array(anything, { maxLength: 12 }), (parts) => {
      try {
        assert.equal(typeof matches(parseFilter(USERS, parts.join('')), JOAN), 'boolean')
      } catch (error) {
        assert.ok(refusedAs('invalidFilter')(error), String(error))
      }
    }),
  )
  const op = fc.record({
    op: fc.constantFrom('add', 'Replace', 'REMOVE', 'x'),
    path: fc.option(
      fc.constantFrom(
        'title',
        'emails',
        'emails[type eq "work"]',
        'name',
        'name.givenName',
        `${ENTERPRISE}:manager`,
        ENTERPRISE,
        'emails[',
        'active',
        '__proto__',
      ),
      { nil: undefined },
    ),
    value: fc.jsonValue({ maxDepth: 3 }),
  })
  fc.assert(
    fc.property(fc.array(op, { maxLength: 5 }), (Operations) => {
      const before = structuredClone(JOAN)
      try {
        const doc = patched(USERS, JOAN, { Operations })
        // What comes out is what the schema keeps: nothing else got in by any way.
        assert.deepEqual(canonical(USERS, doc), doc)
      } catch (error) {
        assert.ok(error instanceof ScimError, String(error))
      }
      assert.deepEqual(JOAN, before)
      assert.equal(Object.prototype.hasOwnProperty.call(Object.prototype, 'givenName'), false)
    }),
  )
})

test('an answer holds what was asked for, and always who it is about', () => {
  const doc: Doc = { schemas: ['x'], id: '1', ...JOAN, meta: { resourceType: 'User' } }
  const only = (attributes: string[]) => projected(USERS, doc, { attributes, excluded: [] })
  assert.deepEqual(only(['USERNAME']), { schemas: ['x'], id: '1', userName: 'joan@example.org' })
  assert.deepEqual(only(['name.givenName', `${ENTERPRISE}:department`]), {
    schemas: ['x'],
    id: '1',
    name: { givenName: 'Joan' },
    [ENTERPRISE]: { department: 'payments' },
  })
  const without = projected(USERS, doc, { attributes: [], excluded: ['emails', 'id', 'name.familyName', ENTERPRISE] })
  assert.deepEqual(
    [without['emails'], without['id'], without['name'], without[ENTERPRISE]],
    [undefined, '1', { givenName: 'Joan' }, undefined],
  )
})
