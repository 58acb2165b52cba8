import fc from 'fast-check'
import {
  Binding,
  CredentialState,
  CredentialType,
  GrantLevel,
  Holder,
  PrincipalState,
  PrincipalType,
  ReferenceEvidence,
  ReferenceHow,
  Strength,
  WhyUnknown,
} from '../../src/connectors/observation.ts'

/** What no field should be. */
export const ODD: readonly unknown[] = [
  undefined,
  null,
  '',
  0,
  -1,
  4,
  1.5,
  NaN,
  Infinity,
  true,
  7n,
  [],
  {},
  new Date(NaN),
  new Date(0),
  Array(2),
  { known: true },
  { known: 1, value: 'x' },
  { known: false, why: 'because' },
  { kind: 'A', id: 'x' },
  { kind: 'a', id: '' },
  { kind: 'a', id: 'x', authority: '' },
  { kind: 'a', id: 'x', alg: 'key-id', value: 'x' },
  { alg: 'key-id', value: 'x' },
  'a\u0007b',
  '\ud800',
  'x'.repeat(301),
  'x'.repeat(1_001),
  Array.from({ length: 201 }, () => 'x'),
  Object.fromEntries(Array.from({ length: 51 }, (_, at) => [`k${at}`, 'x'])),
  { ['k'.repeat(65)]: 1 },
  { ['k'.repeat(129)]: 'x' },
  JSON.parse('{"__proto__": "x", "a": "b"}'),
  { a: undefined },
  { a: { b: 1 } },
  { [Symbol('a')]: 1 },
  Object.create({ a: 1 }),
  new Map(),
  'never',
]
const oneOf = (schema: { readonly options: readonly string[] }) => fc.constantFrom(...schema.options)
const text = fc.oneof(
  { weight: 9, arbitrary: fc.string() },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', minLength: 1 }) },
)
/** Objects as a connector makes them. */
export const plain = (fields: Readonly<Record<string, fc.Arbitrary<unknown>>>) =>
  fc.record(fields, { noNullPrototype: true })
const NATIVE = { kind: fc.stringMatching(/^[a-z0-9]{1,5}(-[a-z]{1,5})?$/), id: fc.string({ minLength: 1 }) }
const known = (value: fc.Arbitrary<unknown>) =>
  fc.oneof(plain({ known: fc.constant(true), value }), plain({ known: fc.constant(false), why: oneOf(WhyUnknown) }))
const id = fc.oneof(plain(NATIVE), plain({ ...NATIVE, authority: fc.string({ minLength: 1 }) }))
const texts = fc.array(text, { maxLength: 4 })
const date = fc.oneof(
  { weight: 9, arbitrary: fc.date({ noInvalidDate: true, min: new Date('0001-01-01'), max: new Date('9999-12-31') }) },
  { weight: 1, arbitrary: fc.date({ noInvalidDate: true }) },
)
const facts = fc.dictionary(text, fc.oneof(text, fc.double({ noNaN: true }), fc.boolean(), fc.constant(null), texts), {
  noNullPrototype: true,
})
const tags = fc.dictionary(text, text, { noNullPrototype: true })
const fingerprint = fc.oneof(
  plain({
    alg: fc.constant('hmac-sha256'),
    keyId: fc.stringMatching(/^[0-9a-f]{12}$/),
    value: fc.stringMatching(/^[0-9a-f]{64}$/),
  }),
  plain({ alg: fc.constantFrom('ssh-sha256', 'spki-sha256', 'key-id', 'md5'), value: fc.string() }),
)
const expiry = known(fc.oneof(date, fc.constant('never')))

/** Of each kind its fields, mostly as the contract has them. */
export const KINDS: Readonly<Record<string, Readonly<Record<string, fc.Arbitrary<unknown>>>>> = {
  principal: {
    id,
    type: oneOf(PrincipalType),
    name: text,
    aliases: fc.oneof(texts, fc.constant(undefined)),
    state: known(oneOf(PrincipalState)),
    createdAt: known(date),
    createdBy: known(id),
    interactive: known(fc.boolean()),
    environment: known(text),
    tags: fc.oneof(tags, fc.constant(undefined)),
    instanceOf: fc.oneof(id, fc.constant(undefined)),
    facts: fc.oneof(facts, fc.constant(undefined)),
  },
  credential: {
    id,
    principal: known(id),
    type: oneOf(CredentialType),
    name: text,
    state: known(oneOf(CredentialState)),
    createdAt: known(date),
    rotatedAt: known(date),
    expiresAt: expiry,
    fingerprints: known(fc.array(fingerprint, { maxLength: 3 })),
    scopes: known(texts),
    bindings: known(fc.array(oneOf(Binding), { maxLength: 3 })),
    strength: known(oneOf(Strength)),
    strengthWhy: texts,
    heldBy: known(oneOf(Holder)),
    facts,
  },
  resource: {
    id,
    type: text,
    name: text,
    parent: fc.oneof(id, fc.constant(undefined)),
    environment: known(text),
    sensitivity: known(fc.integer({ min: -1, max: 4 })),
    tags,
    facts,
  },
  grant: {
    id,
    principal: id,
    on: id,
    privilege: text,
    level: oneOf(GrantLevel),
    via: fc.array(id, { maxLength: 3 }),
    grantable: known(fc.boolean()),
    grantedBy: known(id),
    expiresAt: expiry,
    facts,
  },
  trust: {
    id,
    from: fc.oneof(
      id,
      plain({ issuer: text, claims: fc.dictionary(fc.string(), texts, { maxKeys: 3, noNullPrototype: true }) }),
    ),
    to: id,
    wildcard: fc.boolean(),
    facts,
  },
  reference: {
    id,
    consumer: id,
    credential: fc.oneof(id, fingerprint),
    how: oneOf(ReferenceHow),
    location: text,
    evidence: oneOf(ReferenceEvidence),
    facts,
  },
}
