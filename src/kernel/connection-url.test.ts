import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connectionFrom, ConnectionUrlInvalid } from './connection-url.ts'
import { Secret } from './secret.ts'

const read = (text: string) => {
  const { password, ...rest } = connectionFrom(new Secret(text))
  return { ...rest, password: password.reveal() }
}

test('a URL is read as libpq reads it', () => {
  assert.deepEqual(read('postgresql://al%40ice:p%2Fw@db.example:6432/ledger?sslmode=require'), {
    host: 'db.example',
    port: 6432,
    user: 'al@ice',
    password: 'p/w',
    database: 'ledger',
    ssl: { rejectUnauthorized: false },
  })
  assert.deepEqual(read('postgres://reeve@/reeve?host=/run/postgresql'), {
    host: '/run/postgresql',
    port: 5432,
    user: 'reeve',
    password: '',
    database: 'reeve',
    ssl: undefined,
  })
  assert.deepEqual(read('postgresql://reeve@[::1]:5433'), {
    host: '::1',
    port: 5433,
    user: 'reeve',
    password: '',
    database: 'reeve',
    ssl: undefined,
  })
  assert.equal(read('postgresql://u@%2Frun%2Fpostgresql/d').host, '/run/postgresql')
})

test('a server elsewhere is verified in full unless the URL says otherwise', () => {
  assert.deepEqual(read('postgresql://reeve@db.example/reeve').ssl, { rejectUnauthorized: true })
  assert.equal(read('postgresql://reeve@db.example/reeve?sslmode=disable').ssl, undefined)
})

test('modes that fall back to plain text, unknown parameters and broken URLs are refused without quoting the URL', () => {
  for (const text of [
    'postgresql://a:hunter2@db/x?sslmode=prefer',
    'postgresql://a:hunter2@db/x?gssencmode=disable',
    'mysql://a:hunter2@db/x',
    'a:hunter2',
    'postgresql://a:hunter2%@db/x',
    'postgresql://a:hunter2@db/x?port=0',
    'postgresql://a:hunter2@db/x?sslcert=/nowhere',
  ]) {
    assert.throws(
      () => read(text),
      (error) => error instanceof ConnectionUrlInvalid && !error.message.includes('hunter2'),
      text,
    )
  }
})
