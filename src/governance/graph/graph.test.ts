import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { toyPrincipal } from '../../../test/support/toy-source.ts'
import { claimAccount } from '../../catalog/catalog.ts'
import { known } from '../../connectors/connector.ts'
import { mergeIdentities } from '../../inventory/resolution/merges.ts'
import { resolveInventory } from '../../inventory/inventory.ts'
import { notFound } from '../../kernel/problem.ts'
import { SYSTEM } from '../../ledger/ledger.ts'
import { PathQuery } from './contract.ts'
import { exportPaths } from './export.ts'
import { forwardFrom } from './forward.ts'
import {
  CLUSTER,
  credential,
  estate,
  grant,
  key,
  member,
  people,
  reference,
  resource,
  type Print,
} from './graph.fixture.ts'
import { takenByBloodHound } from './opengraph.fixture.ts'
import { reachOf } from '../reach.ts'
import { listPaths, readPath } from './paths.ts'

test('roles in roles lead to tier 0, by the options of each membership, and a second look changes nothing', async (t) => {
  const e = await estate(t)
  const looked = await e.tell([
    CLUSTER,
    ...people('anna', 'ben', 'carl', 'team', 'boss'),
    member('anna', 'team'),
    member('team', 'boss', { admin: true, inherit: false, set: false }),
    member('ben', 'boss', { admin: false, inherit: false, set: true }),
    member('carl', 'boss', { admin: false, inherit: false, set: false }),
    grant('boss', 'cluster', 'SUPERUSER', 'admin'),
  ])

  assert.ok(looked.moved > 0)
  assert.equal((await e.look()).moved, 0)
  assert.deepEqual(await e.way('anna'), ['member-of', 'administers-group', 'superuser'])
  assert.deepEqual(await e.way('ben'), ['member-of', 'superuser'])
  assert.equal(await e.way('carl'), undefined)
  assert.deepEqual(await e.way('cluster'), [])
})

test('read-only is not low: who reads a secret is who it proves, and who reads what is of tier 0 is there', async (t) => {
  const e = await estate(t)
  await e.tell([
    CLUSTER,
    ...people('reader', 'clerk', 'looker', 'boss'),
    resource('ledger-table', 'table', { sensitivity: known(0) }),
    resource('other-table', 'table', { sensitivity: known(2) }),
    credential('boss-password', 'boss'),
    grant('reader', 'boss-password', 'get', 'read'),
    grant('clerk', 'ledger-table', 'SELECT', 'read'),
    grant('looker', 'other-table', 'SELECT', 'read'),
    grant('boss', 'cluster', 'SUPERUSER', 'admin'),
  ])

  assert.deepEqual(await e.way('reader'), ['can-read-secret', 'proves', 'superuser'])
  assert.deepEqual(await e.way('clerk'), ['can-read-secret'])
  assert.equal(await e.way('looker'), undefined)
})

test('rights over a PostgreSQL server: CREATEROLE up to 15, predefined roles, replication', async (t) => {
  const e = await estate(t)
  const roles = (cluster: string, at: string) => [
    resource(cluster, 'postgres-cluster'),
    ...people(`maker${at}`, `runner${at}`, `copier${at}`),
    toyPrincipal(`server${at}`, { name: 'pg_execute_server_program', facts: { isBuiltIn: true } }),
    toyPrincipal(`fake${at}`, { name: 'pg_write_server_files' }),
    grant(`maker${at}`, cluster, 'CREATEROLE', 'grant'),
    member(`runner${at}`, `server${at}`),
    grant(`copier${at}`, cluster, 'REPLICATION', 'read'),
  ]
  await e.tell(roles('old', '15'), { authority: 'toy:15', system: 'PostgreSQL 15.8 (Debian)' })
  await e.tell(roles('new', '18'), { authority: 'toy:18', system: 'PostgreSQL 18.4' })

  assert.deepEqual(await e.way('maker15'), ['can-set-password'])
  assert.equal(await e.way('maker18'), undefined)
  assert.deepEqual(await e.way('runner18'), ['member-of', 'execute-server-program'])
  assert.deepEqual(await e.way('copier18'), ['can-read-secret'])
  assert.equal(await e.way('pg_write_server_files'), undefined)
})

test('keys, tokens and grants of vendors lead to whom they prove; a key that runs one command does not', async (t) => {
  const e = await estate(t)
  await e.tell([
    resource('host', 'linux-host'),
    ...people('root'),
    grant('root', 'host', 'root', 'admin'),
    credential('laptop-key', 'root', { type: 'ssh-key' }, [key('one')]),
    credential('backup-key', 'root', { type: 'ssh-key', bindings: known(['command']) }, [key('two')]),
    credential('vendor-token', 'root', { type: 'oauth-grant', heldBy: known('third-party') }),
    credential('robot-token', 'root', { type: 'oauth-grant', heldBy: known('self') }),
    credential('old-key', 'root', { type: 'ssh-key', expiresAt: known(new Date(0)) }),
    credential('revoked-key', 'root', { type: 'ssh-key', state: known('revoked') }),
  ])

  assert.deepEqual(await e.way('laptop-key'), ['authorized-key', 'sudo'])
  assert.deepEqual(await e.way('vendor-token'), ['vendor-grant', 'sudo'])
  assert.deepEqual(await e.way('robot-token'), ['delegated-token', 'sudo'])
  for (const name of ['backup-key', 'old-key', 'revoked-key']) assert.equal(await e.way(name), undefined, name)
})

