import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { readSpiffeId, spiffeIdText } from '../../kernel/spiffe-id.ts'
import { spiffeIdOf } from './id.ts'

test('what the specification allows is read, and written again as it was', () => {
  for (const text of [
    'spiffe://example.org',
    'spiffe://a',
    'spiffe://1.2.3.4/service',
    'spiffe://trust_domain-1.example/A/b.c/d_e-f',
    'spiffe://example.org/...',
    `spiffe://${'a'.repeat(255)}/x`,
    `spiffe://example.org/${'a'.repeat(2048 - 21)}`,
  ]) {
    const read = readSpiffeId(text)
    assert.ok(read, text)
    assert.equal(spiffeIdText(read), text)
  }
})

test('what it forbids is none', () => {
  for (const text of [
    '',
    'spiffe://',
    'spiffe:///path',
    'http://example.org/a',
    'SPIFFE://example.org/a',
    'spiffe://Example.org/a',
    'spiffe://example.org:443/a',
    'spiffe://user@example.org/a',
    'spiffe://example.org/',
    'spiffe://example.org//a',
    'spiffe://example.org/a/',
    'spiffe://example.org/a/./b',
    'spiffe://example.org/a/../b',
    'spiffe://example.org/%61',
    'spiffe://example.org/a?b',
    'spiffe://example.org/a#b',
    'spiffe://example.org/ä',
    'spiffe://exämple.org/a',
    ' spiffe://example.org/a',
    `spiffe://${'a'.repeat(256)}/x`,
    `spiffe://example.org/${'a'.repeat(2048 - 20)}`,
  ]) {
    assert.equal(readSpiffeId(text), undefined, text)
  }
})

test('reading and writing are each other’s reverse, and no text breaks the reader', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.webUrl(),
        fc.string().map((text) => `spiffe://${text}`),
      ),
      (text) => {
        const read = readSpiffeId(text)
        if (read) assert.equal(spiffeIdText(read), text)
      },
    ),
  )
})

test('every registered name gives an ID, and two identities never the same', () => {
  const ids = (['workload', 'machine', 'agent'] as const).map((kind) =>
    spiffeIdOf('example.org', { kind, name: 'a.b-c_d' }),
  )

  assert.equal(new Set(ids).size, 3)
  for (const id of ids) assert.ok(readSpiffeId(id))
})
