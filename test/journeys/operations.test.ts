import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { z } from 'zod'
import type { Given } from '../../src/cli/client.ts'
import { operations } from '../../src/contracts.ts'
import { encodeCursor } from '../../src/kernel/http/cursor.ts'
import { PATH_PARAMETER, type Operation } from '../../src/kernel/operation.ts'
import { readActions } from '../../src/policy/policy-set.ts'
import { protocols } from '../../src/server/protocols.ts'
import { SCIM_ACTIONS } from '../../src/lifecycle/scim/door.ts'
import { cleaningOfFile, founded, installation } from '../support/installation.ts'
import { call, type Answer, type Rows } from './calls/call.ts'
import { accessRows } from './calls/access.ts'
import { catalogRows } from './calls/catalog.ts'
import { custodyRows } from './calls/custody.ts'
import { decisionRows } from './calls/decisions.ts'
import { evidenceRows } from './calls/evidence.ts'
import { findingRows } from './calls/findings.ts'
import { identityRows } from './calls/identities.ts'
import { graphRows } from './calls/graph.ts'
import { inventoryRows } from './calls/inventory.ts'
import { loginRows } from './calls/logins.ts'
import { machineRows } from './calls/machines.ts'
import { rotationRows } from './calls/rotations.ts'
import { passkeyRows } from './calls/passkeys.ts'
import { lifecycleRows } from './calls/lifecycle.ts'
import { ruleRows } from './calls/rules.ts'
import { stageOn, type Stage } from './calls/stage.ts'
import { tokenRows } from './calls/tokens.ts'

/** Decided at a door that speaks OAuth, which is no operation. */
const OF_THE_TOKEN_ENDPOINT = 'token.obtain'
/** Decided at a page, since it takes a browser. */
const OF_A_PAGE = 'passkey.add'

let stage: Stage
let rows: Rows
let document: Document
const cleaning = cleaningOfFile()

const Response = z.object({ content: z.record(z.string(), z.object({ schema: z.unknown().optional() })).optional() })
const Document = z.object({
  openapi: z.literal('3.1.0'),
  paths: z.record(
    z.string(),
    z.record(z.string(), z.object({ operationId: z.string(), responses: z.record(z.string(), Response) })),
  ),
})
type Document = z.output<typeof Document>

before(async () => {
  const [found, young] = await Promise.all([installation(cleaning), founded(cleaning)])
  stage = await stageOn(found, young)
  rows = {
    ...identityRows(stage),
    ...catalogRows(stage),
    ...accessRows(stage),
    ...evidenceRows(stage),
    ...decisionRows(stage),
    ...inventoryRows(stage),
    ...graphRows(stage),
    ...findingRows(stage),
    ...rotationRows(stage),
    ...custodyRows(stage),
    ...lifecycleRows(stage),
    ...ruleRows(stage),
    ...tokenRows(stage),
    ...machineRows(stage),
    ...loginRows(stage),
    ...passkeyRows(stage),
  }
  document = Document.parse(await stage.nobody.document('/v1/openapi.json'))
})

after(() => cleaning.now())

test('no operation is missing here, and nothing is here that is none', () => {
  assert.deepEqual(Object.keys(rows).toSorted(), operations.map(({ id }) => id).toSorted())
})

for (const operation of operations) {
  test(`${operation.id} is done for who may, and the answer is what the document says`, async () => {
    const row = rows[operation.id]
    assert.ok(row)

    const answer = await call(operation, await row.done())
    await row.undo?.()

    assert.equal(answer.status, operation.status, answer.text)
    holdsTo(operation, answer)
    assert.ok(documented(operation).responses[answer.status]?.content?.[answer.type], 'the document lists the answer')
  })

  test(`${operation.id} is refused to who may not, with a problem that the document lists`, async () => {
    const row = rows[operation.id]
    assert.ok(row)

    const answer = await call(operation, await row.refused())

    assert.deepEqual([slugOf(answer), answer.type], [row.as, 'application/problem+json'], answer.text)
    // Of what anybody may ask there is no wrong caller, only a wrong call.
    assert.ok([401, 403, 404, ...(operation.caller === 'none' ? [400] : [])].includes(answer.status))
    const listed = JSON.stringify(documented(operation).responses[answer.status]?.content?.[answer.type]?.schema)
    assert.ok(listed.includes(`Problem.${row.as}"`), `${listed} lists ${row.as}`)
  })
}

test('without a token, or with one that is none, nothing answers but enrolment: the same 401 for all, whatever is asked about', async () => {
  for (const operation of operations.filter(({ caller }) => caller === 'identity')) {
    const given = placeholdersOf(operation)
    const bare = await call(operation, { by: stage.nobody, given })
    const wrong = await call(operation, { by: stage.gone, given })

    for (const answer of [bare, wrong])
      assert.deepEqual([answer.status, slugOf(answer)], [401, 'unauthenticated'], operation.id)
  }
})

