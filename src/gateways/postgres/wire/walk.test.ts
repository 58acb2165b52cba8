import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { frame } from './encode.ts'
import { FrameWalker, clientFrames, defaultFrameLimits, type FrameLimits } from './walk.ts'
import { WireError } from './wire-error.ts'

type Seen = { events: string[]; out: Buffer; error: string | undefined; counts: number[] }

const small: FrameLimits = { wantedBytes: 64, frameBytes: 1000 }

/** Pushes the chunks through one reused piece of memory, which is wiped after each push. */
function walkAll(chunks: readonly Buffer[], limits = defaultFrameLimits, replaceLetter = 'E'): Seen {
  const events: string[] = []
  const out: Buffer[] = []
  const walker = new FrameWalker(
    clientFrames,
    {
      frame(type, bytes, start, end) {
        events.push(`${String.fromCharCode(type)}:${bytes.subarray(start, end).toString('hex')}`)
        return type === replaceLetter.charCodeAt(0) ? Buffer.from('<instead>') : undefined
      },
      forward: (bytes, start, end) => out.push(Buffer.from(bytes.subarray(start, end))),
    },
    limits,
  )
  const memory = Buffer.alloc(Math.max(1, ...chunks.map((chunk) => chunk.length)))
  let error: string | undefined
  for (const chunk of chunks) {
    chunk.copy(memory)
    try {
      walker.push(memory, chunk.length)
    } catch (thrown) {
      assert.ok(thrown instanceof WireError)
      error = thrown.message
      break
    } finally {
      memory.fill(0xee)
    }
  }
  return { events, out: Buffer.concat(out), error, counts: [...walker.frames, ...walker.payloadBytes] }
}

function split(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const points = [...new Set([0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b)
  return points.slice(1).map((end, index) => bytes.subarray(points[index], end))
}

const anyFrame = fc
  .tuple(fc.constantFrom(...Array.from('QPBDECFXfSHdcp')), fc.uint8Array({ maxLength: 80 }))
  .map(([letter, payload]) => frame(letter, payload))
const cuts = fc.array(fc.nat({ max: 5000 }), { maxLength: 40 })

test('any split of any sequence of messages gives the same events and the same bytes', () => {
  fc.assert(
    fc.property(fc.array(anyFrame, { maxLength: 30 }), cuts, (frames, where) => {
      const bytes = Buffer.concat(frames)

      const whole = walkAll([bytes])

      assert.deepEqual(walkAll(split(bytes, where)), whole)
      assert.equal(whole.error, undefined)
    }),
  )
})

test('what is not replaced goes on byte for byte', () => {
  fc.assert(
    fc.property(fc.array(anyFrame, { maxLength: 30 }), cuts, (frames, where) => {
      const bytes = Buffer.concat(frames)

      assert.deepEqual(walkAll(split(bytes, where), defaultFrameLimits, '-').out, bytes)
    }),
  )
})

test('a replaced message goes on as its replacement, at its place', () => {
  const before = frame('S')
  const replaced = frame('E', Buffer.from('\0\0\0\0\0'))
  const after = frame('Q', Buffer.from('select 1\0'))

  const { out } = walkAll([Buffer.concat([before, replaced, after])])

  assert.deepEqual(out, Buffer.concat([before, Buffer.from('<instead>'), after]))
})

test('garbage throws nothing but the typed error, at the same place however it is split', () => {
  const soup = fc.oneof(
    fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
    anyFrame,
    fc
      .tuple(fc.constantFrom(...Array.from('QdS?')), fc.integer())
      .map(([letter, size]) => Buffer.concat([Buffer.from(letter), Buffer.from(Int32Array.of(size).buffer).swap32()])),
  )
  fc.assert(
    fc.property(fc.array(soup, { maxLength: 10 }), cuts, (parts, where) => {
      const bytes = Buffer.concat(parts)

      assert.deepEqual(walkAll(split(bytes, where), small), walkAll([bytes], small))
    }),
    { numRuns: 500 },
  )
})

test('a statement longer than the limit is refused before any memory is set aside for it', () => {
  const head = Buffer.from([0x51, 0x3f, 0xff, 0xff, 0xff])

  const { error, out } = walkAll([head])

  assert.match(error ?? '', /longer than 16777216 bytes/)
  assert.equal(out.length, 0)
})

test('a long copy message passes without being held', () => {
  const bytes = frame('d', Buffer.alloc(900))

  const { events, out } = walkAll(split(bytes, [3, 100, 500]), small)

  assert.deepEqual(events, [])
  assert.deepEqual(out, bytes)
})

test('a chunk without anything to replace is handed on in one piece', () => {
  const pieces: [Buffer, number, number][] = []
  const walker = new FrameWalker(clientFrames, {
    frame: () => undefined,
    forward: (bytes, start, end) => pieces.push([bytes, start, end]),
  })
  const chunk = Buffer.concat([frame('P', Buffer.alloc(4)), frame('B', Buffer.alloc(8)), frame('S')])

  walker.push(chunk)

  assert.deepEqual(pieces, [[chunk, 0, chunk.length]])
})

test('a broken walker stays broken', () => {
  const walker = new FrameWalker(clientFrames, { frame: () => undefined, forward: () => {} })
  assert.throws(() => walker.push(Buffer.from('?garbage')), WireError)

  assert.throws(() => walker.push(frame('S')), WireError)
})

test('bytes of our own fit only between frames', () => {
  const walker = new FrameWalker(clientFrames, { frame: () => undefined, forward: () => {} })
  const bytes = frame('d', Buffer.alloc(10))

  const inside = [...bytes].map((byte) => {
    walker.push(Buffer.from([byte]))
    return walker.insideFrame
  })

  assert.deepEqual(inside, [...Array.from({ length: bytes.length - 1 }, () => true), false])
})
