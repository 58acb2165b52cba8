import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { crc32, deflateRawSync, gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { crcSample, maker, seeded } from '../../test/support/secrets/samples.ts'
import { systemClock } from '../kernel/clock.ts'
import { fingerprintsUnder } from '../kernel/fingerprint.ts'
import { Secret } from '../kernel/secret.ts'
import { readAllowList } from './allow/allow-list.ts'
import { Finding, type Summary } from './contract.ts'
import { scan, type ScanOptions, type Source } from './scanner.ts'

const make = maker(seeded(42))
/** A token with a checksum that holds, made anew for each run of this file's seed. */
const TOKEN = crcSample(make, 'ghp_')
const OTHER = crcSample(make, 'ghp_')
const PASSWORD = make('{m:20}')
const fingerprints = fingerprintsUnder(new Secret(Buffer.alloc(32, 7)))

async function scanned(
  source: Source,
  options: Partial<ScanOptions> = {},
): Promise<{ findings: Finding[]; summary: Summary }> {
  const findings: Finding[] = []
  const scanning = scan(source, { clock: systemClock, fingerprints, ...options })
  let step = await scanning.next()
  for (; step.done !== true; step = await scanning.next()) findings.push(Finding.parse(step.value))
  return { findings, summary: step.value }
}

const bytes = (content: Buffer | string, name = 'a.txt') =>
  scanned({ kind: 'bytes', name, bytes: Buffer.from(content) })
const places = (findings: readonly Finding[]) => findings.map(({ path, line, column }) => `${path}:${line}:${column}`)

function folder(t: TestContext, files: Readonly<Record<string, string | Buffer>>): string {
  const root = mkdtempSync(join(tmpdir(), 'reeve-scan-'))
  t.after(() => rmSync(root, { recursive: true, force: true }))
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), content)
  }
  return root
}

/** One header and body, as ustar has them. */
function tar(entries: Readonly<Record<string, Buffer | string>>): Buffer {
  const blocks = Object.entries(entries).flatMap(([name, content]) => {
    const body = Buffer.from(content)
    const header = Buffer.alloc(512)
    header.write(name, 0)
    header.write('0000644\0', 100)
    header.write(`${body.length.toString(8).padStart(11, '0')}\0`, 124)
    header.write('        ', 148)
    header.write('0', 156)
    header.write('ustar\x0000', 257)
    const sum = header.reduce((all, byte) => all + byte, 0)
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
    return [header, body, Buffer.alloc((512 - (body.length % 512)) % 512)]
  })
  return Buffer.concat([...blocks, Buffer.alloc(1024)])
}

type ZipEntry = { readonly name: string; readonly body: Buffer; readonly flags?: number }

/** Says that it has so many, whatever it has. */
function zip(entries: readonly ZipEntry[], says = entries.length): Buffer {
  const locals: Buffer[] = []
  const directory: Buffer[] = []
  let at = 0
  for (const { name, body, flags = 0 } of entries) {
    const packed = deflateRawSync(body)
    const local = Buffer.alloc(30)
    const entry = Buffer.alloc(46)
    local.writeUInt32LE(0x04034b50, 0)
    entry.writeUInt32LE(0x02014b50, 0)
    for (const [header, from] of [
      [local, 6],
      [entry, 8],
    ] as const) {
      header.writeUInt16LE(flags, from)
      header.writeUInt16LE(8, from + 2)
      header.writeUInt32LE(crc32(body), from + 8)
      header.writeUInt32LE(packed.length, from + 12)
      header.writeUInt32LE(body.length, from + 16)
      header.writeUInt16LE(name.length, from + 20)
    }
    entry.writeUInt32LE(at, 42)
    locals.push(local, Buffer.from(name), packed)
    directory.push(entry, Buffer.from(name))
    at += 30 + name.length + packed.length
  }
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(says, 8)
  end.writeUInt16LE(says, 10)
  end.writeUInt32LE(Buffer.concat(directory).length, 12)
  end.writeUInt32LE(at, 16)
  return Buffer.concat([...locals, ...directory, end])
}

