import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { lifecycleWorld } from '../../test/support/lifecycle-world.ts'
import { permitFor } from '../../test/support/permit.ts'
import { toyPrincipal, toySource, type ToySource } from '../../test/support/toy-source.ts'
import { known, unknown, type Missing, type Observation } from '../connectors/connector.ts'
import { listConsumers, withdrawConsumer } from '../credentials/rotation/consumer-records.ts'
import { rotationSite } from '../credentials/rotation/rotation.fixture.ts'
import { readRotationDetail } from '../credentials/rotation/reads.ts'
import { by, turning } from '../credentials/rotation/turns.fixture.ts'
import { openTeams } from '../identities/identities.ts'
import {
  consumersOf,
  collectSource,
  keptAt,
  registerSource,
  sourceHttpTo,
  type InventoryNeeds,
} from '../inventory/inventory.ts'
import { RegisterSource } from '../inventory/contract.ts'
import { transact, type Db } from '../kernel/db.ts'
import { fingerprintsUnder } from '../kernel/fingerprint.ts'
import { silentLog } from '../kernel/log.ts'
import { Secret } from '../kernel/secret.ts'
import { ensureCase } from '../lifecycle/cases.ts'
import { readCase } from '../lifecycle/reads.ts'
import { actOf } from '../identities/identities.ts'
import { holdersOf, notSeenBy, usersOf } from './consumers.ts'

const site = rotationSite()
const NOTHING = unknown('unsupported')
const PERSON = { id: '00000000-0000-7000-8000-00000000dead', kind: 'human' } as const

type Basis = Pick<InventoryNeeds, 'clock' | 'random' | 'ledger' | 'seal'>

/** A toy source of a target, read again by each call. */
async function toyOf(db: Db, basis: Basis, target: string) {
  const toy: ToySource = toySource()
  toy.authority = `toy:${target}`
  const needs: InventoryNeeds = {
    ...basis,
    log: silentLog,
    teams: await openTeams({ payments: { members: [] } }),
    fingerprints: fingerprintsUnder(new Secret(randomBytes(32))),
    connectors: new Map([['toy', toy.connector]]),
    httpTo: (address) => sourceHttpTo(address, basis.clock),
    ours: async () => new Set(),
    wait: async () => {},
  }
  const input = RegisterSource.parse({
    name: `toys-${target.slice(-12)}`,
    connector: 'toy',
    settings: {},
    ownerTeam: 'payments',
    environment: 'production',
    target,
  })
  const permit = permitFor('source.register', { type: 'Person', id: PERSON.id }, { type: 'Installation', id: 'x' })
  const { id } = await transact(db, (tx) => registerSource(tx, needs, permit, input))
  return async (observations: readonly Observation[], dark?: Missing) => {
    toy.scopes.set('all', [observations])
    if (dark) toy.scopes.set('dark', [])
    toy.report = (scope) =>
      scope === 'dark' && dark ? { status: 'denied', missing: [dark] } : { status: 'complete', missing: [] }
    await collectSource(db, needs, id, { actor: PERSON }, { signal: new AbortController().signal })
  }
}

function secretOf(name: string): Observation {
  return {
    kind: 'credential',
    id: { kind: 'toy-secret', id: name },
    principal: known({ kind: 'toy', id: name }),
    type: 'password',
    name: `the password of ${name}`,
    state: known('active'),
    createdAt: NOTHING,
    rotatedAt: NOTHING,
    expiresAt: known('never'),
    fingerprints: known([]),
    scopes: known([]),
    bindings: known([]),
    strength: NOTHING,
    heldBy: NOTHING,
  }
}

function keptBy(job: string, of: string): Observation {
  return {
    kind: 'reference',
    id: { kind: 'toy-reference', id: `${job}-${of}` },
    consumer: { kind: 'toy-job', id: job },
    credential: { kind: 'toy-secret', id: of },
    how: 'env',
    location: `/etc/${job}`,
    evidence: 'static',
  }
}

