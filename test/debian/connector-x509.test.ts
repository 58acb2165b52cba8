import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { x509Connector } from '../../src/connectors/x509/connector.ts'
import { installation } from '../support/installation.ts'
import { inventoryWorld } from '../support/inventory-world.ts'
import { reeve } from '../support/program.ts'
import { placeOf } from '../support/proof-of.ts'

// An estate as OpenSSL of Debian makes it: files in each of its forms, and its own server.

function openssl(folder: string, ...args: string[]): string {
  return execFileSync('openssl', args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

function estate(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-x509-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const make = (name: string, ...more: string[]) =>
    openssl(
      folder,
      'req',
      '-x509',
      '-nodes',
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.pem`,
      '-subj',
      `/CN=${name}`,
      ...more,
    )
  make('plain', '-newkey', 'rsa:2048', '-addext', 'subjectAltName=DNS:plain.example,IP:192.0.2.7')
  make('short', '-newkey', 'rsa:1024')
  make('sha1', '-newkey', 'rsa:2048', '-sha1', '-addext', 'basicConstraints=CA:FALSE')
  make('curve', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1')
  make('edwards', '-newkey', 'ed25519')
  openssl(folder, 'x509', '-in', 'plain.pem', '-outform', 'DER', '-out', 'plain.der')
  openssl(folder, 'x509', '-in', 'curve.pem', '-text', '-out', 'told.pem')
  openssl(
    folder,
    'pkcs12',
    '-export',
    '-in',
    'plain.pem',
    '-inkey',
    'plain.key',
    '-passout',
    'pass:x',
    '-out',
    'plain.p12',
  )
  openssl(folder, 'crl2pkcs7', '-nocrl', '-certfile', 'plain.pem', '-out', 'plain.p7b')
  openssl(folder, 'pkey', '-in', 'plain.key', '-aes256', '-passout', 'pass:x', '-out', 'locked.key')
  openssl(folder, 'pkey', '-in', 'plain.key', '-outform', 'DER', '-out', 'binary.key')
  openssl(folder, 'pkey', '-in', 'plain.key', '-traditional', '-out', 'old-form.key')
  return folder
}

test('an estate that openssl made is told file by file, with the same keys recognised in every form', async (t) => {
  const i = await inventoryWorld(t)
  const { scopes } = await i.collect(await i.source(x509Connector, { folder: estate(t) }))

  assert.deepEqual(
    scopes.map(({ status, missing }) => [status, missing.map(({ what }) => what)]),
    [['complete', ['2 key stores (PKCS #12, JKS, PKCS #7)', '1 private keys']]],
  )
  const rows = await i.w.db.selectFrom('observedCredential').select(['name', 'strength', 'facts']).execute()
  const strength = new Map(rows.map((row) => [row.name, row.strength]))
  assert.deepEqual(Object.fromEntries(strength), {
    'CN=curve': 'strong',
    'CN=edwards': 'strong',
    'CN=plain': 'strong',
    'CN=sha1': 'deprecated',
    'CN=short': 'weak',
  })
  // Twice as a certificate, three times as a private key.
  const names = rows.filter(({ name }) => name === 'CN=plain').map(({ facts }) => Object(facts).names)
  assert.deepEqual(names, [
    ['DNS:plain.example', 'IP Address:192.0.2.7'],
    ['DNS:plain.example', 'IP Address:192.0.2.7'],
  ])
  const shared = await i.w.db
    .selectFrom('observedReference')
    .select(['fingerprint'])
    .select((is) => is.fn.countAll<string>().as('uses'))
    .groupBy('fingerprint')
    .orderBy('uses', 'desc')
    .executeTakeFirstOrThrow()
  assert.equal(Number(shared.uses), 5)
})

test('openssl says the same hash of the public key', async (t) => {
  const folder = estate(t)
  const i = await inventoryWorld(t)
  await i.collect(await i.source(x509Connector, { folder }))
  const spki = execFileSync('sh', ['-c', 'openssl pkey -in plain.key -pubout -outform DER | sha256sum'], {
    cwd: folder,
  })
  const hash = spki.toString('utf8').slice(0, 64)

  assert.ok((await i.snapshot()).some((row) => row.includes(hash)))
})

test("openssl's own server, with a short key and an old signature, is read", async (t) => {
  if (!existsSync('/usr/bin/openssl')) return t.skip('openssl is not here')
  const folder = estate(t)
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  assert.ok(typeof address === 'object' && address)
  const { port } = address
  const args = [
    's_server',
    '-accept',
    `127.0.0.1:${port}`,
    '-cert',
    'short.pem',
    '-key',
    'short.key',
    '-cipher',
    'DEFAULT@SECLEVEL=0',
  ]
  const daemon = spawn('openssl', args, { cwd: folder, stdio: ['pipe', 'pipe', 'ignore'] })
  t.after(() => daemon.kill())
  for await (const chunk of daemon.stdout) if (String(chunk).includes('ACCEPT')) break
  const i = await inventoryWorld(t)

  const { outcome } = await i.collect(
    await i.source(x509Connector, { endpoints: [{ host: '127.0.0.1', port }], allow: ['127.0.0.1'] }),
  )

  assert.equal(outcome, 'complete')
  assert.equal(await i.count('observed_credential', `strength = 'weak' and name = 'CN=short'`), 1)
})

test('reeve connect registers a folder, says what can be seen, and reads it', async (t) => {
  const here = await installation(t)
  const ada = placeOf(here.folder, 'ada', here.cast.ada)
  const settings = join(here.folder, 'certificates.json')
  writeFileSync(settings, JSON.stringify({ folder: estate(t) }))
  const options = [
    '--name',
    'estate',
    '--owner-team',
    'shop',
    '--environment',
    'production',
    '--settings-file',
    settings,
  ]

  const { code, stdout, stderr } = await reeve(ada, ['connect', 'x509', ...options, '--output', 'table'])

  assert.equal(code, 0, stderr)
  assert.match(stderr, /1 of 1 parts can be seen/)
  assert.match(stdout, /complete +files/)
  assert.match(stdout, /not seen: 2 key stores/)
})
