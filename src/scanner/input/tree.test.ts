import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { readTree } from './tree.ts'

test('attack: names that are no UTF-8, of files and of folders above them, hide nothing and stay apart', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-tree-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const at = (...bytes: readonly number[]) => Buffer.concat([Buffer.from(`${folder}/`), Buffer.of(...bytes)])
  mkdirSync(at(0xff))
  writeFileSync(at(0x61, 0xfe), 'one')
  writeFileSync(at(0x61, 0xfd), 'two')
  writeFileSync(join(folder, '\ufffd'), 'three')
  writeFileSync(Buffer.concat([at(0xff), Buffer.from('/in')]), 'four')

  const files = [...readTree(folder, 1000, (path, reason) => assert.fail(`${path} ${reason}`))]

  assert.deepEqual(
    files.map(({ path }) => path),
    ['bytes:61fd', 'bytes:61fe', 'bytes:ff/in', '\ufffd'],
  )
})