function cameIn(job: string, as: string, at: Date, semantics: 'auth' | 'statement' = 'auth'): Observation {
  return {
    kind: 'usage',
    subject: { kind: 'toy', id: as },
    semantics,
    at,
    actor: known({ kind: 'toy-job', id: job }),
    from: { agent: 'psql' },
  }
}

async function keeping() {
  const { account, clock, needs: bare, other } = await turning(site)
  const needs = { ...bare, keepersOf: keptAt }
  const collect = await toyOf(site.home.db, needs, `t-${account.targetId}`)
  const told = [account.name, other].map((name) => toyPrincipal(name, { name }))
  const base = [...told, secretOf(account.name), keptBy('shop', account.name)]
  await collect(base)
  const detail = (id: string) => readRotationDetail(site.home.db, id)
  return { account, clock, needs, other, collect, base, detail }
}

test('a place that a source tells of is waited for until the source tells of its login with the new secret', async () => {
  const { account, clock, needs, other, collect, base, detail } = await keeping()
  const id = await account.start()
  await site.settle(needs)

  const waiting = await detail(id)
  assert.equal(waiting.state, 'distributed')
  assert.match(waiting.waitsFor ?? '', /^kept-[0-9a-f]{12} \(toys-.*\) was not seen with the new secret$/)
  const [place, ...more] = waiting.consumers
  assert.deepEqual([place?.origin, place?.location, place?.seenOn, more], ['reference', '/etc/shop', null, []])
  assert.ok(place?.readAt && place.source?.startsWith('toys-'))

  // Attack: neither who still comes in with the old login, nor a statement, nor somebody else, takes up the new one for it.
  clock.ahead(600)
  const now = clock.now()
  await collect([
    ...base,
    cameIn('shop', account.name, now),
    cameIn('shop', other, now, 'statement'),
    cameIn('clerk', other, now),
  ])
  await site.settle(needs)
  assert.deepEqual([(await detail(id)).state, (await detail(id)).consumers[0]?.seenOn], ['distributed', null])

  await collect([...base, cameIn('shop', other, clock.now())])
  clock.ahead(600)
  await site.settle(needs)

  const dead = await detail(id)
  assert.deepEqual([dead.state, dead.consumers[0]?.seenOn], ['dead', id])
})

test('a person’s word that a place is done counts for the rotation in which it was given, and not for the next one', async () => {
  const { account, clock, needs, detail } = await keeping()
  const id = await account.start()
  await site.settle(needs)
  const place = (await detail(id)).consumers[0]?.id ?? assert.fail('nobody is known')
  const permit = permitFor(
    'consumer.withdraw',
    { type: 'Person', id: account.here.personId },
    { type: 'Account', id: account.accountId },
  )
  clock.ahead(60)
  const because = { reason: 'the shop was given the new one' }
  await transact(site.home.db, (tx) => withdrawConsumer(tx, needs, permit, place, because))
  clock.ahead(600)
  await site.settle(needs)

  const dead = await detail(id)
  assert.equal(dead.state, 'dead')
  assert.ok(dead.consumers[0]?.withdrawnAt)
  const next = await account.start()
  await site.settle(needs)
  assert.match((await detail(next)).waitsFor ?? '', /^kept-/)
})

test('attack: a login that a source tells is kept elsewhere is not cut over in one moment, unless a person says that it is not used', async () => {
  const { account, needs } = await keeping()
  await account.configure({ strategy: 'cut-over' })
  const { startRotation } = await import('../credentials/rotation/start.ts')
  const subject = { type: 'Person', id: account.here.personId }
  const on = { type: 'Account', id: account.accountId }
  const begin = () =>
    transact(site.home.db, (tx) =>
      startRotation(tx, needs, permitFor('rotation.start', subject, on), { reason: 'a test', endSessions: false }),
    )
  await assert.rejects(begin(), /kept-[0-9a-f]{12} .* holds a copy of the secret and would be cut off/)

  const { consumers } = await consumersOf(site.home.db, { clock: needs.clock, holdersOf }, account.accountId)
  const place = consumers.find((each) => each.by === 'reference')?.referenceId ?? assert.fail('no reference')
  await transact(site.home.db, (tx) =>
    withdrawConsumer(tx, needs, permitFor('consumer.withdraw', subject, on), place, { reason: 'an old file' }),
  )
  assert.equal((await begin()).state, 'planned')
})

