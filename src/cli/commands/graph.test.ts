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

test('a way is told step by step with what says so, and what is left of an adoption with its reason', async (t) => {
  const thing = (name: string) => ({ id: ID, node: 'principal', name, type: null, source: null })
  const evidence = { kind: 'grant', id: ID, source: 'shop', what: 'SUPERUSER (admin)', seenAt: null }
  const step = { from: thing('dba'), edge: 'superuser', words: 'is a superuser of', to: thing(HOSTILE), evidence }
  const { api, cli } = await answering(t, {
    from: thing('dba'),
    isFound: true,
    goal: thing(HOSTILE),
    steps: [step],
    pass: null,
    coverage: COVERAGE,
  })

  const way = await cli.run('path', 'read', ID)
  api.answer = () => ({ status: 200, body: { items: [], nextCursor: null, coverage: COVERAGE } })
  const owners = await cli.run('owner', 'list')
  const left = [{ why: 'kind-unknown', words: 'say the kind', count: 7, examples: ['app (shop)'] }]
  const adoption = { isDryRun: true, items: [], left, unmatched: 2, next: ID, unseen: 1, coverage: COVERAGE }
  api.answer = () => ({ status: 201, body: adoption })
  const dry = await cli.run('inventory', 'adopt', '--every', '--dry-run')

  assert.ok(way.stdout.includes('  1 dba is a superuser of boss') && !way.stdout.includes('\u001b'))
  assert.ok(way.stdout.includes('[grant: SUPERUSER (admin), told by shop]'))
  assert.match(owners.stdout, /reeve inventory adopt --every --dry-run/)
  assert.match(dry.stdout, /0 would be adopted\n7 left, say the kind: app \(shop\)\n2 of another class/)
  assert.match(dry.stdout, /--after 0189.*\n1 parts of sources/)
})

test('an adoption by a rule goes on batch by batch until it is done, and its undoing too', async (t) => {
  const { api, cli } = await answering(t, {})
  const run = (state: string, adopted: number, undone = 0) => ({
    id: ID,
    rule: { source: 'shop' },
    by: 'ada',
    state,
    lookedAt: adopted,
    ofAbout: 900,
    adopted,
    unmatched: 0,
    left: [],
    undone,
    startedAt: '2026-01-01T00:00:00.000Z',
    lastAt: '2026-01-01T00:00:00.000Z',
    endedAt: null,
  })
  const answers = [run('running', 500), run('running', 800), run('done', 900)]
  api.answer = () => ({ status: 200, body: answers.shift() ?? {} })

  const forth = await cli.run('adoption', 'start', '--source', 'shop', '-o', 'json')
  answers.push(run('undoing', 900, 500), run('undone', 900, 900))
  const back = await cli.run('adoption', 'undo', ID, '--reason', 'too wide', '-o', 'json')

  assert.deepEqual(
    api.asked.map(({ path }) => path),
    [
      '/v1/adoptions',
      `/v1/adoptions/${ID}/continue`,
      `/v1/adoptions/${ID}/continue`,
      `/v1/adoptions/${ID}/undo`,
      `/v1/adoptions/${ID}/undo`,
    ],
  )
  assert.deepEqual([forth.code, JSON.parse(forth.stdout).state], [0, 'done'])
  assert.deepEqual([back.code, JSON.parse(back.stdout).undone], [0, 900])
  assert.match(
    forth.stderr,
    /break off: reeve adoption continue 0189[^\n]*\n500 of about 900 looked at, 500 adopted\n800 of/,
  )
  assert.match(back.stderr, /500 of 900 taken back/)
})
