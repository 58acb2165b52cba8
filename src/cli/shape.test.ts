import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { operations } from '../contracts.ts'
import { shown } from '../kernel/event.ts'
import { Instant } from '../kernel/instant.ts'
import { operation, pageOf, PageQuery } from '../kernel/operation.ts'
import { COMMON_OPTIONS, shapeOf, type Field } from './shape.ts'
import { cliFor } from './support.fixture.ts'

const shapes = operations.map(shapeOf)

test('every operation is a command of its own, whose arguments all have a name and a kind', () => {
  assert.ok(operations.length > 30)
  assert.equal(new Set(shapes.map(({ noun, verb }) => `${noun} ${verb}`)).size, operations.length)
  for (const {
    operation: { id, params, query, input },
    ...shape
  } of shapes) {
    const wanted = [...Object.keys(query.shape), ...(input instanceof z.ZodObject ? Object.keys(input.shape) : [])]
    assert.match(id, /^[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*$/)
    assert.deepEqual(shape.fields.map(({ property }) => property).toSorted(), wanted.toSorted(), id)
    assert.deepEqual(shape.params.map(({ name }) => name).toSorted(), Object.keys(params.shape).toSorted(), id)
    const options = shape.fields.map(({ option }) => option)
    assert.equal(new Set(options).size, options.length, `${id} has an option twice`)
    for (const option of options) {
      assert.match(option, /^[a-z][a-z0-9-]*$/, id)
      assert.ok(!COMMON_OPTIONS.includes(option), `${id} --${option} is every command's`)
    }
  }
})

test('what the schema leaves out without complaint is optional, and only that', () => {
  for (const {
    operation: { id, query, input },
    fields,
  } of shapes) {
    for (const field of fields) {
      const schema: unknown = field.place === 'query' ? query : input
      if (!(schema instanceof z.ZodObject)) continue
      const member = schema.shape[field.property]
      assert.equal(field.isRequired, !member?.safeParse(undefined).success, `${id} ${field.property}`)
    }
  }
})

/** Commands by hand whose options are other words for the fields of their operation. */
const IN_OTHER_WORDS = new Set([
  'enrolment redeem',
  'policy explain',
  'policy simulate',
  'policy propose',
  'team propose',
  'calendar propose',
  'catalog propose',
])

test('the help of every operation can be printed and names each of its options', async (t) => {
  const cli = await cliFor(t)
  for (const { noun, verb, fields } of shapes) {
    if (IN_OTHER_WORDS.has(`${noun} ${verb}`)) continue
    const { code, stdout } = await cli.run(noun, verb, '--help')
    assert.equal(code, 0, `${noun} ${verb}`)
    for (const { option } of fields) assert.ok(stdout.includes(`--${option}`), `${noun} ${verb} --${option}`)
  }
})

test('no secret is taken from an argument, which every process of the machine can read', () => {
  const all = shapes.flatMap(({ operation: { id }, fields }) => fields.map((field) => ({ id, ...field })))
  const fromFiles = all.filter(({ kind }) => kind.startsWith('secret'))

  assert.deepEqual(fromFiles.map(({ id, option }) => `${id} --${option}`).toSorted(), [
    'account.register --password-file',
    'deposit.put --value-file',
    'enrolment.redeem --secret-file',
    'machine.join --token-file',
    'rotation.configure --hook-key-file',
    'rotation.hand-in --password-file',
    'source.deliver --items-file',
    'source.register --credential-file',
    'source.update --credential-file',
    'target.register --provisioner-file',
    'target.update --provisioner-file',
    'trust-rule.create --reviewer-file',
  ])
  const named = all.filter(({ property }) => /password|secret|token|privateKey/i.test(property))
  assert.deepEqual(
    named.filter(({ kind, place }) => place === 'input' && !kind.startsWith('secret')),
    [],
  )
})

test('kinds follow the schema through optional, nullable, default and codecs', () => {
  const made = operation({
    id: 'thing.make',
    method: 'POST',
    path: '/v1/things/:thing/of/:owner',
    summary: 'Makes.',
    function: 'pam',
    resource: 'Thing',
    params: z.object({ owner: z.string(), thing: z.string().describe('name or id') }),
    query: PageQuery.extend({ isLive: z.stringbool().optional() }),
    input: z.strictObject({
      kind: shown(z.enum(['a', 'b'])),
      note: shown(z.string()).nullable().optional().describe('free'),
      isWild: shown(z.boolean()).default(false),
      ttlSeconds: shown(z.int()).default(60),
      count: shown(z.int().min(1)),
      policies: shown(z.array(z.string())).default([]),
      roles: shown(z.record(z.string(), z.string())).default({}),
      settings: shown(z.record(z.string(), z.unknown())),
      expiresAt: Instant,
      password: z.string().optional(),
      output: shown(z.string()).optional(),
    }),
    output: pageOf(z.object({})),
  })

  const { params, fields, isPaged } = shapeOf(made)

  const short = ({ option, kind, isRequired, isNullable }: Field) => [option, kind, isRequired, isNullable]
  assert.deepEqual(params, [
    { name: 'thing', description: 'name or id' },
    { name: 'owner', description: 'id' },
  ])
  assert.ok(isPaged)
  assert.deepEqual(fields.map(short), [
    ['cursor', 'text', false, false],
    ['limit', 'number', false, false],
    ['live', 'boolean', false, false],
    ['kind', 'choice', true, false],
    ['note', 'text', false, true],
    ['wild', 'boolean', false, false],
    ['ttl', 'duration', false, false],
    ['count', 'number', true, false],
    ['policy', 'list', false, false],
    ['role', 'map', false, false],
    ['settings', 'json', true, false],
    ['expires-at', 'text', true, false],
    ['password-file', 'secret-text', false, false],
    ['input-output', 'text', false, false],
  ])
})
