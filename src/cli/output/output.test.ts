import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { parse } from 'yaml'
import { z } from 'zod'
import { operations } from '../../contracts.ts'
import { listConsumers } from '../../credentials/contract.ts'
import { evaluateFindings, listFindings } from '../../governance/contract.ts'
import { Coverage, listSources, readCoverage, readSource } from '../../inventory/contract.ts'
import { pageOf } from '../../kernel/operation.ts'
import { fit, isSteering, printable, printableJson, widthOf } from './printable.ts'
import { recordedText } from './recording.ts'
import { FORMATS, render, type Format } from './render.ts'
import { table } from './table.ts'

const Thing = z.object({
  id: z.string(),
  name: z.string(),
  ownerTeam: z.string().nullable(),
  tags: z.array(z.string()),
  deep: z.object({}),
})
const Things = pageOf(Thing)
const AT = '2026-05-06T10:00:00.000Z'
const ID = '01890000-0000-8000-8000-00000000000a'
const ESC = '\u001b'
/** Clears the screen, renames the window, writes to the clipboard, hides and reorders text. */
const HOSTILE = `${ESC}[2J${ESC}]0;owned\u0007${ESC}]52;c;cm0gLXJm\u0007\u009b31m\rroot\u202egnp\u200b\u2028`
// oxlint-disable-next-line no-control-regex -- what a terminal acts on
const ACTED_ON = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/

async function rendered(format: Format, value: unknown, schema: z.ZodType = Things, columns?: number): Promise<string> {
  let text = ''
  const out = { write: (piece: string) => (text += piece), isTTY: columns !== undefined, columns }
  await render(out, format, schema, value)
  return text
}

const page = {
  items: [
    { id: 'i-1', name: 'orders', ownerTeam: 'payments', tags: ['a', 'b'], deep: {} },
    { id: 'i-2', name: 'users', ownerTeam: null, tags: [], deep: {} },
  ],
  nextCursor: null,
}

test('a list is a table of what tells rows apart; wide has every plain field', async () => {
  assert.equal(
    await rendered('table', page),
    'NAME    OWNER TEAM  TAGS\norders  payments    a, b\nusers   -           -\n',
  )
  assert.match(await rendered('wide', page), /^NAME +ID +OWNER TEAM +TAGS\norders +i-1 /)
  assert.equal(await rendered('table', { items: [], nextCursor: null }), 'nothing\n')
})

test('names come one a line, ready for xargs; JSON and YAML hold the answer as it was', async () => {
  assert.equal(await rendered('name', page), 'orders\nusers\n')
  assert.deepEqual(JSON.parse(await rendered('json', page)), page)
  assert.deepEqual(parse(await rendered('yaml', page)), page)
})

test('a change that was applied is named by what its operation answered, or by itself', async () => {
  const change = { id: 'c-1', operation: 'target.update' }
  assert.equal(await rendered('name', { change, answer: { name: 'orders', id: 'i-1' } }), 'orders\n')
  assert.equal(await rendered('name', { change, answer: null }), 'c-1\n')
})

test('one thing is its fields with their values', async () => {
  assert.equal(
    await rendered('table', { name: 'orders', ownerTeam: null, tags: ['a', 'b'], deep: { x: 1 } }, Thing),
    'name        orders\nowner team  -\ntags        a\n            b\ndeep        {"x":1}\n',
  )
})

test('nothing that came from elsewhere steers the terminal, in any form of output', async () => {
  const row = { id: HOSTILE, name: HOSTILE, ownerTeam: HOSTILE, tags: [HOSTILE], deep: { [HOSTILE]: HOSTILE } }
  for (const format of FORMATS) {
    for (const value of [{ items: [row, row], nextCursor: HOSTILE }, row, HOSTILE]) {
      const text = await rendered(format, value)
      assert.doesNotMatch(text, ACTED_ON, format)
    }
  }
  const keyed = { items: [{ [HOSTILE]: 'x' }], nextCursor: null }
  assert.doesNotMatch(await rendered('table', keyed, z.unknown()), ACTED_ON)
})

test('a cell cannot pretend to be a row of its own', async () => {
  const text = await rendered('table', { items: [{ name: 'a\nadmin  payments' }], nextCursor: null })
  assert.equal(text, 'NAME\na\\u000aadmin  payments\n')
})

test('JSON and YAML say the very value, however hostile it is', async () => {
  await fc.assert(
    fc.asyncProperty(fc.dictionary(fc.string(), fc.string({ unit: 'binary' })), async (value) => {
      const hostile = { ...value, hostile: HOSTILE }
      assert.deepEqual(JSON.parse(await rendered('json', hostile)), hostile)
      assert.deepEqual(parse(await rendered('yaml', hostile)), hostile)
      assert.doesNotMatch(await rendered('yaml', hostile), ACTED_ON)
    }),
  )
})

test('printable text has nothing left to spell out and is printed as it is', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      assert.ok(!isSteering(printable(text)))
      assert.equal(printable(printable(text)), printable(text))
    }),
  )
  assert.equal(printable('naïve 日本 ✓'), 'naïve 日本 ✓')
  assert.equal(JSON.parse(printableJson({ a: HOSTILE })).a, HOSTILE)
})

