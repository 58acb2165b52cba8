import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { inventoryWorld } from '../../../test/support/inventory-world.ts'
import { CONFORMANCE, type Bed } from '../conformance.fixture.ts'
import { HOSTILE } from '../conformance/hostile.fixture.ts'
import { forgeStub, type ForgeStub } from '../forge/stub.fixture.ts'
import { giteaConnector } from './connector.ts'

const SECRET = 'correct-horse-battery-staple-4713'
const TOKEN = 'stub-token-of-gitea'
const WORKFLOW =
  'on: push\njobs: { a: { runs-on: x, steps: [{ uses: actions/checkout@v4 }, { env: { A: "${{ secrets.DEPLOY }}" } }] } }'
const user = (id: number, login: string, more: object = {}) => ({
  id,
  login,
  active: true,
  is_admin: false,
  created: '2025-01-01T00:00:00Z',
  last_login: '2026-01-01T00:00:00Z',
  ...more,
})
const repository = (id: number, name: string) => ({
  id,
  name,
  full_name: `acme/${name}`,
  owner: { id: 9, login: 'acme' },
  archived: name === 'old',
})

/** Answers in the form of Gitea 1.26, small. */
async function stubbed(t: Pick<TestContext, 'after'>): Promise<ForgeStub> {
  const stub = await forgeStub(t, `token ${TOKEN}`)
  const put = (path: string, found: unknown) => stub.answers.set(`/api/v1${path}`, found)
  put('/version', { version: '1.26.0-stub' })
  stub.refused.set('/api/v1/notifications', 403)
  stub.refusal = JSON.stringify({ message: 'required=[read:notification], token scope=read:admin,read:user' })
  put('/user', user(1, 'warden', { is_admin: true }))
  put('/admin/users', [user(1, 'warden', { is_admin: true }), user(2, 'ann'), user(3, 'bot', { prohibit_login: true })])
  put('/admin/orgs', [{ id: 9, username: 'acme' }])
  put('/orgs/acme/teams', [{ id: 4, name: 'release', permission: 'write' }])
  put('/teams/4/members', [user(2, 'ann')])
  for (const login of ['warden', 'ann', 'bot']) put(`/users/${login}/keys`, [])
  for (const login of ['warden', 'ann', 'bot'])
    put(
      `/users/${login}/tokens`,
      login === 'ann' ? [{ id: 7, name: 'ci', scopes: ['all'], token_last_eight: SECRET }] : [],
    )
  put('/user/applications/oauth2', [])
  put('/repos/search', { under: 'data', list: [repository(11, 'shop'), repository(12, 'old'), repository(13, 'new')] })
  for (const name of ['shop', 'old', 'new']) {
    put(`/repos/acme/${name}/collaborators`, [user(3, 'bot')])
    put(`/repos/acme/${name}/collaborators/bot/permission`, { permission: 'write' })
    put(`/repos/acme/${name}/keys`, [
      {
        id: name.length * 100 + name.charCodeAt(0),
        title: `key of ${name}`,
        fingerprint: `SHA256:${name.padEnd(43, 'A')}`,
        read_only: false,
      },
    ])
    put(`/repos/acme/${name}/hooks`, [
      { id: name.charCodeAt(0), config: { url: `https://hooks.example/${SECRET}` }, authorization_header: SECRET },
    ])
    put(`/repos/acme/${name}/actions/secrets`, [{ name: 'DEPLOY', created_at: '2026-01-01T00:00:00Z' }])
    put(`/repos/acme/${name}/actions/variables`, [{ name: 'REGION', data: SECRET }])
  }
  put('/orgs/acme/actions/secrets', [])
  put('/repos/acme/shop/contents/.gitea/workflows', [
    { name: 'ci.yml', path: '.gitea/workflows/ci.yml', type: 'file', size: WORKFLOW.length },
  ])
  put('/repos/acme/shop/contents/.gitea/workflows/ci.yml', { content: Buffer.from(WORKFLOW).toString('base64') })
  return stub
}

const WHOLE = [
  'users',
  'organizations',
  'user-keys',
  'repositories',
  'access',
  'deploy-keys',
  'hooks',
  'secrets',
  'pipelines',
]

