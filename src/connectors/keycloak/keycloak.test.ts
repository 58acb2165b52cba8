import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { test, type TestContext } from 'node:test'
import { sourceHttpTo } from '../../inventory/inventory.ts'
import { systemClock } from '../../kernel/clock.ts'
import { Secret } from '../../kernel/secret.ts'
import type { Observation, ScopeReport, Since } from '../connector.ts'
import { keycloakConnector } from './connector.ts'
import { widensOf } from './flows.ts'

type Answers = Readonly<Record<string, (query: URLSearchParams) => unknown>>
const ALL = ['view-realm', 'view-clients', 'view-users', 'view-identity-providers', 'view-events']
/** Every type of event whose want makes a reading partial. */
const USED = [
  'LOGIN',
  'CLIENT_LOGIN',
  'CODE_TO_TOKEN',
  'REFRESH_TOKEN',
  'TOKEN_EXCHANGE',
  'OAUTH2_DEVICE_CODE_TO_TOKEN',
  'AUTHREQID_TO_TOKEN',
]
const tokenOf = (claims: object) => `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.x`
const REALM = { id: 'r-1', realm: 'company', defaultRole: { id: 'everybody' } }

/** A stub: it answers what it was given, as a hostile server could. What is proven is proven on Keycloak itself. */
async function reading(
  t: Pick<TestContext, 'after'>,
  scope: string,
  answers: Answers,
  claims: object = { resource_access: { 'realm-management': { roles: ALL } } },
  since: Since = {},
) {
  const asked: string[] = []
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://stub')
    asked.push(request.url ?? '')
    const path = url.pathname.replace('/admin/realms/company', '')
    if (path.endsWith('/token')) {
      response.end(JSON.stringify({ access_token: tokenOf(claims), expires_in: 60 }))
      return
    }
    const told = path === '' ? REALM : answers[path]?.(url.searchParams)
    if (told === undefined) response.writeHead(404).end('{"error":"HTTP 404 Not Found"}')
    else if (typeof told === 'number') response.writeHead(told).end('{}')
    else response.end(typeof told === 'string' ? told : JSON.stringify(told))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  const url = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`
  const signal = new AbortController().signal
  const told: Observation[] = []
  let report: ScopeReport | undefined
  let error: unknown
  let cursor: string | undefined
  try {
    await using source = await keycloakConnector.open(
      {
        settings: keycloakConnector.settings.parse({ url, realm: 'company' }),
        credential: new Secret(JSON.stringify({ clientId: 'reader', clientSecret: 'only for this test' })),
        clock: systemClock,
        fingerprint: () => ({ alg: 'hmac-sha256', keyId: '0'.repeat(12), value: '0'.repeat(64) }),
        http: sourceHttpTo(url, systemClock),
        ours: async () => new Set(),
        custody: () => Buffer.of(),
      },
      signal,
    )
    const pages = source.read(scope, since, signal)
    for (;;) {
      const next = await pages.next()
      if (next.done) {
        report = next.value
        break
      }
      told.push(...next.value.observations)
      cursor = next.value.cursor
    }
  } catch (thrown) {
    error = thrown
  }
  return { told, report, error, asked, cursor }
}

const client = (n: number) => ({ id: `c-${n}`, clientId: `client-${n}`, publicClient: true })

test('a redirect is as wide as what a stranger can have of it', () => {
  assert.deepEqual(widensOf('https://app.example/back'), [])
  assert.deepEqual(widensOf('https://app.example/*'), ['any-path'])
  assert.deepEqual(widensOf('https://app.example*'), ['any-host'])
  assert.deepEqual(widensOf('https://*'), ['any-host'])
  assert.deepEqual(widensOf('*'), ['any-address'])
  assert.deepEqual(widensOf('http://app.example/back'), ['plaintext'])
  assert.deepEqual(widensOf('http://localhost:3000/back'), [])
  assert.deepEqual(widensOf('http://localhost.evil.example/*'), ['any-path', 'plaintext'])
  // A query makes the star a letter.
  assert.deepEqual(widensOf('https://app.example/?x=*'), [])
})

test('attack: a token that names no roles makes a list partial, for what was left out of it cannot be known', async (t) => {
  const { report, told } = await reading(t, 'clients', { '/clients': () => [client(1)] }, {})

  assert.equal(report?.status, 'partial')
  assert.match(report?.missing[0]?.why ?? '', /does not name its roles/)
  assert.ok(told.length > 0)
})

test('attack: a server that heeds no page, gives too much, nonsense or another shape ends the reading with a sentence', async (t) => {
  const page = Array.from({ length: 100 }, (_, n) => client(n))
  const errorOf = async (answer: unknown) => String((await reading(t, 'clients', { '/clients': () => answer })).error)

  assert.match(await errorOf(page), /the same page again/)
  assert.match(await errorOf([...page, client(101)]), /another way than its API/)
  assert.match(await errorOf('<html>'), /not JSON/)
  assert.match(await errorOf([{ id: 7 }]), /another way than its API/)
})

test('attack: a role called `..` is no path to somewhere else, and a token that is refused denies', async (t) => {
  const role = (id: string, name: string) => ({ id, name, composite: false })
  const { report, asked } = await reading(t, 'role-holders', {
    '/roles': () => [role('1', '..'), role('2', 'a/../b?c#d'), role('everybody', 'default')],
    '/clients': () => [],
  })
  const refused = await reading(t, 'users', { '/users': () => 401 })

  assert.equal(report?.status, 'partial')
  assert.ok(asked.every((path) => !path.includes('/../') && !path.includes('/roles/default')))
  assert.ok(asked.some((path) => path.includes('/roles/a%2F..%2Fb%3Fc%23d/users')))
  assert.match(String(refused.error), /does not accept the login/)
})

test('attack: events in another order, or the same for ever, are not counted for ever', async (t) => {
  const event = (time: number) => ({ time, type: 'CLIENT_LOGIN', clientId: 'client-1' })
  const read = (events: (query: URLSearchParams) => unknown) =>
    reading(t, 'events', { '': () => REALM, '/clients': () => [client(1)], '/events': events })
  const before = { ...REALM }
  Object.assign(REALM, { eventsEnabled: true })
  t.after(() => void Object.assign(REALM, { eventsEnabled: undefined, ...before }))
  const behind = await read(() => [event(2_000), event(1_000)])
  const { told, report } = await read((query) => (query.get('first') === '0' ? [event(1_000), event(1_000)] : []))

  assert.match(String(behind.error), /another order/)
  assert.equal(told.filter(({ kind }) => kind === 'usage').length, 2)
  assert.match(report?.missing[0]?.what ?? '', /REFRESH_TOKEN/)
})

test('attack: events cleared between two readings shift no place: what came since is told, and the hole is said', async (t) => {
  const realm = { ...REALM }
  Object.assign(REALM, { eventsEnabled: true, enabledEventTypes: USED })
  t.after(() => void Object.assign(REALM, { eventsEnabled: undefined, enabledEventTypes: undefined, ...realm }))
  const claims = { resource_access: { 'realm-management': { roles: ALL } } }
  let kept: { readonly time: number; readonly type: string; readonly clientId: string }[] = []
  const event = (time: number) => ({ time, type: 'CLIENT_LOGIN', clientId: 'client-1' })
  /** As Keycloak has it: of what lies in the range, in order, some are left out and some are given. */
  const list = (query: URLSearchParams) => {
    const [from, to, first, max] = ['dateFrom', 'dateTo', 'first', 'max'].map((name) => Number(query.get(name)))
    const within = kept.filter(({ time }) => time >= (from ?? 0) && time <= (to ?? 0))
    return within.slice(first, (first ?? 0) + (max ?? 0))
  }
  const read = (cursor?: string) =>
    reading(t, 'events', { '/clients': () => [client(1)], '/events': list }, claims, cursor ? { cursor } : {})
  const timesOf = ({ told }: { readonly told: readonly Observation[] }) =>
    told.flatMap((one) => (one.kind === 'usage' ? [one.at.getTime()] : []))
  kept = [1_000, 2_000, 2_000, 2_000].map(event)
  const before = await read()
  kept.push(event(2_500))
  const quiet = await read(before.cursor)
  kept = [3_000, 4_000, 4_000, 5_000].map(event)
  const cleared = await read('2600:2000:3')
  const after = await read(cleared.cursor)
  kept = Array.from({ length: 2_500 }, (_, at) => event(6_000 + Math.floor(at / 900)))
  const paged = await read()

  assert.deepEqual([timesOf(before).length, before.report?.status], [4, 'complete'])
  assert.deepEqual([timesOf(quiet), quiet.report?.status], [[2_500], 'complete'])
  assert.deepEqual(timesOf(cleared), [3_000, 4_000, 4_000, 5_000])
  assert.match(cleared.report?.missing[0]?.why ?? '', /taken out of the realm before their time/)
  assert.deepEqual(
    cleared.told.flatMap((one) => (one.kind === 'usage-window' ? (one.gaps ?? []) : [])),
    [[new Date(2_600), new Date(3_000)]],
  )
  assert.deepEqual([timesOf(after), after.report?.status], [[], 'complete'])
  assert.equal(timesOf(paged).length, 2_500)
})

test('attack: a 404 of what every realm has, or of a gateway on the way, is not an empty realm', async (t) => {
  const errors: string[] = []
  for (const scope of ['clients', 'users', 'groups', 'roles', 'identity-providers', 'grants'])
    errors.push(String((await reading(t, scope, {})).error))
  const page = await reading(t, 'groups', {
    '/groups': () => [{ id: 'g', name: 'g', subGroupCount: 0 }],
    '/groups/g/members': () => 404,
  })
  const gone = await reading(t, 'groups', { '/groups': () => [{ id: 'g', name: 'g', subGroupCount: 0 }] })

  for (const error of errors) assert.match(error, /does not give what every realm has/)
  assert.match(String(page.error), /the server answered 404/)
  assert.equal(gone.report?.status, 'complete')
})

test('a service account that fails once is asked for again, one that is never given is named, and a line that breaks is no answer', async (t) => {
  const acting = { ...client(1), publicClient: false, serviceAccountsEnabled: true }
  const read = (...answers: unknown[]) =>
    reading(t, 'clients', { '/clients': () => [acting], '/clients/c-1/service-account-user': () => answers.shift() })
  const user = { id: 'u-1', username: 'service-account-client-1' }
  const once = await read(500, user)
  const never = await read(500, 500)
  const slow = await read(429)

  assert.deepEqual([once.report?.status, once.told.some(({ kind }) => kind === 'trust')], ['complete', true])
  assert.deepEqual(
    [never.report?.status, never.report?.missing[0]?.what],
    ['partial', 'the service account of client-1'],
  )
  assert.equal(slow.report, undefined)
})
