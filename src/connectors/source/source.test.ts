import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ecKey, pemKey } from '../../../test/support/certificates.ts'
import { inventoryWorld } from '../../../test/support/inventory-world.ts'
import { loadCredentialFacts } from '../../governance/findings/facts/credentials.ts'
import { RULES } from '../../governance/findings/rules/index.ts'
import { systemClock } from '../../kernel/clock.ts'
import { sha256 } from '../../kernel/crypto.ts'
import { Secret } from '../../kernel/secret.ts'
import { CONFORMANCE, type Bed } from '../conformance.fixture.ts'
import { known, unknown, type Connector, type Observation } from '../connector.ts'
import { sourceConnector } from './connector.ts'
import type { fingerprints } from './source.fixture.ts'
import {
  BAKED,
  byName,
  folderOf,
  imageOf,
  LOGGED,
  make,
  MOVED,
  put,
  reading,
  REMOVED,
  repositoryOf,
  TOKEN,
  type Ends,
} from './source.fixture.ts'

async function bed(t: Ends): Promise<Bed> {
  const { root, commit } = repositoryOf(t)
  commit('Ana', { 'app.env': `A=${TOKEN}\n`, 'old.txt': `B=${REMOVED}\n` })
  commit('Ben', { 'old.txt': null })
  const folder = folderOf(t)
  put(folder, 'a/one.env', `T=${TOKEN}\n`)
  put(folder, 'two.env', `T=${MOVED}\n`)
  const image = put(folderOf(t), 'shop.tar', imageOf([[{ name: 'root/.npmrc', body: `//r/:_authToken=${BAKED}` }]]))
  const logs = folderOf(t)
  put(logs, 'build.log', `\u001b[32m+ curl -H token:${LOGGED}\u001b[0m\n`)
  return {
    connector: sourceConnector,
    settings: { repository: root, folder, image, logs },
    whole: ['repository', 'folder', 'image', 'logs'],
    secrets: [TOKEN, REMOVED, BAKED, LOGGED, MOVED],
    async lose() {
      rmSync(join(folder, 'two.env'))
      return 'folder'
    },
    async plant() {
      const names = ['=cmd|calc', '\u001b[31mred', 'two\nlines', '\u202egnp', 'x'.repeat(200), TOKEN]
      for (const name of names) put(folder, `hostile-${name}`, `T=${TOKEN}\n`)
      return { table: 'observed_resource', count: names.length, like: 'hostile-%' }
    },
  }
}

for (const [story, run] of Object.entries(CONFORMANCE)) {
  test(`conformance: ${story}`, async (t) => run(t, await bed(t)))
}

test('of a repository it is told who brought a secret first, when, and whether the newest state has it', async (t) => {
  const { root, commit } = repositoryOf(t)
  const one = commit('Ana', { 'app.env': `A=${TOKEN}\n`, 'old.txt': `B=${REMOVED}\n` })
  const two = commit('Ben', { 'copy/app.env': `A=${TOKEN}\nC=1\n`, 'old.txt': null })

  const { credentials, references, reports } = await reading({ repository: root })

  assert.deepEqual(reports.get('repository'), { status: 'complete', missing: [] })
  const facts = (like: string) => credentials.find(({ name }) => name.includes(like))?.facts ?? {}
  assert.equal(credentials.length, 2)
  assert.deepEqual(
    [
      facts('app.env')['isInNewest'],
      facts('app.env')['places'],
      facts('app.env')['firstSeenBy'],
      facts('app.env')['firstCommit'],
    ],
    [true, 2, 'Ana <ana@orders.dev>', one],
  )
  assert.deepEqual([facts('old.txt')['isInNewest'], facts('old.txt')['firstSeenAt']], [false, '2026-01-01T00:03:00Z'])
  assert.deepEqual(
    references.map(({ location, facts: of }) => [location, of?.['firstCommit'], of?.['isInNewest']]).toSorted(byName),
    [
      ['app.env', one, true],
      ['copy/app.env', two, true],
      ['old.txt', one, false],
    ],
  )
})

test('a comment in the code hides nothing from the inventory', async (t) => {
  const folder = folderOf(t)
  put(folder, 'app.env', `A=${TOKEN} # reeve-scan:allow\n`)

  assert.equal((await reading({ folder })).credentials.length, 1)
})

test('places that are not there, no repository and links out of a folder are said', async (t) => {
  const folder = folderOf(t)
  symlinkSync('/etc', join(folder, 'out'))
  symlinkSync('loop', join(folder, 'loop'))
  const { reports } = await reading({ repository: folder, folder, logs: join(folder, 'nothing') })

  const said = (scope: string) => {
    const report = reports.get(scope)
    return report instanceof Error ? report.message : ''
  }
  assert.match(said('repository'), /git could not read/)
  assert.match(said('logs'), /not there/)
  const report = reports.get('folder')
  assert.ok(report && !(report instanceof Error))
  assert.equal(report.status, 'complete')
  assert.equal(report.missing.length, 2)
})

