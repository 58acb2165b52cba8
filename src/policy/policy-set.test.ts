import assert from 'node:assert/strict'
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { openCedarEngine, type EvaluationRequest } from './evaluate.ts'
import { liveEngine } from './live-engine.ts'
import { policySetInvalid } from './faults.ts'
import { buildPolicySet, loadPolicySet, type PolicySet } from './policy-set.ts'
import { buildSchema, policySchemaInvalid } from './schema.ts'
import { positionOf, splitPolicies } from './source.ts'

const SCHEMA = `namespace Reeve {
  entity Team;
  entity Person, Machine, Workload, Agent in [Team] = { name?: String, level: Long };
  entity Target = { level: Long };
  type Context = { now: datetime, note?: String };
  action "privileged";
  action "privileged.read" in ["privileged"];
}`
const schema = buildSchema(SCHEMA, [
  { name: 'postgres.read', groups: ['privileged.read'], resources: ['Target'] },
  { name: 'ssh.shell', groups: ['privileged'], resources: ['Target'], principals: ['Person'] },
])

function setOf(...texts: string[]): PolicySet {
  return buildPolicySet(
    texts.map((text, at) => ({ name: `${at}.cedar`, text })),
    schema,
  )
}

function faultsOf(
  ...texts: string[]
): { file: string; policy: string; line: number; column: number; message: string }[] {
  try {
    setOf(...texts)
  } catch (error) {
    assert.ok(policySetInvalid.is(error), String(error))
    return error.facts['faults'] as ReturnType<typeof faultsOf>
  }
  return []
}

const asked: EvaluationRequest = {
  principal: { type: 'Person', id: 'ann' },
  action: 'postgres.read',
  resource: { type: 'Target', id: 'orders' },
  context: { now: new Date('2030-01-01T00:00:00Z') },
  entities: [
    { type: 'Person', id: 'ann', attributes: { level: 2 }, parents: [{ type: 'Team', id: 'dba' }] },
    { type: 'Target', id: 'orders', attributes: { level: 1 } },
  ],
}

test('a policy is named by its @id, or by its file and place', () => {
  const set = setOf('@id("mine") permit (principal, action, resource); permit (principal, action, resource);')

  assert.deepEqual([...set.policies.keys()], ['mine', '0.cedar:1'])
})

test('an invalid set names file, policy and position of every fault, and none of it is loaded', async (t) => {
  const rows: readonly (readonly [title: string, text: string, line: number, column: number, message: RegExp])[] = [
    ['syntax', '// é\n\n@id("p")\npermit (principal, action resource);', 4, 27, /unexpected token `resource`/],
    ['no end', 'permit (principal, action, resource)', 1, 37, /unexpected end of input/],
    ['unknown action', 'permit (principal, action == Reeve::Action::"zip", resource);', 1, 30, /unrecognized action/],
    ['unknown attribute', 'permit (principal, action, resource)\nwhen { resource.owner == "é" };', 2, 8, /owner/],
    [
      'unguarded option',
      'permit (principal is Reeve::Person, action, resource)\nwhen { principal.name == "a" };',
      2,
      8,
      /`name`/,
    ],
    [
      'wrong type',
      'permit (principal, action, resource)\nwhen { "é" == "é" && principal.level == "1" };',
      2,
      22,
      /types/,
    ],
    ['template', 'permit (principal == ?principal, action, resource);', 1, 22, /template/],
    ['misspelt annotation', '@id("p")\n@aproval("dba")\npermit (principal, action, resource);', 2, 1, /unknown/],
    ['approval grammar', '@approval("2 dba")\npermit (principal, action, resource);', 1, 1, /column 3: expected "of"/],
  ]
  for (const [title, text, line, column, message] of rows) {
    await t.test(title, () => {
      const [fault, ...more] = faultsOf('permit (principal, action, resource);', text)
      assert.deepEqual(more, [])
      assert.deepEqual([fault?.file, fault?.line, fault?.column], ['1.cedar', line, column])
      assert.match(fault?.message ?? '', message)
    })
  }
})

test('two policies may not have the same id', () => {
  const [fault] = faultsOf(
    '@id("p") permit (principal, action, resource);',
    '\n @id("p") forbid (principal, action, resource);',
  )

  assert.deepEqual(fault && [fault.file, fault.line, fault.column, fault.message], [
    '1.cedar',
    2,
    2,
    'another policy has this id',
  ])
})

