import assert from 'node:assert/strict'
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { get } from 'node:https'
import { test } from 'node:test'
import { connect } from 'node:tls'
import type { Answered } from '../../../test/support/api.ts'
import { asAlice, AT, body, ItemsApi, itemsApiOfThisFile, json, slug } from '../../../test/support/items-api.ts'
import { makeCertificate } from '../x509.ts'
import { decodeCursor, encodeCursor } from './cursor.ts'

const items = itemsApiOfThisFile()

test('an answer leaves through its schema: instants as text, undeclared fields not at all', async () => {
  const answer = await items.call('POST', '/v1/items', { headers: json, body: body() })

  assert.equal(answer.status, 201)
  assert.deepEqual(Object.keys(answer.json()), ['id', 'size', 'at', 'tags'])
  assert.equal(answer.json().at, AT)
  assert.deepEqual(answer.json().tags, [{ name: 'a' }])
  assert.doesNotMatch(answer.text, /hunter2|secretLeak/)
  assert.deepEqual(
    (
      await items.call('POST', '/v1/enrol', { headers: { 'content-type': 'application/json' }, body: '{"code":"x"}' })
    ).json(),
    { ok: true },
  )
})

test('an operation without a body answers without one', async () => {
  const answer = await items.call('POST', '/v1/items/a/poke', { headers: asAlice })

  assert.deepEqual([answer.status, answer.text], [204, ''])
  assert.equal((await items.call('POST', '/v1/items/a/poke', { headers: json, body: '{}' })).status, 400)
})

test('whoever shows no valid proof gets one and the same answer, before the body is read', async () => {
  const attempts: Record<string, string>[] = [
    {},
    { authorization: 'Bearer wrong' },
    { authorization: 'Basic YTpi' },
    { authorization: 'Bearer token-alice extra' },
  ]
  for (const headers of attempts) {
    const answer = await items.call('POST', '/v1/items', {
      headers: { ...headers, 'content-type': 'application/json' },
      body: 'not json',
    })

    assert.deepEqual(
      [answer.status, slug(answer), answer.headers['www-authenticate']],
      [401, 'unauthenticated', 'Bearer'],
    )
  }
})

