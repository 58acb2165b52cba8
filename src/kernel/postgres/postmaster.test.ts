import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { clearStaleLocks, findPostmaster } from './postmaster.ts'

/** Linux numbers processes up to 2^22. */
const NOBODYS_PID = 2 ** 22 + 1

test('a file of a process that is gone, or is something else, names no postmaster', (t) => {
  const folder = temporary(t)

  for (const text of ['', 'nonsense', '-5\n', '0\n', `${NOBODYS_PID}\n`, `${process.pid}\n${folder}\n`]) {
    writeFileSync(join(folder, 'postmaster.pid'), text)
    assert.equal(findPostmaster(folder), undefined)
  }
})

test('stale locks go, and nothing is left beside them', (t) => {
  const folder = temporary(t)
  writeFileSync(join(folder, 'postmaster.pid'), `${process.pid}\n`)
  writeFileSync(join(folder, '.s.PGSQL.5432.lock'), `${NOBODYS_PID}\n`)

  clearStaleLocks(folder, folder)

  assert.deepEqual(readdirSync(folder), [])
  clearStaleLocks(folder, folder)
})

test('a lock without a number is left to its writer until that must have died', (t) => {
  const folder = temporary(t)
  const path = join(folder, 'postmaster.pid')
  writeFileSync(path, '')

  clearStaleLocks(folder, folder)
  assert.ok(existsSync(path))

  utimesSync(path, 0, 0)
  clearStaleLocks(folder, folder)
  assert.ok(!existsSync(path))
})

function temporary(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}
