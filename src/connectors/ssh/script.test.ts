import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { certificateOf, ecKey, pemKey } from '../../../test/support/certificates.ts'
import type { Observation, ScopeReport } from '../connector.ts'
import { hostOf } from './host.ts'
import { readCertificates, readJobs } from './jobs.ts'
import { readKeys } from './keys.ts'
import { readRecords } from './records.ts'
import { END, listScript } from './script.ts'
import { SshSourceSettings } from './settings.ts'

// Pieces of the script, run by this machine's own shell over folders of the test.

const HOST_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH'
const settings = SshSourceSettings.parse({
  host: 'h',
  user: 'u',
  hostKeys: [HOST_KEY],
  certificateFolders: ['/folder-of-the-test'],
})
const script = listScript(settings)

function pieceOf(from: string, to: string): string {
  const [begin, end] = [script.indexOf(from), script.indexOf(to, script.indexOf(from))]
  assert.ok(begin >= 0 && end > begin, from)
  return script.slice(begin, end)
}
const prelude = script.slice(0, script.indexOf('config='))
function run(piece: string): string {
  return execFileSync('sh', ['-s'], { input: `${prelude}${piece}\nprintf '%s\\n' ${END}\n`, encoding: 'utf8' })
}
function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-script-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}
const hostSaying = (output: string) =>
  hostOf(settings, readRecords(Buffer.from(output)), new Date('2026-01-01T00:00:00Z'))
const decoded = (output: string) =>
  output.replaceAll(/\d+:([A-Za-z0-9+/=]*)/g, (_all, encoded: string) =>
    Buffer.from(encoded, 'base64').toString('utf8'),
  )

test('units and tables are read for the paths of credentials, and nothing else of them leaves the host', async (t) => {
  const folder = folderOf(t)
  writeFileSync(join(folder, 'app.env'), 'PASSWORD=hunter2', { mode: 0o640 })
  writeFileSync(
    join(folder, 'app.service'),
    `[Service]\nUser=app\nEnvironment=TOKEN=hunter2\nEnvironmentFile=-${folder}/app.env\nLoadCredential=db:${folder}/db.cred\n# EnvironmentFile=/commented.env\nExecStart=/usr/bin/app --key ${folder}/tls/server.key --password hunter2 /var/lib/app\n`,
  )
  writeFileSync(
    join(folder, 'table'),
    `MAILTO=hunter2@example.com\n5 4 * * * backup /usr/bin/pg_dump --passfile ${folder}/.pgpass hunter2\n`,
  )
  writeFileSync(join(folder, 'own'), `@daily curl --netrc-file ${folder}/.netrc\n`)
  const look = pieceOf("pick='", 'for folder in /etc/systemd/system')
  const output = run(
    `${look}\nlook unit '${folder}/app.service' 1 '' ''\nlook cron '${folder}/table' '' 1 ''\nlook cron '${folder}/own' '' '' alice\n`,
  )

  assert.ok(!decoded(output).includes('hunter2'))
  const [page] = [await readJobs(hostSaying(output)).next()]
  assert.ok(!page.done && page.value)
  const uses = page.value.observations.flatMap((each) => (each.kind === 'reference' ? [each] : []))
  assert.deepEqual(
    uses.map(({ location, how, facts }) => [
      location.slice(folder.length),
      how,
      facts?.['runsAs'],
      facts?.['mode'] ?? null,
    ]),
    [
      ['/app.env', 'env', 'app', '0640'],
      ['/db.cred', 'file', 'app', null],
      ['/tls/server.key', 'file', 'app', null],
      ['/.pgpass', 'file', 'backup', null],
      ['/.netrc', 'file', 'alice', null],
    ],
  )
})

test('attack: a certificate without an end, with a private key behind it, gives no key away', async (t) => {
  const folder = folderOf(t)
  const key = ecKey()
  const made = certificateOf({ subject: 'a', key })
  const secret = pemKey(key).split('\n')[1] ?? ''
  mkdirSync(join(folder, 'in'))
  writeFileSync(join(folder, 'in', 'open.pem'), `-----BEGIN CERTIFICATE-----\nAAAA\n${pemKey(key)}${made.pem}`)
  writeFileSync(join(folder, 'in', 'two\nlines.pem'), made.pem)
  const piece = pieceOf("only='", 'if command -v last').replace(
    'for folder in $folders',
    `for folder in '${folder}/in'`,
  )
  const output = run(piece)

  assert.ok(!decoded(output).includes(secret))
  const pages = readCertificates(hostSaying(output))
  const first = await pages.next()
  assert.ok(!first.done && first.value)
  const told = first.value.observations
  assert.deepEqual(
    told.filter(({ kind }) => kind === 'credential').map((each) => ('name' in each ? each.name : '')),
    ['CN=a'],
  )
  const last = await pages.next()
  assert.ok(last.done && last.value)
  // The name with a line end in it is said, not passed over.
  assert.equal(last.value.status, 'partial')
})

