import assert from 'node:assert/strict'
import { test } from 'node:test'
import { explainOutput, explainWrite } from './failure.ts'

test('a full disk is called that, whichever program met it', () => {
  const initdb = 'initdb: error: could not write to file "x": No space left on device\n'
  const postgres = '2026-01-01 00:00:00.000 UTC [7] 53100 PANIC:  could not write to file "pg_wal/xlogtemp.7"\n'

  for (const failure of [
    explainOutput('initdb', initdb, '/data'),
    explainOutput('postgres', postgres, '/data'),
    explainWrite(Object.assign(new Error('x'), { code: 'ENOSPC' }), '/data'),
  ]) {
    assert.match(String(failure), /disk that holds \/data is full/)
  }
})

test('a user without an account is told what to do', () => {
  const output = 'initdb: could not look up effective user ID 1234: user does not exist\n'

  assert.equal(explainOutput('initdb', output, '/data').failure, 'no-account')
})

test('anything else is told with the last error the program wrote', () => {
  const output = 'LOG: one\nFATAL: two\nLOG: three\n'

  assert.match(explainOutput('postgres', output, '/data').message, /^postgres gave up: FATAL: two$/)
  assert.match(explainOutput('postgres', '', '/data').message, /it said nothing/)
})
