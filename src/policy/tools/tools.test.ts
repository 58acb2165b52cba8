import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { gateways } from '../../gateways/index.ts'
import { policyTool } from '../../server/policy-tools.ts'
import { buildSchema } from '../schema.ts'
import { policyTestsInvalid, readCases } from './cases.ts'
import { runPolicyTool, type ToolResult } from './tools.ts'

const SHIPPED = join(import.meta.dirname, '../../../policies')
const SCHEMA = `namespace Reeve {
  entity Team;
  entity Person, Machine, Workload, Agent in [Team] = { name: String, level: Long };
  entity Target = { level: Long, ownerTeam?: Team };
  type Context = {
    now: datetime, onBehalfOf?: { type: String, id: String }, channel: String, requestKind: String, freeze: Bool,
    bootstrap: Bool, reasonGiven: Bool, tries?: Long,
  };
  action "privileged";
}`
const ACTIONS = `{ "read": { "groups": ["privileged"], "resources": ["Target"] } }`
const SENIORS = `@id("seniors-read") @why("seniors read") @ttl("1h")
permit (principal is Reeve::Person, action == Reeve::Action::"read", resource)
when { principal.level > 5 && resource.level > 0 };`
const WORLD = `
defaults: { Person: { level: 9 } }
entities:
  ann: { type: Person }
  jim: { like: ann, level: 1 }
  db: { type: Target, level: 1 }
`
const CASES = `${WORLD}
cases:
  - { name: seniors read, subject: ann, action: read, resource: db, expect: permit, policies: [seniors-read], owes: { ttl: 60m } }
  - { name: juniors do not, subject: jim, action: read, resource: db, expect: deny, says: What could }
`

async function folder(t: TestContext, files: Readonly<Record<string, string>>): Promise<string> {
  const made = await mkdtemp(join(tmpdir(), 'reeve-policies-'))
  t.after(() => rm(made, { recursive: true }))
  const all = {
    'schema.cedarschema': SCHEMA,
    'actions.json': ACTIONS,
    'a.cedar': SENIORS,
    'a.test.yaml': CASES,
    ...files,
  }
  for (const [name, text] of Object.entries(all)) await writeFile(join(made, name), text)
  return made
}

const tool = async (t: TestContext, name: 'check' | 'test' | 'analyse', files = {}): Promise<ToolResult> =>
  runPolicyTool({ tool: name, folder: await folder(t, files), actions: [] })

test('the shipped policies answer every question as their tests expect, and every one of them is touched', async () => {
  assert.ok(gateways().length > 0)

  const { isGood, lines, data } = await policyTool({ tool: 'test', folder: SHIPPED })

  assert.ok(isGood, lines.join('\n'))
  assert.deepEqual((data as { untouched: unknown[] }).untouched, [], lines.join('\n'))
})

test('the shipped policies have none that is unreachable', async () => {
  const { data } = await policyTool({ tool: 'analyse', folder: SHIPPED })

  const { findings } = data as { findings: { kind: string }[] }
  assert.deepEqual(
    findings.filter(({ kind }) => kind === 'unreachable'),
    [],
  )
})

test('a folder that would load is told with its version, one that would not with file, line and column', async (t) => {
  const good = await tool(t, 'check')
  const typo = await tool(t, 'check', {
    'b.cedar': 'permit (principal, action, resource)\n  when { principal.levle > 5 };',
  })
  const broken = await tool(t, 'check', { 'b.cedar': 'permit (principal, action' })
  const schema = await tool(t, 'check', { 'schema.cedarschema': 'namespace Reeve { entity }' })

  assert.ok(good.isGood)
  assert.match(good.lines.join(), /1 policies are valid, version [0-9a-f]{64}; 2 test questions/)
  assert.match(typo.lines[0] ?? '', /^b\.cedar:2:10: b\.cedar:0: .*levle/)
  assert.match(broken.lines[0] ?? '', /^b\.cedar:1:/)
  assert.match(schema.lines[0] ?? '', /line 1, column/)
  for (const { isGood } of [typo, broken, schema]) assert.equal(isGood, false)
  assert.match((await tool(t, 'check', { 'actions.json': '{' })).lines.join(), /^actions\.json is not JSON/)
  assert.match((await tool(t, 'check', { 'actions.json': '{"a":1}' })).lines.join(), /^actions\.json: /)
  assert.match((await runPolicyTool({ tool: 'check', folder: '/nowhere', actions: [] })).lines.join(), /ENOENT/)
})

test('a question that is answered otherwise fails with what was expected and what decided', async (t) => {
  const wrong = CASES.replace('expect: deny, says: What could', 'expect: permit').replace('ttl: 60m', 'ttl: 61m')

  const { isGood, lines } = await tool(t, 'test', { 'a.test.yaml': wrong })

  assert.equal(isGood, false)
  assert.match(lines[0] ?? '', /^a\.test\.yaml:9: seniors read: expected to be owed: ttl 3660s; owed is: ttl 3600s/)
  assert.match(lines[1] ?? '', /juniors do not: expected permit, and it is a deny: No policy permits/)
  assert.match(lines.at(-1) ?? '', /0 of 2 passed; 1 of 1 policies are touched/)
})

test('a policy that no question touches is named', async (t) => {
  const { isGood, lines } = await tool(t, 'test', {
    'b.cedar': '@id("never") forbid (principal is Reeve::Agent, action, resource);',
  })

  assert.ok(isGood)
  assert.ok(lines.includes('b.cedar:1: no test touches never'))
})