test('a client certificate of another authority proves nothing', async () => {
  const { privateKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  const spki = createPublicKey(privateKey).export({ type: 'spki', format: 'der' })
  const cert = makeCertificate(
    {
      serial: Buffer.of(1),
      issuer: 'me',
      subject: 'me',
      notBefore: new Date(0),
      notAfter: new Date('2040-01-01'),
      spki,
      use: { kind: 'client', issuerSpki: spki },
    },
    createPrivateKey(privateKey),
  )

  assert.equal((await items.call('GET', '/v1/items/a', { key: privateKey, cert })).status, 401)
})

test('odd content types never let a body past its schema', async () => {
  const bad = '{"name":1,"extra":true}'
  const types = [
    'application/json\t',
    ' application/json',
    'application/json;',
    'application/json; charset=utf-16',
    'application/json, text/plain',
    'text/plain',
    'application/JSON;charset=UTF-8',
    'application/jsonx',
    'application/x-www-form-urlencoded',
    'application/json ; charset=utf-8',
    'APPLICATION/JSON',
    'application/json;x=y',
    '',
    'a',
    'application/*',
  ]
  const before = items.ran.length
  for (const type of types) {
    const answer = await items.call('POST', '/v1/items', { headers: { ...asAlice, 'content-type': type }, body: bad })

    assert.ok([400, 415].includes(answer.status), `${type}: ${answer.status}`)
    assert.equal(answer.headers['content-type'], 'application/problem+json', type)
  }
  const none = await items.call('POST', '/v1/items', { headers: asAlice, body: bad })
  const encoded = await items.call('POST', '/v1/items', {
    headers: { ...json, 'content-encoding': 'gzip' },
    body: body(),
  })
  assert.deepEqual([none.status, encoded.status], [415, 415])
  assert.equal(items.ran.length, before)
})

test('unknown keys are refused at any depth with those that are known', async () => {
  const top = await items.call('POST', '/v1/items', { headers: json, body: body({ isAdmin: true }) })
  const deep = await items.call('POST', '/v1/items', {
    headers: json,
    body: body({ tags: [{ name: 'a', role: 'x' }] }),
  })
  const query = await items.call('GET', '/v1/items/a?limt=3', { headers: asAlice })

  assert.deepEqual(top.json().facts.issues, [{ path: 'isAdmin', message: 'not known; known are name, at, tags' }])
  assert.deepEqual(deep.json().facts.issues, [{ path: 'tags.0.role', message: 'not known; known are name' }])
  assert.deepEqual(query.json().facts.issues, [{ path: 'limt', message: 'not known; known are limit' }])
})

test('prototype keys, keys given twice, broken text and deep nesting are refused', async () => {
  const before = items.ran.length
  const bodies = [
    `{"name":"a","at":"${AT}","__proto__":{"isAdmin":true}}`,
    `{"name":"a","at":"${AT}","\\u005f_proto__":{"isAdmin":true}}`,
    `{"name":"a","at":"${AT}","constructor":{"prototype":{}}}`,
    `{"name":"a","at":"${AT}","name":"b"}`,
    `{"name":"a","at":"${AT}","tags":[{"name":"a","n\\u0061me":"b"}]}`,
    `{"name":"a"`,
    `\ufeff${body()}`,
    '['.repeat(100) + ']'.repeat(100),
    Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]),
    '',
    'null',
  ]
  for (const sent of bodies) {
    const answer = await items.call('POST', '/v1/items', { headers: json, body: sent })

    assert.deepEqual([answer.status, slug(answer)], [400, 'invalid-input'], String(sent).slice(0, 60))
  }
  assert.equal(items.ran.length, before)
  assert.equal(Reflect.get({}, 'isAdmin'), undefined)
  assert.equal((await items.call('GET', '/v1/items/a?__proto__=1', { headers: asAlice })).status, 400)
  assert.equal((await items.call('GET', '/v1/items/a?limit=1&limit=2', { headers: asAlice })).status, 400)
  assert.equal((await items.call('GET', '/v1/items/a%00b', { headers: asAlice })).status, 400)
})

test('a body beyond the limit is refused, said or streamed', async () => {
  const large = body({ name: 'x'.repeat(30_000) })

  const said = await items.call('POST', '/v1/items', { headers: json, body: large })
  const streamed = await items.call('POST', '/v1/items', {
    headers: { ...json, 'transfer-encoding': 'chunked' },
    body: large,
  })

  assert.deepEqual([said.status, slug(said), said.json().facts], [413, 'body-too-large', { limitBytes: 20_000 }])
  assert.equal(streamed.status, 413)
})

test('a host that is not ours and a page of another origin are refused', async () => {
  const attack = (headers: Record<string, string>) =>
    items.call('GET', '/v1/items/a', { headers: { ...asAlice, ...headers } })
  const port = items.world.server.port

  assert.equal(slug(await attack({ host: 'rebound.example' })), 'unknown-host')
  assert.equal(slug(await attack({ host: `127.0.0.1.rebound.example:${port}` })), 'unknown-host')
  assert.equal(slug(await attack({ host: `localhost@rebound.example` })), 'unknown-host')
  assert.equal(slug(await attack({ origin: 'https://evil.example' })), 'foreign-origin')
  assert.equal(slug(await attack({ origin: 'null' })), 'foreign-origin')
  assert.equal(slug(await attack({ origin: `https://127.0.0.1:${port + 1}` })), 'foreign-origin')
  assert.equal(slug(await attack({ 'sec-fetch-site': 'cross-site' })), 'foreign-origin')
  assert.equal((await attack({ origin: `https://127.0.0.1:${port}`, host: `127.0.0.1:${port}` })).status, 200)
  assert.equal((await attack({ host: `localhost:${port}` })).status, 200)
})

