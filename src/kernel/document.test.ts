import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { z } from 'zod'
import { DocumentInvalid, readDocument } from './document.ts'

const Schema = z.strictObject({ teams: z.record(z.string(), z.strictObject({ members: z.array(z.string()) })) })

function faultsOf(text: string) {
  try {
    readDocument(text, 'it', Schema)
  } catch (error) {
    assert.ok(error instanceof DocumentInvalid)
    return error.faults.map(({ line, column, path }) => `${line}:${column} ${path}`)
  }
  return []
}

test('each fault of a document has its line and its column', () => {
  assert.deepEqual(faultsOf('teams:\n  a:\n    members: [x, 3]\n'), ['3:18 teams.a.members.1'])
  assert.deepEqual(faultsOf('teams:\n  a: {members: []}\n  a: {members: []}\n'), ['3:3 '])
  assert.deepEqual(faultsOf('teams:\n  a: {members: [], chief: x}\n'), ['2:6 teams.a'])
  assert.deepEqual(faultsOf(''), ['1:1 teams'])
  assert.deepEqual(faultsOf('teams: {a: &x {members: []}, b: *x}'), ['1:1 '])
  assert.deepEqual(faultsOf('teams: {a: {members: [x]}}'), [])
})

test('what only code can see is refused at its key', () => {
  const { refuse } = readDocument('teams:\n  a:\n    members: [x]\n', 'it', Schema)

  assert.throws(
    () => refuse(['teams', 'a', 'members', 0], 'is nobody'),
    /^DocumentInvalid: it is not valid\. 3:15: teams\.a\.members\.0: is nobody$/,
  )
})

test('no text breaks the reader: it is read, or refused with places', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
      try {
        readDocument(text, 'it', Schema)
      } catch (error) {
        assert.ok(error instanceof DocumentInvalid, String(error))
        for (const { line, column } of error.faults) assert.ok(line >= 1 && column >= 1)
      }
    }),
  )
})
