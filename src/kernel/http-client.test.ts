import assert from 'node:assert/strict'
import { test } from 'node:test'
import { handClock } from '../../test/support/hand-clock.ts'
import { ELSEWHERE, nextLink, retryAfterMs } from './http-client.ts'

test('patience is asked for in seconds or until an instant, and anything else says nothing', () => {
  const clock = handClock()
  const at = (more: number) => new Date(clock.now().getTime() + more).toUTCString()

  assert.deepEqual(
    ['120', at(60_000), at(-60_000), 'soon', undefined].map((header) => retryAfterMs(header, clock)),
    [120_000, 60_000, 0, undefined, undefined],
  )
})

test('the next page of a list is a path at the same origin, and nowhere else', () => {
  const asked = new URL('https://forge.example/api/v1/x?page=1')
  const next = (header: string | undefined) => nextLink(header, asked)

  assert.equal(
    next('<https://forge.example/api/v1/x?page=2>; rel="next",<https://forge.example/x?page=9>; rel="last"'),
    '/api/v1/x?page=2',
  )
  assert.equal(next('</api/v1/x?page=9>; rel="last", </api/v1/x?page=2>; title="a, b"; rel=next'), '/api/v1/x?page=2')
  for (const header of [undefined, '', '</x>; rel="prev"']) assert.equal(next(header), undefined, header)
  for (const header of [
    '<https://elsewhere.example/x>; rel="next"',
    '<//elsewhere.example>; rel=next',
    '<javascript:1>; rel=next',
    'x'.repeat(9_000),
  ])
    assert.equal(next(header), ELSEWHERE, header)
})