test('a header that may be read in two ways is refused', async () => {
  const answer = await items.call('GET', '/v1/items/a', {
    headers: { authorization: ['Bearer token-alice', 'Bearer token-bob'] },
  })
  const withBody = await items.call('GET', '/v1/items/a', {
    headers: { ...asAlice, 'content-length': '2' },
    body: '{}',
  })

  assert.deepEqual([slug(answer), slug(withBody)], ['malformed-request', 'malformed-request'])
})

test('a permit for another resource runs nothing', async (t) => {
  t.after(() => (items.permitFor = undefined))
  items.permitFor = { type: 'Item', id: 'other', attributes: {} }

  assert.equal((await items.call('GET', '/v1/items/a', { headers: asAlice })).status, 500)
})

test('what gives out proofs is limited far below the rest, and says when to come again', async () => {
  const headers = { authorization: 'Bearer token-bob' }
  const statuses: number[] = []
  let last: Answered | undefined
  for (let turn = 0; turn < 12; turn += 1) {
    last = await items.call('POST', '/v1/items/a/poke', { headers })
    statuses.push(last.status)
  }

  assert.deepEqual([statuses[0], statuses.at(-1)], [204, 429])
  assert.ok(Number(last?.headers['retry-after']) >= 1)
  assert.equal((await items.call('GET', '/v1/items/a', { headers })).status, 200)
})

test('a stream holds its source back for a slow reader and ends it when the reader leaves', async () => {
  const count = { ...items.streams }
  const request = get({
    host: '127.0.0.1',
    port: items.world.server.port,
    path: '/v1/items-followed',
    headers: asAlice,
    ca: items.world.ca,
    agent: false,
  })
  const [response] = await once(request, 'response')
  const [chunk] = await once(response, 'data')
  response.pause()
  // Once all buffers between are full the source stands still, however often the loop turns.
  let seen = -1
  while (seen !== items.streams.produced) {
    seen = items.streams.produced
    for (let turns = 0; turns < 5_000; turns += 1) await new Promise(setImmediate)
  }

  request.on('error', () => undefined)
  request.destroy()
  while (items.streams.closed === count.closed) await new Promise(setImmediate)

  assert.equal(response.headers['content-type'], 'application/x-ndjson')
  const [line] = chunk.toString().split('\n')
  assert.deepEqual(Object.keys(JSON.parse(line)), ['id', 'size', 'at', 'tags'])
  assert.equal(items.streams.closed, items.streams.opened)
})

test('a stream whose source breaks is cut, never ended as if it were whole', async () => {
  await assert.rejects(items.call('GET', '/v1/items-followed?fail=yes', { headers: asAlice }), { code: 'ECONNRESET' })
})

test('health is open, counts need a proof, documents are served', async () => {
  const gauge = items.health.add('listener', () => false)
  const failing = await items.call('GET', '/readyz')
  gauge[Symbol.dispose]()

  assert.equal((await items.call('GET', '/livez', { headers: { host: '10.0.0.7' } })).status, 200)
  assert.deepEqual([failing.status, failing.json().checks], [503, { listener: 'failing', draining: 'ok' }])
  assert.equal((await items.call('GET', '/readyz')).status, 200)
  assert.equal((await items.call('GET', '/metrics')).status, 401)
  assert.match(
    (await items.call('GET', '/metrics', { headers: asAlice })).text,
    /reeve_http_request_seconds_count\{operation="item.make",status="201"\}/,
  )
  assert.equal((await items.call('GET', '/v1/openapi.json')).json().openapi, '3.1.0')
  assert.equal(slug(await items.call('GET', '/v1/nothing')), 'no-such-route')
})

