import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { sha256 } from '../../kernel/crypto.ts'
import type { Observation, ScopeReport } from '../connector.ts'
import { readAccounts } from './accounts.ts'
import { sshConnector } from './connector.ts'
import { hostOf, type Host } from './host.ts'
import { readCertificates, readJobs } from './jobs.ts'
import { readKeys, readSshd } from './keys.ts'
import { readAccepted, readLog } from './log.ts'
import { readLogin, readLogins } from './logins.ts'
import { readAuthorizedKey, readKey } from './public-keys.ts'
import { readRecords } from './records.ts'
import { BEGIN, END, listScript } from './script.ts'
import { SshSourceSettings } from './settings.ts'
import { readSudo } from './sudoers.ts'

const sized = (bytes: Buffer) => Buffer.concat([lengthOf(bytes), bytes])
function lengthOf(bytes: Buffer): Buffer {
  const size = Buffer.alloc(4)
  size.writeUInt32BE(bytes.length)
  return size
}
function keyLine(type: string, ...fields: Buffer[]): string {
  return `${type} ${Buffer.concat([Buffer.from(type), ...fields].map(sized)).toString('base64')}`
}
const ED = keyLine('ssh-ed25519', Buffer.alloc(32, 7))
const fingerprintOf = (line: string) =>
  `SHA256:${sha256(Buffer.from(line.split(' ')[1] ?? '', 'base64'))
    .toString('base64')
    .replace(/=+$/, '')}`
const rsa = (bits: number) => {
  const { n = '' } = generateKeyPairSync('rsa', { modulusLength: bits }).publicKey.export({ format: 'jwk' })
  return keyLine('ssh-rsa', Buffer.of(1, 0, 1), Buffer.concat([Buffer.of(0), Buffer.from(n, 'base64url')]))
}

const settings = SshSourceSettings.parse({ host: 'h.example', user: 'reader', hostKeys: [ED] })
const field = (text: string) => {
  const encoded = Buffer.from(text).toString('base64')
  return `${encoded.length}:${encoded}`
}
const record = (word: string, ...fields: string[]) => [word, ...fields.map(field)].join(' ')
function answer(...lines: string[]): Buffer {
  return Buffer.from(['Welcome to this host', BEGIN, ...lines, END, ''].join('\n'))
}
const PASSWD = record(
  'passwd',
  'root:0:0:root:/root:/bin/bash\ntoor:0:0::/root:/bin/sh\nalice:1000:1000:Alice:/home/alice:/bin/bash\n',
)
const GROUP = record('group', 'root:0:\nops:900:alice,ghost\nalice:1000:\n')
function hostWith(uid: string, ...more: string[]): Host {
  const records = readRecords(answer(record('self', uid, 'machine', 'Debian'), PASSWD, GROUP, ...more))
  return hostOf(settings, records, new Date('2026-11-01T00:00:00Z'))
}
async function told(pages: AsyncGenerator<{ readonly observations: readonly Observation[] }, ScopeReport>) {
  const all: Observation[] = []
  for (let next = await pages.next(); ; next = await pages.next()) {
    if (next.done) return { all, report: next.value }
    all.push(...next.value.observations)
  }
}

test('an authorized key is read with its options, whatever is quoted in them', () => {
  const line = String.raw`from="10.0.0.0/8,!10.9.*",command="sh -c \"echo a, b\" --password hunter2",restrict,expiry-time="20270101Z" ${ED} alice@laptop of "hers"`
  const key = readAuthorizedKey(line)

  assert.deepEqual(
    key?.options.map(({ name, value }) => [name, value]),
    [
      ['from', '10.0.0.0/8,!10.9.*'],
      ['command', 'sh -c "echo a, b" --password hunter2'],
      ['restrict', undefined],
      ['expiry-time', '20270101Z'],
    ],
  )
  assert.equal(key?.comment, 'alice@laptop of "hers"')
  assert.equal(key?.fingerprint, fingerprintOf(ED))
})

test('what is no key is none: comments, private keys, a type that the key is not of', () => {
  const [, encoded = ''] = ED.split(' ')
  for (const line of [
    '',
    '# ' + ED,
    `ssh-rsa ${encoded}`,
    'ssh-ed25519 AAAA',
    '-----BEGIN OPENSSH PRIVATE KEY-----',
    `command="x ${ED}`,
  ])
    assert.equal(readAuthorizedKey(line), undefined, line)
})