test('one list says who uses a login and how each is known', async () => {
  const { account, needs, collect, base, clock } = await keeping()
  await by(site, needs, account).declare('billing', { applicationName: 'billing' })
  await account.start()
  await site.settle(needs)
  await collect([...base, cameIn('shop', account.name, clock.now())])

  const { consumers, use } = await consumersOf(site.home.db, { clock: needs.clock, holdersOf }, account.accountId)

  assert.deepEqual(
    consumers.map(({ by: how, location, evidence }) => [how, location, evidence]),
    [
      ['declared', 'billing', 'word'],
      ['reference', '/etc/shop', 'static'],
      ['use', 'psql', 'runtime'],
    ],
  )
  assert.equal(use.is, 'used')
})

test('a case says of each account who uses it, or that it cannot be said, and waits out SVIDs of the identity', async (t) => {
  const w = await lifecycleWorld(t)
  const job = await w.workload('nightly', w.alice)
  const collect = await toyOf(w.db, w.needs, 'orders')
  const dark = { what: 'logins', why: 'no right', permission: 'see logins' }
  await collect([toyPrincipal('app', { name: 'app' }), secretOf('app'), keptBy('shop', 'app')], dark)
  await w.run(async (tx) => {
    const cause = await w.needs.ledger.record(tx, {
      event: (await import('../lifecycle/events.ts')).caseItemClosed,
      actor: { id: null, kind: 'system' },
      resource: { type: 'Account', id: w.app.id },
      outcome: 'done',
      facts: { itemId: w.app.id, evidence: 'a test claims it' },
    })
    await tx.updateTable('account').set({ identityId: job.id, cause }).where('id', '=', w.app.id).execute()
    const key = { publicKey: Buffer.from('a'), certificate: Buffer.from('b'), sealedKey: Buffer.from('c') }
    const at = { createdAt: w.clock.now(), signsAt: w.clock.now() }
    const id = '0190a1b2-0000-7000-8000-000000000001'
    await tx
      .insertInto('spiffeAuthority')
      .values({ id, kind: 'x509', state: 'signing', ...key, ...at, cause })
      .execute()
  })
  const lifecycle = { ...w.lifecycle, usersOf: usersOf(w.clock), notSeen: notSeenBy(w.clock) }
  const act = actOf(w.permit('case.open', w.carol, job))
  const opening = { identityId: job.id, reason: 'person', detail: 'nobody needs it', soakDays: 0 } as const
  const { id } = await w.run((tx) => ensureCase(tx, lifecycle, act, opening))
  const { advanceCases } = await import('../lifecycle/lifecycle.ts')
  while ((await advanceCases(w.db, lifecycle)) > 0);

  const held = await readCase(w.db, id, w.clock.now())
  assert.match(held.heldBecause ?? '', /claims orders\/app \(whether it is used cannot be said, by 1 known\)/)
  const [use] = held.dependencies?.uses ?? []
  assert.deepEqual([use?.account, use?.is, use?.consumers[0]?.by], ['orders/app', 'cannot-be-said', 'reference'])
  assert.match(use?.why[0] ?? '', /would not have been seen/)
  assert.deepEqual(held.dependencies?.unseen, ['toys-orders dark (denied): logins: no right; it takes see logins'])
  const listed = await listConsumers(w.db, { notSeen: notSeenBy(w.clock) }, w.app.id, { limit: 10 })
  assert.deepEqual([listed.items, listed.unseen, listed.moreUnseen], [[], held.dependencies?.unseen, 0])
  const unread = await listConsumers(w.db, {}, w.app.id, { limit: 10 })
  assert.deepEqual(unread.unseen, ['no source is read'])

  const svids = async () =>
    (await readCase(w.db, id, w.clock.now())).obligations.find(({ kind }) => kind === 'svid')?.isDead
  assert.equal(await svids(), false)
  w.clock.advance(3600)
  assert.equal(await svids(), true)
})
