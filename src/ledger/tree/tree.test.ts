import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { CT_ENTRIES, CT_ROOTS, naiveConsistency, naivePath, naiveRoot } from '../../../test/support/naive-tree.ts'
import { someEntries, storeTree } from '../../../test/support/tile-store.ts'
import { EMPTY_FRONTIER, appendLeaves, frontierRoot, openFrontier } from './append.ts'
import type { Frontier } from './append.ts'
import { EMPTY_ROOT, ENTRY_MAX_BYTES, leafHash, nodeHash } from './hash.ts'
import { InvalidProof } from './invalid.ts'
import { proveConsistency, proveInclusion, rootFromTiles, verifyConsistency, verifyInclusion } from './proof.ts'
import { frontierTiles, tilePath, tilesBetween } from './tile.ts'
import type { Tile } from './tile.ts'

const sizes = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 250, max: 1100 }))

test('what is no bytes has no leaf hash', () => {
  const text: unknown = JSON.parse('"123"')
  assert.throws(() => Reflect.apply(leafHash, undefined, [text]), TypeError)
})

test('the root of the empty tree is the hash of nothing', async () => {
  assert.equal(EMPTY_ROOT.toString('hex'), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
  assert.deepEqual(frontierRoot(EMPTY_FRONTIER), EMPTY_ROOT)
  assert.deepEqual(await rootFromTiles(async () => assert.fail('no tile is needed'), 0), EMPTY_ROOT)
})

test('the roots are those that public Certificate Transparency implementations publish', () => {
  const roots = CT_ENTRIES.map((_, at) =>
    appendLeaves(EMPTY_FRONTIER, CT_ENTRIES.slice(0, at + 1).map(leafHash)).root.toString('hex'),
  )

  assert.deepEqual(roots, CT_ROOTS)
  assert.equal(naiveRoot(CT_ENTRIES).toString('hex'), CT_ROOTS.at(-1))
})

test('a leaf can never be passed off as a node', () => {
  const [left, right] = [leafHash(Buffer.from('a')), leafHash(Buffer.from('b'))]

  assert.notDeepEqual(leafHash(Buffer.concat([left, right])), nodeHash(left, right))
})

test('an entry of 65,535 bytes is a leaf and one byte more is refused', () => {
  assert.equal(leafHash(Buffer.alloc(ENTRY_MAX_BYTES, 7)).length, 32)
  assert.throws(() => leafHash(Buffer.alloc(ENTRY_MAX_BYTES + 1)), InvalidProof)
})

test('appending in any batches gives the root of the naive tree and the tiles of the specification', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 1, maxLength: 6 }), async (batches) => {
      const entries = someEntries(batches.reduce((sum, count) => sum + count, 0))
      const stored = new Map<string, Tile>()
      let frontier: Frontier = EMPTY_FRONTIER
      for (const count of batches) {
        const before = frontier.size
        // As the sequencer does: nothing is kept in memory between two appends but the stored tiles.
        const reopened = openFrontier(before, [...stored.values()])
        const appended = appendLeaves(reopened, entries.slice(before, before + count).map(leafHash))
        assert.deepEqual(appended.tiles.map(tilePath), tilesBetween(before, before + count).map(tilePath))
        for (const tile of appended.tiles) stored.set(tilePath(tile), tile)
        frontier = appended.frontier
        assert.deepEqual(appended.root, naiveRoot(entries.slice(0, frontier.size)))
      }
      const read = async (level: number, index: number, width: number) =>
        stored.get(tilePath({ level, index, width }))?.hashes ?? assert.fail('a tile is missing')
      assert.deepEqual(await rootFromTiles(read, entries.length), naiveRoot(entries))
    }),
    { numRuns: 40 },
  )
})

test('appending leaves the frontier it was given as it was', () => {
  const { frontier } = appendLeaves(EMPTY_FRONTIER, someEntries(300).map(leafHash))
  const rootBefore = frontierRoot(frontier)

  appendLeaves(frontier, someEntries(300, 'other').map(leafHash))

  assert.deepEqual(frontierRoot(frontier), rootBefore)
})

test('a frontier does not open when a tile is missing or has a wrong length', () => {
  const { tiles } = appendLeaves(EMPTY_FRONTIER, someEntries(600).map(leafHash))
  const needed = tiles.filter((tile) => frontierTiles(600).some((id) => tilePath(id) === tilePath(tile)))
  const cut = needed.map((tile) => ({ ...tile, hashes: tile.hashes.subarray(32) }))

  assert.throws(() => openFrontier(600, needed.slice(1)), /The frontier needs tile/)
  assert.throws(() => openFrontier(600, cut), /wrong length/)
})

