import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { inspect } from 'node:util'
import { ConfigInvalid, configReference, loadConfig, type ConfigSources } from './config.ts'

function folder(t: TestContext, files: Record<string, string> = {}): string {
  const made = mkdtempSync(join(tmpdir(), 'reeve-config-'))
  t.after(() => rmSync(made, { recursive: true }))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(made, name), text)
  return made
}

function issuesOf(sources: Partial<ConfigSources> & { workingFolder: string }): readonly string[] {
  try {
    loadConfig({ env: {}, ...sources })
  } catch (error) {
    if (error instanceof ConfigInvalid) return error.issues
    throw error
  }
  return []
}

test('without anything given the defaults hold and nothing can be changed', (t) => {
  const workingFolder = folder(t)

  const config = loadConfig({ env: {}, workingFolder })

  assert.equal(config.home, join(workingFolder, '.reeve'))
  assert.deepEqual(config.api, { host: '127.0.0.1', port: 7300, plaintext: false })
  assert.equal(config.gateways.postgres.port, 7332)
  assert.equal(config.recordings, join(workingFolder, '.reeve', 'recordings'))
  assert.deepEqual(config.node.roles, ['control', 'gateway', 'worker'])
  assert.throws(() => Object.assign(config.api, { port: 1 }), TypeError)
})

test('a flag goes over a variable, a variable over the file, the file over the default', (t) => {
  const workingFolder = folder(t, {
    'r.yaml': 'api: {port: 1, host: 127.0.0.2}\nlog: {level: warn}\ngateways: {postgres: {port: 1}}',
  })

  const config = loadConfig({
    env: { REEVE_CONFIG: 'r.yaml', REEVE_API_PORT: '2', REEVE_GATEWAYS_POSTGRES_PORT: '3' },
    flags: { 'api.port': '4' },
    workingFolder,
  })

  assert.deepEqual(
    [config.api.port, config.api.host, config.gateways.postgres.port, config.log.level],
    [4, '127.0.0.2', 3, 'warn'],
  )
})

test('an unknown key, variable or flag is refused with the nearest known one', (t) => {
  const workingFolder = folder(t, { 'r.yaml': 'api: {prot: 1}\ndatabse: {}\n' })

  const issues = issuesOf({
    workingFolder,
    file: 'r.yaml',
    env: { REEVE_API_PROT: '1', REEVE_DATABASE_URI: 'x', REEVE_TEST_ANYTHING: '1', REEVE_TOKEN: 'client' },
    flags: { 'log.levle': 'warn' },
  })

  assert.deepEqual(issues, [
    'REEVE_API_PROT is not known: did you mean REEVE_API_PORT?',
    'REEVE_DATABASE_URI is not known: did you mean REEVE_DATABASE_URL?',
    'log.levle is not known: did you mean log.level?',
    'api.prot is not known: did you mean api.port?',
    'databse is not known: did you mean database?',
  ])
})

test('a secret comes from a file, prints nowhere and is never quoted', (t) => {
  const workingFolder = folder(t, { url: 'postgresql://reeve:hunter2@db/reeve\n' })
  const env = { REEVE_DATABASE_URL_FILE: join(workingFolder, 'url') }

  const config = loadConfig({ env, workingFolder })

  assert.equal(config.database.url?.reveal(), 'postgresql://reeve:hunter2@db/reeve')
  assert.doesNotMatch(inspect(config, { depth: 9 }) + JSON.stringify(config), /hunter2/)
  assert.deepEqual(issuesOf({ workingFolder, env: { ...env, REEVE_DATABASE_URL: 'x' } }), [
    'REEVE_DATABASE_URL and REEVE_DATABASE_URL_FILE exclude each other',
  ])
  assert.deepEqual(issuesOf({ workingFolder, env: { REEVE_DATABASE_URL_FILE: join(workingFolder, 'missing') } }), [
    'the file that REEVE_DATABASE_URL_FILE names cannot be read (ENOENT)',
  ])
})

test('values out of bounds and pairs that do not fit are refused', (t) => {
  const workingFolder = folder(t)
  const refused = (env: Record<string, string>) => issuesOf({ workingFolder, env }).length > 0

  assert.ok(refused({ REEVE_API_PORT: '65536' }))
  assert.ok(refused({ REEVE_API_PORT: '0x10' }))
  assert.ok(refused({ REEVE_API_PORT: '' }))
  assert.ok(refused({ REEVE_NODE_ROLES: 'control,everything' }))
  assert.ok(refused({ REEVE_NODE_ROLES: '' }))
  assert.ok(refused({ REEVE_TLS_CERT_FILE: 'cert.pem' }))
  assert.ok(refused({ REEVE_DATABASE_OWNER_URL: 'postgresql://x' }))
  assert.ok(refused({ REEVE_API_PLAINTEXT: 'true', REEVE_API_HOST: '0.0.0.0' }))
  assert.ok(!refused({ REEVE_API_PLAINTEXT: 'true' }))
})

test('the file may be found in the home folder, where it cannot move the home', (t) => {
  const home = folder(t, { 'reeve.yaml': 'home: elsewhere\n' })

  assert.deepEqual(issuesOf({ workingFolder: '/', env: { REEVE_HOME: home } }), [
    'home cannot be set in the file that was found there',
  ])
})

test('keys twice, aliases, prototype keys and text that is no map are refused', (t) => {
  for (const text of [
    'api: {port: 1, port: 2}',
    'api: &a {port: 1}\ngateways: {postgres: *a}',
    '- 1',
    'api: [',
    '__proto__: {api: {port: 1}}',
    'api: {__proto__: {port: 1}}',
  ]) {
    const workingFolder = folder(t, { 'r.yaml': text })

    assert.notDeepEqual(issuesOf({ workingFolder, file: 'r.yaml' }), [], text)
  }
  assert.equal(Reflect.get({}, 'api'), undefined)
})

test('teams are a map or a file', (t) => {
  const workingFolder = folder(t, { 'r.yaml': 'teams: {payments: {members: [alice, bob]}}' })

  assert.deepEqual(loadConfig({ env: {}, file: 'r.yaml', workingFolder }).teams, {
    payments: { members: ['alice', 'bob'] },
  })
  assert.equal(
    loadConfig({ env: { REEVE_TEAMS: 'teams.yaml' }, workingFolder }).teams,
    join(workingFolder, 'teams.yaml'),
  )
})

test('the reference names every key with its variable', () => {
  const text = configReference()

  assert.match(text, /\| `database\.ownerUrl` \| `REEVE_DATABASE_OWNER_URL` \| text, secret \|/)
  assert.match(text, /\| `api\.port` \| `REEVE_API_PORT` \| number \| `7300` \|/)
  assert.doesNotMatch(text, /\|  \|$/m)
})