test('bits of RSA keys are counted', () => {
  assert.equal(readKey(rsa(1024))?.bits, 1024)
  assert.equal(readKey(rsa(2048))?.bits, 2048)
})

test('an authorized key is told with its bindings and strength, of its command the program alone', async () => {
  const lines = [
    `from="192.0.2.1",command="/usr/bin/backup --token hunter2" ${ED} backup`,
    rsa(1024),
    `cert-authority ${keyLine('ssh-ed25519', Buffer.alloc(32, 9))}`,
  ]
  const host = hostWith(
    '0',
    record('keys', 'alice', '1000', '/home/alice/.ssh/authorized_keys', '600 1000 90', `${lines.join('\n')}\n`),
  )

  const { all, report } = await told(readKeys(host))

  assert.deepEqual(report, { status: 'complete', missing: [] })
  assert.ok(!JSON.stringify(all).includes('hunter2'))
  const keys = all.filter((each) => each.kind === 'credential')
  assert.deepEqual(
    keys.map(({ bindings, strength, facts }) => [bindings, strength, facts?.['command'], facts?.['isUnrestricted']]),
    [
      [{ known: true, value: ['ip', 'command'] }, { known: true, value: 'strong' }, '/usr/bin/backup', false],
      [{ known: true, value: [] }, { known: true, value: 'weak' }, null, true],
      [{ known: true, value: [] }, { known: true, value: 'strong' }, null, false],
    ],
  )
  assert.deepEqual(
    all.filter((each) => each.kind === 'trust').map(({ wildcard }) => wildcard),
    [true],
  )
})

test('without root the keys, the settings of sshd and sudoers are denied, and each says what would show it', async () => {
  const host = hostWith('1000', record('closed', 'sudoers', '/etc/sudoers'))

  await assert.rejects(told(readKeys(host)), {
    name: 'Denied',
    missing: {
      what: 'authorized keys of other accounts',
      why: 'the login is not root',
      permission: 'settings.sudo, and in sudoers for the login: NOPASSWD: /bin/sh -s',
    },
  })
  await assert.rejects(told(readSshd(host)), { name: 'Denied' })
})

test('fields hold anything, and nothing in them is a record', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: 'binary' })), (texts) => {
      const [found] = readRecords(answer(record('keys', ...texts, `\n${END}\nself`)))
      assert.deepEqual(
        found?.fields.map((each) => each.toString('utf8')),
        [...texts, `\n${END}\nself`].map((text) => Buffer.from(text).toString('utf8')),
      )
    }),
  )
})

test('an answer that is cut anywhere, or has something between its records, is refused whole', () => {
  const whole = answer(PASSWD, GROUP).toString('latin1')
  fc.assert(
    fc.property(fc.nat(whole.length - END.length - 1), (at) => {
      assert.throws(() => readRecords(Buffer.from(whole.slice(0, at), 'latin1')), { name: 'Unreadable' })
    }),
  )
  assert.throws(() => readRecords(answer(PASSWD, 'Segmentation fault')), { name: 'Unreadable' })
  assert.throws(() => readRecords(answer('passwd 9:AAAA')), { name: 'Unreadable' })
})

test("the shell's own answer is read back as it was: names with line ends, quotes and no UTF-8", () => {
  const script = listScript(settings)
  const prelude = script.slice(0, script.indexOf('config='))
  const hostile = `a\nself 1:x ' " $(id) \u001b[31m %s`
  const output = execFileSync('sh', ['-s', '--', hostile], {
    input: `${prelude}printf keys; f "$1"; printf '\\377' | c 10; nl\nprintf '%s\\n' ${END}\n`,
  })
  const [found] = readRecords(output)

  assert.equal(found?.fields[0]?.toString('utf8'), hostile)
  assert.deepEqual(found?.fields[1], Buffer.of(0xff))
})