test('what a caller may ask is decided before its input is said to exist: the drone learns nothing of the catalog', async () => {
  for (const operation of operations.filter(
    ({ id, method, caller }) => caller === 'identity' && method === 'GET' && !OWN.has(id),
  )) {
    const answer = await call(operation, { by: stage.drone, given: placeholdersOf(operation) })

    assert.ok([403, 404].includes(answer.status), `${operation.id} answers ${answer.status}`)
  }
})

/** Lists whose place is a name: any text is one. */
const BY_NAME = new Set<string>([
  'action.list',
  'identity.list',
  'target.list',
  'account.list',
  'purpose.list',
  'source.list',
  'deposit.list',
])

test('a made-up cursor is the caller’s mistake in every list, and breaks none', async () => {
  const texts = [encodeCursor(['no id']), encodeCursor(['-'.repeat(36)]), encodeCursor(['0'.repeat(36)])]
  const wrong = [
    'nonsense',
    encodeCursor([new Date(0), 'no id']),
    encodeCursor([new Date(0), '-'.repeat(36)]),
    encodeCursor([new Date(0), 1]),
    encodeCursor(['1', '2', '3', '4']),
    Buffer.from('[{"at":"never"}]').toString('base64url'),
  ]
  const lists = operations.filter(({ query }) => 'cursor' in query.shape)
  assert.ok(lists.length > BY_NAME.size)

  for (const operation of lists) {
    const { by, given } = (await rows[operation.id]?.done()) ?? assert.fail(operation.id)
    for (const cursor of [...wrong, ...texts]) {
      const answer = await call(operation, { by, given: { ...given, query: { ...given?.query, cursor } } })

      const isPlace = BY_NAME.has(operation.id) && texts.includes(cursor)
      const expected = isPlace ? operation.status : 400
      assert.equal(answer.status, expected, `${operation.id} at ${cursor}: ${answer.text}`)
      if (!isPlace) assert.equal(slugOf(answer), 'invalid-input')
    }
    await rows[operation.id]?.undo?.()
  }
})

/** What everybody reads of themselves. */
const OWN = new Set<string>(['identity.whoami', 'step-up.list'])

test('each operation has an action that policies know, and each action an operation or a gateway', async () => {
  const shipped = new Map(
    (await readActions(join(import.meta.dirname, '../../policies/actions.json'))).map((action) => [
      action.name,
      action,
    ]),
  )
  const decided = operations.filter(({ caller }) => caller === 'identity')
  const offered = new Set(protocols().flatMap(({ actions }) => actions.map(({ name }) => name)))

  for (const { id, resource } of decided)
    assert.ok(shipped.get(id)?.resources.includes(resource), `${id} on ${resource}`)
  const ofDoors = [OF_THE_TOKEN_ENDPOINT, OF_A_PAGE, ...SCIM_ACTIONS]
  const known = new Set([...decided.map(({ id }) => id), ...offered, ...ofDoors])
  assert.deepEqual(
    [...shipped.keys()].filter((name) => !known.has(name)),
    [],
  )
})

test('each operation names the function that decides over it, and the document says so', () => {
  for (const operation of operations) {
    assert.ok(['iam', 'pam', 'nhi', 'governance'].includes(operation.function), operation.id)
    assert.equal(documented(operation).operationId, operation.id)
  }
})

function documented(operation: Operation) {
  const found = document.paths[operation.path.replaceAll(PATH_PARAMETER, '{$1}')]?.[operation.method.toLowerCase()]
  assert.ok(found, `the document has ${operation.id}`)
  return found
}

/** Read by its schema and written again it is the same: nothing is missing, and nothing is there that the contract does not name. */
function holdsTo(operation: Operation, { type, text }: Answer): void {
  const isStream = operation.answer === 'stream'
  assert.equal(type, operation.mediaType.split(';')[0])
  // Bytes have no form to hold them to; what they are is told where they are made.
  if (operation.answer === 'bytes') return assert.ok(text.length > 0)
  const lines = isStream ? text.split('\n').filter((line) => line !== '') : [text]
  assert.ok(lines.length > 0)
  for (const line of lines) {
    const value: unknown = JSON.parse(line)
    assert.deepEqual(z.encode(operation.output, z.decode(operation.output, value)), value)
  }
}

function slugOf({ text }: Answer): string {
  const { type } = z.object({ type: z.string(), title: z.string(), requestId: z.string() }).parse(JSON.parse(text))
  return type.split('/').at(-1) ?? ''
}

/** What is numbered; everything else has an id. */
const NUMBERED: Readonly<Record<string, string>> = { entry: '1', log: '1', level: '0', tile: '000', kind: 'principal' }

/** Something for each parameter, so that the path is one of the operation's. */
function placeholdersOf({ params, method }: Operation): Given {
  const value = (name: string) => NUMBERED[name] ?? '00000000-0000-7000-8000-000000000000'
  return {
    params: Object.fromEntries(Object.keys(params.shape).map((name) => [name, value(name)])),
    ...(method !== 'GET' && { input: {} }),
  }
}
