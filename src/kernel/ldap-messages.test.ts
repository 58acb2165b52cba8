import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { LdapMessages, LdapRefused, pageValue, PAGED_RESULTS } from './ldap-messages.ts'

const wrap = (tag: number, ...content: readonly Buffer[]): Buffer => {
  const inner = Buffer.concat(content)
  const long = inner.length < 0x80 ? [inner.length] : [0x82, inner.length >> 8, inner.length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...long]), inner])
}
const NUMBER = Buffer.from([2, 1, 7])
const done = (cookie: Buffer) =>
  wrap(
    0x30,
    NUMBER,
    wrap(0x65, Buffer.from([10, 1, 0, 4, 0, 4, 0])),
    wrap(0xa0, wrap(0x30, wrap(4, Buffer.from(PAGED_RESULTS)), wrap(4, pageValue(0, cookie)))),
  )
const entry = (size: number) => wrap(0x30, NUMBER, wrap(0x64, Buffer.alloc(size, 0x30)))
const bare = wrap(0x30, NUMBER, wrap(0x65, Buffer.from([10, 1, 0, 4, 0, 4, 0])))

test('the cookie of the last page is the same however the bytes come, and none is none', () => {
  const message = fc.oneof(
    fc
      .uint8Array({ maxLength: 300 })
      .map((cookie) => ({ bytes: done(Buffer.from(cookie)), cookie: Buffer.from(cookie) })),
    fc.nat(2_000).map((size) => ({ bytes: entry(size), cookie: undefined })),
    fc.constant({ bytes: bare, cookie: Buffer.alloc(0) }),
  )
  fc.assert(
    fc.property(
      fc.array(message, { maxLength: 8 }),
      fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1 }),
      (all, cuts) => {
        const messages = new LdapMessages()
        const stream = Buffer.concat(all.map(({ bytes }) => bytes))
        for (let at = 0, n = 0; at < stream.length; n += 1) {
          const to = at + (cuts[n % cuts.length] ?? 1)
          messages.see(stream.subarray(at, to))
          at = to
        }
        const last = all.findLast(({ cookie }) => cookie !== undefined)?.cookie ?? Buffer.alloc(0)
        assert.deepEqual(messages.cookie, last)
      },
    ),
  )
})

test('attack: no bytes do more than be refused, and what is announced too large is refused before it comes', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 60 })), (chunks) => {
      const messages = new LdapMessages()
      try {
        for (const chunk of chunks) messages.see(Buffer.from(chunk))
      } catch (error) {
        assert.ok(error instanceof LdapRefused, String(error))
      }
    }),
  )
  assert.throws(() => new LdapMessages().see(Buffer.from([0x30, 0x84, 0x7f, 0xff, 0xff, 0xff])), /larger than any/)
  assert.throws(() => new LdapMessages().see(Buffer.from('GET / HTTP/1.1')), /does not speak LDAP/)
  assert.throws(() => new LdapMessages().see(Buffer.from([0x30, 0x80, 0, 0])), LdapRefused)
  const small = Buffer.concat(Array.from({ length: 1_001 }, () => bare))
  assert.throws(() => new LdapMessages().see(small), /at once/)
  assert.doesNotThrow(() => new LdapMessages().see(small.subarray(bare.length)))
})