test("a login in sshd's words is read with a time that says its zone, and in no other place of a line", () => {
  const line = (time: string, message: string) => `${time} h sshd[12]: ${message}`
  const accepted = 'Accepted publickey for alice from 2001:db8::1 port 4000 ssh2: ED25519 SHA256:abc+/1'

  const read = readAccepted(line('2026-11-22T12:00:00.123456+01:00', accepted))
  assert.deepEqual(
    [read?.user, read?.address, read?.fingerprint, read?.at.toISOString()],
    ['alice', '2001:db8::1', 'SHA256:abc+/1', '2026-11-22T11:00:00.123Z'],
  )
  assert.ok(readAccepted(line('2026-11-22T12:00:00+0000', `${accepted} ID x (serial 1) CA ED25519 SHA256:ca`)))
  for (const other of [
    line('Nov 22 12:00:00', accepted),
    line('2026-11-22T12:00:00Z', `Invalid user ${accepted}`),
    `2026-11-22T12:00:00Z h cron[1]: sshd[12]: ${accepted}`,
  ])
    assert.equal(readAccepted(other), undefined, other)
})

test('lines of last are read, those of the machine itself are not', () => {
  const login = readLogin(
    'alice    pts/0        192.0.2.7        2026-11-20T08:00:00+00:00 - 2026-11-20T09:00:00+00:00  (01:00)',
  )

  assert.deepEqual(
    [login?.user, login?.address, login?.at.toISOString()],
    ['alice', '192.0.2.7', '2026-11-20T08:00:00.000Z'],
  )
  assert.equal(readLogin('reboot   system boot  6.1.0-9 2026-11-20T08:00:00+00:00   still running'), undefined)
  assert.equal(readLogin('wtmp begins 2026-11-01T00:00:00+00:00'), undefined)
})

test('the log is gone on with behind its cursor, a rotation is a gap, and old times are said', async () => {
  const id = fingerprintOf(ED)
  const use = (at: string) =>
    `2026-11-22T${at}Z h sshd[1]: Accepted publickey for alice from 192.0.2.1 port 1 ssh2: ED25519 ${id}\n`
  let log = { inode: '7', text: use('10:00:00') + use('10:00:01') }
  const link = {
    async run(script: string) {
      const offset = Number(/from=(\d+)/.exec(script)?.[1])
      const inode = /!= '(\d*)'/.exec(script)?.[1]
      const from = inode !== log.inode || log.text.length < offset ? 0 : offset
      return answer(record('log', log.inode, String(log.text.length), String(from), log.text.slice(from)))
    },
    async [Symbol.asyncDispose]() {},
  }
  const keys = record('keys', 'alice', '1000', '/k', '600 0 1', `${ED}\n`)
  const host = {
    ...hostWith('0', keys, record('sshd', 'loglevel INFO\n')),
    settings: { ...settings, log: '/var/log/auth.log' },
  }
  const read = async (cursor?: string) => {
    const pages = readLog(host, link, { cursor }, new AbortController().signal)
    const all: Observation[] = []
    let last = cursor
    for (let next = await pages.next(); ; next = await pages.next()) {
      if (next.done)
        return {
          uses: all.filter(({ kind }) => kind === 'usage').length,
          windows: all.flatMap((each) => (each.kind === 'usage-window' ? [each.from.toISOString()] : [])),
          last,
          report: next.value,
        }
      all.push(...next.value.observations)
      last = next.value.cursor
    }
  }

  const first = await read()
  // Once for the account, once for its key; a window of the key alone.
  assert.deepEqual(
    [first.uses, first.windows, first.report],
    [4, ['2026-11-22T10:00:00.000Z'], { status: 'complete', missing: [] }],
  )
  log.text += `${use('11:00:00')}2026-11-22T11:00:01Z h sshd[1]: half a li`
  const second = await read(first.last)
  assert.deepEqual([second.uses, second.windows], [2, ['2026-11-22T10:00:01.000Z']])
  assert.equal((await read(second.last)).uses, 0)
  log = {
    inode: '8',
    text: `${use('12:00:00')}Nov 22 12:00:01 h sshd[1]: Accepted publickey for alice from 192.0.2.1 port 1 ssh2\n`,
  }
  const third = await read(second.last)
  assert.deepEqual([third.uses, third.windows, third.report.status], [2, ['2026-11-22T12:00:00.000Z'], 'partial'])
  assert.deepEqual(
    third.report.missing.map(({ what }) => what),
    ['what was logged between two files', '1 lines of sshd'],
  )
})

