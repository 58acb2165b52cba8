import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { after, before, test } from 'node:test'
import { certificateOf, ecKey, pemKey, type Wanted } from '../../../test/support/certificates.ts'
import { handClock } from '../../../test/support/hand-clock.ts'
import { Secret } from '../../kernel/secret.ts'
import { jsonItems } from '../../kernel/json-list.ts'
import { sourceHttpTo } from './source-http.ts'

let server: Server
let address: string
const asked: string[] = []
const signal = () => new AbortController().signal

before(async () => {
  server = createServer((request, response) => {
    asked.push(`${request.url} ${request.headers.authorization ?? ''}`)
    if (request.url === '/away') response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end()
    else if (request.url === '/busy') response.writeHead(429, { 'retry-after': '7' }).end()
    else if (request.url === '/list')
      response.end(JSON.stringify({ items: Array.from({ length: 1000 }, (_, at) => ({ at })) }))
    else if (request.url === '/endless') {
      response.writeHead(200)
      response.write(Buffer.alloc(100_000))
      response.end(Buffer.alloc(100_000))
    } else response.writeHead(200, { etag: '"1"' }).end('hello')
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const at = server.address()
  address = `http://127.0.0.1:${typeof at === 'object' && at ? at.port : 0}/base`
})
after(() => {
  server.close()
  server.closeAllConnections()
})

test('a source is asked at its address, with its secret, and answers with what it said', async () => {
  const http = sourceHttpTo(address, handClock())

  const answer = await http({ path: '/api', headers: { authorization: new Secret('token of mine') } }, signal())

  assert.deepEqual([answer.status, answer.headers['etag'], answer.body.toString()], [200, '"1"', 'hello'])
  assert.equal(asked.at(-1), '/api token of mine')
})

test('attack: no path and no redirect leads away from the registered address', async () => {
  const http = sourceHttpTo(address, handClock())

  for (const path of ['//127.0.0.1:1/x', 'http://127.0.0.1:1/', '\\\\127.0.0.1:1\\x', '@127.0.0.1:1/']) {
    await assert.rejects(http({ path }, signal()), { name: 'Unreadable' }, path)
  }
  assert.equal((await http({ path: '/away' }, signal())).status, 302)
})

test('a source that is busy says for how long, and one that never stops is cut off', async () => {
  const http = sourceHttpTo(address, handClock())

  await assert.rejects(http({ path: '/busy' }, signal()), { name: 'SlowDown', retryAfterMs: 7_000 })
  await assert.rejects(http({ path: '/endless', maxBytes: 150_000 }, signal()), { name: 'Unreadable' })
})

test('attack: a name or address that gives out credentials of a cloud is no source', async () => {
  for (const inside of [
    'http://169.254.169.254/',
    'http://[fd00:ec2::254]/',
    'http://0.0.0.0:80/',
    'http://[::ffff:169.254.169.254]/',
  ])
    await assert.rejects(
      sourceHttpTo(inside, handClock())({ path: '/latest' }, signal()),
      { name: 'Unreadable' },
      inside,
    )
})

test('answers that nobody reads hold no connection', async () => {
  const http = sourceHttpTo(address, handClock())
  for (let turn = 0; turn < 20; turn += 1) {
    using answer = await http.stream({ path: turn % 2 === 0 ? '/api' : '/endless' }, signal())
    assert.equal(answer.status, 200)
  }

  assert.equal((await http({ path: '/api' }, signal())).body.toString(), 'hello')
})

test('a list is read item by item, one connection serves many requests, and a broken one says its code', async () => {
  const http = sourceHttpTo(address, handClock())
  const sockets = new Set<unknown>()
  server.on('connection', (socket) => sockets.add(socket))
  for (let turn = 0; turn < 10; turn += 1) {
    using answer = await http.stream({ path: '/list' }, signal())
    const items: unknown[] = []
    for await (const item of jsonItems(answer.body, 'items')) items.push(item)
    assert.equal(items.length, 1000)
  }

  assert.equal(sockets.size, 1)
  await assert.rejects(sourceHttpTo('http://127.0.0.1:1', handClock())({ path: '/' }, signal()), {
    name: 'Faltering',
    message: 'nothing listens at the address of the source (ECONNREFUSED)',
  })
})

test('a certificate that is not believed is said with what is wrong about it, and nothing is sent', async (t) => {
  const authority = { subject: 'an authority of the company', key: ecKey() }
  const ca = certificateOf({ ...authority, isAuthority: true }).pem
  const told = async (wanted: Omit<Wanted, 'subject'>, asked: { readonly ca?: string }) => {
    const { pem, key } = certificateOf({ subject: 'localhost', ...wanted })
    let heard = 0
    const tls = createTlsServer({ cert: pem, key: pemKey(key) }, (_request, response) => {
      heard += 1
      response.end('{}')
    })
    await new Promise<void>((resolve) => {
      tls.listen(0, '127.0.0.1', resolve)
    })
    t.after(() => {
      tls.close()
      tls.closeAllConnections()
    })
    const at = tls.address()
    const http = sourceHttpTo(`https://localhost:${typeof at === 'object' && at ? at.port : 0}`, handClock())
    const headers = { authorization: new Secret('token of mine') }
    const answer = await http({ path: '/', headers, ...asked }, signal()).catch((error: unknown) => error)
    return `${answer instanceof Error ? `${answer.name}: ${answer.message}` : 'answered'}, ${heard} heard`
  }
  const named = { issuer: authority, names: ['localhost'] }
  const past = { notBefore: new Date('2020-01-01T00:00:00Z'), notAfter: new Date('2021-01-01T00:00:00Z') }

  assert.equal(await told(named, { ca }), 'answered, 1 heard')
  assert.match(await told(named, {}), /^Unreadable: .*nobody who is trusted signed its certificate.*, 0 heard$/)
  assert.match(await told({ ...named, names: ['other'] }, { ca }), /^Unreadable: .*for another name.*, 0 heard$/)
  assert.match(await told({ ...named, ...past }, { ca }), /^Unreadable: .*has expired.*, 0 heard$/)
  assert.match(await told({ names: ['localhost'] }, { ca }), /^Unreadable: .*signed by itself.*, 0 heard$/)
})
