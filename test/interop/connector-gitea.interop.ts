import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { before, test, type TestContext } from 'node:test'
import { CONFORMANCE, type Bed } from '../../src/connectors/conformance.fixture.ts'
import { giteaConnector } from '../../src/connectors/gitea/connector.ts'
import { giteaForge, type GiteaForge } from '../support/gitea-forge.ts'
import { saidBy, saysEachRight, type Right } from '../support/each-right.ts'
import { inventoryWorld } from '../support/inventory-world.ts'
import { giteaProgram } from './peers/gitea.ts'

const SECRET = 'correct-horse-battery-staple-4712'
const READS = ['read:admin', 'read:organization', 'read:repository', 'read:user']
let program: string

before(async () => {
  program = await giteaProgram()
})

function publicKey(): string {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-key-'))
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'a key', '-f', join(folder, 'key')])
  const key = readFileSync(join(folder, 'key.pub'), 'utf8').trim()
  rmSync(folder, { recursive: true })
  return key
}

const WORKFLOW = `
on: pull_request_target
permissions: write-all
jobs:
  build:
    runs-on: self-hosted
    env: { PASSWORD: "\${{ secrets.DEPLOY_PASSWORD }}" }
    steps:
      - { uses: actions/checkout@v4, with: { ref: "\${{ github.event.pull_request.head.sha }}" } }
      - { uses: "acme/build@${'a'.repeat(40)}" }
`

const put = (forge: GiteaForge, repository: string, path: string, text: string) =>
  forge.api('POST', `/repos/${repository}/contents/${path}`, {
    content: Buffer.from(text).toString('base64'),
    message: 'add',
  })

async function furnish(forge: GiteaForge): Promise<void> {
  for (const username of ['ann', 'builder'])
    await forge.api('POST', '/admin/users', {
      username,
      email: `${username}@forge.example`,
      password: SECRET,
      must_change_password: false,
    })
  await forge.api('POST', '/orgs', { username: 'acme' })
  const team = (await forge.api('POST', '/orgs/acme/teams', {
    name: 'release',
    permission: 'write',
    units: ['repo.code'],
  })) as { id: number }
  await forge.api('PUT', `/teams/${team.id}/members/ann`)
  await forge.api('POST', '/orgs/acme/repos', { name: 'shop', auto_init: true, private: true })
  await forge.api('POST', '/orgs/acme/repos', { name: 'old', auto_init: true })
  await forge.api('PATCH', '/repos/acme/old', { archived: true })
  await forge.api('PUT', `/teams/${team.id}/repos/acme/shop`)
  await forge.api('PUT', '/repos/acme/shop/collaborators/builder', { permission: 'admin' })
  await forge.api('POST', '/repos/acme/shop/keys', { title: 'deployer', key: publicKey(), read_only: false })
  await forge.api('POST', '/repos/acme/shop/hooks', {
    type: 'gitea',
    active: true,
    events: ['push'],
    authorization_header: `Bearer ${SECRET}`,
    config: { url: `http://hooks.example/services/${SECRET}`, content_type: 'json', secret: SECRET },
  })
  await put(forge, 'acme/shop', '.gitea/workflows/build.yml', WORKFLOW)
  await forge.api('POST', '/repos/acme/shop/branch_protections', { rule_name: 'main', required_approvals: 2 })
  await forge.api('PUT', '/repos/acme/shop/actions/secrets/DEPLOY_PASSWORD', { data: SECRET })
  await forge.api('POST', '/repos/acme/shop/actions/variables/REGION', { value: SECRET })
  await forge.api('PUT', '/orgs/acme/actions/secrets/SHARED', { data: SECRET })
  await forge.api('POST', '/user/applications/oauth2', {
    name: 'board',
    redirect_uris: ['https://board.example/back'],
    confidential_client: true,
  })
  await forge.api('POST', '/user/keys', { title: 'laptop', key: publicKey() })
}

const PARTS = [
  'users',
  'organizations',
  'user-keys',
  'tokens',
  'repositories',
  'access',
  'deploy-keys',
  'hooks',
  'secrets',
  'organization-secrets',
  'pipelines',
]

async function bed(t: Pick<TestContext, 'after'>): Promise<Bed & { readonly forge: GiteaForge }> {
  const forge = await giteaForge(t, program)
  await furnish(forge)
  const token = await forge.tokenOf(forge.user, READS)
  return {
    forge,
    connector: giteaConnector,
    settings: { url: forge.url },
    credential: { token, user: forge.user, password: forge.password },
    whole: PARTS,
    secrets: [SECRET, token, forge.password],
    async lose() {
      const [key] = (await forge.api('GET', '/repos/acme/shop/keys')) as { id: number }[]
      await forge.api('DELETE', `/repos/acme/shop/keys/${key?.id}`)
      return 'deploy-keys'
    },
    async plant() {
      const names = ['=cmd|calc', '\u001b[31mred', '\u202egnp', 'x'.repeat(200)]
      for (const name of names)
        await forge.api('POST', `/users/${forge.user}/tokens`, { name: `hostile ${name}`, scopes: ['read:user'] })
      return { table: 'observed_credential', count: names.length, like: 'hostile %' }
    },
  }
}

for (const [story, run] of Object.entries(CONFORMANCE)) {
  test(`conformance over Gitea: ${story}`, async (t) => run(t, await bed(t)))
}

