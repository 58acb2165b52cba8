import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { inventoryWorld } from '../../../test/support/inventory-world.ts'
import { CONFORMANCE, type Bed } from '../conformance.fixture.ts'
import { HOSTILE } from '../conformance/hostile.fixture.ts'
import { forgeStub, type ForgeStub } from '../forge/stub.fixture.ts'
import { githubConnector } from './connector.ts'

// Fixtures: answers in the form of the published REST API (2022-11-28), written by hand. GitHub itself was not asked.

const SECRET = 'correct-horse-battery-staple-4714'
const TOKEN = 'stub-token-of-github'
const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFc8yYp1d0Yq1v3v4l7zv0l5cJ5b6m9tQmQmX0x5u1aB'
const WORKFLOW = `
on: { pull_request_target: {} }
permissions: { contents: write, id-token: write }
jobs: { a: { runs-on: ubuntu-latest, steps: [{ uses: actions/checkout@v4, with: { ref: "\${{ github.head_ref }}" } }, { env: { A: "\${{ secrets.DEPLOY }}" } }] } }`
const user = (id: number, login: string, type = 'User') => ({ id, login, type })
const repository = (id: number, name: string) => ({
  id,
  name,
  full_name: `acme/${name}`,
  owner: { id: 9, login: 'acme' },
  visibility: 'private',
  archived: name === 'old',
})

async function stubbed(t: Pick<TestContext, 'after'>): Promise<ForgeStub> {
  const stub = await forgeStub(t, `Bearer ${TOKEN}`)
  const put = (path: string, found: unknown) => stub.answers.set(path, found)
  put('/orgs/acme', { id: 9, login: 'acme' })
  put('/orgs/acme/members', [user(1, 'ann'), user(2, 'bob'), user(3, 'robot[bot]', 'Bot')])
  put('/orgs/acme/teams', [{ id: 4, name: 'Release', slug: 'release', parent: { id: 5 } }])
  put('/orgs/acme/teams/release/members', [user(2, 'bob')])
  put('/orgs/acme/installations', {
    under: 'installations',
    list: [
      {
        id: 61,
        app_id: 6,
        app_slug: 'deployer',
        repository_selection: 'all',
        permissions: { contents: 'write', metadata: 'read' },
        created_at: '2025-01-01T00:00:00Z',
      },
      { id: 62, app_id: 7, app_slug: 'asleep', permissions: {}, suspended_at: '2025-06-01T00:00:00Z' },
    ],
  })
  put('/orgs/acme/personal-access-tokens', [
    {
      id: 70,
      token_id: 71,
      token_name: 'ci',
      owner: user(2, 'bob'),
      permissions: { repository: { contents: 'write' } },
      token_expires_at: null,
      token_last_used_at: '2026-02-01T00:00:00Z',
    },
    {
      id: 72,
      token_id: 73,
      token_name: 'over',
      owner: user(2, 'bob'),
      permissions: {},
      token_expired: true,
      token_expires_at: '2026-01-01T00:00:00Z',
    },
  ])
  put('/orgs/acme/actions/secrets', {
    under: 'secrets',
    list: [{ name: 'SHARED', visibility: 'all', updated_at: '2026-01-01T00:00:00Z' }],
  })
  put('/orgs/acme/repos', [repository(11, 'shop'), repository(12, 'old'), repository(13, 'new')])
  for (const [at, name] of ['shop', 'old', 'new'].entries()) {
    put(`/repos/acme/${name}/collaborators`, [{ ...user(8, 'guest'), role_name: 'maintain' }])
    put(`/repos/acme/${name}/teams`, [{ id: 4, name: 'Release', slug: 'release', permission: 'push' }])
    put(`/repos/acme/${name}/keys`, [
      { id: 80 + at, key: KEY, title: `key of ${name}`, read_only: false, last_used: '2026-01-01T00:00:00Z' },
    ])
    put(`/repos/acme/${name}/hooks`, [
      { id: 90 + at, active: true, config: { url: `https://hooks.example/${SECRET}`, insecure_ssl: '1' } },
    ])
    put(`/repos/acme/${name}/actions/secrets`, {
      under: 'secrets',
      list: [{ name: 'DEPLOY', created_at: '2026-01-01T00:00:00Z' }],
    })
    put(`/repos/acme/${name}/environments`, {
      under: 'environments',
      list: [{ id: 100 + at, name: 'production', protection_rules: [{ type: 'required_reviewers' }] }],
    })
    put(`/repos/acme/${name}/environments/production/secrets`, { under: 'secrets', list: [{ name: 'KEY' }] })
  }
  put('/repos/acme/shop/contents/.github/workflows', [
    { name: 'ci.yml', path: '.github/workflows/ci.yml', type: 'file', size: WORKFLOW.length },
  ])
  put('/repos/acme/shop/contents/.github/workflows/ci.yml', { content: Buffer.from(WORKFLOW).toString('base64') })
  return stub
}