test('every answer carries its request id and the headers that keep browsers still', async () => {
  const given = await items.call('GET', '/v1/items/a', { headers: { ...asAlice, 'x-request-id': 'abc-1' } })
  const odd = await items.call('GET', '/v1/items/a', { headers: { ...asAlice, 'x-request-id': 'a b"c' } })

  assert.equal(given.headers['x-request-id'], 'abc-1')
  assert.match(String(odd.headers['x-request-id']), /^[0-9a-f-]{36}$/)
  assert.equal(given.headers['cache-control'], 'no-store')
  assert.equal(given.headers['x-content-type-options'], 'nosniff')
  assert.match(String(given.headers['strict-transport-security']), /max-age/)
})

test('plain HTTP and old TLS find nobody', async () => {
  const socket = connect({
    host: '127.0.0.1',
    port: items.world.server.port,
    ca: items.world.ca,
    maxVersion: 'TLSv1.1',
    minVersion: 'TLSv1',
  })

  const [error] = await once(socket, 'error')

  assert.match(String(error), /(protocol|alert|unsupported|version)/i)
  await assert.rejects(fetch(`http://127.0.0.1:${items.world.server.port}/livez`))
})

test('a cursor of another list is refused', async () => {
  const cursor = encodeCursor([new Date(AT), 'id-1'])

  assert.deepEqual(decodeCursor(cursor, ['instant', 'text']), [new Date(AT), 'id-1'])
  assert.throws(() => decodeCursor(encodeCursor([1.5]), ['number']), { slug: 'invalid-input' })
  assert.throws(() => decodeCursor(encodeCursor([2 ** 70]), ['number']), { slug: 'invalid-input' })
  for (const wrong of [
    '',
    'x',
    cursor.slice(0, -3),
    encodeCursor([new Date(AT), 'id\u0000']),
    encodeCursor([new Date(AT), 'id\ud800']),
    encodeCursor(['id-1']),
    encodeCursor([1, 'id-1']),
    Buffer.from('{"__proto__":1}').toString('base64url'),
  ]) {
    assert.throws(() => decodeCursor(wrong, ['instant', 'text']), { slug: 'invalid-input' })
  }
})

test('closing lets a call in flight finish, ends streams and takes nobody new', async (t) => {
  const own = new ItemsApi()
  await own.open(t)
  const { promise, resolve } = Promise.withResolvers<void>()
  own.hold = promise
  const inFlight = own.call('POST', '/v1/items', { headers: json, body: body({ name: 'last' }) })
  const stream = own.call('GET', '/v1/items-followed', { headers: asAlice })
  while (own.ran.length === 0 || own.streams.opened === 0) await new Promise(setImmediate)

  own.health.startDraining()
  const ready = await own.call('GET', '/readyz')
  const closed = own.world.server[Symbol.asyncDispose]()
  const lines = (await stream).text.trim().split('\n')
  resolve()
  const finished = await inFlight
  await closed

  assert.deepEqual([ready.status, ready.json().checks.draining], [503, 'failing'])
  assert.equal(finished.status, 201)
  assert.ok(lines.every((line) => JSON.parse(line).at === AT))
  assert.equal(own.streams.closed, 1)
  await assert.rejects(own.call('GET', '/livez'), { code: 'ECONNREFUSED' })
})

test('bytes leave as they are, under a path of any depth, and may be kept by who got them alone', async () => {
  const headers = asAlice

  const answer = await items.call('GET', '/v1/items/a/part/x/y/z', { headers })
  const escaped = await items.call('GET', '/v1/items/a/part/x%2Fy%2Fz', { headers })

  assert.equal(answer.status, 200)
  assert.deepEqual([...answer.bytes], [0, 255, 5])
  assert.deepEqual([...escaped.bytes], [0, 255, 5])
  assert.equal(answer.headers['content-type'], 'application/octet-stream')
  assert.equal(answer.headers['cache-control'], 'private, max-age=31536000, immutable')
  assert.equal((await items.call('GET', '/v1/items/a/part/x/9', { headers })).headers['cache-control'], 'no-store')
  assert.equal((await items.call('GET', '/v1/items/a/part/', { headers })).status, 400)
})