test('a thing of its own is in the table by its name, and where it stands', async () => {
  const thing = (name: string, source: string | null) => ({ id: 'i', name, source })
  const items = [
    { from: thing('app', 'shop'), hops: 1, why: { code: 'x' } },
    { from: thing('billing', null), hops: 2, why: { code: 'y' } },
  ]

  const text = await rendered('table', { items }, z.object({ items: z.array(z.unknown()) }))

  assert.equal(text, 'FROM      HOPS\napp@shop  1\nbilling   2\n')
})

test('wide letters take two columns and marks none', () => {
  assert.equal(widthOf('日本'), 4)
  assert.equal(widthOf('e\u0301'), 1)
  assert.equal(fit('日本語', 5), '日本…')
  assert.equal(fit('日本語', 4), '日… ')
})

test('a table is cut to the terminal at its widest column first', () => {
  const columns = [
    { title: 'name', cells: ['orders'] },
    { title: 'purpose', cells: ['x'.repeat(200)] },
  ]
  const lines = table(columns, 60).split('\n')
  assert.ok(lines.every((line) => widthOf(line) <= 60))
  assert.match(lines[1] ?? '', /^orders  x+…$/)
})

test('a recording is read by people: offsets, statement, outcome, and no escape of what was typed', () => {
  const text = recordedText({
    type: 'operation',
    n: 3,
    atMs: 62_003.5,
    durationMs: 1.25,
    action: 'postgres.write',
    label: 'delete',
    statement: `delete from orders\nwhere note = $1 -- ${HOSTILE}`,
    outcome: 'refused',
    error: { code: '42501', message: `ask for it ${ESC}[0m` },
    rows: 0,
    sizeBytes: 0,
    sealedValues: 1,
  })

  assert.match(
    text,
    /^\+00:01:02\.003 {2}#3 postgres\.write {2}refused {2}1\.3 ms, 1 values sealed\n {4}delete from orders\n {4}where/,
  )
  assert.match(text, /\n {4}42501: ask for it \\u001b\[0m\n$/)
  assert.doesNotMatch(text, ACTED_ON)
})

const half = { yes: 1, no: 0, unknown: 1, percent: 50 }
const none = { yes: 0, no: 0, unknown: 0, percent: null }
const QUESTIONS = [
  'temporary',
  'justified',
  'observable',
  'fullyVisible',
  'unusedRights',
  'owner',
  'purpose',
  'service',
  'expiry',
  'revocationPath',
  'vaulted',
  'brokeredPrivilege',
]
const matrix = (total: number, share: object) => ({
  total,
  ...Object.fromEntries(QUESTIONS.map((name) => [name, share])),
})
const unseen = (why: string) => ({
  isWhole: false,
  sources: 1,
  scopes: { denied: 1 },
  unseen: [{ source: 'db', scope: 'roles', status: 'denied', seenAt: null, what: 'passwords', why }],
  more: 3,
})

test('the matrix is a table of kinds with what is not known, how it moved and what was not seen, and no JSON', async () => {
  const value = {
    at: '2030-01-01T00:00:00.000Z',
    identities: ['human', 'machine', 'workload', 'agent'].map((kind) => ({
      kind,
      ...(kind === 'workload' ? matrix(2, half) : matrix(0, none)),
    })),
    all: matrix(2, half),
    accounts: { total: 3, claimed: 2, unclaimed: 1, privileged: 1 },
    credentials: { total: 2, vaulted: half, expiring: half },
    moved: { 'workload.owner': 5, 'all.owner': -2.5, 'credential.vaulted': 0 },
    coverage: unseen(`no right ${HOSTILE}`),
  }
  const text = await rendered('table', value, readCoverage.output)

  assert.doesNotMatch(text, /[{}"]/)
  assert.match(text, /^IDENTITIES +HUMAN +MACHINE +WORKLOAD +AGENT +ALL\ntotal +0 +0 +2 +0 +2\n/)
  assert.match(text, /\nowner +- +- +50 %, 1 \?, \+5 +- +50 %, 1 \?, -2\.5\n/)
  assert.match(text, /\ncredentials: 2, in a store 50 %, 1 \?, with an end/)
  assert.match(text, /\nnot seen: db roles \(denied\): passwords: no right .*\nnot seen: 3 more/)
  assert.doesNotMatch(text, ACTED_ON)
  assert.deepEqual(JSON.parse(await rendered('json', value, readCoverage.output)), value)
})

test('every list of what sources told, and of what is worked out from it, carries what was not seen', () => {
  const told = operations.filter(({ id }) =>
    /^(?:source|inventory|tool|finding|path|owner|business-service|adoption)\./.test(id),
  )
  const lists = told.filter(({ output }) => output instanceof z.ZodObject && 'items' in output.shape)
  const bare = lists.filter(({ output }) => output instanceof z.ZodObject && output.shape['coverage'] !== Coverage)

  assert.ok(lists.length >= 10, lists.map(({ id }) => id).join())
  assert.deepEqual(
    bare.map(({ id }) => id),
    [],
  )
})

test('every list says below what was not seen and which permission would show it; an empty one that all was seen', async () => {
  const source = { id: ID, name: 'db', connector: 'postgres', settings: {}, state: 'active', environment: 'production' }
  const coverage = { ...unseen(`no right ${HOSTILE}`), more: 0 }
  const listed = (items: object[], of: object) =>
    rendered('table', { items, nextCursor: null, coverage: of }, listSources.output)
  const text = await listed([source], coverage)

  assert.match(
    text,
    /^NAME +CONNECTOR +ENVIRONMENT +STATE\ndb +postgres .*\n\nNot everything was seen: .*\nnot seen: db roles \(denied\): passwords: no right /,
  )
  assert.doesNotMatch(text, ACTED_ON)
  assert.match(await listed([], coverage), /^nothing\n\nNot everything was seen/)
  assert.equal(await listed([], { ...coverage, isWhole: true }), 'nothing\n\nall 1 sources were seen whole\n')
  assert.doesNotMatch(await listed([source], { ...coverage, isWhole: true }), /whole|coverage/)
  const told = { items: [], nextCursor: null, unseen: [`db (denied): logins ${HOSTILE}`], moreUnseen: 2 }
  const users = await rendered('table', told, listConsumers.output)
  assert.match(
    users,
    /^nothing\n\nNot everything was seen: .*\nnot seen: db \(denied\): logins .*\nnot seen: 2 more\n$/,
  )
  assert.doesNotMatch(users, ACTED_ON)
  assert.match(
    await rendered('table', { name: 'cart', coverage }, z.object({})),
    /^name +cart\n\nNot everything was seen/,
  )
})

test('how each rule fared is a table, the most found first, with the reason it mostly could not say', async () => {
  const look = (rule: string, found: number, why: object = {}) => ({ rule, judged: 9, found, unknown: 3, why })
  const looks = [look('orphaned', 0), look('long-lived', 2, { 'too dark': 1, 'not known': 2 })]
  const value = {
    opened: 2,
    reopened: 0,
    restated: 1,
    fixed: 4,
    pass: { beganAt: '2030-01-01T00:00:00.000Z', endedAt: null, looks },
    coverage: { ...unseen('no right'), isWhole: true },
  }
  const text = await rendered('table', value, evaluateFindings.output)

  assert.match(
    text,
    /^opened 2, reopened 0, on other facts 1, fixed 4\n\nRULE +JUDGED +FOUND +UNKNOWN +MOSTLY BECAUSE\n/,
  )
  assert.match(text, /\nlong-lived +9 +2 +3 +not known \(2\)\norphaned +9 +0 +3 +-\n/)
  assert.match(text, /all 1 sources were seen whole\n$/)
  assert.doesNotMatch(text, /[{}"]/)
})

test('a source is told part by part, with what was not seen of each', async () => {
  const missing = [{ what: 'passwords', why: `no right${HOSTILE}`, permission: 'SELECT on pg_authid' }]
  const seen = { title: 'roles', items: 3, readAt: AT, seenAt: AT, missing: [] }
  const text = await rendered(
    'table',
    {
      id: ID,
      name: 'pg',
      connector: 'postgres',
      settings: { host: 'db' },
      targetId: null,
      ownerTeam: 'payments',
      environment: 'production',
      authority: 'postgres:1',
      system: 'PostgreSQL 15',
      schedule: 'daily',
      nextReadAt: AT,
      readAt: AT,
      problem: null,
      state: 'active',
      createdAt: AT,
      version: 1,
      scopes: [
        { ...seen, scope: 'cluster/roles', status: 'complete' },
        { ...seen, scope: 'cluster/passwords', status: 'denied', seenAt: null, missing },
      ],
      readings: [{ id: ID, beganAt: AT, endedAt: null, outcome: null, problem: null }],
    },
    readSource.output,
  )

  assert.match(text, /^PART +OF +STATUS +THINGS/m)
  assert.match(text, /^cluster\/passwords +roles +denied +3 +\S+ +-$/m)
  assert.match(text, /^not seen: cluster\/passwords: passwords, since no right.*; it takes SELECT on pg_authid$/m)
  assert.match(text, /under way/)
  assert.doesNotMatch(text, ACTED_ON)
})

test('an empty list of findings says whether and when the rules looked, and how often they could not judge', async () => {
  const coverage = { isWhole: true, sources: 1, scopes: {}, unseen: [], more: 0 }
  const looks = [
    { rule: 'long-lived', judged: 5, found: 0, unknown: 2, why: { 'when it expires is not known': 2 } },
    { rule: 'orphaned', judged: 1, found: 0, unknown: 0, why: {} },
  ]
  const empty = (pass: object | null) =>
    rendered('table', { items: [], nextCursor: null, pass, coverage }, listFindings.output)

  assert.match(await empty(null), /^nothing: the rules have not looked yet/)
  assert.match(
    await empty({ beganAt: AT, endedAt: AT, looks }),
    /^nothing like this: the rules looked at \S+; of 6 verdicts 2 could not be given/,
  )
})