test('a finding says what, where and under which risk, and holds nothing of the secret but four characters and a keyed fingerprint', async () => {
  const { findings, summary } = await bytes(`first\n  token: ${TOKEN}\n`)

  const [found] = findings
  assert.deepEqual(
    [found?.rule, found?.owasp, found?.confidence, found?.validity, found?.line, found?.column, found?.endColumn],
    ['github-token', 'NHI2:2025', 'high', 'verified-offline', 2, 10, 50],
  )
  assert.equal(found?.preview, `gh••••${TOKEN.slice(-2)}`)
  assert.deepEqual(found?.fingerprint, fingerprints.of(new Secret(TOKEN)))
  assert.ok(!JSON.stringify([findings, summary]).includes(TOKEN.slice(3, -3)))
})

test('one secret has one fingerprint, as it is typed, escaped in an address or quoted in JSON; under another key none that compares', async () => {
  const odd = `p/${PASSWORD}@`
  const [typed] = (await bytes(`export DB_PASSWORD='${odd}'`)).findings
  const [escaped] = (await bytes(`postgres://orders:${encodeURIComponent(odd)}@db.internal/orders`)).findings
  const other = fingerprintsUnder(new Secret(Buffer.alloc(32, 8)))

  assert.equal(typed?.fingerprint?.value, escaped?.fingerprint?.value)
  assert.notEqual(other.of(new Secret(odd)).value, typed?.fingerprint?.value)
})

test('text in UTF-16, in invalid UTF-8, behind a zero byte and in a line of ten megabytes is read', async () => {
  const long = Buffer.concat([Buffer.alloc(10_000_000, 'ab '), Buffer.from(` ${TOKEN} `), Buffer.alloc(100_000, 'z ')])
  const utf16 = Buffer.from(`\ufefftoken ${TOKEN}\r\n`, 'utf16le')
  const inputs: [string, Buffer, string][] = [
    ['utf-16le', utf16, 'a.txt:1:7'],
    ['utf-16be', Buffer.from(utf16).swap16(), 'a.txt:1:7'],
    ['invalid', Buffer.concat([Buffer.from([0xc3, 0x28, 0xff, 0xfe, 0x0a]), Buffer.from(TOKEN)]), 'a.txt:2:1'],
    ['binary', Buffer.concat([Buffer.from('x\0y '), Buffer.from(TOKEN)]), 'a.txt:1:5'],
    ['long', long, 'a.txt:1:10000002'],
  ]

  for (const [name, content, place] of inputs) assert.deepEqual(places((await bytes(content)).findings), [place], name)
})

test('a value is found behind every way to assign it that languages, shells and documents have', async () => {
  const value = make('{m:28}')
  const lines = [
    `apiToken = "${value}"`,
    `api_token := '${value}'`,
    `API_TOKEN ::= "${value}"`,
    `API_TOKEN :::= "${value}"`,
    `API_TOKEN ?= ${value}`,
    `$apiToken .= "${value}"`,
    `var apiToken string = "${value}"`,
    `const apiToken: string = "${value}"`,
    `'apiToken' => '${value}'`,
    `<apiToken>${value}</apiToken>`,
    `<apiToken>\n    ${value}\n</apiToken>`,
    `setProperty("api.token", "${value}")`,
    `{"a.ini": "API_TOKEN=${value}\\nB=1"}`,
  ]
  for (const line of lines) {
    const { findings } = await bytes(line)

    assert.deepEqual(
      findings.map(({ rule, preview }) => [rule, preview]),
      [['assigned-token', `${value.slice(0, 2)}••••${value.slice(-2)}`]],
      line,
    )
  }
  for (const line of [`if (token > ${value}) {`, `token == other${value}(`, `<a>token</a>${value}`]) {
    assert.deepEqual((await bytes(line)).findings, [], line)
  }
})

test('a sentence that identifies something by a quoted word is no statement of SQL', async () => {
  const { findings } = await bytes('the commit is identified by "onto-9f"\n')

  assert.deepEqual(findings, [])
  assert.equal((await bytes("alter user ci identified by 'w7Kp-onto9f'\n")).findings[0]?.rule, 'identified-by')
})