test('a private key in code has the fingerprint that accounts and certificates know it by', async (t) => {
  const folder = folderOf(t)
  const key = ecKey()
  put(folder, 'tls.key', pemKey(key))
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', 'under a passphrase', '-f', join(folder, 'id')])
  const shown = execFileSync('ssh-keygen', ['-lf', join(folder, 'id.pub')], { encoding: 'utf8' }).split(' ')[1]
  const id = make('AKIA{2:16}')
  put(folder, 'aws', `aws_access_key_id = ${id}\n`)

  const { credentials } = await reading({ folder })

  const marks = credentials
    .flatMap(({ fingerprints: of }) => (of.known ? of.value : []))
    .map(({ alg, value }) => [alg, value])
  const spki = sha256(key.publicKey.export({ type: 'spki', format: 'der' })).toString('hex')
  assert.ok(marks.some(([alg, value]) => alg === 'ssh-sha256' && value === shown))
  assert.ok(marks.some(([alg, value]) => alg === 'spki-sha256' && value === spki))
})

/** Another source, which has an account with a token and keeps a secret: what an account or vault connector tells. */
function other(): Connector {
  const dark = unknown('unsupported')
  const credential = (
    id: string,
    heldBy: 'vault' | 'third-party',
    fingerprint: ReturnType<typeof fingerprints.of>,
  ): Observation => ({
    kind: 'credential',
    id: { kind: 'token', id },
    principal: dark,
    type: 'token',
    name: id,
    state: known('active'),
    createdAt: dark,
    rotatedAt: dark,
    expiresAt: dark,
    fingerprints: known([fingerprint]),
    scopes: dark,
    bindings: dark,
    strength: dark,
    heldBy: known(heldBy),
  })
  return {
    ...sourceConnector,
    manifest: { ...sourceConnector.manifest, id: 'other' },
    async open({ fingerprint }) {
      const observations = [
        credential('deploy', 'third-party', fingerprint(new Secret(TOKEN))),
        credential('kept', 'vault', fingerprint(new Secret(`${REMOVED}\n`))),
        credential('quiet', 'third-party', fingerprint(new Secret(MOVED))),
      ]
      return {
        probe: async () => ({ authority: 'other', system: 'other', scopes: [] }),
        async *scopes() {
          yield { scope: 'logs' }
          return { isAll: true, missing: [] }
        },
        async *read() {
          yield { observations }
          return { status: 'complete', missing: [] }
        },
        [Symbol.asyncDispose]: async () => undefined,
      }
    },
  }
}

test('what is hard-coded is matched with accounts and vaults: live, vaulted and in code, or in no code that was seen', async (t) => {
  const i = await inventoryWorld(t)
  const { root, commit } = repositoryOf(t)
  commit('Ana', { 'app.env': `A=${TOKEN}\n`, 'old.txt': `B=${REMOVED}\n` })
  commit('Ben', { 'old.txt': null })
  await i.collect(await i.source(other(), { folder: '/' }))
  const judged = async () => {
    const limit = { after: '00000000-0000-0000-0000-000000000000', limit: 100, now: systemClock.now() }
    const rules = RULES.credential.filter(({ id }) => /hard-coded|vaulted/.test(id))
    return Object.fromEntries(
      (await loadCredentialFacts(i.w.db, limit)).flatMap((facts) =>
        rules.map((rule) => {
          const verdict = rule.judge(facts)
          return [`${rule.id} ${facts.name}`, verdict.is === 'found' ? verdict.severity : verdict.is] as const
        }),
      ),
    )
  }
  const before = await judged()
  assert.deepEqual([before['hard-coded-and-live deploy'], before['vaulted-and-in-code kept']], ['unknown', 'unknown'])

  const id = await i.source(sourceConnector, { repository: root })
  await i.collect(id)
  const after = await judged()
  assert.equal(after['hard-coded-and-live deploy'], 'critical')
  assert.equal(after['vaulted-and-in-code kept'], 'high')
  assert.equal(after['hard-coded-and-live quiet'], 'clear')
  assert.deepEqual(
    Object.entries(after)
      .filter(([key, is]) => key.startsWith('hard-coded ') && is !== 'clear')
      .map(([, is]) => is),
    ['high', 'high'],
  )
})

test('settings that name nothing, or by a relative path, are refused', () => {
  for (const settings of [{}, { withNames: true }, { folder: 'src' }, { image: '' }, { folder: '/x', token: 'y' }])
    assert.equal(sourceConnector.settings.safeParse(settings).success, false, JSON.stringify(settings))
})
