import { after, before, test } from 'node:test'
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { signCheckpoint } from '../../src/ledger/tree/checkpoint.ts'
import { formatVerifierKey } from '../../src/ledger/tree/note.ts'
import { proveConsistency, proveInclusion, rootFromTiles } from '../../src/ledger/tree/proof.ts'
import { testSigner } from '../support/ledger-export.ts'
import { someEntries, storeTree } from '../support/tile-store.ts'

// golang.org/x/mod/sumdb is the implementation furthest from ours: another language, another author, in use for years.
const GO = join(import.meta.dirname, 'ledger-go')
let folder = ''
let verifier = ''

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'reeve-sumdb-'))
  verifier = join(folder, 'verifier')
  await promisify(execFile)('go', ['build', '-o', verifier, '.'], { cwd: GO })
})

after(() => rm(folder, { recursive: true, force: true }))

const signer = testSigner('reeve.example/log')
const cosigner = testSigner('other.example', 2)

async function caseOf(size: number, index: number, oldSize: number) {
  const entries = someEntries(size)
  const { root, tiles, read } = storeTree(entries)
  const served = join(folder, `tree-${size}`)
  for (const [path, tile] of tiles) {
    await mkdir(dirname(join(served, path)), { recursive: true })
    await writeFile(join(served, path), tile.hashes)
  }
  const base64 = (hashes: readonly Buffer[]) => hashes.map((hash) => hash.toString('base64'))
  return {
    Key: formatVerifierKey(signer.key),
    Extra: [formatVerifierKey(cosigner.key)],
    Checkpoint: signCheckpoint({ origin: signer.key.name, size, root, extensions: [] }, [signer, cosigner]),
    Entry: entries[index]?.toString('base64') ?? '',
    Index: index,
    Inclusion: base64(await proveInclusion(read, index, size)),
    OldSize: oldSize,
    OldRoot: storeTree(entries.slice(0, oldSize)).root.toString('base64'),
    Consistency: base64(await proveConsistency(read, oldSize, size)),
    Tiles: served,
    root: await rootFromTiles(read, size),
  }
}

async function verdictOn(one: object): Promise<string> {
  const child = spawn(verifier, { stdio: ['pipe', 'pipe', 'inherit'] })
  child.stdin.end(JSON.stringify(one))
  return (await text(child.stdout)).trim()
}

for (const [size, index, oldSize] of [
  [1, 0, 1],
  [5, 4, 3],
  [256, 255, 255],
  [257, 256, 256],
  [1000, 512, 700],
  [70_000, 69_999, 65_536],
] as const) {
  test(`Go's sumdb accepts checkpoint, proofs and tiles of a log of ${size}`, async () => {
    assert.equal(await verdictOn(await caseOf(size, index, oldSize)), 'ok')
  })
}

test("Go's sumdb refuses what was changed", async () => {
  const honest = await caseOf(1000, 512, 700)
  const tile = join(honest.Tiles, 'tile/0/002')

  assert.match(await verdictOn({ ...honest, Entry: Buffer.from('forged').toString('base64') }), /^inclusion/)
  assert.match(await verdictOn({ ...honest, Index: 511 }), /^inclusion/)
  assert.match(await verdictOn({ ...honest, OldRoot: honest.root.toString('base64') }), /^consistency/)
  assert.match(await verdictOn({ ...honest, Checkpoint: honest.Checkpoint.replace('1000', '1001') }), /^checkpoint/)
  await writeFile(tile, Buffer.alloc(8192, 1))
  assert.match(await verdictOn(honest), /^tiles/)
})