test('files of a tree that is read while another one is are not mixed up', async (t) => {
  const trees = ['a', 'b'].map((name, at) =>
    folder(t, Object.fromEntries([0, 1, 2].map((n) => [`${name}${n}`, `${' '.repeat(at)}k=${TOKEN}\nv=${OTHER}\n`]))),
  )
  const running = trees.map((root) => scan({ kind: 'tree', root }, { clock: systemClock, fingerprints }))
  const seen: string[][] = [[], []]
  for (let step = 0; step < 6; step += 1) {
    for (const [at, one] of running.entries()) {
      const { value, done } = await one.next()
      if (done !== true) seen[at]?.push(`${value.path}:${value.line}:${value.column}`)
    }
  }

  assert.deepEqual(seen, [
    ['a0:1:3', 'a0:2:3', 'a1:1:3', 'a1:2:3', 'a2:1:3', 'a2:2:3'],
    ['b0:1:4', 'b0:2:3', 'b1:1:4', 'b1:2:3', 'b2:1:4', 'b2:2:3'],
  ])
})

test('of binaries only known formats count, and so it is in lock files', async () => {
  const line = `password = "${PASSWORD}"\n`

  assert.equal((await bytes(line)).findings[0]?.rule, 'assigned-password')
  assert.deepEqual((await bytes(`\0${line}`)).findings, [])
  assert.deepEqual((await bytes(line, 'web/package-lock.json')).findings, [])
  assert.equal((await bytes(`${line}${TOKEN}`, 'web/package-lock.json')).findings.length, 1)
})

test('archives in archives, layers of an image, and compressed text are unpacked, and the way there is named', async () => {
  const layer = gzipSync(tar({ 'etc/app.conf': `key ${TOKEN}` }))
  const image = tar({ 'manifest.json': '[]', 'blobs/sha256/0a1b': layer })
  const zipped = zip([{ name: 'in/image.tar', body: image }])
  const { findings } = await bytes(zipped, 'release.zip')

  assert.deepEqual(places(findings), ['release.zip!in/image.tar!blobs/sha256/0a1b!etc/app.conf:1:5'])
  assert.deepEqual(findings[0]?.decodedBy, ['zip', 'tar', 'gzip', 'tar'])
  assert.equal((await bytes(zstdCompressSync(Buffer.from(`a ${TOKEN}`)), 'log.zst')).findings.length, 1)
  // Behind another frame and one that is to be skipped.
  const frames = ['nothing here', `a ${TOKEN}`].map((each) => zstdCompressSync(Buffer.from(each)))
  const hidden = Buffer.concat([Buffer.from('502a4d180100000000', 'hex'), ...frames])
  assert.equal((await bytes(hidden, 'log.zst')).findings.length, 1)
})

test('a secret in base64, hexadecimal, percent signs, PowerShell’s encoding, twice over, or a notebook’s cell is found', async () => {
  const config = `[orders]\ntoken = ${TOKEN}\nregion = here\n`
  const wrapped: [string, string, string[]][] = [
    ['base64', Buffer.from(config).toString('base64'), ['base64']],
    ['hex', Buffer.from(config).toString('hex'), ['hex']],
    ['twice', Buffer.from(Buffer.from(config).toString('base64')).toString('base64'), ['base64', 'base64']],
    ['gzip in base64', gzipSync(Buffer.from(config)).toString('base64'), ['base64', 'gzip']],
    ['powershell', Buffer.from(config, 'utf16le').toString('base64'), ['base64']],
    ['percent', `u=postgres%3A%2F%2Forders%3A${PASSWORD}%40db.internal%2Forders`, ['percent']],
  ]
  for (const [name, text, decodedBy] of wrapped) {
    const { findings } = await bytes(`first line\ndata: "${text}"\n`)
    const [found, ...more] = findings.filter(({ issuer }) => issuer !== null)

    assert.deepEqual([found?.line, found?.decodedBy, more], [2, decodedBy, []], name)
  }
  const cells = [
    { cell_type: 'code', source: ['x = 1\n', `password = "${PASSWORD}"\n`], outputs: [{ text: [`${TOKEN}\n`] }] },
  ]
  const { findings } = await bytes(JSON.stringify({ cells }), 'work.ipynb')
  const yaml = { source: [`db:\n`, `  url: "postgres://orders:`, `${PASSWORD}@db.internal/orders"\n`] }
  const split = await bytes(JSON.stringify({ cells: [yaml] }), 'work.ipynb')

  assert.deepEqual(findings.map(({ rule }) => rule).toSorted(), ['assigned-password', 'github-token'])
  assert.deepEqual(places(split.findings), ['work.ipynb!cell 1:2:27'])
  assert.deepEqual(split.findings[0]?.decodedBy, ['notebook'])
})

