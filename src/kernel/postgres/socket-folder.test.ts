import assert from 'node:assert/strict'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { chooseAccount } from './account.ts'
import { preparePrivateFolder, socketFolderFor } from './socket-folder.ts'

const account = chooseAccount('/nowhere')
const isRoot = process.getuid?.() === 0

test('a socket name fits its 107 bytes however deep the home is, and two homes never share a folder', () => {
  const part = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 })
  const home = fc.array(part, { minLength: 1, maxLength: 6 }).map((parts) => `/${parts.join('/')}`)

  fc.assert(
    fc.property(home, home, (one, other) => {
      const folder = socketFolderFor(one, account, '/tmp')
      assert.ok(Buffer.byteLength(`${folder}/.s.PGSQL.5432`) <= 107)
      assert.equal(folder === socketFolderFor(other, account, '/tmp'), one === other)
    }),
  )
})

test('a folder we make is ours alone, and is taken again', (t) => {
  const folder = join(temporary(t), 'run')

  preparePrivateFolder(folder, account)
  preparePrivateFolder(folder, account)

  const { mode, uid } = statSync(folder)
  assert.deepEqual({ mode: mode & 0o777, uid }, { mode: 0o700, uid: account.uid })
})

test('a folder that somebody else made first is refused', (t) => {
  const folder = join(temporary(t), 'run')
  if (isRoot) {
    mkdirSync(folder, { mode: 0o700 })
    chownSync(folder, 12_345, 12_345)
  }

  assert.throws(() => preparePrivateFolder(isRoot ? folder : '/', account), {
    failure: 'foreign-folder',
    message: isRoot ? /belongs to uid 12345/ : /belongs to uid 0/,
  })
})

test('a folder of ours that others may enter is refused, not repaired', (t) => {
  const folder = join(temporary(t), 'run')
  mkdirSync(folder)
  chmodSync(folder, 0o770)

  assert.throws(() => preparePrivateFolder(folder, account), { failure: 'foreign-folder', message: /mode 770/ })
  assert.equal(statSync(folder).mode & 0o777, 0o770)
})

test('a link to a folder is refused, wherever it points', (t) => {
  const parent = temporary(t)
  mkdirSync(join(parent, 'real'), { mode: 0o700 })
  symlinkSync(join(parent, 'real'), join(parent, 'run'))

  assert.throws(() => preparePrivateFolder(join(parent, 'run'), account), {
    failure: 'foreign-folder',
    message: /not a folder/,
  })
})

function temporary(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-test-'))
  chmodSync(folder, 0o711)
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}
