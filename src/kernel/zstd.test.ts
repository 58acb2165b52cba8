import assert from 'node:assert/strict'
import { test } from 'node:test'
import { zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { isZstd, unzstd, unzstdSync, zstdFrameEnd } from './zstd.ts'

const skipped = (bytes: Uint8Array, low: number) => {
  const head = Buffer.alloc(8)
  head.writeUInt32LE(0x184d2a50 + low, 0)
  head.writeUInt32LE(bytes.length, 4)
  return Buffer.concat([head, bytes])
}
const piece = fc.oneof(
  fc.uint8Array({ maxLength: 400 }).map((bytes) => ({ packed: zstdCompressSync(bytes), content: Buffer.from(bytes) })),
  fc.tuple(fc.nat(40_000), fc.nat(255)).map(([size, byte]) => {
    const content = Buffer.alloc(size, byte)
    return { packed: zstdCompressSync(content), content }
  }),
  fc
    .tuple(fc.uint8Array({ maxLength: 40 }), fc.nat(15))
    .map(([bytes, low]) => ({ packed: skipped(bytes, low), content: Buffer.alloc(0) })),
)

test('every frame is read, whatever stands between them, and what is cut off anywhere or over the bound is an error', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { minLength: 1, maxLength: 6 }), fc.nat(), async (pieces, cut) => {
      const packed = Buffer.concat(pieces.map((each) => each.packed))
      const content = Buffer.concat(pieces.map((each) => each.content))
      assert.deepEqual(unzstdSync(packed, content.length), content)
      assert.deepEqual(await unzstd(packed, content.length), content)
      assert.equal(
        isZstd(packed),
        pieces.some((each) => each.packed.readUInt32LE(0) === 0xfd2fb528),
      )
      if (content.length > 0) {
        assert.throws(() => unzstdSync(packed, content.length - 1), RangeError)
        await assert.rejects(unzstd(packed, content.length - 1), RangeError)
      }
      // Cut between frames it is whole as far as anybody can tell.
      const ends = new Set([0])
      for (const each of pieces) ends.add(Math.max(...ends) + each.packed.length)
      const at = cut % packed.length
      if (!ends.has(at)) assert.throws(() => unzstdSync(packed.subarray(0, at), content.length))
    }),
    { numRuns: 60 },
  )
})

test('a frame whose headers lead behind the end asks for more, and what is none has no end', () => {
  const frame = zstdCompressSync(Buffer.alloc(100, 7))
  assert.equal(zstdFrameEnd(Buffer.concat([frame, frame]), 0), frame.length)
  assert.equal(zstdFrameEnd(frame, 1), undefined)
  for (let cut = 0; cut < frame.length; cut += 1) assert.ok((zstdFrameEnd(frame.subarray(0, cut), 0) ?? 0) > cut)
})
