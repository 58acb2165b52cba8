import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { blobsOfHead } from './git.ts'

test('a repository without commits has no newest state; one whose newest state cannot be read says so', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-git-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const who = ['-c', 'user.name=a', '-c', 'user.email=a@example.org']
  const git = (...args: string[]) => execFileSync('git', [...who, ...args], { cwd: folder, encoding: 'utf8' }).trim()
  git('init', '--quiet')
  assert.equal((await blobsOfHead(folder)).size, 0)
  writeFileSync(join(folder, 'a.txt'), 'a')
  git('add', 'a.txt')
  git('commit', '--quiet', '--message', 'a')
  assert.deepEqual([...(await blobsOfHead(folder)).keys()], ['a.txt'])

  const tree = git('rev-parse', 'HEAD^{tree}')
  rmSync(join(folder, '.git', 'objects', tree.slice(0, 2), tree.slice(2)))

  await assert.rejects(blobsOfHead(folder), /git ls-tree failed/)
})
