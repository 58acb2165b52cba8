import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { KINDS, ODD, plain } from '../../../test/support/observations.ts'
import { Observation } from '../../connectors/connector.ts'
import { Bytes } from './bytes.ts'
import { OBJECT_KINDS } from '../rows.ts'
import { ToldBytes } from './told-bytes.ts'

/** Of one thing, or of several one behind the other; undefined where one has none. */
function bytesOf(...all: object[]): Buffer | undefined {
  const bytes = new Bytes()
  const writer = new ToldBytes(bytes)
  const isTold = all.every((told) => writer.write(told as Parameters<ToldBytes['write']>[0]))
  return isTold ? Buffer.from(bytes.between(0, bytes.end)) : undefined
}

/** Reads what was written: nothing that can be read back was lost, and nothing else has the same bytes. */
class Reader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get isOver(): boolean {
    return this.#at === this.#bytes.length
  }

  thing(): Record<string, unknown> {
    assert.equal(this.byte(), 2)
    const kind = ['', 'principal', 'credential', 'resource', 'grant', 'trust', 'reference'][this.byte()] ?? ''
    const fields = (LAYOUT[kind] ?? []).map(([name, read]) => [name, read(this)])
    return { kind, ...Object.fromEntries(fields.filter(([, value]) => value !== undefined)) }
  }

  byte(): number {
    this.#at += 1
    return this.#bytes.readUInt8(this.#at - 1)
  }

  number(): number {
    this.#at += 8
    return this.#bytes.readDoubleLE(this.#at - 8)
  }

  size(): number {
    this.#at += 4
    return this.#bytes.readUInt32LE(this.#at - 4)
  }

  text(): string {
    const first = this.byte()
    const length = first < 254 ? first : this.size()
    this.#at += first === 255 ? 2 * length : length
    return first === 255
      ? this.#bytes.toString('utf16le', this.#at - 2 * length, this.#at)
      : this.#bytes.toString('latin1', this.#at - length, this.#at)
  }
}

type Read = (from: Reader) => unknown
const text: Read = (from) => from.text()
const maybe =
  (read: Read): Read =>
  (from) =>
    from.byte() === 1 ? read(from) : undefined
const listOf = (read: Read) => (from: Reader) => Array.from({ length: from.size() }, () => read(from))
const texts = maybe(listOf(text))
const boolean: Read = (from) => from.byte() === 2
const id: Read = (from) => objectOf({ kind: text, id: text, authority: maybe(text) }, from)
const fingerprint: Read = (from) => objectOf({ alg: text, keyId: maybe(text), value: text }, from)
const until: Read = (from) => (from.byte() === 2 ? 'never' : new Date(from.number()))
const fact: Read = (from) =>
  [() => null, () => false, () => true, () => from.number(), text, texts][from.byte()]?.(from)
const facts: Read = (from) => {
  const entries: [string, unknown][] = []
  for (;;) {
    const next = from.byte()
    // Nothing at all and none are kept alike.
    if (next !== 1) return Object.fromEntries(entries)
    entries.push([from.text(), fact(from)])
  }
}
const WHYS = ['denied', 'unsupported', 'not-collected', 'failed']
const known =
  (read: Read): Read =>
  (from) => {
    const why = WHYS[from.byte()]
    return why === undefined ? { known: true, value: read(from) } : { known: false, why }
  }
const either =
  (...reads: Read[]): Read =>
  (from) =>
    reads[from.byte()]?.(from)

function objectOf(fields: Readonly<Record<string, Read>>, from: Reader): object {
  const entries = Object.entries(fields).map(([name, read]) => [name, read(from)])
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined))
}

const issuer: Read = (from) => objectOf({ issuer: text, claims: facts }, from)
const none: Read = () => assert.fail('there is no such value')
const LAYOUT: Readonly<Record<string, readonly (readonly [string, Read])[]>> = {
  principal: [
    ['id', id],
    ['type', text],
    ['name', text],
    ['aliases', texts],
    ['state', known(text)],
    ['createdAt', known(until)],
    ['createdBy', known(id)],
    ['interactive', known(boolean)],
    ['environment', known(text)],
    ['tags', facts],
    ['instanceOf', maybe(id)],
    ['facts', facts],
  ],
  credential: [
    ['id', id],
    ['principal', known(id)],
    ['type', text],
    ['name', text],
    ['state', known(text)],
    ['createdAt', known(until)],
    ['rotatedAt', known(until)],
    ['expiresAt', known(until)],
    ['fingerprints', known(listOf(fingerprint))],
    ['scopes', known(texts)],
    ['bindings', known(texts)],
    ['strength', known(text)],
    ['strengthWhy', texts],
    ['heldBy', known(text)],
    ['facts', facts],
  ],
  resource: [
    ['id', id],
    ['type', text],
    ['name', text],
    ['parent', maybe(id)],
    ['environment', known(text)],
    ['sensitivity', known((from) => from.number())],
    ['tags', facts],
    ['facts', facts],
  ],
  grant: [
    ['id', id],
    ['principal', id],
    ['on', id],
    ['privilege', text],
    ['level', text],
    ['via', maybe(listOf(id))],
    ['grantable', known(boolean)],
    ['grantedBy', known(id)],
    ['expiresAt', known(until)],
    ['facts', facts],
  ],
  trust: [
    ['id', id],
    ['from', either(none, id, none, issuer)],
    ['to', id],
    ['wildcard', boolean],
    ['facts', facts],
  ],
  reference: [
    ['id', id],
    ['consumer', id],
    ['credential', either(none, id, fingerprint)],
    ['how', text],
    ['location', text],
    ['evidence', text],
    ['facts', facts],
  ],
}

