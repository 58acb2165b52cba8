import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { RequestListener } from 'node:http'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { openAuthority } from './ca.ts'
import { systemClock } from './clock.ts'
import { isPublicAddress, parseExceptions } from './egress-address.ts'
import { openEgress, type EgressOptions } from './egress.ts'
import { systemRandom } from './random.ts'

const JSON_ONLY = { types: ['application/json'] }
const answerJson: RequestListener = (_request, response) =>
  response.setHeader('content-type', 'application/json').end('{"ok":true}')

/** An HTTP server on loopback that counts who came. */
async function service(t: TestContext, handler: RequestListener = answerJson) {
  const came: string[] = []
  const server = createServer((request, response) => {
    came.push(`${request.headers.host} ${request.url}`)
    handler(request, response)
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  assert.ok(typeof address === 'object' && address)
  return { port: address.port, came }
}

/** Reaches `name.test` on plain HTTP at the port; the resolver is the test's. */
function egressTo(port: number, more: Partial<EgressOptions> = {}) {
  return openEgress({ allow: [`http://name.test:${port}`], resolve: async () => ['127.0.0.1'], ...more })
}

test('attack: no spelling of an address inside reaches it', () => {
  const egress = openEgress({ allow: [] })
  const inside = [
    'https://127.0.0.1/',
    'https://2130706433/',
    'https://0177.0.0.1/',
    'https://0x7f.1/',
    'https://127.1/',
    'https://0/',
    'https://0.0.0.0/',
    'https://10.1.2.3/',
    'https://100.64.0.1/',
    'https://169.254.169.254/latest/meta-data/',
    'https://172.31.255.255/',
    'https://192.168.0.1/',
    'https://224.0.0.1/',
    'https://255.255.255.255/',
    'https://[::1]/',
    'https://[::]/',
    'https://[::ffff:127.0.0.1]/',
    'https://[::ffff:7f00:1]/',
    'https://[::127.0.0.1]/',
    'https://[64:ff9b::7f00:1]/',
    'https://[64:ff9b:1::a00:1]/',
    'https://[2002:7f00:1::]/',
    'https://[2001:0:7f00:1::]/',
    'https://[fe80::1]/',
    'https://[fd00:ec2::254]/',
    'https://[ff02::1]/',
    'https://１２７.0.0.1/',
  ]

  for (const url of inside) assert.throws(() => egress.check(url), { reason: 'address' }, url)
})

test('attack: a URL that is not plain https is not asked', () => {
  const egress = openEgress({ allow: [] })

  for (const url of [
    'http://example.com/',
    'file:///etc/passwd',
    'gopher://example.com/',
    'https://user:pass@example.com/',
    'https://example.com/#x',
    'https:///',
    '//example.com',
    '',
    `https://example.com/${'a'.repeat(8_000)}`,
  ]) {
    assert.throws(() => egress.check(url), { reason: 'url' }, url)
  }
  egress.check('https://example.com/.well-known/openid-configuration?x=1')
})

test('an address of the public internet is one, and nothing else is', () => {
  for (const address of ['1.1.1.1', '8.8.8.8', '172.32.0.1', '2606:4700::1111', '2a00:1450::1'])
    assert.ok(isPublicAddress(address), address)
  for (const address of ['', 'example.com', '2001:db8::1', 'fe80::1%eth0', '2606:4700::1111%eth0', '198.19.0.1'])
    assert.ok(!isPublicAddress(address), address)
})

test('attack: a name that leads inside is not asked, nor one that leads to both', async (t) => {
  const { port, came } = await service(t)
  for (const addresses of [['127.0.0.1'], ['1.1.1.1', '127.0.0.1'], ['::ffff:127.0.0.1'], ['not an address']]) {
    const egress = openEgress({ allow: [], resolve: async () => addresses })

    await assert.rejects(egress.ask(`https://name.test:${port}/`, JSON_ONLY), { reason: 'address' })
  }

  assert.deepEqual(came, [])
})

test('attack: a name that answers differently the second time gains nothing: what was checked is connected to', async (t) => {
  const { port, came } = await service(t)
  let asked = 0
  const resolve = async () => (++asked === 1 ? ['127.0.0.1'] : ['169.254.169.254'])

  const { status, body } = await egressTo(port, { resolve }).ask(`http://name.test:${port}/keys`, JSON_ONLY)

  assert.deepEqual([status, body.toString(), asked], [200, '{"ok":true}', 1])
  assert.deepEqual(came, [`name.test:${port} /keys`])
})

test('attack: a redirect is not followed', async (t) => {
  const inner = await service(t)
  const outer = await service(t, (_request, response) =>
    response.writeHead(302, { location: `http://127.0.0.1:${inner.port}/` }).end(),
  )

  const asking = egressTo(outer.port).ask(`http://name.test:${outer.port}/`, JSON_ONLY)

  await assert.rejects(asking, { reason: 'redirect' })
  assert.deepEqual(inner.came, [])
})

test('attack: an exception is for its host, its port, its scheme, and never for link-local addresses', async (t) => {
  const { port, came } = await service(t)
  const egress = egressTo(port)
  const linkLocal = egressTo(port, { resolve: async () => ['169.254.169.254'] })

  await assert.rejects(egress.ask(`http://other.test:${port}/`, JSON_ONLY), { reason: 'address' })
  await assert.rejects(egress.ask(`http://name.test:${port + 1}/`, JSON_ONLY), { reason: 'address' })
  await assert.rejects(egress.ask(`https://name.test:${port}/`, JSON_ONLY), { reason: 'address' })
  await assert.rejects(linkLocal.ask(`http://name.test:${port}/`, JSON_ONLY), { reason: 'address' })
  assert.throws(() => egress.check(`http://127.0.0.1:${port}/`), { reason: 'address' })
  assert.deepEqual(came, [])
})

test('attack: an endless, a slow, an encoded and a foreign answer are cut off', async (t) => {
  const endless = await service(t, (_request, response) => {
    response.setHeader('content-type', 'application/json')
    const more = () => {
      while (response.write(Buffer.alloc(65_536, 32)));
      response.once('drain', more)
    }
    more()
  })
  const silent = await service(t, () => undefined)
  const encoded = await service(t, (_request, response) =>
    response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end('x'),
  )
  const html = await service(t, (_request, response) => response.setHeader('content-type', 'text/html').end('<p>'))
  const at = ({ port }: { port: number }, more = {}) =>
    egressTo(port).ask(`http://name.test:${port}/`, { ...JSON_ONLY, ...more })

  await assert.rejects(at(endless), { reason: 'too-large' })
  await assert.rejects(at(silent, { timeoutMs: 50 }), { reason: 'late' })
  await assert.rejects(at(encoded), { reason: 'type' })
  await assert.rejects(at(html), { reason: 'type' })
})

test('who asked may stop asking, also while the name is looked up', async (t) => {
  const silent = await service(t, () => undefined)
  const stop = new AbortController()
  const url = `http://name.test:${silent.port}/`
  const asking = egressTo(silent.port).ask(url, JSON_ONLY, stop.signal)
  const resolving = egressTo(silent.port, { resolve: () => new Promise(() => undefined) }).ask(
    url,
    JSON_ONLY,
    stop.signal,
  )

  stop.abort()

  await assert.rejects(asking, { reason: 'aborted' })
  await assert.rejects(resolving, { reason: 'aborted' })
})

test('attack: whoever sits at the address without a certificate for the name is not believed', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-egress-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const authority = await openAuthority(join(folder, 'ca'), { clock: systemClock, random: systemRandom })
  const own = await authority.issueServer(['name.test'])
  const server = createHttpsServer({ key: own.key.reveal(), cert: own.cert }, answerJson)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  assert.ok(typeof address === 'object' && address)
  const resolve = async () => ['127.0.0.1']
  const trusting = openEgress({ allow: ['127.0.0.0/8'], ca: authority.certificate, resolve })
  const others = openEgress({ allow: ['127.0.0.0/8'], resolve })

  const { status } = await trusting.ask(`https://name.test:${address.port}/`, JSON_ONLY)

  assert.equal(status, 200)
  await assert.rejects(others.ask(`https://name.test:${address.port}/`, JSON_ONLY), { reason: 'unreachable' })
  await assert.rejects(trusting.ask(`https://other.test:${address.port}/`, JSON_ONLY), { reason: 'unreachable' })
})

test('an exception that cannot be read stops the start', () => {
  for (const entry of ['', 'https://a', 'a/b', 'a:0', 'a:70000', '10.0.0.0/33', '2130706433', '*', 'a b', '[::1'])
    assert.throws(() => parseExceptions([entry]), /entry 1/, entry)
  assert.equal(parseExceptions(['a', 'http://a:80', '10.0.0.0/8', '[fd00::1]', '[fd00::]/8:443']).length, 5)
})
