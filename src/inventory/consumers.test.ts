import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from 'kysely'
import { inventoryWorld, type InventoryWorld } from '../../test/support/inventory-world.ts'
import { toyPrincipal, toySource } from '../../test/support/toy-source.ts'
import { claimAccount } from '../catalog/catalog.ts'
import { known, unknown, type NativeId, type Observation } from '../connectors/connector.ts'
import { openDatabase } from '../kernel/db.ts'
import { silentLog } from '../kernel/log.ts'
import { conflict, notFound } from '../kernel/problem.ts'
import { consumersOf, consumersOfThing } from './consumers.ts'
import { measureInventory } from './measure.ts'
import { retireSource } from './sources/sources.ts'

const DAY = 86_400_000
const NOTHING = unknown('unsupported')
const FINGERPRINT = { alg: 'hmac-sha256' as const, keyId: 'a'.repeat(12), value: 'b'.repeat(64) }

function credential(id: string, principal: string | null, fingerprints: (typeof FINGERPRINT)[] = []): Observation {
  return {
    kind: 'credential',
    id: { kind: 'toy-secret', id },
    principal: principal === null ? NOTHING : known({ kind: 'toy', id: principal }),
    type: 'password',
    name: `secret ${id}`,
    state: known('active'),
    createdAt: NOTHING,
    rotatedAt: NOTHING,
    expiresAt: known('never'),
    fingerprints: known(fingerprints),
    scopes: known([]),
    bindings: known([]),
    strength: NOTHING,
    heldBy: NOTHING,
  }
}

function reference(id: string, of: NativeId | typeof FINGERPRINT): Observation {
  return {
    kind: 'reference',
    id: { kind: 'toy-reference', id },
    consumer: { kind: 'toy-job', id },
    credential: of,
    how: 'env',
    location: `/etc/${id}`,
    evidence: 'static',
  }
}

function used(id: string, at: Date): Observation {
  const actor = { kind: 'toy', id: 'clerk' }
  return {
    kind: 'usage',
    subject: { kind: 'toy', id },
    semantics: 'auth',
    at,
    actor: known(actor),
    from: { agent: 'psql' },
  }
}

function window(from: Date, to: Date, more: object = {}): Observation {
  return { kind: 'usage-window', semantics: 'auth', sees: 'every-use', from, to, ...more }
}

/** What was issued for an account, as it stands; how it came about is not of interest. */
async function lease(i: InventoryWorld, accountId: string, revocability: string): Promise<void> {
  await using opened = openDatabase(i.w.database.owner, { max: 1, log: silentLog })
  await opened.db.transaction().execute(async (tx) => {
    await sql`set local session_replication_role = replica`.execute(tx)
    await sql`
      insert into lease (id, grant_id, target_id, account_id, node_id, kind, principal, terms, state, revocability, announced_at, cause)
      select gen_random_uuid(), gen_random_uuid(), target_id, id, gen_random_uuid(), 'test', 'app', '{}', 'issued', ${revocability}, now(), 1
        from account where id = ${accountId}`.execute(tx)
  })
}

async function scene(t: Parameters<typeof inventoryWorld>[0]) {
  const i = await inventoryWorld(t)
  const target = await i.w.target('toys')
  const toy = toySource()
  const now = i.w.clock.now()
  const ago = (days: number) => new Date(now.getTime() - days * DAY)
  let source: Awaited<ReturnType<typeof i.source>> | undefined
  const collect = async (observations: readonly Observation[]) => {
    toy.scopes.set('all', [observations])
    source ??= await i.source(toy.connector, {}, { target: target.name })
    await i.collect(source)
    const row = await i.w.db.selectFrom('account').select('id').where('name', '=', 'app').executeTakeFirstOrThrow()
    return row.id
  }
  return { i, ago, collect, app: toyPrincipal('app', { name: 'app' }) }
}

