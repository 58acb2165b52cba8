import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { readOutside, writeOutside } from './outside.ts'

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-outside-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

test('two nodes that write the kept checkpoint at once leave one of the two, whole, and nothing beside it', async (t) => {
  const folder = folderOf(t)
  const file = join(folder, 'checkpoint')
  // Of different lengths: a file that both wrote into would hold the end of the longer one.
  const notes = [`a\n${'1'.repeat(200_000)}\n`, `b\n${'2'.repeat(100)}\n`]

  for (let round = 0; round < 40; round += 1) {
    await Promise.all(notes.map((note, node) => writeOutside(file, note, `node${node}`)))
    assert.ok(notes.includes((await readOutside(file)) ?? ''))
  }

  assert.deepEqual(readdirSync(folder), ['checkpoint'])
})

test('a checkpoint that cannot be kept leaves the one before, and no part of the new one', async (t) => {
  const folder = folderOf(t)
  const file = join(folder, 'checkpoint')
  await writeOutside(file, 'first\n', 'a')

  await assert.rejects(writeOutside(folder, 'second\n', 'a'))

  assert.equal(await readOutside(file), 'first\n')
  assert.ok(!existsSync(`${folder}.a.new`))
})
