import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lifecycleWorld, type LifecycleWorld } from '../../../test/support/lifecycle-world.ts'
import { GROUP, USER } from './schema.ts'

const BULK = 'urn:ietf:params:scim:api:messages:2.0:BulkRequest'
const PATCH = 'urn:ietf:params:scim:api:messages:2.0:PatchOp'
type Operation = Readonly<Record<string, unknown>>

const post = (bulkId: string, path: string, data: object): Operation => ({ method: 'POST', bulkId, path, data })
const user = (userName: string, more: object = {}) => ({ schemas: [USER], userName, ...more })
const group = (displayName: string, ...members: string[]) => ({
  schemas: [GROUP],
  displayName,
  members: members.map((value) => ({ value })),
})
const send = (w: LifecycleWorld, Operations: unknown, more: object = {}) =>
  w.scim(w.entra, 'POST', 'Bulk', { schemas: [BULK], Operations, ...more })
const statuses = (body: { Operations: { status: string }[] }) => body.Operations.map(({ status }) => status)
const idOf = (operation: { location: string }) => operation.location.split('/').at(-1) ?? ''
const count = async (w: LifecycleWorld) => (await w.scim(w.entra, 'GET', 'Users?count=0')).body.totalResults

test('many operations are one request, and name each other before there are ids, in whichever order they stand', async (t) => {
  const w = await lifecycleWorld(t)
  const config = (await w.scim(w.entra, 'GET', 'ServiceProviderConfig')).body
  assert.deepEqual(config.bulk, { supported: true, maxOperations: 100, maxPayloadSize: 1_000_000 })
  const { body: there } = await w.scim(w.entra, 'POST', 'Users', user('there'))

  const { status, body } = await send(w, [
    post('g', '/Groups', group('engineers', 'bulkId:joan', there.id)),
    {
      method: 'PATCH',
      path: '/Groups/bulkId:g',
      data: { schemas: [PATCH], Operations: [{ op: 'add', path: 'members', value: [{ value: 'bulkId:kim' }] }] },
    },
    post(
      'joan',
      '/Users',
      user('joan', {
        'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User': { manager: { value: 'bulkId:kim' } },
      }),
    ),
    post('kim', '/Users', user('kim')),
    { method: 'DELETE', path: `/Users/${there.id}`, version: there.meta.version },
  ])

  assert.equal(status, 200)
  assert.deepEqual(body.schemas, ['urn:ietf:params:scim:api:messages:2.0:BulkResponse'])
  assert.deepEqual(statuses(body), ['201', '200', '201', '201', '204'])
  const [g, , joan, kim, gone] = body.Operations
  assert.equal(gone.location, `https://reeve.example/scim/v2/Users/${there.id}`)
  assert.deepEqual([g.method, g.bulkId, g.version, 'response' in g], ['POST', 'g', 'W/"1"', false])
  const made = (await w.scim(w.entra, 'GET', `Groups/${idOf(g)}`)).body
  assert.deepEqual(
    made.members.map(({ value }: { value: string }) => value).toSorted(),
    [idOf(joan), idOf(kim)].toSorted(),
  )
  const [manager] = Object.values((await w.scim(w.entra, 'GET', `Users/${idOf(joan)}`)).body).flatMap((value) =>
    typeof value === 'object' && value !== null && 'manager' in value ? [value.manager] : [],
  )
  assert.deepEqual(manager, { value: idOf(kim) })
})

test('what fails says why and undoes nothing, and failOnErrors says after how many to stop', async (t) => {
  const w = await lifecycleWorld(t)
  const operations = [
    post('a', '/Users', user('a')),
    post('twin', '/Users', user('A')),
    post('g', '/Groups', group('of nobody', 'bulkId:twin')),
    post('b', '/Users', user('b')),
  ]

  const { body } = await send(w, operations)

  assert.deepEqual(statuses(body), ['201', '409', '400', '201'])
  assert.deepEqual([body.Operations[1].response.scimType, 'location' in body.Operations[1]], ['uniqueness', false])
  const stopped = await send(w, [post('c', '/Users', user('c')), ...operations, post('d', '/Users', user('d'))], {
    failOnErrors: 2,
  })
  assert.deepEqual(statuses(stopped.body), ['201', '409', '409'])
  assert.equal(await count(w), 3)
  const old = await send(w, [
    { method: 'PUT', path: `/Users/${idOf(body.Operations[0])}`, version: 'W/"7"', data: user('a', { title: 'x' }) },
  ])
  assert.deepEqual(statuses(old.body), ['412'])
})