test('a semicolon, a quote or a comment inside a policy does not cut it', () => {
  const text = 'permit (principal, action, resource) // "a;\nwhen { context has note && context.note == "x;\\"//;" };'

  assert.deepEqual(
    splitPolicies({ name: 'f', text: `// c;\n${text}\n// end` }).map((policy) => policy.text),
    [text],
  )
})

test('the position of a byte is the line and column an editor shows', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('é', '"x"', ';', '\n', '// c\n', 'a', ' ', '😀')), (parts) => {
      for (const policy of splitPolicies({ name: 'f', text: parts.join('') })) {
        const { line, column } = positionOf(policy, 0)
        const shown = policy.file.text.split('\n')[line - 1]?.slice(column - 1) ?? ''
        assert.ok(shown.startsWith(policy.text.split('\n')[0] ?? '?'))
      }
    }),
  )
})

test('the hash of a set changes with any policy, with the schema, and not with order, comments or files', () => {
  const a = '@id("a") permit (principal, action, resource);'
  const b = '@id("b") forbid (principal, action, resource) when { resource.level == 3 };'
  const other = buildSchema(SCHEMA, [{ name: 'postgres.read', groups: ['privileged'], resources: ['Target'] }])

  const { sha256 } = setOf(a, b)

  assert.equal(setOf(`// why\n${b}\n${a}`).sha256, sha256)
  assert.notEqual(setOf(a, b.replace('3', '4')).sha256, sha256)
  assert.notEqual(setOf(a).sha256, sha256)
  assert.notEqual(buildPolicySet([{ name: 'f', text: a + b }], other).sha256, sha256)
})

test('an action that names an unknown group or type, or is declared twice, is refused', () => {
  const one = { name: 'postgres.read', groups: ['privileged.read'], resources: ['Target'] }

  for (const actions of [
    [one, one],
    [{ ...one, groups: ['privileged.raed'] }],
    [{ ...one, resources: ['Targets'] }],
    [{ ...one, principals: ['User'] }],
    [{ ...one, name: 'privileged.read' }],
  ]) {
    assert.throws(
      () => buildSchema(SCHEMA, actions),
      (error) => policySchemaInvalid.is(error),
    )
  }
  assert.throws(() => buildSchema('namespace Reeve {\n entity Te am; }', []), /line 2, column 12/)
  assert.throws(() => buildSchema('entity Team;', []), /namespace Reeve is missing/)
})

test('a folder is loaded whole or not at all', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'policies-'))
  t.after(() => rm(folder, { recursive: true }))
  await writeFile(join(folder, 'schema.cedarschema'), SCHEMA)
  await writeFile(join(folder, 'actions.json'), '{"note.read":{"groups":["privileged"],"resources":["Target"]}}')
  await writeFile(join(folder, 'b.cedar'), 'permit (principal, action == Reeve::Action::"note.read", resource);')
  await writeFile(join(folder, 'a.cedar'), 'forbid (principal, action == Reeve::Action::"extra.act", resource);')
  const extra = { name: 'extra.act', groups: [], resources: ['Target'] }

  const set = await loadPolicySet(folder, [extra])

  assert.deepEqual([...set.policies.keys()], ['a.cedar:0', 'b.cedar:0'])
  await assert.rejects(loadPolicySet(folder), /a\.cedar:1:30 .*unrecognized action/)
})

test('an evaluation names what determined it, and a forbid beats every permit', () => {
  using engine = openCedarEngine(
    setOf(
      '@id("p1") permit (principal, action, resource); @id("p2") permit (principal in Reeve::Team::"dba", action, resource);',
      '@id("f") forbid (principal, action in Reeve::Action::"privileged.read", resource) when { principal.level > 2 };',
    ),
  )
  const senior = asked.entities.map((entity) => ({ ...entity, attributes: { level: 3 } }))

  const permitted = engine.evaluate(asked)
  const forbidden = engine.evaluate({ ...asked, entities: senior })

  assert.deepEqual(permitted.determining.map(({ id }) => id).sort(), ['p1', 'p2'])
  assert.equal(permitted.decision, true)
  assert.deepEqual(
    forbidden.determining.map(({ id }) => id),
    ['f'],
  )
  assert.equal(forbidden.decision, false)
})