test('a forge is told: who may what, keys, hooks, secrets by name, and a pipeline that runs the code of strangers', async (t) => {
  const { connector, settings, credential } = await bed(t)
  const i = await inventoryWorld(t)
  const id = await i.source(connector, settings, credential && { credential })
  await i.collect(id)
  const rows = await i.snapshot()
  const has = (table: string, ...parts: string[]) =>
    assert.ok(
      rows.some((row) => row.startsWith(`${table} `) && parts.every((part) => row.includes(part))),
      `${table} ${parts.join(' ')}\n${rows.filter((row) => row.startsWith(table)).join('\n')}`,
    )

  has('observed_principal', 'builder', 'account')
  has('observed_grant', 'SITE ADMINISTRATOR')
  has('observed_principal', 'acme/release', 'group')
  has('observed_grant', 'collaborator', 'admin')
  has('observed_credential', 'acme/shop: deployer', 'ssh-key', 'SHA256:')
  has('observed_credential', 'laptop', 'ssh-key')
  has('observed_credential', 'acme/shop: hook to http://hooks.example', 'weak')
  has('observed_credential', 'acme/shop: DEPLOY_PASSWORD', 'stored-secret')
  has('observed_credential', 'acme: SHARED', 'stored-secret')
  has('observed_resource', 'acme/shop: REGION')
  has('observed_resource', 'branch-protection')
  has('observed_resource', 'acme/old', 'isArchived')
  has('observed_principal', 'board', 'app')
  has('observed_trust', 'pipeline-action', 'actions/checkout')
  has('observed_trust', 'pipeline-trigger', 'runs-proposed-code')
  has('observed_grant', 'token: write-all', 'admin')
  has('observed_reference', 'environment of job build')
  has('observed_usage', 'auth')
})

test('each scope of the token is named by what is not seen without it, and by nothing else', async (t) => {
  const { forge, connector, settings } = await bed(t)
  const credential = { token: '', user: forge.user, password: forge.password }
  const may = async (scopes: readonly string[]) => {
    credential.token = await forge.tokenOf(forge.user, scopes)
  }
  const without = (scope: string, says: Right['says']): Right => ({
    name: scope,
    take: () => may(READS.filter((each) => each !== scope)),
    give: () => may(READS),
    says,
  })
  const all = (scopes: readonly string[], permission: string) =>
    Object.fromEntries(scopes.map((scope) => [scope, ['denied', permission] as const]))
  await may(READS)

  const { read } = await saysEachRight({ connector, settings, credential }, [
    without('read:admin', {
      ...all(['users', 'user-keys', 'tokens'], 'a token of an administrator with read:admin'),
      ...all(['organizations', 'organization-secrets'], 'a token of an administrator with read:admin'),
    }),
    without('read:organization', {
      organizations: ['denied', 'a token with read:organization of an owner or administrator'],
      'organization-secrets': ['denied', 'a token with read:organization of an owner'],
    }),
    without('read:repository', {
      ...all(
        ['repositories', 'access', 'deploy-keys', 'hooks', 'secrets', 'pipelines'],
        'a token with read:repository',
      ),
    }),
  ])
  assert.deepEqual(
    Object.entries(read).filter(([, [status]]) => status !== 'complete'),
    [['applications', ['partial']]],
  )

  // By the login's own account a forge is known: without it nothing is read.
  await may(READS.filter((each) => each !== 'read:user'))
  await assert.rejects(saidBy({ connector, settings, credential }), /read:user/)
})

test('attack: lists from which private things are left out without a word are not taken for whole', async (t) => {
  const { forge, connector, settings } = await bed(t)
  const login = { user: forge.user, password: forge.password }
  const limited = await forge.tokenOf(forge.user, ['public-only', ...READS])
  const open = await forge.tokenOf(forge.user, READS)
  const dark = await forge.tokenOf(forge.user, [...READS, 'read:notification'])
  const lacks = 'a token that is not limited to what is public'
  const said = async (credential: Record<string, string>) => (await saidBy({ connector, settings, credential })).read

  for (const credential of [{ token: limited }, { token: limited, ...login }]) {
    const read = await said(credential)
    for (const scope of ['repositories', 'access', 'deploy-keys', 'hooks', 'secrets', 'pipelines', 'organizations'])
      assert.deepEqual(read[scope], ['partial', lacks], scope)
  }
  assert.deepEqual((await said({ token: open }))['repositories'], ['complete'])
  assert.deepEqual((await said({ token: dark, ...login }))['repositories'], ['complete'])
  const [status, permission] = (await said({ token: dark }))['repositories'] ?? []
  assert.equal(status, 'partial')
  assert.match(permission ?? '', /user and password/)
})

test('a person who administers nothing sees their part, and the rest is named', async (t) => {
  const { forge, connector, settings } = await bed(t)
  const i = await inventoryWorld(t)
  const [{ token }] = [{ token: await forge.tokenOf('ann', READS) }]
  const id = await i.source(connector, settings, { credential: { token } })
  const { scopes } = await i.collect(id)
  const of = (scope: string) => scopes.find((each) => each.scope === scope)

  assert.equal(of('users')?.status, 'denied')
  assert.deepEqual(
    [of('repositories')?.status, of('repositories')?.missing[0]?.permission],
    ['partial', 'a token of an administrator'],
  )
  assert.ok(['denied', 'partial'].includes(of('hooks')?.status ?? ''), of('hooks')?.status)
  assert.match(of('hooks')?.missing[0]?.permission ?? '', /administrator of the repository/)
})