test('one secret in two systems joins them: what keeps it elsewhere comes to production', async (t) => {
  const e = await estate(t)
  const print: Print = { alg: 'hmac-sha256', keyId: 'a'.repeat(12), value: 'b'.repeat(64) }
  await e.tell([
    CLUSTER,
    ...people('boss'),
    credential('boss-password', 'boss', {}, [print]),
    grant('boss', 'cluster', 'SUPERUSER', 'admin'),
  ])
  await e.tell(
    [
      resource('test-cluster', 'postgres-cluster'),
      resource('build', 'job'),
      ...people('tester'),
      credential('vault-copy', null, {}, [print]),
      reference('build', print),
      grant('tester', 'build', 'edit', 'write'),
      grant('tester', 'test-cluster', 'SUPERUSER', 'admin'),
    ],
    { authority: 'toy:staging', source: { environment: 'staging' } },
  )

  assert.deepEqual(await e.way('vault-copy'), ['same-secret', 'same-secret', 'proves', 'superuser'])
  assert.deepEqual(await e.way('tester'), ['can-write-pipeline', 'keeps', 'same-secret', 'proves', 'superuser'])
  assert.ok((await e.reach('vault-copy')).includes('cluster'))
  assert.ok((await e.reach('build')).includes('boss'))
})

test('what holds for everybody there holds for each of them, and not elsewhere', async (t) => {
  const e = await estate(t)
  await e.tell([
    CLUSTER,
    ...people('anybody'),
    toyPrincipal('public', { name: 'PUBLIC', type: 'group', facts: { everybody: true } }),
    grant('public', 'cluster', 'ALTER', 'admin'),
  ])
  await e.tell(people('stranger'), { authority: 'toy:2' })

  assert.deepEqual(await e.way('anybody'), ['everybody', 'administers'])
  assert.equal(await e.way('stranger'), undefined)
})

test('what was missed once still counts, what is gone, expired or of a retired source does not', async (t) => {
  const e = await estate(t)
  const rights = [grant('anna', 'cluster', 'SUPERUSER', 'admin')]
  const late = grant('ben', 'cluster', 'SUPERUSER', 'admin', {
    expiresAt: known(new Date(e.w.clock.now().getTime() + 3600_000)),
  })
  const all = [CLUSTER, ...people('anna', 'ben')]
  await e.tell([...all, ...rights, late])
  assert.deepEqual([await e.way('anna'), await e.way('ben')], [['superuser'], ['superuser']])

  e.w.clock.advance(7200)
  await e.tell([...all, late])
  assert.deepEqual([await e.way('anna'), await e.way('ben')], [['superuser'], undefined])
  await e.tell([...all, late])
  assert.equal(await e.way('anna'), undefined)
})

test('identities come there by their accounts, their owners by them, and merged ones by each other', async (t) => {
  const e = await estate(t)
  const { w } = e
  const founder = await w.founder()
  const alice = await w.person('alice')
  const [job, twin] = [await w.workload('job', alice), await w.workload('twin', alice)]
  const target = await w.target('toys')
  await e.tell([CLUSTER, ...people('app'), grant('app', 'cluster', 'SUPERUSER', 'admin')], {
    source: { target: 'toys' },
  })
  const { id } = await w.db
    .selectFrom('account')
    .select('id')
    .where('targetId', '=', target.id)
    .where('name', '=', 'app')
    .executeTakeFirstOrThrow()
  await w.run((tx) =>
    claimAccount(tx, w.needs, w.permit('account.claim', founder, { type: 'Account', id }), { identity: 'job' }),
  )
  await w.run((tx) => resolveInventory(tx, w.needs, { actor: SYSTEM }))
  const permit = w.permit('inventory.merge', founder, { type: 'Identity', id: twin.id })
  await w.run((tx) => mergeIdentities(tx, w.needs, permit, { into: 'job', reason: 'one job' }))
  await e.look()

  assert.deepEqual(await e.way('job'), ['holds', 'superuser'])
  assert.deepEqual(await e.way('twin'), ['same-as', 'holds', 'superuser'])
  const { steps, goal, isFound } = await readPath(w.db, w.clock, 'alice')
  assert.deepEqual(
    [
      isFound,
      goal?.name,
      steps.map(({ from, edge, to, evidence }) => [from.name, edge, to.name, evidence.kind, evidence.what]),
    ],
    [
      true,
      'cluster',
      [
        ['alice', 'answers-for', 'job', 'identity', 'owner of job'],
        ['job', 'holds', 'app', 'account', 'account app'],
        ['app', 'superuser', 'cluster', 'grant', 'SUPERUSER (admin)'],
      ],
    ],
  )
  const reach = await reachOf(w.db, job.id, w.clock.now())
  assert.deepEqual(
    [reach.tier, reach.isInScope, reach.escalation],
    [0, true, 'it comes to tier 0 in 2 steps: claims the account app, which is a superuser of cluster'],
  )
  assert.equal((await reachOf(w.db, alice.id, w.clock.now())).escalation, null)
  const near = await readPath(w.db, w.clock, job.id, await e.idOf('app'))
  assert.deepEqual(
    near.steps.map(({ edge }) => edge),
    ['holds'],
  )
  await assert.rejects(readPath(w.db, w.clock, 'nobody'), (error) => notFound.is(error))
})

