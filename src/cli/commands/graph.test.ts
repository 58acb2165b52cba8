import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cliFor, fakeApi } from '../support.fixture.ts'

const ID = '01890000-0000-8000-8000-00000000000a'
const COVERAGE = { isWhole: false, sources: 1, scopes: {}, unseen: [], more: 0 }
const HOSTILE = 'boss\u001b[31m'

async function answering(t: Parameters<typeof fakeApi>[0], body: object) {
  const api = await fakeApi(t)
  api.answer = () => ({ status: 200, body })
  const cli = await cliFor(t, { REEVE_ADDR: api.url, REEVE_TOKEN: 'tok-1' })
  cli.env['REEVE_CACERT'] = api.authority.certificateFile
  return { api, cli }
}

test('reach says in lines what a copied credential leads to, with the evidence, and that not everything was seen', async (t) => {
  const thing = (name: string, node: string) => ({ id: ID, node, name, type: null, source: null })
  const { api, cli } = await answering(t, {
    from: thing('laptop-key', 'credential'),
    reached: [
      {
        from: thing('laptop-key', 'credential'),
        edge: 'authorized-key',
        words: 'is an authorized key of',
        to: thing(HOSTILE, 'principal'),
        evidence: { kind: 'credential', id: ID, source: null, what: 'ssh-key laptop', seenAt: null },
        hops: 1,
        isTier0: true,
      },
    ],
    tier0: 1,
    isCut: false,
    coverage: COVERAGE,
  })

  const { code, stdout } = await cli.run('reach', ID, '-o', 'table')

  assert.deepEqual([code, api.asked[0]?.path], [0, `/v1/reach/${ID}`])
  assert.ok(stdout.includes('tier 0 laptop-key is an authorized key of boss') && !stdout.includes('\u001b'))
  assert.ok(stdout.includes('[credential: ssh-key laptop]') && stdout.includes('Not everything was seen'))
})

test('consumers says who breaks, and says unused only where the server does', async (t) => {
  const use = { since: '2026-01-01T00:00:00.000Z', until: '2026-03-30T00:00:00.000Z', lastAt: null, gaps: [] }
  const { api, cli } = await answering(t, {
    principals: [],
    credentials: [ID],
    consumers: [
      {
        by: 'reference',
        referenceId: ID,
        id: null,
        name: 'shop',
        source: 'cluster',
        how: 'env',
        location: '/etc/shop',
        evidence: 'static',
        lastAt: '2026-03-30T00:00:00.000Z',
        count: 0,
        isPresent: true,
        isCopy: true,
      },
      {
        by: 'declared',
        referenceId: null,
        id: null,
        name: 'billing',
        source: null,
        how: 'declared, of payments',
        location: 'billing',
        evidence: 'word',
        lastAt: null,
        count: 0,
        isPresent: true,
        isCopy: false,
      },
    ],
    more: 0,
    use: { ...use, is: 'cannot-be-said', why: ['there was a gap'] },
    coverage: COVERAGE,
  })

  const { code, stdout } = await cli.run('consumers', ID, '--days', '30', '-o', 'table')

  assert.deepEqual([code, api.asked[0]?.path], [0, `/v1/consumers/${ID}?days=30`])
  assert.ok(stdout.includes('whether it was used cannot be said: there was a gap'))
  assert.ok(stdout.includes('declared  billing (a person said so)   declared, of payments billing'))
  assert.ok(stdout.includes('shop (cluster)   env /etc/shop   2026-03-30T00:00:00.000Z   keeps a copy of the secret'))
})
