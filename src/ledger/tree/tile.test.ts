import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { InvalidProof } from './invalid.ts'
import { bundlePath, decodeBundle, encodeBundle, frontierTiles, parseTilePath, tilePath, tilesBetween } from './tile.ts'

test('a tree of 70,000 leaves has 273 full tiles and one of 112, one full and one of 17 above, and one of 1 on top', () => {
  const tiles = tilesBetween(0, 70_000)

  assert.equal(tiles.filter((tile) => tile.level === 0 && tile.width === 256).length, 273)
  assert.deepEqual(
    tiles.filter((tile) => tile.level > 0 || tile.width < 256),
    [
      { level: 0, index: 273, width: 112 },
      { level: 1, index: 0, width: 256 },
      { level: 1, index: 1, width: 17 },
      { level: 2, index: 0, width: 1 },
    ],
  )
  assert.deepEqual(frontierTiles(70_000).map(tilePath), ['tile/0/273.p/112', 'tile/1/001.p/17', 'tile/2/000.p/1'])
})

test('an append within one tile changes only that tile', () => {
  assert.deepEqual(tilesBetween(70_000, 70_001), [{ level: 0, index: 273, width: 113 }])
  assert.deepEqual(tilesBetween(70_000, 70_000), [])
})

test('paths group the index by three digits, all but the last led by x', () => {
  assert.equal(tilePath({ level: 3, index: 1_234_067, width: 256 }), 'tile/3/x001/x234/067')
  assert.equal(tilePath({ level: 0, index: 0, width: 7 }), 'tile/0/000.p/7')
  assert.equal(bundlePath({ index: 1000, width: 256 }), 'tile/entries/x001/000')
})

test('every path that is written is read back, and only those', () => {
  fc.assert(
    fc.property(
      fc.nat({ max: 63 }),
      fc.oneof(
        fc.nat(),
        fc.maxSafeNat().map((n) => n % 10 ** 15),
      ),
      fc.integer({ min: 1, max: 256 }),
      (level, index, width) => {
        assert.deepEqual(parseTilePath(tilePath({ level, index, width })), { kind: 'hashes', level, index, width })
        assert.deepEqual(parseTilePath(bundlePath({ index, width })), { kind: 'entries', index, width })
      },
    ),
  )
  for (const path of [
    'tile/64/000',
    'tile/00/000',
    'tile/0/1',
    'tile/0/x000/001',
    'tile/0/001/x002',
    'tile/0/000.p/0',
    'tile/0/000.p/256',
    'tile/0/000.p/08',
    'tile/0/../000',
    'tile/entries/000/',
    '/tile/0/000',
    `tile/0/${'x999/'.repeat(99)}000`,
  ]) {
    assert.equal(parseTilePath(path), undefined, path)
  }
})

test('a bundle gives back its entries and refuses to end early or late', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 400 }), { minLength: 1, maxLength: 20 }), (entries) => {
      const bundle = encodeBundle(entries)

      assert.deepEqual(
        decodeBundle(bundle, entries.length).map((entry) => Uint8Array.from(entry)),
        entries,
      )
      assert.throws(() => decodeBundle(bundle.subarray(0, -1), entries.length), InvalidProof)
      assert.throws(() => decodeBundle(Buffer.concat([bundle, Buffer.alloc(1)]), entries.length), InvalidProof)
    }),
  )
  assert.throws(() => encodeBundle([Buffer.alloc(65_536)]), InvalidProof)
})