async function bed(t: Pick<TestContext, 'after'>): Promise<Bed> {
  const stub = await stubbed(t)
  return {
    connector: giteaConnector,
    settings: { url: stub.url },
    credential: { token: TOKEN },
    whole: WHOLE,
    secrets: [SECRET, TOKEN],
    async lose() {
      stub.answers.set('/api/v1/repos/acme/old/keys', [])
      return 'deploy-keys'
    },
    async deny() {
      stub.refused.set('/api/v1/admin/orgs', 403)
      return ['organizations']
    },
    async plant() {
      const names = ['=cmd|calc', '\u001b[31mred', 'two\nlines', '\u202egnp', 'x'.repeat(100_000)]
      stub.answers.set(
        '/api/v1/repos/acme/new/keys',
        names.map((title, at) => ({ id: 9_000 + at, title: `hostile ${title}` })),
      )
      return { table: 'observed_credential', count: names.length, like: '%hostile %' }
    },
  }
}

for (const [story, run] of Object.entries(CONFORMANCE)) {
  test(`conformance over a stub: ${story}`, async (t) => run(t, await bed(t)))
}
// Programs in Go write an empty list as null.
const SAYS = [/^data$/]
for (const [story, run] of Object.entries(HOSTILE))
  test(`hostile: ${story}`, async (t) => run({ ...(await bed(t)), says: SAYS }))

async function world(t: TestContext) {
  const stub = await stubbed(t)
  const i = await inventoryWorld(t)
  const id = await i.source(giteaConnector, { url: stub.url }, { credential: { token: TOKEN } })
  const read = async (scope: string) => (await i.collect(id)).scopes.find((each) => each.scope === scope)
  return { stub, i, read }
}

test('what one repository does not show is a hole of that one, and what none shows denies the part', async (t) => {
  const { stub, i, read } = await world(t)
  await read('hooks')
  stub.refused.set('/api/v1/repos/acme/old/hooks', 403)
  const hole = await read('hooks')
  for (const name of ['shop', 'new']) stub.refused.set(`/api/v1/repos/acme/${name}/hooks`, 403)
  const none = await read('hooks')

  assert.deepEqual([hole?.status, hole?.missing[0]?.what], ['partial', 'hooks of acme/old'])
  assert.match(hole?.missing[0]?.permission ?? '', /administrator of the repository/)
  assert.equal(none?.status, 'denied')
  assert.equal(await i.count('observed_credential', `type = 'webhook-secret' and missed_at is null`), 3)
})

test('attack: circles, endless pages, floods and nonsense leave a part partial, and lose nothing', async (t) => {
  const { stub, i, read } = await world(t)
  await read('deploy-keys')
  const keys = /\/repos\/acme\/shop\/keys/
  const attacks: Record<string, ForgeStub['intercept']> = {
    circle: ({ url = '' }, response) => {
      if (!keys.test(url)) return false
      response.setHeader('link', `<${stub.url}${url}>; rel="next"`)
      response.end('[]')
      return true
    },
    giant: ({ url = '' }, response) => {
      if (!keys.test(url)) return false
      response.end(JSON.stringify([{ id: 1, title: 'x'.repeat(10_000_000) }]))
      return true
    },
    flood: ({ url = '' }, response) => {
      if (!keys.test(url)) return false
      response.end(JSON.stringify(Array.from({ length: 6_000 }, (_, id) => ({ id }))))
      return true
    },
    storm: ({ url = '' }, response) => {
      if (!keys.test(url)) return false
      response.writeHead(429, { 'retry-after': '400' }).end()
      return true
    },
    nonsense: ({ url = '' }, response) => {
      if (!keys.test(url)) return false
      response.end('[{"id":"no number"}]')
      return true
    },
    html: ({ url = '' }, response) => {
      if (!keys.test(url)) return false
      response.end('<html>log in</html>')
      return true
    },
  }
  for (const [name, intercept] of Object.entries(attacks)) {
    stub.intercept = intercept
    const report = await read('deploy-keys')

    assert.equal(report?.status, 'partial', name)
    assert.equal(await i.count('observed_credential', `type = 'ssh-key' and missed_at is null`), 3, name)
  }
})

test('a workflow that cannot be read is said, and takes nothing that was told for gone', async (t) => {
  const { stub, i, read } = await world(t)
  await read('pipelines')
  const before = await i.count('observed_trust')
  stub.answers.set('/api/v1/repos/acme/shop/contents/.gitea/workflows/ci.yml', {
    content: Buffer.from('jobs: [').toString('base64'),
  })
  const report = await read('pipelines')

  assert.deepEqual([report?.status, report?.missing[0]?.what], ['partial', '1 pipeline files of acme/shop'])
  assert.ok(before > 0)
  assert.equal(await i.count('observed_trust', 'missed_at is null'), before)
})