test('who keeps the secret of an account breaks when it changes, also under another name of the same secret', async (t) => {
  const { i, collect, app } = await scene(t)
  const account = await collect([
    app,
    credential('password', 'app', [FINGERPRINT]),
    credential('copy', null, [FINGERPRINT]),
    credential('other', null),
    reference('shop', { kind: 'toy-secret', id: 'password' }),
    reference('billing', { kind: 'toy-secret', id: 'copy' }),
    reference('ci', FINGERPRINT),
    reference('elsewhere', { kind: 'toy-secret', id: 'other' }),
  ])

  const { consumers, credentials, principals } = await consumersOf(i.w.db, i.needs, account)

  assert.deepEqual(
    consumers.map(({ location, isCopy, by }) => [location, isCopy, by]),
    [
      ['/etc/billing', true, 'reference'],
      ['/etc/ci', true, 'reference'],
      ['/etc/shop', false, 'reference'],
    ],
  )
  assert.deepEqual([credentials.length, principals.length], [1, 1])
  const same = await consumersOfThing(i.w.db, i.needs, credentials[0] ?? '')
  assert.deepEqual(same.consumers, consumers)
  await assert.rejects(consumersOfThing(i.w.db, i.needs, '00000000-0000-8000-8000-000000000001'), (e) => notFound.is(e))
})

test('who was seen using it is a consumer, and it is used', async (t) => {
  const { i, ago, collect, app } = await scene(t)
  const account = await collect([app, toyPrincipal('clerk'), used('app', ago(3))])

  const { consumers, use } = await consumersOf(i.w.db, i.needs, account)

  assert.deepEqual(
    consumers.map(({ name, by, location }) => [name, by, location]),
    [['toy clerk', 'use', 'psql']],
  )
  assert.deepEqual([use.is, use.lastAt?.getTime()], ['used', ago(3).getTime()])
})

test('unused is said over an unbroken window of every login, and the last use of before is told', async (t) => {
  const { i, ago, collect, app } = await scene(t)
  const account = await collect([app, used('app', ago(120)), window(ago(100), ago(0))])

  const { use } = await consumersOf(i.w.db, i.needs, account)

  assert.deepEqual([use.is, use.gaps, use.lastAt?.getTime()], ['unused', [], ago(120).getTime()])
})

for (const [what, windows] of [
  [
    'there is a gap in the window',
    (ago: (d: number) => Date) => [window(ago(100), ago(0), { gaps: [[ago(30), ago(29)]] })],
  ],
  ['it began too late', (ago: (d: number) => Date) => [window(ago(60), ago(0))]],
  ['only samples were taken', (ago: (d: number) => Date) => [window(ago(100), ago(0), { sees: 'samples' })]],
  ['only statements were told', (ago: (d: number) => Date) => [window(ago(100), ago(0), { semantics: 'statement' })]],
  ['nothing was watched', () => []],
] as const) {
  test(`that an account is unused cannot be said where ${what}`, async (t) => {
    const { i, ago, collect, app } = await scene(t)
    const account = await collect([app, ...windows(ago)])

    const { use } = await consumersOf(i.w.db, i.needs, account)

    assert.equal(use.is, 'cannot-be-said')
    assert.ok(use.why.length > 0 && use.gaps.length > 0)
    assert.ok(use.gaps.every(([from, to]) => from < to))
  })
}

test('attack: a login that whom it proves still comes in with is never said to be unused', async (t) => {
  const { i, ago, collect, app } = await scene(t)
  await collect([
    app,
    credential('one', 'app'),
    credential('two', 'app'),
    toyPrincipal('quiet', { name: 'quiet' }),
    credential('three', 'quiet'),
    toyPrincipal('clerk'),
    used('app', ago(3)),
    { ...used('three', ago(4)), subject: { kind: 'toy-secret', id: 'three' } } as Observation,
    window(ago(100), ago(0)),
    window(ago(100), ago(0), { subject: { kind: 'toy-secret', id: 'two' } }),
  ])
  const idOf = async (name: string) =>
    (
      await i.w.db
        .selectFrom('observedCredential')
        .select('id')
        .where('name', '=', `secret ${name}`)
        .executeTakeFirstOrThrow()
    ).id
  const source = (await i.w.db.selectFrom('source').select('name').executeTakeFirstOrThrow()).name

  // The source tells who came in and not by which of two passwords; of the second it would have told.
  const one = await consumersOfThing(i.w.db, i.needs, await idOf('one'))
  const two = await consumersOfThing(i.w.db, i.needs, await idOf('two'))
  const quiet = await consumersOfThing(i.w.db, i.needs, `quiet@${source}`)

  assert.equal(one.use.is, 'cannot-be-said')
  assert.match(one.use.why.join(), /app was used at .* whether by secret one was not told/)
  assert.deepEqual(
    one.consumers.map(({ name, by }) => [name, by]),
    [['toy clerk', 'use']],
  )
  assert.equal(two.use.is, 'unused')
  // What its only login did, it did.
  assert.deepEqual([quiet.use.is, quiet.use.lastAt?.getTime()], ['used', ago(4).getTime()])
})

