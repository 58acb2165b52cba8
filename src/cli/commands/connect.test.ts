import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { cliFor, fakeApi } from '../support.fixture.ts'

const ID = '01890000-0000-7000-8000-00000000000a'
const AT = '2026-05-06T10:00:00.000Z'
const SOURCE = {
  id: ID,
  name: 'db-example',
  connector: 'postgres',
  settings: {},
  targetId: null,
  ownerTeam: 'shop',
  environment: 'production',
  authority: null,
  system: null,
  schedule: 'daily',
  nextReadAt: AT,
  readAt: null,
  problem: null,
  state: 'active',
  createdAt: AT,
  version: 1,
}
const PROBE = { sourceId: ID, authority: 'postgres:1', system: 'PostgreSQL 18', scopes: [] }
const READING = { readingId: ID, outcome: 'complete', problem: null, scopes: [] }

const COMMON = ['--owner-team', 'shop', '--environment', 'production', '--password-file', '-']

/** A server that knows the source already when it is told so. */
async function stage(t: TestContext, isKnown = false) {
  const api = await fakeApi(t)
  api.answer = ({ method, path }) => {
    if (path.endsWith('/probe')) return { status: 200, body: PROBE }
    if (path.endsWith('/collect')) return { status: 200, body: READING }
    if (method === 'POST' && isKnown) {
      return { status: 409, body: { type: 'https://reeve.invalid/problems/name-taken', title: 'taken' } }
    }
    return {
      status: method === 'POST' ? 201 : 200,
      body: method === 'GET' ? { ...SOURCE, scopes: [], readings: [] } : SOURCE,
    }
  }
  const cli = await cliFor(t, { REEVE_ADDR: api.url, REEVE_TOKEN: 'tok-1' })
  cli.env['REEVE_CACERT'] = api.authority.certificateFile
  const connect = (address: string, ...more: string[]) =>
    cli.runWith('secret\n', 'connect', address, ...COMMON, ...more)
  return { api, connect }
}

test('how TLS is asked for may stand in the address, as libpq has it, and is verified in full where nothing is said', async (t) => {
  const { api, connect } = await stage(t)

  const plain = await connect('postgres://reader@db.example/shop')
  const said = await connect('postgres://reader@db.example/shop?sslmode=require')

  assert.deepEqual([plain.code, said.code], [0, 0], said.stderr)
  const modes = api.asked.filter(({ path }) => path === '/v1/sources').map(({ body }) => Object(body).settings.tls.mode)
  assert.deepEqual(modes, ['verify-full', 'require'])
})

test('what an address says and we do not understand is refused, not passed over', async (t) => {
  const { api, connect } = await stage(t)

  const odd = await connect('postgres://reader@db.example/shop?sslrootcert=/etc/ca.pem')
  const two = await connect('postgres://reader@db.example/shop?sslmode=disable', '--tls', 'require')

  assert.match(odd.stderr, /not sslrootcert/)
  assert.match(two.stderr, /different modes/)
  assert.deepEqual([odd.code, two.code, api.asked.length], [1, 1, 0])
})

test('whoever connects once more corrects what they said the first time', async (t) => {
  const { api, connect } = await stage(t, true)

  const { code, stderr } = await connect('postgres://reader@db.example/shop')

  assert.equal(code, 0, stderr)
  const patch = api.asked.find(({ method }) => method === 'PATCH')
  assert.equal(patch?.path, '/v1/sources/db.example')
  const { settings, credential, ...others } = Object(patch.body)
  assert.deepEqual([settings.host, credential.password], ['db.example', 'secret'])
  assert.deepEqual(others, { ownerTeam: 'shop', environment: 'production' })
})

test('a source that a node began to read by itself is waited for', async (t) => {
  const { api, connect } = await stage(t)
  const { answer } = api
  const busy = { type: 'https://reeve.invalid/problems/conflict', title: 'no', facts: { state: 'being-read' } }
  let asked = 0
  api.answer = (call) => {
    if (!call.path.endsWith('/collect')) return answer(call)
    asked += 1
    return asked === 1 ? { status: 409, body: busy } : answer(call)
  }

  const { code, stdout, stderr } = await connect('postgres://reader@db.example/shop')

  assert.deepEqual([code, asked], [0, 2], stderr)
  assert.match(stderr, /reads it already/)
  assert.match(stdout, /complete/)
})

test('a name that another connector or a retired source has is told, with what to do', async (t) => {
  const { api, connect } = await stage(t, true)
  const { answer } = api
  const known = (more: object) => {
    api.answer = (call) =>
      call.method === 'GET' ? { status: 200, body: { ...SOURCE, scopes: [], readings: [], ...more } } : answer(call)
  }

  known({ state: 'retired' })
  const retired = await connect('postgres://reader@db.example/shop')
  known({ connector: 'mysql' })
  const other = await connect('postgres://reader@db.example/shop')

  assert.match(retired.stderr, /db\.example is retired.*\n.*--name/)
  assert.match(other.stderr, /read by the connector mysql.*\n.*--name/)
})

test('settings that the connector does not take are told with the page that says which it does', async (t) => {
  const { api, connect } = await stage(t)
  const issues = [{ path: 'settings.host', message: 'too long' }]
  api.answer = () => ({
    status: 400,
    body: { type: 'https://reeve.invalid/problems/invalid-input', title: 'no', facts: { issues } },
  })

  const { stderr } = await connect('postgres://reader@db.example/shop')

  assert.match(stderr, /settings\.host: too long/)
  assert.match(stderr, /docs\/connectors\/postgres\.md/)
  assert.doesNotMatch(stderr, /--help/)
})