test('the list is paged, the nearest first, and says what was not seen', async (t) => {
  const e = await estate(t)
  const names = Array.from({ length: 7 }, (_, at) => `p${at}`)
  await e.tell([
    CLUSTER,
    ...people(...names),
    grant('p0', 'cluster', 'SUPERUSER', 'admin'),
    ...names.slice(1).map((name, at) => member(name, `p${at}`)),
  ])

  const seen: [string, number][] = []
  for (let cursor: string | null | undefined; cursor !== null;) {
    const page = await listPaths(
      e.w.db,
      e.w.clock,
      PathQuery.parse({ limit: 2, ...(cursor !== undefined && { cursor }) }),
    )
    seen.push(...page.items.map(({ from, hops }): [string, number] => [from.name, hops]))
    cursor = page.nextCursor
    assert.equal(page.coverage.isWhole, true)
  }

  assert.deepEqual(
    seen,
    names.map((name, at) => [name, at + 1]),
  )
})

test('attack: a name is text in every export, which BloodHound takes, and no formula, terminal escape or JSON of its own', async (t) => {
  const e = await estate(t)
  const hostile = '=HYPERLINK("http://evil","x")\u001b[31m"},{"id":"forged'
  await e.tell([CLUSTER, toyPrincipal('x', { name: hostile }), grant('x', 'cluster', 'SUPERUSER', 'admin')])

  const csv = await exportPaths(e.w.db, e.w.clock, { format: 'csv' })
  const { nodes, edges } = takenByBloodHound(await exportPaths(e.w.db, e.w.clock, { format: 'opengraph' }))
  const lines = (await exportPaths(e.w.db, e.w.clock, { format: 'json' }))
    .trim()
    .split('\n')
    .map((line): unknown => JSON.parse(line))

  assert.ok(csv.includes(`"'=HYPERLINK(""`) && !csv.includes('\u001b'))
  assert.ok(csv.startsWith('"# every scope'))
  assert.deepEqual(
    [nodes.map(({ kinds }) => kinds[0] ?? '').toSorted(), edges.length],
    [['ReeveCoverage', 'ReevePrincipal', 'ReeveResource'], 1],
  )
  assert.ok(nodes.every(({ id }) => !id.includes('forged')))
  assert.equal(edges[0]?.kind, 'ReeveSuperuser')
  assert.ok('coverage' in Object(lines[0]) && lines.length === 3)
})

test('ways and reach are those of a search by hand, on random estates', async (t) => {
  const e = await estate(t)
  const size = 12
  const names = Array.from({ length: size }, (_, at) => `n${at}`)
  const pair = fc.tuple(fc.integer({ min: 0, max: size - 1 }), fc.integer({ min: 0, max: size - 1 }))
  await fc.assert(
    fc.asyncProperty(
      fc.array(pair, { maxLength: 26 }),
      fc.uniqueArray(fc.integer({ min: 0, max: size - 1 }), { maxLength: 2 }),
      async (edges, supers) => {
        // Twice, so that what is not told any more is gone.
        const told = [
          CLUSTER,
          ...people(...names),
          ...edges.map(([from, to]) => member(`n${from}`, `n${to}`)),
          ...supers.map((at) => grant(`n${at}`, 'cluster', 'ALTER SYSTEM', 'admin')),
        ]
        await e.tell(told)
        await e.tell(told)
        for (const [at, name] of names.entries()) {
          const { seen, hops } = byHand(edges, supers, at)
          const way = await e.way(name)
          assert.equal(way?.length, hops)
          const { steps } = await forwardFrom(e.w.db, await e.idOf(name), e.w.clock.now())
          const reached = await Promise.all([...seen].filter((n) => n !== at).map((n) => e.idOf(`n${n}`)))
          // From the cluster everything in it is reached.
          if (hops === undefined) assert.deepEqual([...steps.keys()].toSorted(), reached.toSorted())
          else assert.equal(steps.size, size)
        }
      },
    ),
    { numRuns: 5 },
  )
})

/** What is reached by memberships alone, and how many steps it is to the cluster. */
function byHand(edges: readonly (readonly [number, number])[], supers: readonly number[], start: number) {
  const seen = new Set([start])
  let front = [start]
  let hops: number | undefined
  for (let far = 1; front.length > 0; far += 1) {
    if (hops === undefined && front.some((at) => supers.includes(at))) hops = far
    front = [...new Set(edges.filter(([from, to]) => front.includes(from) && !seen.has(to)).map(([, to]) => to))]
    for (const at of front) seen.add(at)
  }
  return { seen, hops }
}
