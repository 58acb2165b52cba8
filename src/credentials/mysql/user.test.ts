import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { nativePasswordHash } from '../../kernel/crypto.ts'
import { systemRandom } from '../../kernel/random.ts'
import { quoted, userAt } from './connection.ts'
import { MysqlSettings } from './settings.ts'
import { announceUser, mustBeMakeable } from './user.ts'

// The server itself is in test/debian/.

test('whatever is in a name, nothing of it is outside of its quotes', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1, unit: 'binary' }), (name) => {
      if (name.includes('\0')) return assert.throws(() => quoted(name))
      const text = quoted(name)
      assert.match(text, /^`(?:[^`]|``)+`$/)
      assert.equal(text.slice(1, -1).replaceAll('``', '`'), name)
    }),
  )
  assert.throws(() => quoted(''))
  assert.equal(userAt("x'; drop user root -- ", '%`'), "`x'; drop user root -- `@`%```")
})

test('the name of a user is its lease, within 32 signs, and no two are alike', () => {
  fc.assert(
    fc.property(fc.uuid(), fc.uuid(), (one, other) => {
      const name = announceUser(systemRandom, one).principal
      assert.match(name, /^reeve_[0-9a-v]{26}$/)
      assert.equal(name.length, 32)
      assert.equal(name === announceUser(systemRandom, other).principal, one === other)
    }),
  )
})

test('attack: what is no name of a role, and databases that would bound nothing, make nobody', () => {
  const terms = { account: 'app', databases: [], validUntil: new Date(0), connections: 1 }
  for (const role of [
    '',
    'none',
    'PUBLIC',
    'current_user',
    "a'b",
    'a`b',
    'a b',
    'root@localhost',
    'a\n',
    '%',
    'x'.repeat(33),
  ])
    assert.throws(() => mustBeMakeable({ ...terms, roles: [role] }), /not the name of a role/, role)
  mustBeMakeable({ ...terms, roles: ['app_reader', 'app.writer-2'] })
  assert.throws(() => mustBeMakeable({ ...terms, roles: ['app_reader'], databases: ['shop'] }), /take no databases/)
})

test('attack: settings without TLS, without a name to check, or with a host that says more than one, are refused', () => {
  const good = { host: 'db.example', from: '10.1.2.%' }
  assert.equal(MysqlSettings.parse(good).plaintext, false)
  for (const wrong of [
    { ...good, plaintext: true },
    { ...good, host: '10.0.0.1' },
    { ...good, host: '127.0.0.1.example', plaintext: true },
    { host: 'db.example' },
    { ...good, from: "%' identified by 'x" },
    { ...good, from: '' },
    { ...good, host: 'user@db.example' },
    { ...good, password: 'x' },
  ])
    assert.ok(!MysqlSettings.safeParse(wrong).success, JSON.stringify(wrong))
  for (const right of [
    { ...good, host: '127.0.0.1', plaintext: true },
    { ...good, host: '::1', plaintext: true },
    { ...good, host: '10.0.0.1', serverName: 'db.example' },
  ])
    assert.ok(MysqlSettings.safeParse(right).success, JSON.stringify(right))
})

test('the hash of a password is the one that the server makes of it', () => {
  // As `select password('topsecretpw')` of MariaDB 10.11 answered.
  assert.equal(nativePasswordHash('topsecretpw'), '*2621C5A38A8ABFA6A89E1C1374D6FC53E4DA2F1F')
})
