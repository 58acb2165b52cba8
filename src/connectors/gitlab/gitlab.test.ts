import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { inventoryWorld } from '../../../test/support/inventory-world.ts'
import { CONFORMANCE, type Bed } from '../conformance.fixture.ts'
import { HOSTILE } from '../conformance/hostile.fixture.ts'
import { forgeStub, type ForgeStub } from '../forge/stub.fixture.ts'
import { gitlabConnector } from './connector.ts'
import { readGitlabPipeline } from './pipeline.ts'

// Fixtures: answers in the form of the published REST API (v4), written by hand. GitLab itself was not asked.

const SECRET = 'correct-horse-battery-staple-4715'
const TOKEN = 'stub-token-of-gitlab'
const SHA = 'a'.repeat(40)
const PIPELINE = `
include:
  - { remote: 'https://ann:${SECRET}@ci.example/build.yml?key=${SECRET}' }
  - { project: acme/templates, ref: main, file: x.yml }
  - { project: acme/templates, ref: ${SHA}, file: y.yml }
  - { component: gitlab.example/acme/scan@1.0 }
  - { local: here.yml }
job: { id_tokens: { T: { aud: 'https://cloud.example' } }, script: [!reference [a, b], echo] }
`

async function stubbed(t: Pick<TestContext, 'after'>): Promise<ForgeStub> {
  const stub = await forgeStub(t, `Bearer ${TOKEN}`)
  const put = (path: string, found: unknown) => stub.answers.set(`/api/v4${path}`, found)
  put('/groups/acme', { id: 9, full_path: 'acme', created_at: '2024-01-01T00:00:00Z' })
  put('/groups/9/members/all', [
    { id: 1, username: 'ann', state: 'active', access_level: 50 },
    { id: 2, username: 'bob', state: 'blocked', access_level: 30, expires_at: '2027-01-01' },
    { id: 3, username: 'group_9_bot_1', access_level: 40 },
  ])
  put('/groups/9/access_tokens', [
    {
      id: 5,
      name: 'ci',
      user_id: 3,
      scopes: ['api'],
      active: true,
      expires_at: '2027-01-01',
      last_used_at: '2026-02-01T00:00:00Z',
    },
  ])
  put('/groups/9/deploy_tokens', [{ id: 6, name: 'pull', scopes: ['read_registry'], expires_at: null }])
  put('/groups/9/variables', [{ key: 'SHARED', value: SECRET, masked: true }])
  const projects = ['shop', 'old', 'new'].map((name, at) => ({
    id: 11 + at,
    path_with_namespace: `acme/${name}`,
    archived: name === 'old',
    ci_push_repository_for_job_token_allowed: name === 'shop',
  }))
  put('/groups/9/projects', projects)
  for (const { id } of projects) {
    put(`/projects/${id}/members`, [{ id: 2, username: 'bob', access_level: 40 }])
    put(`/projects/${id}/protected_branches`, [
      { name: 'main', allow_force_push: false, push_access_levels: [{ access_level: 40 }] },
    ])
    put(`/projects/${id}/environments`, [{ id: id * 10, name: 'production', state: 'available' }])
    put(`/projects/${id}/access_tokens`, [])
    put(`/projects/${id}/deploy_tokens`, [])
    put(`/projects/${id}/deploy_keys`, [
      { id: 7, title: `key of ${id}`, fingerprint_sha256: `SHA256:${'A'.repeat(43)}`, can_push: true },
    ])
    put(`/projects/${id}/hooks`, [{ id: 80 + id, url: `http://hooks.example/${SECRET}` }])
    put(`/projects/${id}/job_token_scope`, { inbound_enabled: id !== 12, outbound_enabled: false })
    put(`/projects/${id}/job_token_scope/allowlist`, [{ id, path_with_namespace: 'itself' }, { id: 99 }])
    put(`/projects/${id}/job_token_scope/groups_allowlist`, [{ id: 9, name: 'acme' }])
    put(`/projects/${id}/variables`, [
      { key: 'PASSWORD', value: SECRET, masked: true },
      { key: 'OPEN', value: `open-${SECRET}`, masked: false },
    ])
  }
  put('/projects/11/repository/files/.gitlab-ci.yml', { content: Buffer.from(PIPELINE).toString('base64') })
  return stub
}

const WHOLE = [
  'members',
  'tokens',
  'deploy-tokens',
  'group-variables',
  'projects',
  'access',
  'project-tokens',
  'deploy-keys',
  'hooks',
  'variables',
  'job-tokens',
  'pipelines',
]

