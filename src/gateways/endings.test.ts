import assert from 'node:assert/strict'
import { test } from 'node:test'
import { endingOf } from './endings.ts'

const REVOKED = { grantId: 'g', reason: 'revoked', endedAt: new Date(0) } as const

test('a client is told why its grant ended, with what the revoker said about it', () => {
  assert.equal(endingOf({ ...REVOKED, comment: null }).sentence, 'This grant was revoked.')
  assert.equal(
    endingOf({ ...REVOKED, comment: 'left the team' }).sentence,
    'This grant was revoked, with the reason: left the team',
  )
})