test('attack: bombs, endless nesting, cut, locked and damaged archives end at a bound and are told, and the rest is still read', async () => {
  const limits = { depth: 3, expandedBytes: 8_000_000, ratio: 50, entries: 100, entryBytes: 2_000_000 }
  let nested = Buffer.from(TOKEN)
  for (let n = 0; n < 6; n += 1) nested = gzipSync(nested)
  const zeros = Buffer.alloc(30_000_000)
  const inputs: [string, Buffer, RegExp][] = [
    ['bomb.gz', gzipSync(zeros), /unpacks to more than/],
    [
      'bomb.zip',
      zip(Array.from({ length: 20 }, (_, n) => ({ name: `${n}`, body: zeros.subarray(0, 1_900_000) }))),
      /unpacks to more than/,
    ],
    [
      'many.tar',
      tar(Object.fromEntries(Array.from({ length: 150 }, (_, n) => [`f${n}`, 'x']))),
      /more than 100 entries/,
    ],
    ['deep.gz', nested, /packed more than 3 times/],
    ['cut.gz', gzipSync(Buffer.from(make('{a:5000}'))).subarray(0, 900), /damaged or cut off/],
    ['cut.tar', tar({ a: make('{a:5000}') }).subarray(0, 2000), /cut off/],
    ['locked.zip', zip([{ name: 'in', body: Buffer.from('x'), flags: 1 }]), /under a password/],
    ['no-end.zip', zip([{ name: 'in', body: Buffer.from('x') }]).subarray(0, 40), /directory is missing/],
    ['a.xz', Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, 1, 2, 3]), /xz is not unpacked/],
  ]
  for (const [name, content, reason] of inputs) {
    const told: string[] = []
    const { summary } = await scanned(
      { kind: 'bytes', name, bytes: content },
      { limits, onUnread: (unread) => told.push(unread.reason) },
    )

    assert.match(told.join('\n'), reason, name)
    assert.equal(summary.unreadCount, told.length)
  }
  const mixed = tar({ 'a.gz': gzipSync(zeros).subarray(0, 1000), 'b.txt': `x ${TOKEN}` })
  assert.deepEqual(places((await bytes(mixed, 'm.tar')).findings), ['m.tar!b.txt:1:3'])
})

test('attack: entries that an archive does not count, and files of a type of nobody, hide no secret', async () => {
  const last = { name: 'last', body: Buffer.from(`x ${TOKEN}`) }
  // As one of 65,537 entries has it whose writer knows no larger form.
  const [wrapped, none] = [zip([{ name: 'first', body: Buffer.from('x') }, last], 1), zip([last], 0)]
  const sparse = tar({ 'sparse.env': `x ${TOKEN}` })
  sparse.write('S', 156)
  const sum = sparse.subarray(0, 512).reduce((all, byte, at) => all + (at >= 148 && at < 156 ? 0x20 : byte), 0)
  sparse.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)

  assert.deepEqual(places((await bytes(wrapped, 'w.zip')).findings), ['w.zip!last:1:3'])
  assert.deepEqual(places((await bytes(none, 'n.zip')).findings), ['n.zip!last:1:3'])
  assert.deepEqual(places((await bytes(sparse, 's.tar')).findings), ['s.tar!sparse.env:1:3'])
})

test('attack: no bytes make the scan throw', async () => {
  const magic = ['1f8b08', '504b0304', '504b0506', '28b52ffd', '7573746172', ''].map((hex) => Buffer.from(hex, 'hex'))
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...magic), fc.uint8Array({ maxLength: 2000 }), async (head, rest) => {
      await bytes(Buffer.concat([head, Buffer.from(rest)]), 'x.ipynb')
    }),
    { numRuns: 200 },
  )
  const whole = zip([{ name: 'a', body: Buffer.from(TOKEN) }])
  await fc.assert(
    fc.asyncProperty(fc.nat(whole.length - 1), fc.nat(255), async (at, byte) => {
      const broken = Buffer.from(whole)
      broken[at] = byte
      await bytes(broken)
    }),
    { numRuns: 200 },
  )
})