test('attack: a circle, a name that is twice or nowhere, and what is too much are refused, and nothing is done before', async (t) => {
  const w = await lifecycleWorld(t)
  const many = (length: number) => Array.from({ length }, (_, at) => post(`u${at}`, '/Users', user(`u${at}`)))
  const manager = (value: string) => ({
    'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User': { manager: { value } },
  })
  let nested: object = { userName: 'x' }
  for (let depth = 0; depth < 40; depth += 1) nested = { name: nested }
  const good = post('ok', '/Users', user('ok'))
  const refusals: readonly (readonly [unknown, number, object?])[] = [
    [many(101), 413],
    [[good, post('ok', '/Users', user('twice'))], 400],
    [[good, post('x', '/Users', user('x', manager('bulkId:nowhere')))], 400],
    [[good, { method: 'POST', path: '/Users', data: user('x') }], 400],
    [[good, { method: 'GET', path: '/Users/1' }], 400],
    [[good, post('x', '/Bulk', { schemas: [BULK], Operations: [good] })], 400],
    [[good, post('x', '/Users/.search', {})], 400],
    [[good, post('x', '/Users?filter=x', user('x'))], 400],
    [[good, { method: 'DELETE', path: '/Users' }], 400],
    [[good, { method: 'DELETE', path: '/Users/../Groups/1' }], 400],
    [[good, post('x', '/Users', nested)], 400],
    [[], 400],
    ['x', 400],
    [[good], 400, { failOnErrors: 0 }],
    [[good], 400, { failOnErrors: 'all' }],
    [[good], 400, { schemas: [USER] }],
    [[post('ok', '/Users', user('ok', { title: 'x'.repeat(1_000_001) }))], 413],
  ]
  for (const [operations, expected, more] of refusals) {
    const { status } = await send(w, operations, more)
    assert.equal(status, expected, JSON.stringify(operations).slice(0, 200))
  }
  assert.equal(await count(w), 0)

  const circle = await send(w, [
    post('a', '/Users', user('a', manager('bulkId:b'))),
    post('b', '/Users', user('b', manager('bulkId:a'))),
    good,
  ])
  assert.deepEqual(statuses(circle.body), ['409', '409', '201'])
})

test('attack: a bulk request does nothing that its operations would not by themselves', async (t) => {
  const w = await lifecycleWorld(t)
  const { body: theirs } = await w.scim(w.okta, 'POST', 'Users', user('of-okta'))
  const stranger = await w.scim(w.alice, 'POST', 'Bulk', {
    schemas: [BULK],
    Operations: [post('x', '/Users', user('x'))],
  })
  const founder = await w.db.selectFrom('identity').select('id').where('isFounder', '=', true).executeTakeFirst()

  const { body } = await send(w, [
    { method: 'DELETE', path: `/Users/${theirs.id}` },
    {
      method: 'PATCH',
      path: `/Users/${founder?.id}`,
      data: { schemas: [PATCH], Operations: [{ op: 'replace', path: 'active', value: false }] },
    },
    post('g', '/Groups', group('reaching out', theirs.id)),
  ])

  assert.equal(stranger.status, 403)
  assert.deepEqual(statuses(body).slice(0, 2), ['404', '404'])
  assert.notEqual(statuses(body)[2], '201')
  assert.equal((await w.scim(w.okta, 'GET', `Users/${theirs.id}`)).body.active, true)
})

test('lists are sorted by any attribute, up or down, and what has none stands at the end', async (t) => {
  const w = await lifecycleWorld(t)
  const config = (await w.scim(w.entra, 'GET', 'ServiceProviderConfig')).body
  assert.deepEqual(config.sort, { supported: true })
  const mails = (...values: object[]) => ({ emails: values })
  await send(w, [
    post('1', '/Users', user('delta', { title: 'b', ...mails({ value: 'z@x' }, { value: 'a@x', primary: true }) })),
    post('2', '/Users', user('Alpha', { title: 'C', ...mails({ value: 'c@x' }) })),
    post('3', '/Users', user('charlie', { name: { familyName: 'Zed' } })),
    post('4', '/Users', user('bravo', { title: 'a', active: false, name: { familyName: 'adams' } })),
    post('5', '/Groups', group('two')),
    post('6', '/Groups', group('One')),
  ])
  await w.scim(w.okta, 'POST', 'Users', user('aaaa'))
  const names = async (query: string) =>
    (await w.scim(w.entra, 'GET', `Users?${query}`)).body.Resources.map(
      ({ userName }: { userName: string }) => userName,
    )

  assert.deepEqual(await names('sortBy=userName'), ['Alpha', 'bravo', 'charlie', 'delta'])
  assert.deepEqual(await names('sortBy=userName&sortOrder=descending'), ['delta', 'charlie', 'bravo', 'Alpha'])
  assert.deepEqual(await names('sortBy=title'), ['bravo', 'delta', 'Alpha', 'charlie'])
  assert.deepEqual(await names('sortBy=title&sortOrder=descending'), ['charlie', 'Alpha', 'delta', 'bravo'])
  assert.deepEqual((await names('sortBy=name.familyName')).slice(0, 2), ['bravo', 'charlie'])
  assert.deepEqual((await names('sortBy=emails')).slice(0, 2), ['delta', 'Alpha'])
  assert.deepEqual(await names('sortBy=userName&startIndex=2&count=2'), ['bravo', 'charlie'])
  const filtered = encodeURIComponent('title pr')
  assert.deepEqual(await names(`sortBy=userName&filter=${filtered}&attributes=userName`), ['Alpha', 'bravo', 'delta'])
  const search = { schemas: [], sortBy: 'displayName', sortOrder: 'ascending' }
  const groups = (await w.scim(w.entra, 'POST', 'Groups/.search', search)).body
  assert.deepEqual(
    [groups.totalResults, ...groups.Resources.map(({ displayName }: { displayName: string }) => displayName)],
    [2, 'One', 'two'],
  )
  for (const [query, type] of [
    ['sortBy=nothing', 'invalidPath'],
    ['sortBy=name', 'invalidPath'],
    ['sortBy=id;drop', 'invalidPath'],
    ['sortBy=__proto__', 'invalidPath'],
    [`sortBy=${'a'.repeat(3_000)}`, 'invalidPath'],
    ['sortBy=userName&sortOrder=up', 'invalidValue'],
    ['sortBy=userName&cursor=', 'invalidValue'],
  ] as const) {
    const { status, body } = await w.scim(w.entra, 'GET', `Users?${query}`)
    assert.deepEqual([status, body.scimType], [400, type], query.slice(0, 60))
  }
})