const WHOLE = [
  'members',
  'teams',
  'apps',
  'tokens',
  'organization-secrets',
  'repositories',
  'access',
  'deploy-keys',
  'hooks',
  'secrets',
  'pipelines',
]
const settingsOf = ({ url }: ForgeStub) => ({ url, organization: 'acme' })

async function bed(t: Pick<TestContext, 'after'>): Promise<Bed> {
  const stub = await stubbed(t)
  return {
    connector: githubConnector,
    settings: settingsOf(stub),
    credential: { token: TOKEN },
    whole: WHOLE,
    secrets: [SECRET, TOKEN],
    async lose() {
      stub.answers.set('/repos/acme/old/keys', [])
      return 'deploy-keys'
    },
    async deny() {
      // GitHub says "not there" of what a token may not see.
      stub.refused.set('/orgs/acme/installations', 404)
      return ['apps']
    },
    async plant() {
      const names = ['=cmd|calc', '\u001b[31mred', 'two\nlines', '\u202egnp', 'x'.repeat(100_000)]
      stub.answers.set(
        '/repos/acme/new/keys',
        names.map((title, at) => ({ id: 9_000 + at, key: KEY, title: `hostile ${title}` })),
      )
      return { table: 'observed_credential', count: names.length, like: '%hostile %' }
    },
  }
}

for (const [story, run] of Object.entries(CONFORMANCE)) {
  test(`conformance over fixtures: ${story}`, async (t) => run(t, await bed(t)))
}
// A team without one above it has none, and an app has the permissions that are listed.
const SAYS = [/parent/, /permissions\./, /^(?:installations|secrets|variables|environments|workflows|runners)$/]
for (const [story, run] of Object.entries(HOSTILE))
  test(`hostile: ${story}`, async (t) => run({ ...(await bed(t)), says: SAYS }))

async function world(t: TestContext) {
  const stub = await stubbed(t)
  const i = await inventoryWorld(t)
  const id = await i.source(githubConnector, settingsOf(stub), { credential: { token: TOKEN } })
  const read = async (scope: string) => (await i.collect(id)).scopes.find((each) => each.scope === scope)
  return { stub, i, read }
}

test('apps with their rights, tokens, keys, hooks, environments and workflows are told', async (t) => {
  const { i, read } = await world(t)
  await read('apps')
  const rows = await i.snapshot()
  const has = (table: string, ...parts: string[]) =>
    assert.ok(
      rows.some((row) => row.startsWith(`${table} `) && parts.every((part) => row.includes(part))),
      `${table} ${parts.join(' ')}`,
    )

  has('observed_grant', 'contents: write', 'isAllRepositories')
  has('observed_principal', 'asleep', 'disabled')
  has('observed_principal', 'robot[bot]', 'service')
  has('observed_credential', 'ci', 'contents: write')
  has('observed_credential', 'over', 'expired')
  has('observed_credential', 'acme/shop: key of shop', 'SHA256:')
  has('observed_credential', 'hook to https://hooks.example', 'weak')
  has('observed_credential', 'acme/shop: production: KEY')
  has('observed_resource', 'ci-environment', 'required_reviewers')
  has('observed_trust', 'pipeline-trigger', 'runs-proposed-code')
  has('observed_grant', 'id-token: write')
  assert.equal(await i.count('observed_credential', `type = 'ssh-key' and fingerprints is not null`), 3)
})