test('who breaks is asked of an identity too, over all that it is; several of one name are told with their ids', async (t) => {
  const { i, ago, collect } = await scene(t)
  const { w } = i
  const alice = await w.person('alice')
  const job = await w.workload('job', alice)
  const account = await collect([
    toyPrincipal('app', { name: 'app' }),
    toyPrincipal('twin', { name: 'twin' }),
    toyPrincipal('other-twin', { name: 'twin' }),
    toyPrincipal('clerk'),
    credential('password', 'app', [FINGERPRINT]),
    reference('ci', FINGERPRINT),
    used('app', ago(3)),
  ])
  const source = (await w.db.selectFrom('source').select('name').executeTakeFirstOrThrow()).name

  await assert.rejects(consumersOfThing(w.db, i.needs, 'nobody-here'), (e) => notFound.is(e))
  const before = await consumersOfThing(w.db, i.needs, 'job')
  await w.run((tx) =>
    claimAccount(tx, w.needs, w.permit('account.claim', alice, { type: 'Account', id: account }), { identity: 'job' }),
  )
  const after = await consumersOfThing(w.db, i.needs, job.id)
  const ofSecret = await consumersOfThing(w.db, i.needs, `secret password@${source}`)

  assert.deepEqual([before.consumers, before.use.is], [[], 'cannot-be-said'])
  assert.deepEqual(
    after.consumers.map(({ by, location }) => `${by} ${location}`),
    ['reference /etc/ci', 'use psql'],
  )
  assert.equal(after.use.is, 'used')
  assert.deepEqual([ofSecret.credentials, ofSecret.consumers.length], [after.credentials, 2])
  await assert.rejects(consumersOfThing(w.db, i.needs, `twin@${source}`), (e) => {
    assert.ok(conflict.is(e) && e instanceof Error)
    assert.equal(e.message.match(/[0-9a-f-]{36} \(toy\)/g)?.length, 2)
    return true
  })
})

test('whether every secret of an identity is in a store, and whether what is issued for it can be ended, is counted', async (t) => {
  const { i, collect, app } = await scene(t)
  const { w } = i
  const alice = await w.person('alice')
  await w.workload('job', alice)
  const kept = (heldBy: 'vault' | 'file' | null, more: object = {}): Observation =>
    Object.assign(
      credential('password', 'app', [FINGERPRINT]),
      { heldBy: heldBy === null ? NOTHING : known(heldBy) },
      more,
    )
  const inVault = { id: { kind: 'toy-secret', id: 'copy' }, principal: NOTHING }
  const account = await collect([app, kept('file')])
  await w.run((tx) =>
    claimAccount(tx, w.needs, w.permit('account.claim', alice, { type: 'Account', id: account }), { identity: 'job' }),
  )
  const job = async () => {
    const { identities } = await measureInventory(w.db, w.clock)
    const row = identities.find(({ kind }) => kind === 'workload') ?? assert.fail('no workload')
    const said = ({ yes, no }: typeof row.vaulted) => (yes === 1 ? 'yes' : no === 1 ? 'no' : 'unknown')
    return { vaulted: said(row.vaulted), path: said(row.revocationPath) }
  }

  assert.deepEqual(await job(), { vaulted: 'no', path: 'yes' })
  await collect([app, kept(null)])
  assert.equal((await job()).vaulted, 'unknown')
  await collect([app, kept('file'), kept('vault', inVault)])
  assert.equal((await job()).vaulted, 'yes')
  const { id } = await w.db.selectFrom('source').select('id').executeTakeFirstOrThrow()
  await w.run((tx) => retireSource(tx, i.needs, w.permit('source.retire', alice, { type: 'Source', id })))
  assert.deepEqual(await job(), { vaulted: 'unknown', path: 'unknown' })
  await lease(i, account, 'expires-only')
  assert.equal((await job()).path, 'no')
})
