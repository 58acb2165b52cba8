import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { Secret } from '../kernel/secret.ts'
import { noTicketVerifier, openTicketVerifier, TicketSystemInvalid, type TicketSystem } from './ticket-verifier.ts'

type Asked = { path: string; authorization: string | undefined }

/** A system of tickets on loopback that keeps what it was asked. */
async function system(t: Pick<TestContext, 'after'>, answer: RequestListener, more: Partial<TicketSystem> = {}) {
  const asked: Asked[] = []
  const server = createServer((request, response) => {
    asked.push({ path: request.url ?? '', authorization: request.headers.authorization })
    answer(request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const settings: TicketSystem = {
    url: `http://127.0.0.1:${port}/api/issues/{ticket}?fields=status`,
    stateAt: 'fields.status',
    states: ['open', 'approved'],
    timeoutMs: 2_000,
    ...more,
  }
  return { verifier: openTicketVerifier(settings), asked, port }
}

const says =
  (body: unknown, status = 200): RequestListener =>
  (_request, response) =>
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))

test('a ticket in one of the states is verified, with the login that was configured', async (t) => {
  const login = { authorization: new Secret('Bearer s3cret') }
  const { verifier, asked, port } = await system(t, says({ fields: { status: 'open' } }), login)

  const check = await verifier.verify('OPS-7')

  assert.deepEqual(check, {
    isVerified: true,
    by: `127.0.0.1:${port}`,
    sentence: `The ticket was verified with 127.0.0.1:${port}.`,
  })
  assert.deepEqual(asked, [{ path: '/api/issues/OPS-7?fields=status', authorization: 'Bearer s3cret' }])
})

test('whatever is not a clear yes is a no: another state, no state, no ticket, an error, no JSON, too much, a redirect', async (t) => {
  const answers: RequestListener[] = [
    says({ fields: { status: 'closed' } }),
    says({ fields: { status: ['open'] } }),
    says({ status: 'open' }),
    says({ fields: { status: 'open' } }, 404),
    says({ fields: { status: 'open' } }, 500),
    says({ fields: { status: 'open' } }, 201),
    says(null),
    (_request, response) => response.end('open'),
    says({ fields: { status: 'open' }, padding: 'x'.repeat(300_000) }),
    (request, response) =>
      request.url?.startsWith('/elsewhere')
        ? says({ fields: { status: 'open' } })(request, response)
        : response.writeHead(302, { location: '/elsewhere' }).end(),
    (request) => request.socket.destroy(),
  ]
  let answer = answers[0]!
  const { verifier } = await system(t, (request, response) => answer(request, response))

  for (answer of answers) {
    const check = await verifier.verify('OPS-7')
    assert.equal(check.isVerified, false, String(answer))
    assert.doesNotMatch(check.sentence, /padding|elsewhere/)
  }
})

test('an answer that does not come in time is a no', async (t) => {
  const { verifier, asked } = await system(t, () => undefined, { timeoutMs: 50 })

  const check = await verifier.verify('OPS-7')

  assert.equal(check.isVerified, false)
  assert.match(check.sentence, /could not be asked/)
  assert.ok(asked.length <= 1, 'it is not asked again')
})

test('no ticket changes the host, the path or the query that is asked', async (t) => {
  const { verifier, asked, port } = await system(t, says({ fields: { status: 'open' } }))
  const hostile = [
    '..',
    '.',
    '../../admin',
    '@evil.example/',
    '//evil.example',
    '?x=',
    '#',
    'a/../../b',
    '%2e%2e',
    '\\..\\',
    '$&',
    '',
  ]

  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.constantFrom(...hostile), fc.string({ maxLength: 64 })), async (ticket) => {
      asked.length = 0
      await verifier.verify(ticket)
      for (const { path } of asked) {
        const url = new URL(path, `http://127.0.0.1:${port}`)
        const [, api, issues, name, ...more] = url.pathname.split('/')
        assert.deepEqual([api, issues, more, url.search], ['api', 'issues', [], '?fields=status'])
        assert.equal(decodeURIComponent(name ?? ''), ticket)
      }
    }),
    { numRuns: 200 },
  )
  assert.equal((await verifier.verify('..')).isVerified, false)
})

test('a state is an own key of the answer, not one that every object has', async (t) => {
  const { verifier } = await system(t, says({}), { stateAt: 'constructor.name', states: ['Object'] })

  assert.equal((await verifier.verify('OPS-7')).isVerified, false)
})

test('an address that lets the ticket choose the host, is not encrypted, or holds a login is refused at start', () => {
  const rest = { stateAt: 'state', states: ['open'], timeoutMs: 1 }
  for (const url of [
    'https://{ticket}.example/',
    'https://{ticket}/',
    'https://tickets.example/',
    'https://tickets.example/{ticket}/{ticket}',
    'http://tickets.example/{ticket}',
    'https://me:pw@tickets.example/{ticket}',
    'file:///{ticket}',
    '{ticket}',
  ]) {
    assert.throws(() => openTicketVerifier({ url, ...rest }), TicketSystemInvalid, url)
  }
  openTicketVerifier({ url: 'https://tickets.example/{ticket}', ...rest })
})

test('where no system is configured no ticket is verified', async () => {
  assert.equal((await noTicketVerifier.verify('OPS-7')).isVerified, false)
})