test('attack: nothing in the settings becomes an option of ssh, a line of known_hosts or a word of the script', () => {
  const good = { host: 'h.example', user: 'reader', hostKeys: [ED] }
  assert.ok(SshSourceSettings.safeParse(good).success)
  for (const bad of [
    { host: '-oProxyCommand=id' },
    { host: 'a b' },
    { user: '-l' },
    { user: 'a;id' },
    { hostKeys: [] },
    { hostKeys: [`${ED}\n* ${ED}`] },
    { hostKeys: [`* ${ED}`] },
    { sshdConfig: "/etc/'; id; '" },
    { log: '/var/log/$(id)' },
    { certificateFolders: ['/a b'] },
  ])
    assert.equal(SshSourceSettings.safeParse({ ...good, ...bad }).success, false, JSON.stringify(bad))
})

test('a host that nobody answers for is a sentence, and the key lies nowhere afterwards', async () => {
  const { systemClock } = await import('../../kernel/clock.ts')
  const { Secret } = await import('../../kernel/secret.ts')
  const { readdirSync } = await import('node:fs')
  const folders = () =>
    ['/dev/shm', '/tmp'].flatMap((at) => readdirSync(at).filter((name) => name.startsWith('reeve-ssh-')))
  const before = folders()
  const given = {
    settings: { ...settings, host: '127.0.0.1', port: 1 },
    credential: new Secret(
      JSON.stringify({ privateKey: '-----BEGIN OPENSSH PRIVATE KEY-----\nx\n-----END OPENSSH PRIVATE KEY-----' }),
    ),
    clock: systemClock,
    fingerprint: () => assert.fail(),
    http: Object.assign(() => assert.fail(), { stream: () => assert.fail() }),
    ours: async () => new Set<string>(),
    custody: () => assert.fail(),
  }

  await assert.rejects(sshConnector.open(given, new AbortController().signal), { name: 'Unreadable' })

  assert.deepEqual(
    folders().filter((name) => !before.includes(name)),
    [],
  )
})

test('attack: whatever a host says in a file of keys, of settings, of accounts, of logins, reading it ends, and nothing of it is silent', async () => {
  const line = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 60 }),
    fc.constantFrom(
      ED,
      `from="a,b" ${ED}`,
      `command="x\\" y",${ED}`,
      'expiry-time="20260230" ',
      '"',
      '\\',
      ':::',
      'a:b:c:d',
      '+::',
    ),
  )
  const lines = fc.array(line, { maxLength: 6 }).map((all) => all.join('\n'))
  await fc.assert(
    fc.asyncProperty(lines, lines, lines, lines, async (keys, sshd, passwd, last) => {
      const records = [
        record('self', '0', 'm', 'x'),
        record('passwd', passwd),
        record('group', passwd),
        record('keys', 'a', '0', '/k', 'nonsense', keys),
        record('sshd', sshd),
        record('ca', '/ca', keys),
        record('sudoers', '/etc/sudoers', sshd),
        record('cert', '/c', '600 0 1', keys),
        record('pkey', '/c', '', keys),
        record('job', 'unit', sshd, last, 'x', passwd, 'y'),
        record('last', last),
      ]
      const host = hostOf(settings, readRecords(answer(...records)), new Date('2026-11-01T00:00:00Z'))
      for (const read of [readAccounts, readKeys, readSshd, readSudo, readJobs, readCertificates, readLogins])
        assert.ok((await told(read(host))).report.status)
      const named = passwd.split('\n').filter((text) => text !== '').length
      const accounts = [...host.accounts.values()].flatMap(({ names }) => names).length
      assert.ok(host.strange >= named - accounts)
    }),
    { numRuns: 60 },
  )
})

test('attack: an end of a key that is no time is not taken for none, and a last that says nothing is none', async () => {
  const keys = ['expiry-time="20260230"', 'expiry-time="99991231"', 'expiry-time="soon"', 'restrict']
  const host = hostWith(
    '0',
    ...keys.map((option, n) => record('keys', 'alice', '1000', `/k${n}`, '600 0 1', `${option} ${ED}\n`)),
    record('last', ''),
  )
  const { all } = await told(readKeys(host))

  assert.deepEqual(
    all.map((each) => each.kind === 'credential' && each.expiresAt.known && each.expiresAt.value),
    [false, new Date('9999-12-31T00:00:00Z'), false, 'never'],
  )
  assert.equal((await told(readLogins(host))).report.status, 'unsupported')
})