test('attack: an authorized_keys that is a link to a file of secrets gives none of its lines', (t) => {
  const folder = folderOf(t)
  const secrets = [
    'root:$6$salt$hunter2:19000:0:::::',
    '-----BEGIN OPENSSH PRIVATE KEY-----',
    'b3BlbnNzaC1rZXktdjE',
    'PASSWORD=ssh-rsa hunter2',
  ]
  writeFileSync(join(folder, 'shadow'), secrets.join('\n'))
  symlinkSync(join(folder, 'shadow'), join(folder, 'mallory'))
  writeFileSync(join(folder, 'alice'), `${HOST_KEY} alice\n`)
  const piece = pieceOf('set -f', 'set +f').replaceAll(
    '{ getent passwd || cat /etc/passwd; }',
    `printf 'alice:x:1000:1::/h:\\nmallory:x:1001:1::/h:\\n'`,
  )
  const output = decoded(run(`files='${folder}/%u'\n${piece}`))

  assert.ok(output.includes(HOST_KEY))
  for (const secret of secrets) assert.ok(!output.includes(secret), secret)
})

test('attack: a key behind a megabyte, in a line that nobody takes apart, or of a type of tomorrow is said to be there', async (t) => {
  const folder = folderOf(t)
  const at = (name: string, text: string) => writeFileSync(join(folder, name), text)
  at('padded', `${'# padding\n'.repeat(120_000)}${HOST_KEY} behind\n`)
  at('long', `environment="A=${'a'.repeat(20_000)}" ${HOST_KEY}\n`)
  at('tomorrow', `# a comment\n\nssh-mldsa87@example.org AAAAC3Nz someone\n${HOST_KEY} known\nhunter2\n`)
  at('huge', `${HOST_KEY} first\n`)
  truncateSync(join(folder, 'huge'), 20_000_000)
  const users = ['padded', 'long', 'tomorrow', 'huge']
  const passwd = users.map((name, n) => `${name}:x:${1000 + n}:1::/h:`).join('\\n')
  const piece = pieceOf('set -f', 'set +f').replaceAll('{ getent passwd || cat /etc/passwd; }', `printf '${passwd}\\n'`)
  const output = run(`files='${folder}/%u'\n${piece}`)

  assert.ok(!decoded(output).includes('hunter2'))
  const { told, last } = await wholeOf(readKeys({ ...hostSaying(output), isRoot: true }))
  assert.deepEqual(
    told.map((each) => ('name' in each ? each.name : '')),
    ['behind', 'known', 'first'],
  )
  assert.equal(last.status, 'partial')
  assert.deepEqual(
    last.missing.map(({ what }) => what.replace(folder, '')),
    ['/huge', '1 lines of authorized keys', '3 lines of authorized keys'],
  )
})

test('attack: units and certificates that are longer than what is read are said, and what is read of them is told', async (t) => {
  const folder = folderOf(t)
  const made = certificateOf({ subject: 'a', key: ecKey() })
  writeFileSync(join(folder, 'app.service'), `[Service]\n${'#'.repeat(300_000)}\nExecStart=/x --key /late.key\n`)
  mkdirSync(join(folder, 'in'))
  writeFileSync(join(folder, 'in', 'long.pem'), `${made.pem}${'#'.repeat(1_100_000)}`)
  const look = pieceOf("pick='", 'for folder in /etc/systemd/system')
  const jobs = await wholeOf(readJobs(hostSaying(run(`${look}\nlook unit '${folder}/app.service' 1 '' ''\n`))))
  const certificates = pieceOf("only='", 'if command -v last').replace('in $folders', `in '${folder}/in'`)
  const files = await wholeOf(readCertificates(hostSaying(run(certificates))))

  assert.deepEqual([jobs.last.status, files.last.status], ['partial', 'partial'])
  assert.ok(files.told.some((each) => 'name' in each && each.name === 'CN=a'))
})

async function wholeOf(pages: AsyncGenerator<{ readonly observations: readonly Observation[] }, ScopeReport>) {
  const told: Observation[] = []
  for (;;) {
    const next = await pages.next()
    if (next.done) return { told, last: next.value }
    told.push(...next.value.observations)
  }
}
