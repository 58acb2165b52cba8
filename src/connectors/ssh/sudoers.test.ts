import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Account, Group } from './host.ts'
import { readSudoers, tellRules } from './sudoers.ts'

const alice: Account = {
  uid: '1000',
  names: ['alice'],
  gid: '1000',
  comment: '',
  home: '/home/alice',
  shell: '/bin/sh',
}
const ops: Group = { gid: '900', name: 'ops', members: ['alice'] }
const host = { accounts: new Map([['1000', alice]]), groups: new Map([['900', ops]]) }

test('aliases that name each other in a circle end', () => {
  const { rules } = readSudoers(['User_Alias A = B', 'User_Alias B = A, alice', 'A ALL=ALL'])

  assert.ok(rules.some(({ user }) => user === 'alice'))
})

test('sudoers is read with aliases, continued lines, tags that go on, and what is excluded', () => {
  const { rules, includes, dark } = readSudoers([
    'Defaults env_reset, secure_path="/usr/bin:/bin"',
    'User_Alias ADMINS = alice, %ops : OTHERS = bob',
    'Cmnd_Alias SHELLS = /bin/sh, \\',
    '   /bin/bash',
    'root ALL=(ALL:ALL) ALL # everything',
    '%ops ALL=(ALL) NOPASSWD: ALL',
    'ADMINS web1 = NOPASSWD: SHELLS, PASSWD: /usr/bin/systemctl restart web : db1 = (postgres) /usr/bin/psql',
    '#1000 ALL = !/bin/su, /usr/bin/id',
    '# a comment',
    '@includedir /etc/sudoers.d',
    '#include /etc/sudoers.more',
    'this is nothing',
  ])

  assert.deepEqual(includes, ['/etc/sudoers.d', '/etc/sudoers.more'])
  assert.equal(dark, 1)
  const told = rules.map(({ user, hosts, runAs, tags, command }) => [user, hosts.join(), runAs, tags.join(), command])
  assert.deepEqual(told, [
    ['root', 'ALL', 'ALL:ALL', '', 'ALL'],
    ['%ops', 'ALL', 'ALL', 'NOPASSWD', 'ALL'],
    ['alice', 'web1', 'root', 'NOPASSWD', '/bin/sh'],
    ['%ops', 'web1', 'root', 'NOPASSWD', '/bin/sh'],
    ['alice', 'web1', 'root', 'NOPASSWD', '/bin/bash'],
    ['%ops', 'web1', 'root', 'NOPASSWD', '/bin/bash'],
    ['alice', 'web1', 'root', 'PASSWD', '/usr/bin/systemctl restart web'],
    ['%ops', 'web1', 'root', 'PASSWD', '/usr/bin/systemctl restart web'],
    ['alice', 'db1', 'postgres', '', '/usr/bin/psql'],
    ['%ops', 'db1', 'postgres', '', '/usr/bin/psql'],
    ['#1000', 'ALL', 'root', '', '!/bin/su'],
    ['#1000', 'ALL', 'root', '', '/usr/bin/id'],
  ])
})

test('a rule of sudo is a right of the account or group that it names', () => {
  const { rules } = readSudoers([
    '%ops ALL=(ALL) NOPASSWD: ALL',
    'alice ALL=(alice) ALL',
    'gone ALL=/usr/bin/id',
    'ALL ALL=/bin/true --pin 1234',
  ])
  const grants = tellRules(rules, host).flatMap((each) => (each.kind === 'grant' ? [each] : []))

  assert.deepEqual(
    grants.map(({ principal, privilege, level, facts }) => [
      `${principal.kind} ${principal.id}`,
      privilege,
      level,
      facts?.['isPasswordless'],
    ]),
    [
      ['group 900', 'sudo ALL', 'admin', true],
      ['account 1000', 'sudo ALL', 'impersonate', false],
      ['account-name gone', 'sudo /usr/bin/id', 'use', false],
      ['everybody everybody', 'sudo /bin/true', 'use', false],
    ],
  )
})

test('attack: aliases that multiply end, and what they would be beyond all bounds is dark', () => {
  const nested = Array.from({ length: 26 }, (_, n) => `User_Alias A${n} = ${`A${n + 1}, `.repeat(50)}bob`)
  const commands = `Cmnd_Alias MANY = ${Array.from({ length: 900 }, (_, n) => `/bin/c${n}`).join(', ')}`
  const users = `User_Alias ALL_OF = ${Array.from({ length: 900 }, (_, n) => `u${n}`).join(', ')}`
  const { rules, dark } = readSudoers([...nested, commands, users, 'A0 ALL=ALL', 'ALL_OF ALL=MANY', 'eve ALL=/bin/id'])

  assert.deepEqual([dark, rules.length, rules.at(-1)?.user], [1, 3, 'eve'])
})

test('attack: options and digests before a command hide neither what it is nor that no password is asked', () => {
  const { rules, dark } = readSudoers([
    'alice ALL=(ALL) CWD=/srv TIMEOUT=5m NOPASSWD: ROLE="a b" ALL',
    'bob ALL=(root) NOTAFTER=20301231Z sha512:ab+/c== /bin/sh, NOPASSWD: CHROOT=* sha224:aa, sha256 : bb /bin/su',
    'eve ALL = sudoedit /etc/hosts, ^/usr/bin/[a-z]+$',
  ])

  assert.equal(dark, 0)
  assert.deepEqual(
    rules.map(({ user, hosts, runAs, tags, command }) => [user, hosts.join(), runAs, tags.join(), command].join(' ')),
    [
      'alice ALL ALL NOPASSWD ALL',
      'bob ALL root  /bin/sh',
      'bob ALL root NOPASSWD /bin/su',
      'eve ALL root  sudoedit /etc/hosts',
      'eve ALL root  ^/usr/bin/[a-z]+$',
    ],
  )
})

test('whatever sudoers holds, reading it ends and gives rules or dark lines', () => {
  const word = fc.constantFrom(
    'ALL',
    '=',
    ':',
    ',',
    '(',
    ')',
    'NOPASSWD:',
    'alice',
    '%ops',
    '\\',
    '"',
    '#',
    '!',
    ' ',
    'User_Alias',
    '/bin/sh',
    'CWD=/',
    'TIMEOUT=',
    'sha256:',
    'sha512',
  )
  fc.assert(
    fc.property(fc.array(fc.array(word).map((words) => words.join(' '))), (lines) => {
      const { rules, dark } = readSudoers(lines)
      return rules.length >= 0 && dark <= lines.length
    }),
  )
})

test('a line that is longer than any rule is dark, and read in no time that grows with it', () => {
  const { rules, dark } = readSudoers([`alice ${' , '.repeat(100_000)}`])

  assert.deepEqual([rules, dark], [[], 1])
})