/** As it is read back: what is not there has no name, and labels that are not there are none. */
function asTold(told: Record<string, unknown>): Record<string, unknown> {
  const records = ['tags', 'facts'].filter((name) => LAYOUT[String(told['kind'])]?.some(([own]) => own === name))
  const all = { ...told, ...Object.fromEntries(records.map((name) => [name, told[name] ?? {}])) }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
}

test('all of a thing can be read back from its bytes, and where the next begins: nothing told otherwise has the same', () => {
  for (const kind of OBJECT_KINDS) {
    const thing = plain(KINDS[kind] ?? {}).map((fields): Record<string, unknown> => ({ kind, ...fields }))
    fc.assert(
      fc.property(fc.array(thing, { minLength: 1, maxLength: 3 }), (things) => {
        const reader = new Reader(bytesOf(...things) ?? assert.fail('it has no bytes'))
        for (const told of things) assert.deepEqual(reader.thing(), asTold(told))
        assert.ok(reader.isOver)
      }),
      { numRuns: 150 },
    )
  }
})

/** What is kept of it; undefined where that is nothing. */
const kept = (told: object) => Observation.safeParse(told).data
/** JSON has no symbols and neither has a source. */
const odd = ODD.filter((value) => !(typeof value === 'object' && Object.getOwnPropertySymbols(value ?? {}).length > 0))

test('what breaks the contract has the same bytes only where the same is kept of it', () => {
  let same = 0
  for (const kind of OBJECT_KINDS) {
    const fields = KINDS[kind] ?? {}
    const base = fc.sample(plain(fields), { numRuns: 1, seed: 7 })[0] ?? {}
    const all = new Map<string, unknown>()
    for (const name of Object.keys(fields)) {
      for (const value of odd) {
        const told = { kind, ...base, [name]: value }
        const bytes = bytesOf(told)?.toString('latin1')
        if (bytes === undefined) continue
        if (all.has(bytes)) same += 1
        assert.deepEqual(kept(told), all.has(bytes) ? all.get(bytes) : kept(told))
        all.set(bytes, kept(told))
      }
    }
  }
  assert.ok(same > 0, `${same} told alike`)
})

test('every field that the schema knows is in the bytes', () => {
  const schemas = Observation.options.flatMap((option) => ('kind' in option.shape ? [option] : []))
  for (const kind of OBJECT_KINDS) {
    const fields = KINDS[kind] ?? {}
    const shape = schemas.find(({ shape: { kind: own } }) => own.value === kind)?.shape ?? {}
    assert.deepEqual(new Set(Object.keys(fields)), new Set(Object.keys(shape).filter((name) => name !== 'kind')))
    for (const [name, value] of Object.entries(fields)) {
      const [told = {}] = fc.sample(plain(fields), { numRuns: 1, seed: 7 })
      const digests = fc
        .sample(value, { numRuns: 40, seed: 7 })
        .map((of) => bytesOf({ kind, ...told, [name]: of })?.toString('latin1'))
      assert.ok(new Set(digests).size > 1, `${kind}.${name}`)
    }
  }
})

test('what JSON would take for each other is told apart where it breaks the contract', () => {
  const told = (value: unknown) => ({ kind: 'principal', id: { kind: 'a', id: 'b' }, name: value })
  const alike = [
    null,
    undefined,
    NaN,
    Infinity,
    '',
    'null',
    0,
    -0,
    new Date(0),
    new Date(0).toISOString(),
    [null],
    [undefined],
    {},
    [[]],
    1n,
  ]
  assert.equal(new Set(alike.map((value) => bytesOf(told(value))?.toString('latin1'))).size, alike.length)
})
