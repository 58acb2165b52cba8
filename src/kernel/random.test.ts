import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemRandom } from './random.ts'

test('no bytes are given out twice, whatever sizes are asked for', () => {
  const seen = new Set<string>()
  const sizes = [1, 10, 16, 32, 64, 65, 5000]
  for (let draw = 0; draw < 20_000; draw++) {
    const size = sizes[draw % sizes.length] ?? 16
    const bytes = systemRandom.bytes(size)
    assert.equal(bytes.length, size)
    if (size < 10) continue
    const text = bytes.toString('latin1')
    assert.ok(!seen.has(text))
    seen.add(text)
  }
})

test('what was given out stays as it is, and changing it changes nothing that comes', () => {
  const first = systemRandom.bytes(16)
  const kept = first.toString('hex')
  const later = Array.from({ length: 1000 }, () => systemRandom.bytes(16))

  assert.equal(first.toString('hex'), kept)
  for (const bytes of later) bytes.fill(0)
  assert.ok(systemRandom.bytes(16).some((byte) => byte !== 0))
})