test('data that does not fit the schema is a deny with an error, never an exception', async (t) => {
  using engine = openCedarEngine(setOf('permit (principal, action, resource);'))
  const hostile: Record<string, unknown> = {
    'missing context': { context: {} },
    'surplus context': { context: { ...asked.context, admin: true } },
    'forged entity': { context: { ...asked.context, note: { __entity: { type: 'Reeve::Team', id: 'dba' } } } },
    'forged extension': { context: { now: { __extn: { fn: 'datetime', arg: '2030-01-01' } } } },
    'invalid instant': { context: { now: new Date(Number.NaN) } },
    fraction: { entities: [{ type: 'Person', id: 'ann', attributes: { level: 1.5 } }] },
    'big integer': { entities: [{ type: 'Person', id: 'ann', attributes: { level: 1n } }] },
    'nothing at all': { entities: [{ type: 'Person', id: 'ann', attributes: { level: null } }] },
    'listed twice': { entities: [asked.entities[0], { ...asked.entities[0], attributes: { level: 9 } }] },
    'unknown action': { action: 'postgres.fly' },
    'action not for the resource': { resource: { type: 'Team', id: 'dba' } },
    'action not for the principal': { action: 'ssh.shell', principal: { type: 'Agent', id: 'x' } },
    'unknown type': { principal: { type: 'Root', id: 'x' } },
    'type with a path': { principal: { type: 'Person::"a" || true //', id: 'x' } },
    'no entities': { entities: null },
    'endless record': { context: endless() },
  }
  for (const [title, wrong] of Object.entries(hostile)) {
    await t.test(title, () => {
      const answer = engine.evaluate({ ...asked, ...(wrong as object) })
      assert.equal(answer.decision, false)
      assert.equal(answer.errors.length, 1)
      assert.deepEqual(answer.determining, [])
    })
  }
  assert.equal(engine.evaluate(asked).decision, true, 'the engine still answers afterwards')
})

function endless(): Record<string, unknown> {
  const record: Record<string, unknown> = {}
  record['more'] = record
  return record
}

test('hostile ids and names decide nothing', () => {
  using engine = openCedarEngine(setOf('permit (principal == Reeve::Person::"ann", action, resource);'))
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (id) => {
      const entities = [{ type: 'Person', id, attributes: { level: 1, name: id } }, ...asked.entities.slice(1)]
      const answer = engine.evaluate({ ...asked, principal: { type: 'Person', id }, entities })
      assert.equal(answer.decision, id === 'ann')
    }),
    { numRuns: 300 },
  )
})

test('a version that was put away answers no more, even when its name lives on in another', () => {
  const permissive = openCedarEngine(setOf('permit (principal, action, resource);'))
  const live = liveEngine(permissive)
  const taken = live.current()

  live.swap(openCedarEngine(setOf('forbid (principal, action, resource);')))
  using reused = openCedarEngine(setOf('permit (principal, action, resource);'))

  assert.equal(reused.evaluate(asked).decision, true)
  assert.equal(live.current().evaluate(asked).decision, false)
  assert.deepEqual(taken.evaluate(asked).errors, [
    { policy: null, message: 'This version of the policies has been put away.' },
  ])
  live[Symbol.dispose]()
})

test('weights of a folder are part of its version, and weights that are not valid load nothing', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'reeve-'))
  t.after(() => rm(folder, { recursive: true }))
  await cp(join(import.meta.dirname, '..', '..', 'policies'), folder, { recursive: true })
  const shipped = await loadPolicySet(folder)
  const { sha256: _hash, ...weights } = shipped.risk
  const put = (text: string) => writeFile(join(folder, 'risk.json'), text)

  await put(JSON.stringify({ ...weights, version: 'ours' }))
  const ours = await loadPolicySet(folder)

  assert.equal(ours.risk.version, 'ours')
  assert.notEqual(ours.sha256, shipped.sha256)
  await put(JSON.stringify({ ...weights, weights: { ...weights.weights, time: 2 } }))
  await assert.rejects(loadPolicySet(folder), /risk model is not valid\. weights\.time/)
  await put('{')
  await assert.rejects(loadPolicySet(folder), /risk\.json is not JSON/)
})