test('not there means not seen: a token without the right denies a part and takes nothing for gone', async (t) => {
  const { stub, i, read } = await world(t)
  await read('hooks')
  for (const name of ['shop', 'old', 'new']) stub.refused.set(`/repos/acme/${name}/hooks`, 404)
  const hooks = await read('hooks')

  assert.deepEqual([hooks?.status, hooks?.missing[0]?.permission], ['denied', 'repository Webhooks: read'])
  assert.equal(await i.count('observed_credential', `type = 'webhook-secret' and missed_at is null`), 3)
})

test('a workflow that declares no rights has those of its repository, and where these are not shown that is said', async (t) => {
  const { stub, i, read } = await world(t)
  const plain = 'on: push\njobs: { a: { runs-on: ubuntu-latest, steps: [{ run: make }] } }'
  const file = { name: 'plain.yml', path: '.github/workflows/plain.yml', type: 'file', size: plain.length }
  for (const name of ['old', 'new']) {
    stub.answers.set(`/repos/acme/${name}/contents/.github/workflows`, [file])
    stub.answers.set(`/repos/acme/${name}/contents/${file.path}`, { content: Buffer.from(plain).toString('base64') })
  }
  const settled = (right: string) => ({ default_workflow_permissions: right, can_approve_pull_request_reviews: true })
  stub.answers.set('/repos/acme/old/actions/permissions/workflow', settled('write'))
  stub.answers.set('/repos/acme/new/actions/permissions/workflow', settled('read'))
  const whole = await read('pipelines')
  const levelled = (level: string, like: string) =>
    i.count('observed_grant', `native_kind = 'pipeline-token' and level = '${level}' and privilege like '${like}'`)

  assert.equal(whole?.status, 'complete')
  assert.equal(await levelled('admin', 'token: default, which is write-all'), 1)
  assert.equal(await levelled('read', 'token: default, which is read-all'), 1)
  // A workflow that declares its rights asks for no setting.
  assert.ok(stub.asked.every((path) => !path.includes('/shop/actions/permissions')))

  stub.refused.set('/repos/acme/old/actions/permissions', 404)
  const holed = await read('pipelines')

  assert.equal(holed?.status, 'partial')
  assert.deepEqual([holed?.missing.length, holed?.missing[0]?.permission], [1, 'repository Administration: read'])
  assert.match(holed?.missing[0]?.what ?? '', /tokens of workflows that declare none of acme\/old/)
  assert.equal(await levelled('read', 'token: default'), 1)
})

test('a limit of pace that is used up is waited for as long as it says, and reading goes on', async (t) => {
  const { stub, i, read } = await world(t)
  const until = Math.floor(i.needs.clock.now().getTime() / 1000) + 120
  let refused = 0
  stub.intercept = ({ url = '' }, response) => {
    if (refused > 1 || !/\/repos\/acme\/old\/keys/.test(url)) return false
    refused += 1
    const headers =
      refused === 1 ? { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': String(until) } : { 'retry-after': '30' }
    response.writeHead(403, headers).end('{}')
    return true
  }
  const keys = await read('deploy-keys')

  assert.equal(keys?.status, 'complete')
  assert.ok(i.waits.some((ms) => ms > 100_000 && ms <= 120_000) && i.waits.includes(30_000), i.waits.join(' '))
})