test('inclusion proofs are those of the RFC and verify', async () => {
  await fc.assert(
    fc.asyncProperty(sizes, fc.nat(), async (size, pick) => {
      const index = pick % size
      const entries = someEntries(size)
      const { read, root } = storeTree(entries)

      const path = await proveInclusion(read, index, size)

      assert.deepEqual(path, naivePath(index, entries))
      assert.ok(verifyInclusion(leafHash(entries[index] ?? Buffer.alloc(0)), index, { size, root }, path))
    }),
    { numRuns: 40 },
  )
})

test('an inclusion proof fails for another leaf, another index, another size, a changed, a missing or an added hash', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 2, max: 300 }), fc.nat(), fc.nat(), async (size, pick, change) => {
      const index = pick % size
      const entries = someEntries(size)
      const { read, root } = storeTree(entries)
      const leaf = leafHash(entries[index] ?? Buffer.alloc(0))
      const path = await proveInclusion(read, index, size)
      const changed = path.map((hash) => Buffer.from(hash))
      const victim = changed[change % changed.length] ?? assert.fail('a path of two leaves has a hash')
      victim[change % 32] = (victim[change % 32] ?? 0) ^ 1

      assert.equal(verifyInclusion(leafHash(Buffer.from('forged')), index, { size, root }, path), false)
      assert.equal(verifyInclusion(leaf, (index + 1) % size, { size, root }, path), false)
      assert.equal(verifyInclusion(leaf, index, { size, root: leaf }, path), false)
      assert.equal(verifyInclusion(leaf, index, { size, root }, changed), false)
      assert.equal(verifyInclusion(leaf, index, { size, root }, path.slice(1)), false)
      assert.equal(verifyInclusion(leaf, index, { size, root }, [...path, leaf]), false)
      assert.equal(verifyInclusion(leaf, size, { size, root }, path), false)
    }),
    { numRuns: 60 },
  )
})

test('consistency proofs are those of the RFC and verify', async () => {
  await fc.assert(
    fc.asyncProperty(sizes, fc.nat(), async (size, pick) => {
      const oldSize = 1 + (pick % size)
      const entries = someEntries(size)
      const { read, root } = storeTree(entries)
      const older = { size: oldSize, root: naiveRoot(entries.slice(0, oldSize)) }

      const proof = await proveConsistency(read, oldSize, size)

      assert.deepEqual(proof, naiveConsistency(oldSize, entries))
      assert.ok(verifyConsistency(older, { size, root }, proof))
    }),
    { numRuns: 40 },
  )
})

test('no consistency proof verifies for a history that was rewritten', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 2, max: 300 }), fc.nat(), fc.nat(), async (size, pick, victim) => {
      const oldSize = 1 + (pick % (size - 1))
      const entries = someEntries(size)
      const rewritten = entries.with(victim % oldSize, Buffer.from('forged'))
      const older = { size: oldSize, root: naiveRoot(entries.slice(0, oldSize)) }
      const fork = storeTree(rewritten)
      const honest = storeTree(entries)

      const forkProof = await proveConsistency(fork.read, oldSize, size)
      const honestProof = await proveConsistency(honest.read, oldSize, size)

      assert.equal(verifyConsistency(older, { size, root: fork.root }, forkProof), false)
      assert.equal(verifyConsistency(older, { size, root: fork.root }, honestProof), false)
      assert.equal(verifyConsistency(older, { size, root: honest.root }, honestProof.slice(1)), false)
      assert.equal(verifyConsistency(older, { size, root: honest.root }, [...honestProof, honest.root]), false)
      assert.equal(verifyConsistency({ size, root: honest.root }, older, honestProof), false)
    }),
    { numRuns: 60 },
  )
})

test('everything is consistent with the empty tree, by an empty proof', async () => {
  const { read, root } = storeTree(someEntries(5))

  assert.deepEqual(await proveConsistency(read, 0, 5), [])
  assert.ok(verifyConsistency({ size: 0, root: EMPTY_ROOT }, { size: 5, root }, []))
  assert.equal(verifyConsistency({ size: 0, root }, { size: 5, root }, []), false)
})

test('sizes past 32 bits do not wrap around', () => {
  const size = 2 ** 40 + 1
  const [left, leaf] = [leafHash(Buffer.from('a perfect subtree of 2^40')), leafHash(Buffer.from('the last'))]
  const root = nodeHash(left, leaf)

  assert.ok(verifyInclusion(leaf, size - 1, { size, root }, [left]))
  assert.equal(verifyInclusion(leaf, 0, { size, root }, [left]), false)
  assert.ok(verifyConsistency({ size: size - 1, root: left }, { size, root }, [leaf]))
})