test('what changes from one folder to another is told by policy and by answer', async (t) => {
  const before = await folder(t, {})
  const after = await folder(t, {
    'a.cedar': SENIORS.replace('> 5', '> 0').replace('1h', '2h'),
    'b.cedar': '@id("new") forbid (principal is Reeve::Agent, action, resource);',
  })

  const { lines } = await runPolicyTool({ tool: 'diff', before, after, actions: [] })

  assert.deepEqual(lines, [
    'added forbid new',
    'changed permit seniors-read: owed before: ttl 3600s; now: ttl 7200s',
    'a.test.yaml: seniors read: permit; owed: ttl 3600s → permit; owed: ttl 7200s',
    'a.test.yaml: juniors do not: deny → permit; owed: ttl 7200s',
    '2 policies differ; 2 of 2 test questions are answered otherwise.',
  ])
})

test('a deny is explained by the conditions that do not hold, a forbid by those that do', async (t) => {
  const bare = await folder(t, {})
  const shut = await folder(t, {
    'b.cedar':
      '@id("shut") @why("nobody today") forbid (principal, action, resource) when { context.freeze == false && resource.level > 0 };',
  })
  const ask = (made: string, question: string) =>
    runPolicyTool({ tool: 'explain', folder: made, question, actions: [] })

  const [denied, forbidden, missing] = [
    await ask(bare, 'juniors do not'),
    await ask(shut, 'seniors read'),
    await ask(bare, 'seniors'),
  ]

  assert.match(
    denied.lines.join('\n'),
    /To change: permit seniors-read \(seniors read; a\.cedar:1\) would apply if also: principal\.level > 5\./,
  )
  assert.match(forbidden.lines.join('\n'), /Permit seniors-read .* applies\./)
  assert.match(forbidden.lines.join('\n'), /Forbid shut .* applies, and one forbid beats every permit\./)
  assert.match(
    forbidden.lines.join('\n'),
    /would end if one of these did not hold: context\.freeze == false; resource\.level > 0/,
  )
  assert.equal(missing.isGood, false)
  assert.ok(missing.lines.includes('  seniors read'))
})

test('what is shadowed, unreachable or over-broad by its text is found, and what is not seen is said', async (t) => {
  const { lines } = await tool(t, 'analyse', {
    'b.cedar': `
@id("narrower") permit (principal is Reeve::Person, action == Reeve::Action::"read", resource is Reeve::Target) when { resource.level > 0 && principal.level > 5 && context.freeze };
@id("barred") permit (principal is Reeve::Agent, action == Reeve::Action::"read", resource) when { principal.level > 3 };
@id("bar") forbid (principal is Reeve::Agent, action in Reeve::Action::"privileged", resource);
@id("all") permit (principal is Reeve::Workload, action in Reeve::Action::"privileged", resource);
@id("never") permit (principal is Reeve::Machine, action == Reeve::Action::"read", resource is Reeve::Target) when { false };`,
  })

  const text = lines.join('\n')
  assert.match(text, /shadowed: narrower: seniors-read permits all of it already/)
  assert.match(text, /unreachable: barred: bar forbids everything that it permits/)
  assert.match(text, /over-broad: all: it permits privileged without a condition/)
  assert.match(text, /unreachable: never: /)
  assert.doesNotMatch(text, /: seniors-read: /)
  assert.match(text, /What this cannot see/)
})

const schema = buildSchema(SCHEMA, [{ name: 'read', groups: ['privileged'], resources: ['Target'] }])

test('a test file that says what the schema does not know is refused with its lines', () => {
  const faults = (text: string) => {
    try {
      readCases({ name: 'x.test.yaml', text }, schema)
      return []
    } catch (error) {
      assert.ok(policyTestsInvalid.is(error))
      return (error.facts['faults'] as { line: number; message: string }[]).map(
        ({ line, message }) => `${line} ${message}`,
      )
    }
  }
  const one = (fields: string) =>
    faults(`${WORLD}cases:\n  - { name: x, subject: ann, action: read, resource: db, expect: deny, ${fields} }\n`)

  assert.match(one('context: { freze: true }').join(), /^8 cases\.0\.context\.freze: the schema has no attribute freze/)
  assert.match(one('context: { tries: many }').join(), /tries is not what the schema says/)
  assert.match(one('owes: { approval: 2 of }').join(), /owes\.approval/)
  assert.match(one('expects: deny').join(), /expects/)
  assert.match(faults('entities: { a: { like: b }, b: { like: a } }\ncases: []').join(), /like itself|there is no/)
  assert.match(faults('entities: { a: &x { type: Person }, b: *x }\ncases: []').join(), /aliases/)
  assert.match(faults('cases: []\ncases: []').join(), /^2 /)
})

test('whatever a test file holds, it is read or refused', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.jsonValue().map((value) => JSON.stringify({ cases: value, entities: value, defaults: value })),
    fc.jsonValue().map((value) => `${WORLD}cases:\n  - ${JSON.stringify(value)}\n`),
  )
  fc.assert(
    fc.property(text, (given) => {
      try {
        readCases({ name: 'x', text: given }, schema)
      } catch (error) {
        if (!policyTestsInvalid.is(error)) throw error
      }
    }),
    { numRuns: 500 },
  )
})
