import assert from 'node:assert/strict'
import { closeSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { openServerLog, rotateServerLog, tailOf } from './server-log.ts'

test('a log beyond its bound moves to one older file while the writer keeps writing', (t) => {
  const path = join(temporary(t), 'log', 'postgres.log')
  const file = openServerLog(path)
  t.after(() => closeSync(file))
  writeSync(file, 'first generation\n')

  rotateServerLog(path, 10)
  writeSync(file, 'second generation\n')
  rotateServerLog(path, 10)
  writeSync(file, 'third\n')
  rotateServerLog(path, 10)

  assert.equal(readFileSync(path, 'utf8'), 'third\n')
  assert.equal(readFileSync(`${path}.1`, 'utf8'), 'second generation\n')
  assert.equal(readdirSync(join(path, '..')).length, 2)
})

test('a log within its bound stays', (t) => {
  const path = join(temporary(t), 'postgres.log')
  const file = openServerLog(path)
  t.after(() => closeSync(file))
  writeSync(file, 'short\n')

  rotateServerLog(path, 10)

  assert.ok(!existsSync(`${path}.1`))
})

test('the tail begins where it is told, and at the beginning when the log was cut since', (t) => {
  const path = join(temporary(t), 'postgres.log')
  const file = openServerLog(path)
  t.after(() => closeSync(file))
  writeSync(file, 'old new')

  assert.equal(tailOf(path, 4), 'new')
  assert.equal(tailOf(path, 400), 'old new')
})

function temporary(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'reeve-test-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}