async function bed(t: Pick<TestContext, 'after'>): Promise<Bed> {
  const stub = await stubbed(t)
  return {
    connector: gitlabConnector,
    settings: { url: stub.url, group: 'acme' },
    credential: { token: TOKEN },
    whole: WHOLE,
    secrets: [SECRET, TOKEN],
    async lose() {
      stub.answers.set('/api/v4/projects/12/deploy_keys', [])
      return 'deploy-keys'
    },
    async deny() {
      stub.refused.set('/api/v4/groups/9/deploy_tokens', 403)
      return ['deploy-tokens']
    },
    async plant() {
      const names = ['=cmd|calc', '\u001b[31mred', 'two\nlines', '\u202egnp', 'x'.repeat(100_000)]
      stub.answers.set(
        '/api/v4/projects/13/deploy_keys',
        names.map((title, at) => ({ id: 9_000 + at, title: `hostile ${title}` })),
      )
      return { table: 'observed_credential', count: names.length, like: '%hostile %' }
    },
  }
}

for (const [story, run] of Object.entries(CONFORMANCE)) {
  test(`conformance over fixtures: ${story}`, async (t) => run(t, await bed(t)))
}
for (const [story, run] of Object.entries(HOSTILE)) test(`hostile: ${story}`, async (t) => run(await bed(t)))

test('a masked value is recognised wherever it is kept, and no value leaves', async (t) => {
  const stub = await stubbed(t)
  const i = await inventoryWorld(t)
  await i.collect(await i.source(gitlabConnector, { url: stub.url, group: 'acme' }, { credential: { token: TOKEN } }))

  assert.equal(
    await i.count(
      'observed_credential',
      `name like '%: PASSWORD' and fingerprints && (select fingerprints from observed_credential where name = 'acme: SHARED')`,
    ),
    3,
  )
  assert.equal(
    await i.count('observed_credential', `name like '%: OPEN' and fingerprints is null and strength = 'weak'`),
    3,
  )
  assert.equal(await i.count('observed_trust', `native_kind = 'pipeline-action' and is_wildcard`), 3)
  assert.equal(await i.count('observed_grant', `privilege = 'id_tokens: https://cloud.example'`), 1)
  assert.ok((await i.snapshot()).every((row) => !row.includes(SECRET)))
})

test('whose job tokens a project lets in, and whether its own may push, are told; where neither is shown that is said', async (t) => {
  const stub = await stubbed(t)
  const i = await inventoryWorld(t)
  const id = await i.source(gitlabConnector, { url: stub.url, group: 'acme' }, { credential: { token: TOKEN } })
  await i.collect(id)
  const scopes = (where: string) => i.count('observed_trust', `native_kind = 'job-token-scope' and ${where}`)

  assert.equal(await scopes(`issuer = 'job tokens of every project' and is_wildcard`), 1)
  // The project itself stands on its list and is nobody else.
  assert.equal(await scopes(`issuer is null and not is_wildcard`), 2)
  assert.equal(await scopes(`issuer is null and is_wildcard`), 2)
  assert.equal(
    await i.count(
      'observed_grant',
      `native_kind = 'pipeline-token' and level = 'write' and privilege = 'job token: write'`,
    ),
    1,
  )

  stub.refused.set('/api/v4/projects/12/job_token_scope', 403)
  const { scopes: read } = await i.collect(id)
  const [jobs, access] = ['job-tokens', 'access'].map((name) => read.find(({ scope }) => scope === name))

  assert.deepEqual([jobs?.status, jobs?.missing[0]?.what], ['partial', 'whose job tokens are let in of acme/old'])
  assert.equal(access?.status, 'complete')
})

test('what is included by a name is not pinned, by the hash of a commit it is, and any text at all ends soon', () => {
  const read = readGitlabPipeline(PIPELINE)

  assert.deepEqual(
    read?.includes.map(({ uses, isPinned }) => [uses.replace(SHA, 'SHA'), isPinned]),
    [
      ['https://ci.example/build.yml', false],
      ['acme/templates@main', false],
      ['acme/templates@SHA', true],
      ['gitlab.example/acme/scan@1.0', false],
    ],
  )
  fc.assert(
    fc.property(fc.string(), fc.jsonValue(), (text, json) => {
      readGitlabPipeline(text)
      readGitlabPipeline(JSON.stringify({ include: json, job: { id_tokens: json } }))
    }),
  )
})