test('a tree is read whole, but for .git; links are not followed, and those that lead out, nowhere or in a circle are told', async (t) => {
  const outside = folder(t, { 'secret.txt': TOKEN })
  const root = folder(t, {
    'b/two.txt': `x\n${TOKEN}`,
    '.env': `A=${OTHER}`,
    '.git/config': TOKEN,
    'node_modules/m/i.js': '1',
  })
  symlinkSync(join(outside, 'secret.txt'), join(root, 'out'))
  symlinkSync('b/two.txt', join(root, 'in'))
  symlinkSync('.', join(root, 'b/loop'))
  symlinkSync('circle', join(root, 'circle'))
  const socket = createServer().listen(join(root, 'pipe'))
  t.after(() => socket.close())
  await once(socket, 'listening')

  const { findings, summary } = await scanned({ kind: 'tree', root })

  assert.deepEqual(places(findings), ['.env:1:3', 'b/two.txt:2:1'])
  assert.equal(summary.files, 3)
  assert.deepEqual(summary.unread, [
    { path: 'circle', reason: 'it is a link that leads nowhere or in a circle' },
    { path: 'out', reason: 'it is a link out of the tree' },
    { path: 'pipe', reason: 'it is no file: a socket, pipe or device' },
  ])
  const gone = await scanned({ kind: 'tree', root: join(root, 'gone') })
  assert.deepEqual(gone.summary.unread, [{ path: '.', reason: 'it is not there' }])
})

test('a log that comes in pieces is read across them, with lines counted from its beginning, each place once', async () => {
  const lines = Array.from({ length: 120_000 }, (_, n) => `line ${n} of a log that goes on and on and on and on and on`)
  lines[5] = `a ${TOKEN}`
  lines[70_000] = `b ${OTHER}`
  lines[119_999] = `c ${TOKEN}`
  const whole = Buffer.from(lines.join('\n'))
  const chunks = (async function* () {
    for (let at = 0; at < whole.length; at += 65_537) yield whole.subarray(at, at + 65_537)
  })()

  const { findings } = await scanned({ kind: 'stream', name: 'job.log', chunks })

  assert.deepEqual(places(findings), ['job.log:6:3', 'job.log:70001:3', 'job.log:120000:3'])
})

test('a comment beside it, or an entry of the allow-list, leaves a finding out, and that is counted', async () => {
  const allow = readAllowList(
    `allow:\n  - { reason: sample, path: 'docs/**', rule: github-token }\n  - { reason: old, fingerprint: ${fingerprints.of(new Secret(OTHER)).value} }\n`,
    'x',
  )
  const all = async (text: string, name: string) => {
    const { findings, summary } = await scanned({ kind: 'bytes', name, bytes: Buffer.from(text) }, { allow })
    return [findings.length, summary.allowed]
  }

  assert.deepEqual(await all(`${TOKEN} # reeve-scan:allow`, 'a'), [0, 1])
  assert.deepEqual(await all(`# reeve-scan:allow github-token\n${TOKEN}`, 'a'), [0, 1])
  assert.deepEqual(await all(`# reeve-scan:allow npm-token\n${TOKEN}`, 'a'), [1, 0])
  assert.deepEqual(await all(`# reeve-scan:allow\n\n${TOKEN}`, 'a'), [1, 0])
  assert.deepEqual(await all(TOKEN, 'docs/deep/a.md'), [0, 1])
  assert.deepEqual(await all(TOKEN, 'src/a.md'), [1, 0])
  assert.deepEqual(await all(OTHER, 'src/a.md'), [0, 1])
})

test('an allow-list with a key that is not known, without a reason, or that allows everything is refused', () => {
  for (const text of [
    'alow: []',
    'allow: [{ rule: jwt }]',
    'allow: [{ reason: x }]',
    'allow: [{ reason: x, rule: jwt, line: 3 }]',
  ]) {
    assert.throws(() => readAllowList(text, '.reeve-scan.yaml'), /is no allow-list/, text)
  }
})
