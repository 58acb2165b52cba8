import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import * as encode from './encode.ts'
import { FrameWalker, WAIT } from './walk.ts'

const TYPES = { wanted: 'Q', counted: 'S' }

test('a frame that waits stops everything behind it, and what goes on is every byte once and in order, however it came', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ sql: fc.string({ maxLength: 40 }), waits: fc.boolean(), isSync: fc.boolean() }), {
        maxLength: 8,
      }),
      fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 20 }),
      fc.array(fc.boolean(), { minLength: 1, maxLength: 20 }),
      (messages, cuts, settles) => {
        const clean = messages.map(({ sql, waits, isSync }) => ({ sql: sql.replaceAll('\0', ''), waits, isSync }))
        const frames = clean.map(({ sql, isSync }) => (isSync ? encode.sync() : encode.query(sql)))
        const bytes = Buffer.concat(frames)
        const out: Buffer[] = []
        let at = 0
        let isWaiting = false
        let isSettled = false
        const order = clean.filter(({ isSync }) => !isSync)
        const walker = new FrameWalker(TYPES, {
          frame() {
            assert.ok(!isWaiting, 'nothing behind it is looked at')
            if (order[at]?.waits && !isSettled) {
              isWaiting = true
              return WAIT
            }
            isSettled = false
            at += 1
            return undefined
          },
          forward: (chunk, start, end) => void out.push(Buffer.from(chunk.subarray(start, end))),
        })
        const settle = () => {
          if (!isWaiting) return
          isWaiting = false
          isSettled = true
          walker.goOn()
        }
        for (let from = 0, n = 0; from < bytes.length; n += 1) {
          const size = cuts[n % cuts.length] ?? 1
          const chunk = Buffer.from(bytes.subarray(from, from + size))
          walker.push(chunk)
          // The memory of a chunk is used again.
          chunk.fill(0)
          from += size
          if (settles[n % settles.length]) settle()
        }
        for (const _each of order) settle()

        assert.deepEqual(Buffer.concat(out), bytes)
        assert.equal(walker.parkedBytes, 0)
        assert.equal(walker.frames['Q'.charCodeAt(0)], order.length)
      },
    ),
    { numRuns: 500 },
  )
})
