import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { z } from 'zod'
import { hasTest } from '../support/named-tests.ts'
import { provenByRun, requirements } from './requirements.ts'

const ROOT = join(import.meta.dirname, '..', '..')

function isHeld(citation: string): boolean {
  const at = citation.indexOf(': ')
  return hasTest(citation.slice(0, at), citation.slice(at + 2))
}

test('every requirement has an id of its own and at least one test', () => {
  const ids = requirements.map(({ id }) => id)

  assert.equal(new Set(ids).size, ids.length)
  assert.deepEqual(
    requirements.filter(({ heldBy }) => heldBy.length === 0).map(({ id }) => id),
    [],
  )
})

test('every test that a requirement names is there, under that name', () => {
  const cited = requirements.flatMap(({ heldBy }) => heldBy)

  assert.ok(cited.length > 100, 'too few were seen for this to have looked')
  assert.deepEqual(
    cited.filter((citation) => !isHeld(citation)),
    [],
  )
})

test('a test that is cited under another name, or in another file, is found', () => {
  const name = 'a test that is cited under another name, or in another file, is found'

  assert.ok(isHeld(`test/journeys/requirements.test.ts: ${name}`))
  assert.ok(!isHeld(`test/journeys/requirements.test.ts: ${name.slice(0, -1)}`))
  assert.ok(!isHeld(`test/journeys/operator.test.ts: ${name}`))
})

test('what only a run can prove has its script', () => {
  const { scripts } = z
    .object({ scripts: z.record(z.string(), z.string()) })
    .parse(JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')))

  assert.deepEqual(
    Object.values(provenByRun).filter((script) => !(script in scripts)),
    [],
  )
})
