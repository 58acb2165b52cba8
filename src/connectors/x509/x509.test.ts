import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { createServer as createPlainServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { createServer } from 'node:tls'
import fc from 'fast-check'
import { certificateOf, ecKey, pemKey, rsaKey } from '../../../test/support/certificates.ts'
import { inventoryWorld } from '../../../test/support/inventory-world.ts'
import { systemClock } from '../../kernel/clock.ts'
import { CONFORMANCE, type Bed } from '../conformance.fixture.ts'
import { certificateIn, pemBlocks, type Observation, type ScopeReport } from '../connector.ts'
import { openX509, x509Connector } from './connector.ts'

type Ends = Pick<TestContext, 'after'>
const weakKey = rsaKey(1024)
const root = certificateOf({ subject: 'Estate Root', isAuthority: true })
const rootIssuer = { subject: 'Estate Root', key: root.key }

function folderOf(t: Ends): string {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-x509-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

async function listening(t: Ends, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const address = server.address()
  assert.ok(typeof address === 'object' && address)
  return address.port
}

function tlsServer(t: Ends, certificate: { readonly pem: string; readonly key: ReturnType<typeof ecKey> }) {
  const server = createServer({ key: pemKey(certificate.key), cert: certificate.pem, ciphers: 'DEFAULT@SECLEVEL=0' })
  server.on('tlsClientError', () => undefined)
  server.on('connection', (socket) => socket.on('error', () => undefined))
  return listening(t, server)
}

/** Reads scopes of a source without an inventory. */
async function reading(settings: unknown, patienceMs?: number) {
  const signal = new AbortController().signal
  const parsed = x509Connector.settings.parse(settings)
  const patience = patienceMs === undefined ? {} : { patienceMs }
  await using source = await openX509({ settings: parsed, clock: systemClock }, patience, signal)
  const told: Observation[] = []
  const reports = new Map<string, ScopeReport | Error>()
  for await (const { scope } of source.scopes(signal)) {
    const pages = source.read(scope, {}, signal)
    try {
      for (let next = await pages.next(); ; next = await pages.next()) {
        if (!next.done) told.push(...next.value.observations)
        else {
          reports.set(scope, next.value)
          break
        }
      }
    } catch (error) {
      assert.ok(error instanceof Error)
      reports.set(scope, error)
    }
  }
  const of = <K extends Observation['kind']>(kind: K) =>
    told.filter((each): each is Extract<Observation, { kind: K }> => each.kind === kind)
  return { told, reports, credentials: of('credential'), references: of('reference'), resources: of('resource') }
}

async function bed(t: Ends): Promise<Bed> {
  const folder = folderOf(t)
  const leaf = certificateOf({ subject: 'shop.example', issuer: rootIssuer, names: ['shop.example'] })
  const port = await tlsServer(t, leaf)
  writeFileSync(join(folder, 'root.pem'), root.pem)
  writeFileSync(join(folder, 'shop.pem'), `${leaf.pem}${root.pem}`)
  writeFileSync(join(folder, 'shop.key'), pemKey(leaf.key), { mode: 0o600 })
  writeFileSync(join(folder, 'other.der'), certificateOf({ subject: 'other.example' }).der)
  const key = pemKey(leaf.key).split('\n')[1] ?? ''
  return {
    connector: x509Connector,
    settings: { folder, endpoints: [{ host: '127.0.0.1', port }], allow: ['127.0.0.1'] },
    whole: ['files', `endpoint/127.0.0.1:${port}`],
    secrets: [key],
    async lose() {
      rmSync(join(folder, 'other.der'))
      return 'files'
    },
    async plant() {
      const names = ['=cmd|calc', '\u001b[31mred', 'two\nlines', '\u202egnp', 'x'.repeat(240)]
      for (const name of names)
        writeFileSync(join(folder, `hostile-${name}`), certificateOf({ subject: `hostile ${name.slice(0, 60)}` }).pem)
      return { table: 'observed_credential', count: names.length, like: '%hostile %' }
    },
  }
}

for (const [story, run] of Object.entries(CONFORMANCE)) {
  test(`conformance: ${story}`, async (t) => run(t, await bed(t)))
}

test('expired, not yet valid, without an end, weak and self-signed certificates are told as what they are', async (t) => {
  const folder = folderOf(t)
  const put = (name: string, wanted: Parameters<typeof certificateOf>[0]) =>
    writeFileSync(join(folder, `${name}.pem`), certificateOf(wanted).pem)
  put('expired', { subject: 'expired', issuer: rootIssuer, notAfter: new Date('2021-01-01T00:00:00Z') })
  put('early', { subject: 'early', issuer: rootIssuer, notBefore: new Date('2044-01-01T00:00:00Z') })
  put('endless', { subject: 'endless', issuer: rootIssuer, notAfter: new Date('9999-12-31T23:59:59Z') })
  put('short', { subject: 'short', key: weakKey })
  put('sha1', { subject: 'sha1', issuer: { subject: 'Old CA', key: weakKey }, digest: 'sha1' })
  put('md5', { subject: 'md5', issuer: { subject: 'Old CA', key: weakKey }, digest: 'md5' })
  put('old-root', { subject: 'Old Root', digest: 'sha1', isAuthority: true })

  const { credentials, reports } = await reading({ folder })

  assert.deepEqual(reports.get('files'), { status: 'complete', missing: [] })
  const told = Object.fromEntries(
    credentials.map(({ name, state, strength, expiresAt, facts }) => [
      name.slice(3),
      [state, strength, expiresAt.known && expiresAt.value === 'never', facts?.['isSelfSigned']].map((each) =>
        each !== null && typeof each === 'object' && 'value' in each ? each.value : each,
      ),
    ]),
  )
  assert.deepEqual(told, {
    early: ['inactive', 'strong', false, false],
    endless: ['active', 'strong', true, false],
    expired: ['expired', 'strong', false, false],
    md5: ['active', 'deprecated', false, false],
    'Old Root': ['active', 'strong', false, true],
    sha1: ['active', 'deprecated', false, false],
    short: ['active', 'weak', false, true],
  })
})

test('one key in two files, in an endpoint and in a key file is one fingerprint with four references', async (t) => {
  const folder = folderOf(t)
  const key = ecKey()
  const first = certificateOf({ subject: 'a.example', key, issuer: rootIssuer })
  const port = await tlsServer(t, first)
  writeFileSync(join(folder, 'a.pem'), first.pem)
  writeFileSync(join(folder, 'b.crt'), certificateOf({ subject: 'b.example', key, issuer: rootIssuer }).der)
  writeFileSync(join(folder, 'a.key'), pemKey(key))
  chmodSync(join(folder, 'a.key'), 0o644)

  const { references, credentials, resources } = await reading({
    folder,
    endpoints: [{ host: '127.0.0.1', port }],
    allow: ['127.0.0.0/8'],
  })

  const values = references.map(({ credential }) => ('alg' in credential ? credential.value : ''))
  assert.equal(new Set(values).size, 1)
  assert.deepEqual(references.map(({ how, facts }) => [how, facts?.['holds']].join(' ')).toSorted(), [
    'connection certificate',
    'file certificate',
    'file certificate',
    'file private key',
  ])
  assert.equal(new Set(credentials.map(({ id }) => id.id)).size, 3)
  const open = resources.find(({ type }) => type === 'private-key-file')
  assert.deepEqual([open?.facts?.['mode'], open?.facts?.['othersMayRead']], ['0644', true])
})

test('a renewal with the same key is the same credential, and the old one beside it another', async (t) => {
  const folder = folderOf(t)
  const key = ecKey()
  const file = join(folder, 'a.pem')
  const old = certificateOf({ subject: 'a', key, issuer: rootIssuer })
  const renewed = certificateOf({ subject: 'a', key, issuer: rootIssuer, notBefore: new Date('2024-01-01T00:00:00Z') })
  writeFileSync(file, old.pem)
  const before = await reading({ folder })
  writeFileSync(file, `${old.pem}${renewed.pem}${renewed.pem}`)
  const after = await reading({ folder })

  const ids = after.credentials.map(({ id }) => id.id)
  assert.equal(ids.length, 2)
  const same = after.credentials.find(({ id }) => id.id === before.credentials[0]?.id.id)
  assert.equal(same?.facts?.['notBefore'], '2024-01-01T00:00:00.000Z')
})

test('stores, encrypted keys, damaged and huge files and links that lead out are said, and followed nowhere', async (t) => {
  const folder = folderOf(t)
  const outside = folderOf(t)
  writeFileSync(join(outside, 'outside.pem'), certificateOf({ subject: 'outside' }).pem)
  symlinkSync(join(outside, 'outside.pem'), join(folder, 'link.pem'))
  symlinkSync(outside, join(folder, 'linked'))
  symlinkSync(folder, join(folder, 'circle'))
  symlinkSync('/dev/zero', join(folder, 'zero.pem'))
  execFileSync('mkfifo', [join(folder, 'pipe.pem')])
  writeFileSync(join(folder, 'store.p12'), Buffer.from('3082010002010330', 'hex'))
  writeFileSync(join(folder, 'store.jks'), Buffer.from('feedfeed0000000200000001', 'hex'))
  writeFileSync(join(folder, 'locked.key'), pemKey(ecKey(), 'a passphrase'))
  writeFileSync(join(folder, 'broken.pem'), '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')
  writeFileSync(join(folder, 'notes.txt'), 'nothing of interest')
  const quiet = await reading({ folder })

  assert.deepEqual(quiet.credentials, [])
  const report = quiet.reports.get('files')
  assert.ok(report && 'status' in report && report.status === 'complete')
  assert.deepEqual(
    report.missing.map(({ what }) => what),
    ['2 key stores (PKCS #12, JKS, PKCS #7)', '1 private keys', '1 certificates', '3 links'],
  )
  assert.deepEqual(quiet.resources.map(({ type }) => type).toSorted(), [
    'certificate-file',
    'key-store',
    'key-store',
    'private-key-file',
  ])

  writeFileSync(join(folder, 'huge.pem'), '')
  truncateSync(join(folder, 'huge.pem'), 8 * 1024 ** 3)
  const dark = (await reading({ folder })).reports.get('files')
  assert.ok(dark && 'status' in dark && dark.status === 'partial')
})

test('file names that are no UTF-8 are two things, and their certificates are told', async (t) => {
  const folder = folderOf(t)
  for (const byte of [0xfe, 0xff])
    writeFileSync(Buffer.concat([Buffer.from(`${folder}/`), Buffer.of(byte)]), certificateOf({ subject: 'x' }).pem)

  const { resources } = await reading({ folder })

  assert.equal(new Set(resources.map(({ id }) => id.id)).size, 2)
})

test('a folder that is not there is partial, never empty', async (t) => {
  const { reports } = await reading({ folder: join(folderOf(t), 'gone') }).catch((error: unknown) => ({
    reports: error,
  }))

  assert.ok(reports instanceof Map && reports.get('files') instanceof Error)
})

test('attack: a private address that the settings do not allow is asked nothing', async (t) => {
  let asked = 0
  const port = await listening(
    t,
    createPlainServer(() => (asked += 1)),
  )
  const { reports, told } = await reading({
    endpoints: [
      { host: '127.0.0.1', port },
      { host: 'localhost', port },
      { host: '169.254.169.254' },
      { host: '::ffff:127.0.0.1', port },
    ],
    allow: ['192.168.0.0/16'],
  })

  assert.equal(asked, 0)
  assert.deepEqual(told, [])
  for (const report of reports.values())
    assert.ok(report instanceof Error && report.name === 'Denied' && 'missing' in report)
  assert.equal(reports.size, 4)
})

test('an endpoint that never answers, one that talks garbage, one that hangs up and one where nobody is are partial', async (t) => {
  const silent = await listening(
    t,
    createPlainServer((socket) => {
      socket.on('error', () => undefined)
      t.after(() => socket.destroy())
    }),
  )
  const garbage = await listening(
    t,
    createPlainServer((socket) => {
      socket.on('error', () => undefined)
      socket.end(Buffer.alloc(100_000, 0x41))
    }),
  )
  const hangsUp = await listening(
    t,
    createPlainServer((socket) => {
      socket.on('error', () => undefined)
      socket.destroy()
    }),
  )
  const endpoints = [silent, garbage, hangsUp, 1].map((port) => ({ host: '127.0.0.1', port }))

  const { reports } = await reading({ endpoints, allow: ['127.0.0.1'] }, 700)

  const said = [...reports.values()].map((report) => (report instanceof Error ? report.name + report.message : ''))
  assert.match(said[0] ?? '', /^Unreadable.*in time/)
  for (const each of said) assert.match(each, /^Unreadable/)
})

test('what an endpoint shows is judged: for its name, its authority, its time', async (t) => {
  const good = certificateOf({ subject: 'localhost', issuer: rootIssuer, names: ['localhost'] })
  const expired = certificateOf({
    subject: 'localhost',
    issuer: rootIssuer,
    names: ['localhost'],
    notAfter: new Date('2021-01-01T00:00:00Z'),
  })
  const other = certificateOf({ subject: 'other', issuer: rootIssuer, names: ['other.example'] })
  const short = certificateOf({ subject: 'localhost', key: weakKey, issuer: rootIssuer, names: ['localhost'] })
  const ports = await Promise.all([good, expired, other, short].map((each) => tlsServer(t, each)))
  const endpoints = ports.map((port) => ({ host: 'localhost', port }))
  const settings = { endpoints, allow: ['localhost'], authorities: root.pem }

  const { resources, credentials } = await reading(settings)
  const alone = await reading({ ...settings, authorities: undefined })

  assert.deepEqual(
    resources.map(({ facts }) => facts?.['verdict']),
    ['trusted', 'CERT_HAS_EXPIRED', 'ERR_TLS_CERT_ALTNAME_INVALID', 'trusted'],
  )
  assert.ok(credentials.some(({ strength }) => strength.known && strength.value === 'weak'))
  assert.ok(alone.resources.every(({ facts }) => facts?.['isTrusted'] === false))
})

test('an endpoint that is asked by a name of its own shows the certificate for that name', async (t) => {
  const [a, b] = ['a.example', 'b.example'].map((name) => certificateOf({ subject: name, names: [name] }))
  assert.ok(a && b)
  const server = createServer({ key: pemKey(a.key), cert: a.pem })
  server.addContext('b.example', { key: pemKey(b.key), cert: b.pem })
  const port = await listening(t, server)
  const endpoints = [
    { host: '127.0.0.1', port },
    { host: '127.0.0.1', port, serverName: 'b.example' },
  ]

  const { credentials } = await reading({ endpoints, allow: ['127.0.0.1'] })

  assert.deepEqual(
    credentials.map(({ name }) => name),
    ['CN=a.example', 'CN=b.example'],
  )
})

test('shared keys and expiry are in the inventory as columns', async (t) => {
  const i = await inventoryWorld(t)
  const made = await bed(t)
  await i.collect(await i.source(made.connector, made.settings))

  assert.equal(await i.count('observed_credential', `type = 'certificate' and expires_at is not null`), 5)
  assert.equal(await i.count('observed_reference', `how = 'connection'`), 1)
})

test('two lists of endpoints are two sources, and one list is read as one only', async (t) => {
  const i = await inventoryWorld(t)
  const ports = await Promise.all([0, 1].map(() => tlsServer(t, certificateOf({ subject: 'a' }))))
  const allow = ['127.0.0.1']
  const lists = [...ports, ports[0]].map((port) => ({ endpoints: [{ host: '127.0.0.1', port }], allow }))
  const outcomes: string[] = []
  for (const list of lists) outcomes.push((await i.collect(await i.source(x509Connector, list))).outcome)

  assert.deepEqual(outcomes, ['complete', 'complete', 'failed'])
})

test('settings without anything to read, with an endpoint twice or with plain HTTP allowed are refused', () => {
  for (const settings of [
    {},
    { endpoints: [{ host: 'a.example' }, { host: 'A.example.' }] },
    { folder: 'relative' },
    { folder: '/x', allow: ['http://10.0.0.1'] },
    { endpoints: [{ host: '-oProxyCommand' }] },
  ])
    assert.equal(x509Connector.settings.safeParse(settings).success, false, JSON.stringify(settings))
})

test('whatever text stands around them, the certificates in it are found, each once', () => {
  const pem = root.pem
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.string(), fc.constant('-----BEGIN CERTIFICATE-----'), fc.constant(pem))),
      (parts) => {
        const found = [...pemBlocks(parts.join('\n'))].filter((block) => typeof certificateIn(block) === 'object')
        // A beginning that nobody ended may swallow nothing but itself.
        assert.equal(found.length, parts.filter((part) => part === pem).length)
      },
    ),
  )
})

test('a megabyte of beginnings without an end is read in one pass', () => {
  const labels = Array.from({ length: 40_000 }, (_, at) => `-----BEGIN X${at}-----`).join('\n')

  assert.deepEqual([...pemBlocks(labels)], [])
})
