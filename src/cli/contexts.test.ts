import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { keepContext, readContexts } from './contexts.ts'
import { underLock } from './file-lock.ts'
import { folderOf } from './support.fixture.ts'

const EACH = 100

/** What a process keeps once it is told to begin, as so many enrolments one after the other. */
const KEEPING = `
const { keepContext } = await import(${JSON.stringify(join(import.meta.dirname, 'contexts.ts'))})
process.send('ready')
await new Promise((resolve) => process.once('message', resolve))
for (let at = 0; at < ${EACH}; at += 1) {
  await keepContext({ env: process.env }, process.argv[1] + '-' + at, { address: 'https://localhost:7300' })
}
process.disconnect()`

/** Resolves when it waits to be told. */
async function processThatKeeps(folder: string, name: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', KEEPING, name], {
    env: { REEVE_CONTEXTS: folder },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  await once(child, 'message')
  return child
}

test('of enrolments in two processes at once none is lost', async (t) => {
  const folder = join(await folderOf(t), 'contexts')

  const both = await Promise.all(['one', 'two'].map((name) => processThatKeeps(folder, name)))

  for (const child of both) child.send('begin')
  const codes = await Promise.all(both.map(async (child) => (await once(child, 'exit'))[0]))

  assert.deepEqual(codes, [0, 0])
  const kept = Object.keys(readContexts({ env: { REEVE_CONTEXTS: folder } }).contexts)
  assert.equal(kept.length, 2 * EACH)
  assert.deepEqual(readdirSync(folder), ['contexts.json'])
})

test('the lock of a command that died is taken away', async (t) => {
  const folder = join(await folderOf(t), 'contexts')
  mkdirSync(folder, { mode: 0o700 })
  const lock = join(folder, 'contexts.json.lock')
  writeFileSync(lock, 'somebody who died')
  utimesSync(lock, 0, 0)

  await keepContext({ env: { REEVE_CONTEXTS: folder } }, 'mine', { address: 'https://localhost:7300' })

  assert.deepEqual(Object.keys(readContexts({ env: { REEVE_CONTEXTS: folder } }).contexts), ['mine'])
  assert.deepEqual(readdirSync(folder), ['contexts.json'])
})

test('who was taken for dead changes nothing and starts over, and leaves the lock of the next one alone', async (t) => {
  const lock = join(await folderOf(t), 'lock')
  const held: boolean[] = []

  await underLock(lock, (isHeld) => {
    if (held.length === 0) {
      writeFileSync(lock, 'the next one')
      utimesSync(lock, 0, 0)
    }
    held.push(isHeld())
    return held.at(-1) === true
  })

  assert.deepEqual(held, [false, true])
  rmSync(lock, { force: true })
})
