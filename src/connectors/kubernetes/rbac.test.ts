import assert from 'node:assert/strict'
import { test } from 'node:test'
import { reading, stubbed } from './shop.fixture.ts'

test('a right by a star is one on everything or to do everything, and not to read what lies under a path', async (t) => {
  const stub = await stubbed(t)
  const path = (verbs: string[], nonResourceURLs: string[]) => ({ verbs, nonResourceURLs })
  stub.put('clusterroles', {
    metadata: { name: 'paths', uid: 'cr-paths' },
    rules: [path(['get'], ['/apis/*', '/healthz', '*']), path(['*'], ['/metrics/*'])],
  })

  const { of } = await reading(stub)
  const isByStar = of('grant').flatMap(({ principal, on, facts }) =>
    principal.id === 'cr-paths' ? [[on.id, facts?.['isWildcard']]] : [],
  )

  assert.deepEqual(Object.fromEntries(isByStar), {
    '*': true,
    '/apis/*': false,
    '/healthz': false,
    '/metrics/*': true,
  })
})
