import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ALL_POINTS } from './points.ts'

const ROOT = join(import.meta.dirname, '..', '..')

test('every listed point is in the code, and every point in the code is listed', () => {
  const reached = globSync('src/**/*.ts', { cwd: ROOT, exclude: ['**/*.test.ts'] }).flatMap((path) =>
    Array.from(readFileSync(join(ROOT, path), 'utf8').matchAll(/\breach\w*\(\s*'([^']+)'/g), ([, label]) => label),
  )

  assert.deepEqual(new Set(reached), new Set(ALL_POINTS))
  assert.equal(new Set(ALL_POINTS).size, ALL_POINTS.length)
})
